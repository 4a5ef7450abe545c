//! What is kept of one customer: a run of bytes in sections.
//!
//! ```text
//! | end of section 0 | end of 1 | … | section 0 | section 1 | … |
//!   two bytes each, in words of four bytes
//! ```
//!
//! One allocation holds all of a customer, however many windows there are, so that ten million of them fit in memory, one
//! miss of the cache brings the first of it, and a snapshot is a copy. Sections grow and shrink in place.

/// Bytes of a word: sections are made of whole ones, or a customer could have 64 KiB only.
const WORD: usize = 4;

/// Sections of bytes, in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sections(Vec<u8>);

/// Why bytes are not sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state of a customer is damaged: its sections do not fit its length")]
pub struct Damaged;

impl Sections {
    /// Most bytes of all sections together.
    pub const BYTES_MAX: usize = u16::MAX as usize * WORD;
    /// The same with the head of so many sections.
    pub const fn bytes_most(count: usize) -> usize {
        Self::BYTES_MAX + 2 * count.next_multiple_of(2)
    }

    /// So many empty sections.
    pub fn new(count: usize) -> Self {
        Self(vec![0; 2 * count.next_multiple_of(2)])
    }

    /// Bytes that [`Sections::bytes`] gave.
    pub fn from_bytes(bytes: &[u8], count: usize) -> Result<Self, Damaged> {
        let this = Self(bytes.to_vec());
        let head = 2 * count.next_multiple_of(2);
        if bytes.len() < head || (0..count).any(|i| this.end(i) < this.start(i)) {
            return Err(Damaged);
        }
        let end = count.checked_sub(1).map_or(0, |last| this.end(last));
        if head + end == bytes.len() { Ok(this) } else { Err(Damaged) }
    }

    /// Takes the bytes of other sections, which are sound, in the place of these. The memory stays.
    pub fn set(&mut self, bytes: &[u8]) {
        self.0.clear();
        self.0.extend_from_slice(bytes);
    }

    /// A section of `count`, of bytes that [`Sections::bytes`] gave.
    #[inline]
    pub fn section_of(bytes: &[u8], section: usize, count: usize) -> &[u8] {
        let head = 2 * count.next_multiple_of(2);
        let end = |i: usize| usize::from(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])) * WORD;
        let start = section.checked_sub(1).map_or(0, end);
        &bytes[head + start..head + end(section)]
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where a section begins and ends, behind the head.
    #[inline]
    fn start(&self, section: usize) -> usize {
        if section == 0 { 0 } else { self.end(section - 1) }
    }

    #[inline]
    fn end(&self, section: usize) -> usize {
        usize::from(u16::from_le_bytes([self.0[2 * section], self.0[2 * section + 1]])) * WORD
    }

    /// A section of `count`.
    #[inline]
    pub fn get(&self, section: usize, count: usize) -> &[u8] {
        Self::section_of(&self.0, section, count)
    }

    #[inline]
    pub fn get_mut(&mut self, section: usize, count: usize) -> &mut [u8] {
        let head = 2 * count.next_multiple_of(2);
        let (start, end) = (head + self.start(section), head + self.end(section));
        &mut self.0[start..end]
    }

    /// Takes `remove` bytes out of a section, from `at` on, and makes room for `insert`, which are zero. None, and
    /// nothing is changed, if there would be more than [`Sections::BYTES_MAX`].
    ///
    /// # Panics
    /// If either is not a number of whole words, or the section has no such bytes.
    #[must_use]
    pub fn splice(
        &mut self,
        section: usize,
        count: usize,
        at: usize,
        remove: usize,
        insert: usize,
    ) -> Option<&mut [u8]> {
        assert!(
            remove.is_multiple_of(WORD) && insert.is_multiple_of(WORD),
            "sections are made of whole words"
        );
        let head = 2 * count.next_multiple_of(2);
        let start = self.start(section);
        let len = self.end(section) - start;
        assert!(at + remove <= len, "a section of {len} bytes has none from {at} to {}", at + remove);
        let all = self.0.len() - head;
        if all + insert - remove > Self::BYTES_MAX {
            return None;
        }
        let from = head + start + at;
        if insert > remove {
            let grow = insert - remove;
            // Little more than is needed: there are millions of these.
            if self.0.capacity() < self.0.len() + grow {
                self.0.reserve_exact(grow.max(self.0.len() / 8));
            }
            let old = self.0.len();
            self.0.resize(old + grow, 0);
            self.0.copy_within(from + remove..old, from + insert);
        } else {
            self.0.copy_within(from + remove.., from + insert);
            self.0.truncate(self.0.len() - (remove - insert));
        }
        self.0[from..from + insert].fill(0);
        // In words. (To take some away is to add what wraps around to less.)
        let moved = ((insert / WORD) as u16).wrapping_sub((remove / WORD) as u16);
        for end in self.0[2 * section..2 * count].chunks_exact_mut(2) {
            let words = u16::from_le_bytes([end[0], end[1]]).wrapping_add(moved);
            end.copy_from_slice(&words.to_le_bytes());
        }
        Some(&mut self.0[from..from + insert])
    }

    /// Puts other bytes in the place of a section's. None, and nothing is changed, if there would be too many.
    #[must_use]
    pub fn replace(&mut self, section: usize, count: usize, bytes: &[u8]) -> Option<()> {
        let len = self.get(section, count).len();
        self.splice(section, count, 0, len, bytes.len())?.copy_from_slice(bytes);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Against a vector of vectors.
    #[test]
    fn sections_do_not_disturb_each_other() {
        for seed in 0..50 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let count = rng.random_range(1..9);
            let (mut ours, mut plain) = (Sections::new(count), vec![Vec::<u8>::new(); count]);
            for _ in 0..200 {
                let section = rng.random_range(0..count);
                let len = plain[section].len() / 4;
                let at = rng.random_range(0..=len);
                let remove = rng.random_range(0..=len - at);
                let insert = rng.random_range(0..5usize);
                let new: Vec<u8> = (0..4 * insert).map(|_| rng.random()).collect();
                let room = ours.splice(section, count, 4 * at, 4 * remove, 4 * insert).unwrap();
                assert!(room.iter().all(|b| *b == 0));
                room.copy_from_slice(&new);
                plain[section].splice(4 * at..4 * (at + remove), new);
                for (i, wanted) in plain.iter().enumerate() {
                    assert_eq!(ours.get(i, count), wanted, "seed {seed}");
                }
            }
            assert_eq!(Sections::from_bytes(ours.bytes(), count), Ok(ours.clone()));
            let short = &ours.bytes()[..ours.bytes().len() - 1];
            assert_eq!(Sections::from_bytes(short, count), Err(Damaged));
        }
    }

    #[test]
    fn too_much_is_refused_and_changes_nothing() {
        let mut sections = Sections::new(2);
        assert!(sections.splice(1, 2, 0, 0, Sections::BYTES_MAX).is_some());
        let before = sections.clone();
        assert!(sections.splice(0, 2, 0, 0, 4).is_none());
        assert_eq!(sections, before);
        assert!(sections.splice(1, 2, 0, 4, 4).is_some());
    }
}
