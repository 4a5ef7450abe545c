//! What crossings have seen of a customer: on which side of their lines the values were.
//!
//! A section of the customer's state, one record behind the other:
//!
//! ```text
//! | rule, beyond?, key? | value | hash of the key |      the last only where there is one
//! ```

use tarim_features::stream::Sections;

/// What a crossing saw last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossed {
    pub rule: u32,
    /// Hash of what tells one customer's apart; None: nothing does.
    pub key: Option<u64>,
    /// The value is beyond the line, which was told.
    pub beyond: bool,
    pub value: f64,
}

/// Most bytes of a customer's. What is dropped is looked at anew: rather told twice than not at all.
pub const CROSSED_BYTES_MAX: usize = 4096;

const BEYOND: u32 = 1 << 31;
const KEYED: u32 = 1 << 30;

impl Crossed {
    /// All of a section, each with where it stands.
    pub fn all(section: &[u8]) -> impl Iterator<Item = (usize, Crossed)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let record = section.get(at..)?;
            let head = u32::from_le_bytes(*record.first_chunk()?);
            let value = f64::from_le_bytes(*record.get(4..)?.first_chunk()?);
            let key = match head & KEYED {
                0 => None,
                _ => Some(u64::from_le_bytes(*record.get(12..)?.first_chunk()?)),
            };
            let rule = head & !(BEYOND | KEYED);
            let crossed = Crossed { rule, key, beyond: head & BEYOND != 0, value };
            let here = at;
            at += crossed.bytes();
            Some((here, crossed))
        })
    }

    fn bytes(&self) -> usize {
        if self.key.is_some() { 20 } else { 12 }
    }

    /// Puts it in the place of the same rule's and key's record, which stands `at`, or adds it. Others make room: first
    /// those that would tell nothing new.
    pub fn put(self, at: Option<usize>, sections: &mut Sections, (section, count): (usize, usize)) {
        let bytes = self.bytes();
        let at = at.or_else(|| {
            while sections.get(section, count).len() + bytes > CROSSED_BYTES_MAX {
                let all = || Crossed::all(sections.get(section, count));
                let (at, gone) = all().find(|(_, c)| !c.beyond).or_else(|| all().next())?;
                let _ = sections.splice(section, count, at, gone.bytes(), 0)?;
            }
            let end = sections.get(section, count).len();
            sections.splice(section, count, end, 0, bytes).map(|_| end)
        });
        // A state that is full cannot remember it.
        let Some(at) = at else { return };
        let record = &mut sections.get_mut(section, count)[at..at + bytes];
        let head =
            self.rule | if self.beyond { BEYOND } else { 0 } | if self.key.is_some() { KEYED } else { 0 };
        record[..4].copy_from_slice(&head.to_le_bytes());
        record[4..12].copy_from_slice(&self.value.to_le_bytes());
        if let Some(key) = self.key {
            record[12..].copy_from_slice(&key.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: (usize, usize) = (1, 2);

    fn all(sections: &Sections) -> Vec<Crossed> {
        Crossed::all(sections.get(1, 2)).map(|(_, crossed)| crossed).collect()
    }

    #[test]
    fn records_come_back_and_are_put_in_their_place() {
        let mut sections = Sections::new(2);
        let plain = Crossed { rule: 7, key: None, beyond: true, value: -0.5 };
        let keyed = Crossed { rule: 7, key: Some(u64::MAX), beyond: false, value: 1e300 };
        plain.put(None, &mut sections, AT);
        keyed.put(None, &mut sections, AT);
        plain.put(None, &mut sections, AT);
        assert_eq!(all(&sections), [plain, keyed, plain]);
        let (at, _) = Crossed::all(sections.get(1, 2)).nth(1).unwrap();
        let now = Crossed { beyond: true, value: 2.0, ..keyed };
        now.put(Some(at), &mut sections, AT);
        assert_eq!(all(&sections), [plain, now, plain]);
    }

    #[test]
    fn those_that_would_tell_nothing_new_make_room() {
        let mut sections = Sections::new(2);
        let of = |i: u64, beyond| Crossed { rule: 1, key: Some(i), beyond, value: 0.0 };
        for i in 0..1000 {
            of(i, i % 10 == 0).put(None, &mut sections, AT);
        }
        assert!(sections.get(1, 2).len() <= CROSSED_BYTES_MAX);
        let left = all(&sections);
        assert_eq!(left.iter().filter(|c| c.beyond).count(), 100, "all that were told");
        assert_eq!(left.last(), Some(&of(999, false)));
        for i in 0..1000 {
            of(i, true).put(None, &mut sections, AT);
        }
        assert_eq!(all(&sections).first(), Some(&of(796, true)), "the oldest give way");
    }
}
