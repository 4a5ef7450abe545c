//! Strings by code, so that a row holds four bytes or fewer for a string and equality is equality of numbers.

use std::{
    hash::BuildHasher,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Strings by code: append-only while it is built, immutable once it is shared.
///
/// Codes are handed out in order from 0, so a dictionary is written down as its strings in order
/// ([`Dictionary::iter`]) and read back by interning them in that order (`collect`).
pub struct Dictionary {
    /// Tells dictionaries apart: see [`Dictionary::version`].
    id: u64,
    /// All strings, one after the other.
    text: String,
    /// Where each string ends in `text`.
    ends: Vec<usize>,
    /// Codes by the hash of their string; the strings themselves are only in `text`.
    codes: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Dictionary {
    /// One more than the largest code: the high bit of a utf8 cell is not part of a code.
    pub const MAX_LEN: usize = 1 << 31;

    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            text: String::new(),
            ends: Vec::new(),
            codes: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// One without texts, for rows that carry their own.
    pub fn none() -> &'static Self {
        static NONE: OnceLock<Dictionary> = OnceLock::new();
        NONE.get_or_init(Self::new)
    }

    /// Changes whenever a code might: whoever keeps codes keeps this beside them. Equal within a process only
    /// for the same dictionary in the same state; a clone has another.
    pub fn version(&self) -> (u64, usize) {
        (self.id, self.ends.len())
    }

    /// The code of `string`, which is added if it is new.
    ///
    /// # Panics
    /// If the dictionary would hold more than [`Dictionary::MAX_LEN`] strings.
    pub fn intern(&mut self, string: &str) -> u32 {
        let hash = self.hasher.hash_one(string);
        if let Some(code) = self.codes.find(hash, |&c| self.get(c) == Some(string)) {
            return *code;
        }
        assert!(self.ends.len() < Self::MAX_LEN, "a dictionary holds at most {} strings", Self::MAX_LEN);
        let code = self.ends.len() as u32;
        self.text.push_str(string);
        self.ends.push(self.text.len());
        let Self { text, ends, codes, hasher, .. } = self;
        codes.insert_unique(hash, code, |&c| hasher.hash_one(slice(text, ends, c as usize)));
        code
    }

    /// The string of a code; None if the dictionary does not reach that far.
    pub fn get(&self, code: u32) -> Option<&str> {
        ((code as usize) < self.ends.len()).then(|| slice(&self.text, &self.ends, code as usize))
    }

    /// The code of a string, if it is in the dictionary.
    pub fn code(&self, string: &str) -> Option<u32> {
        self.codes.find(self.hasher.hash_one(string), |&c| self.get(c) == Some(string)).copied()
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The strings in order of code.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|i| slice(&self.text, &self.ends, i))
    }
}

fn slice<'a>(text: &'a str, ends: &[usize], index: usize) -> &'a str {
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &text[start..ends[index]]
}

impl Default for Dictionary {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Dictionary {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            ends: self.ends.clone(),
            codes: self.codes.clone(),
            hasher: self.hasher.clone(),
            ..Self::new()
        }
    }
}

impl<'s> FromIterator<&'s str> for Dictionary {
    fn from_iter<I: IntoIterator<Item = &'s str>>(strings: I) -> Self {
        let mut dictionary = Self::new();
        for s in strings {
            dictionary.intern(s);
        }
        dictionary
    }
}

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_by_code_and_codes_by_string() {
        let mut d = Dictionary::new();
        let words: Vec<String> = (0..1000).map(|i| format!("词{i}")).chain([String::new()]).collect();
        let codes: Vec<u32> = words.iter().map(|w| d.intern(w)).collect();
        assert_eq!(codes, (0..1001).collect::<Vec<u32>>());
        for (word, code) in words.iter().zip(codes) {
            assert_eq!(d.intern(word), code);
            assert_eq!((d.get(code), d.code(word)), (Some(word.as_str()), Some(code)));
        }
        assert_eq!((d.len(), d.get(1001), d.code("absent")), (1001, None, None));
        let again: Dictionary = d.iter().collect();
        assert!(again.iter().eq(d.iter()));
    }
}
