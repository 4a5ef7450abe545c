//! What has ended patterns: events tell of it in any order, and a pattern that is heard of after its end does not begin.
//!
//! A section of the customer's state, one record behind the other, each kept until nothing that it could end may come any more:
//!
//! ```text
//! | pattern, 0 | hash of the key | when it happened |
//! ```

use tarim_features::stream::Sections;

use super::state::State;

/// Something that ends the episodes of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub pattern: u16,
    /// Hash of what tells episodes of the pattern apart.
    pub key: u64,
    /// Microseconds.
    pub at_us: i64,
}

/// Most that are kept of a customer. The earliest gives way: rather told of what was over than not told.
const ENDED_MAX: usize = 64;

const BYTES: usize = 20;

/// Most bytes of a customer's.
pub const ENDED_BYTES_MAX: usize = ENDED_MAX * BYTES;

impl Ended {
    pub fn new(pattern: usize, key: &str, at_us: i64) -> Self {
        Self { pattern: pattern as u16, key: twox_hash::XxHash3_64::oneshot(key.as_bytes()), at_us }
    }

    pub fn all(section: &[u8]) -> impl Iterator<Item = Ended> {
        section.chunks_exact(BYTES).map(|record| {
            let int = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"));
            Ended { pattern: u16::from_le_bytes([record[0], record[1]]), key: int(4), at_us: int(12) as i64 }
        })
    }

    /// Adds it, without those that no longer matter. Gives how many gave way that do.
    pub fn put(
        self,
        sections: &mut Sections,
        (section, count): (usize, usize),
        matters: impl Fn(&Ended) -> bool,
    ) -> u64 {
        let mut kept: Vec<Ended> = Ended::all(sections.get(section, count)).filter(matters).collect();
        let mut displaced = 0;
        if !kept.contains(&self) {
            if kept.len() >= ENDED_MAX
                && let Some((first, _)) = kept.iter().enumerate().min_by_key(|(_, e)| e.at_us)
            {
                kept.remove(first);
                displaced += 1;
            }
            kept.push(self);
        }
        let bytes = |kept: &[Ended]| kept.iter().flat_map(Ended::bytes).collect::<Vec<u8>>();
        if sections.replace(section, count, &bytes(&kept)).is_none() {
            // A state that is full cannot remember it.
            kept.pop();
            displaced += 1;
            let shorter = sections.replace(section, count, &bytes(&kept));
            shorter.expect("what was there fits");
        }
        displaced
    }

    fn bytes(&self) -> [u8; BYTES] {
        let mut record = [0; BYTES];
        record[..2].copy_from_slice(&self.pattern.to_le_bytes());
        record[4..12].copy_from_slice(&self.key.to_le_bytes());
        record[12..].copy_from_slice(&self.at_us.to_le_bytes());
        record
    }
}

impl State {
    /// Remembers what ended a customer's episodes.
    pub(super) fn remember(&mut self, customer: u32, ended: Ended) {
        let Self { book, customers, counts, layout, clock_us, .. } = self;
        let matters = |e: &Ended| {
            let ends = book.patterns().get(usize::from(e.pattern)).and_then(|p| p.ends.as_ref());
            ends.is_some_and(|ends| book.ends_until_us(ends, e.at_us) >= *clock_us)
        };
        counts.displaced += ended.put(&mut customers.get_mut(customer).sections, layout.ended, matters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_is_kept_while_it_matters() {
        let (mut sections, at) = (Sections::new(2), (1, 2));
        for i in 0..100 {
            let displaced = Ended::new(3, "l1/7", i).put(&mut sections, at, |_| true);
            assert_eq!(displaced, u64::from(i >= ENDED_MAX as i64));
        }
        let all: Vec<i64> = Ended::all(sections.get(1, 2)).map(|e| e.at_us).collect();
        assert_eq!(all, (36..100).collect::<Vec<i64>>());
        let last = Ended::new(3, "l1/7", 99);
        assert_eq!(last.put(&mut sections, at, |e| e.at_us > 97), 0);
        let all: Vec<Ended> = Ended::all(sections.get(1, 2)).collect();
        assert_eq!(all, [Ended { at_us: 98, ..last }, last], "the same is kept once");
    }
}
