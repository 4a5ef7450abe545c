//! Keys of texts, straight from the row: what tables and scorecards look texts up by.
//!
//! A text that is asked for by its key only is neither copied nor looked at: its code says its key.

use super::{Presence, Source};
use crate::{
    expr::{
        op::Reg,
        program::{OTHER_TEXT, registers::Int},
    },
    row::{Cell, RawText, Slot, Uint},
};

/// Texts that have a key: each its place in a list.
#[derive(Debug, PartialEq)]
pub struct Names {
    /// Sorted by text.
    keys: Vec<(String, i64)>,
    /// How each text begins, in the same order.
    beginnings: Box<[u64]>,
}

impl Names {
    pub fn new(names: &[String]) -> Self {
        let mut keys: Vec<(String, i64)> = names.iter().cloned().zip(0..).collect();
        keys.sort_unstable();
        // Of a text that stands twice, the first place.
        keys.dedup_by(|later, first| later.0 == first.0);
        let beginnings = keys.iter().map(|(text, _)| beginning(text.as_bytes())).collect();
        Self { keys, beginnings }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.keys.iter().map(|(text, key)| (text.as_str(), *key))
    }

    pub fn key(&self, text: &str) -> i64 {
        self.named(text.as_bytes()).unwrap_or(OTHER_TEXT)
    }

    /// Key of these bytes if they are one of the names.
    #[inline]
    pub fn named(&self, text: &[u8]) -> Option<i64> {
        let begins = beginning(text);
        let first = self.beginnings.partition_point(|b| *b < begins);
        // Mostly one.
        let alike = self.beginnings[first..].iter().take_while(|b| **b == begins);
        let mut alike = alike.zip(&self.keys[first..]);
        alike.find_map(|(_, (name, key))| (name.as_bytes() == text).then_some(*key))
    }
}

/// The first eight bytes of a text, zeros behind a shorter one: in the order of texts, as long as they differ.
#[inline]
fn beginning(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(eight) => u64::from_be_bytes(*eight),
        None => {
            let bytes = text.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
            // Of no bytes nothing is left over.
            bytes.checked_shl(u64::BITS - 8 * text.len() as u32).unwrap_or(0)
        }
    }
}

/// The key of one column of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyOf {
    of: Uint,
    present: u32,
    /// An index of [`Constants::names`](crate::expr::program::Constants::names).
    names: u32,
    pub to: Reg,
    mask: u8,
    group: u8,
}

impl KeyOf {
    /// Of the column of `slot`, which is one of texts.
    pub fn new(slot: Slot, names: u32, to: Reg) -> Self {
        let Cell::Text { of } = slot.cell else { unreachable!("only a text has a key") };
        let (present, bit) = slot.present_bit();
        Self { of, present, names, to, mask: 1 << bit, group: slot.group }
    }

    #[inline]
    fn presence(&self) -> Presence {
        Presence { byte: self.present, mask: self.mask, group: self.group }
    }
}

/// Looks up the keys of texts of one row.
#[inline]
pub fn run(of: &[KeyOf], from: &Source<'_, '_>, is_known: impl Fn(&[u8], Presence) -> bool, out: &mut [Int]) {
    let Source { row, relation, constants, bound } = *from;
    for key in of {
        let names = key.names as usize;
        let text = if is_known(row.bytes(), key.presence()) { row.raw_text(key.of) } else { None };
        let found = text.and_then(|text| match text {
            // A code that the dictionary lacks is a damaged row: it reads as NULL, as Row does.
            RawText::Code(code) => {
                ((code as usize) < bound.texts(relation)).then(|| bound.keys(names, relation).of(code))
            }
            // What is no name may be no text either, which is a damaged row too.
            RawText::Bytes(bytes) => constants.names[names]
                .named(bytes)
                .or_else(|| std::str::from_utf8(bytes).ok().map(|_| OTHER_TEXT)),
        });
        out[key.to as usize] = found.into();
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
    fn a_name_is_found_however_many_begin_alike() {
        let names =
            ["", "\0", "a", "a\0", "abcdefgh", "abcdefgh\0", "abcdefghi", "abcdefghij", "农户贷款", "农户贷"];
        let keys = Names::new(&names.map(String::from));
        for (name, key) in names.iter().zip(0..) {
            assert_eq!(keys.key(name), key, "{name:?}");
        }
        for other in ["\0\0", "a\0\0", "b", "abcdefg", "abcdefgha", "abcdefghijk", "农户", "农户贷款人"]
        {
            assert_eq!(keys.key(other), OTHER_TEXT, "{other:?}");
        }
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
