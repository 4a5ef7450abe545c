//! Keys of texts, straight from the row: what tables and scorecards look texts up by.
//!
//! A text that is asked for by its key only is neither copied nor looked at: its code says its key.

use super::{Bound, Constants, OTHER_TEXT, load::Source, registers::Int};
use crate::{
    expr::op::Reg,
    row::{RawText, Row},
};

/// Texts that have a key: each its place in a list.
#[derive(Debug, PartialEq)]
pub struct Names {
    /// Sorted by text.
    keys: Vec<(String, i64)>,
}

impl Names {
    pub fn new(names: &[String]) -> Self {
        let mut keys: Vec<(String, i64)> = names.iter().cloned().zip(0..).collect();
        keys.sort_unstable();
        // Of a text that stands twice, the first place.
        keys.dedup_by(|later, first| later.0 == first.0);
        Self { keys }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.keys.iter().map(|(text, key)| (text.as_str(), *key))
    }

    pub fn key(&self, text: &str) -> i64 {
        self.named(text.as_bytes()).unwrap_or(OTHER_TEXT)
    }

    /// Key of these bytes if they are one of the names. (Bytes are in the order of their texts.)
    pub fn named(&self, text: &[u8]) -> Option<i64> {
        let at = self.keys.binary_search_by(|(name, _)| name.as_bytes().cmp(text)).ok()?;
        Some(self.keys[at].1)
    }
}

/// The key of one column of texts.
#[derive(Clone, Copy, Debug)]
pub struct KeyOf {
    pub source: Source,
    /// An index of [`Constants::names`].
    pub names: u32,
    pub to: Reg,
}

/// Keys of texts of one row.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub relation: u32,
}

impl Keys {
    #[inline(never)]
    pub fn run(self, of: &[KeyOf], rows: &[Row<'_>], constants: &Constants, bound: &Bound, ints: &mut [Int]) {
        let (row, relation) = (&rows[self.relation as usize], self.relation as usize);
        for KeyOf { source, names, to } in of {
            let names = *names as usize;
            let text = if source.is_known(row.bytes(), row.stale()) { row.raw_text(source.of) } else { None };
            let key = text.and_then(|text| match text {
                // A code that the dictionary lacks is a damaged row: it reads as NULL, as Row does.
                RawText::Code(code) => {
                    ((code as usize) < bound.texts(relation)).then(|| bound.keys(names, relation).of(code))
                }
                // What is no name may be no text either, which is a damaged row too.
                RawText::Bytes(bytes) => constants.names[names]
                    .named(bytes)
                    .or_else(|| std::str::from_utf8(bytes).ok().map(|_| OTHER_TEXT)),
            });
            ints[*to as usize] = key.into();
        }
    }
}

/// Keys by code, of one set of names in one dictionary.
#[derive(Clone, Debug, Default)]
pub struct CodeKeys {
    /// Of the first codes, which are nearly all that have a name.
    first: Box<[i64]>,
    /// Of the others those that have one, in order.
    others: Box<[(u32, i64)]>,
}

impl CodeKeys {
    /// So many codes have their key looked up by place.
    const FIRST: u32 = 1024;

    /// From the codes that have a name.
    pub fn new(mut named: Vec<(u32, i64)>) -> Self {
        named.sort_unstable();
        let (first, others) = named.split_at(named.partition_point(|(code, _)| *code < Self::FIRST));
        let mut keys = vec![OTHER_TEXT; first.last().map_or(0, |(code, _)| *code as usize + 1)];
        for (code, key) in first {
            keys[*code as usize] = *key;
        }
        Self { first: keys.into(), others: others.into() }
    }

    #[inline]
    pub fn of(&self, code: u32) -> i64 {
        match self.first.get(code as usize) {
            Some(key) => *key,
            None => match self.others.binary_search_by_key(&code, |(named, _)| *named) {
                Ok(at) => self.others[at].1,
                Err(_) => OTHER_TEXT,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_key_of_its_first_place() {
        let names = Names::new(&["乙", "甲", "", "乙"].map(String::from));
        assert_eq!(["乙", "甲", "", "丙"].map(|text| names.key(text)), [0, 1, 2, OTHER_TEXT]);
    }

    #[test]
    fn every_code_has_the_key_of_its_name() {
        for named in [vec![], vec![(3, 0)], vec![(5000, 2), (0, 1), (1023, 0), (1024, 7), (2, 3)]] {
            let keys = CodeKeys::new(named.clone());
            for code in (0..2000).chain(4990..5010) {
                let name = named.iter().find(|(of, _)| *of == code);
                assert_eq!(keys.of(code), name.map_or(OTHER_TEXT, |(_, key)| *key), "{code} of {named:?}");
            }
        }
    }
}
