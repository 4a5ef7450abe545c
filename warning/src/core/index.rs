//! Where customers are: from the hash of who they are to their slot.
//!
//! ```text
//!  hash ─► cell ─► | slot + 1, hash | … | 0 |      open addressing, in order; 0: nobody
//! ```
//!
//! A look-up waits for one line of memory, and for no second one. Nobody ever leaves.

use tarim_features::pages::Pages;

/// Cells of 64 bits, in large pages.
#[derive(Debug)]
pub struct Index {
    cells: Pages,
    /// A power of two.
    len: usize,
    taken: usize,
}

const BYTES: usize = 8;
const LEAST: usize = 1 << 10;

impl Index {
    pub fn new() -> Self {
        Self { cells: pages(LEAST), len: LEAST, taken: 0 }
    }

    /// The slot of a hash of which this is true.
    #[inline]
    pub fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut cell = self.first(hash);
        loop {
            let value = self.cell(cell);
            let slot = (value as u32).checked_sub(1)?;
            if (value >> 32) as u32 == hash && is(slot) {
                return Some(slot);
            }
            cell = (cell + 1) & (self.len - 1);
        }
    }

    /// Reads where the search for a hash begins, and says nothing of what is there.
    #[inline]
    pub fn touch(&self, hash: u32) -> u64 {
        self.cell(self.first(hash))
    }

    /// Adds a slot that is not in it.
    pub fn insert(&mut self, hash: u32, slot: u32) {
        // Of eight cells in a line of the cache, three are free.
        if 8 * (self.taken + 1) > 5 * self.len {
            self.grow(2 * self.len);
        }
        self.put(u64::from(hash) << 32 | u64::from(slot + 1));
        self.taken += 1;
    }

    /// Makes room for so many in all, so that it does not grow step by step.
    pub fn reserve(&mut self, all: usize) {
        let mut len = self.len;
        while 8 * all > 5 * len {
            len *= 2;
        }
        if len > self.len {
            self.grow(len);
        }
    }

    fn grow(&mut self, len: usize) {
        let old = std::mem::replace(&mut self.cells, pages(len));
        let cells = old.as_chunks::<BYTES>().0.iter().take(self.len);
        self.len = len;
        for value in cells.map(|cell| u64::from_le_bytes(*cell)).filter(|value| *value != 0) {
            self.put(value);
        }
    }

    fn put(&mut self, value: u64) {
        let mut cell = self.first((value >> 32) as u32);
        while self.cell(cell) != 0 {
            cell = (cell + 1) & (self.len - 1);
        }
        self.cells.as_chunks_mut::<BYTES>().0[cell] = value.to_le_bytes();
    }

    /// By the highest bits of the hash.
    #[inline]
    fn first(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.len as u64) >> 32) as usize
    }

    #[inline]
    fn cell(&self, cell: usize) -> u64 {
        u64::from_le_bytes(self.cells.as_chunks::<BYTES>().0[cell])
    }

    pub fn bytes(&self) -> usize {
        self.len * BYTES
    }
}

fn pages(cells: usize) -> Pages {
    Pages::new(cells * BYTES).expect("the system has memory left")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Against a map, with hashes of which many are equal or neighbours, at the end too.
    #[test]
    fn whoever_is_in_it_is_found() {
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (mut index, mut plain) = (Index::new(), HashMap::<u32, Vec<u32>>::new());
            index.reserve([0, 700, 3000][rng.random_range(0..3)]);
            let range = [3, 1000, u32::MAX][rng.random_range(0..3)];
            for slot in 0..rng.random_range(0..5000) {
                let hash = u32::MAX - rng.random_range(0..range);
                let all = plain.entry(hash).or_default();
                // Of equal ones each is found, and few are enough.
                if all.len() < 4 {
                    all.push(slot);
                    index.insert(hash, slot);
                }
            }
            for (hash, slots) in &plain {
                for slot in slots {
                    assert_eq!(index.find(*hash, |s| s == *slot), Some(*slot), "seed {seed}");
                }
                assert_eq!(index.find(*hash, |_| false), None);
            }
            let hash = rng.random();
            assert_eq!(index.find(hash, |_| true).is_some(), plain.contains_key(&hash));
        }
    }
}
