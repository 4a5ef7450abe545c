//! Millions of small states in memory.
//!
//! ```text
//!  class of 64 bytes   | state | state | free | state | …      chunks of large pages
//!  class of 96         | state | …
//!  …
//! ```
//!
//! A state lies in a cell of the least class that holds it, and moves when it outgrows that. An allocator for everybody does as much,
//! but gives pages back whenever it can, and gets them again, zeroed by the kernel: an eighth of all time.

use tarim_features::pages::Pages;

/// Bytes of a chunk.
const CHUNK: usize = 4 << 20;
/// Bytes of the least cell; all are whole lines or half lines of the cache.
const LEAST: usize = 64;
const STEP: usize = 32;
/// Classes grow by an eighth, or by a step.
const GROWTH: usize = 8;
/// Bits of a place that say which cell of its class it is.
const CELL_BITS: u32 = 25;

/// Where a state lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At(u32);

/// States by size.
#[derive(Debug)]
pub struct Arena {
    classes: Vec<Class>,
    /// The class for so many steps of bytes.
    by_steps: Vec<u8>,
}

#[derive(Debug)]
struct Class {
    /// Bytes of a cell, and cells of a chunk.
    size: usize,
    cells: usize,
    chunks: Vec<Pages>,
    /// Cells that were ever used, and those of them that are free.
    used: usize,
    free: Vec<u32>,
}

impl Arena {
    /// For states of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        let mut sizes = vec![LEAST];
        while let Some(last) = sizes.last().copied().filter(|last| *last < most) {
            sizes.push(
                (last + (last / GROWTH).next_multiple_of(STEP).max(STEP)).min(most.next_multiple_of(STEP)),
            );
        }
        assert!(sizes.len() < 1 << (32 - CELL_BITS), "a place has room for the number of its class");
        let class_of =
            |bytes: usize| sizes.iter().position(|size| *size >= bytes).expect("the last holds all");
        let by_steps = (0..=most.div_ceil(STEP)).map(|steps| class_of((steps * STEP).min(most)) as u8);
        let by_steps = by_steps.collect();
        let class = |size| Class { size, cells: CHUNK / size, chunks: Vec::new(), used: 0, free: Vec::new() };
        Self { classes: sizes.into_iter().map(class).collect(), by_steps }
    }

    fn class_of(&self, len: usize) -> usize {
        usize::from(self.by_steps[len.div_ceil(STEP)])
    }

    /// Keeps a state.
    ///
    /// # Panics
    /// If there is no memory left: nothing could be kept any more.
    pub fn put(&mut self, state: &[u8]) -> At {
        let number = self.class_of(state.len());
        let class = &mut self.classes[number];
        let cell = class.free.pop().map_or_else(|| class.add(), |cell| cell as usize);
        assert!(cell < 1 << CELL_BITS, "a place has room for the number of its cell");
        class.cell_mut(cell)[..state.len()].copy_from_slice(state);
        At((number as u32) << CELL_BITS | cell as u32)
    }

    /// Keeps a state in the place of another; gives where.
    pub fn replace(&mut self, at: At, state: &[u8]) -> At {
        let (number, cell) = at.parts();
        let size = self.classes[number].size;
        // Whoever has become a little smaller will grow again.
        if state.len() <= size && 2 * state.len() > size {
            self.classes[number].cell_mut(cell)[..state.len()].copy_from_slice(state);
            return at;
        }
        self.classes[number].free.push(cell as u32);
        self.put(state)
    }

    /// The first `len` bytes of what lies there.
    #[inline]
    pub fn get(&self, at: At, len: usize) -> &[u8] {
        let (number, cell) = at.parts();
        let class = &self.classes[number];
        let from = cell % class.cells * class.size;
        &class.chunks[cell / class.cells][from..from + len]
    }

    /// Bytes of all cells that were ever used.
    pub fn bytes(&self) -> usize {
        self.classes.iter().map(|class| class.used * class.size + 4 * class.free.capacity()).sum()
    }
}

impl At {
    #[inline]
    fn parts(self) -> (usize, usize) {
        ((self.0 >> CELL_BITS) as usize, (self.0 & ((1 << CELL_BITS) - 1)) as usize)
    }
}

impl Class {
    fn add(&mut self) -> usize {
        let cell = self.used;
        if cell / self.cells == self.chunks.len() {
            self.chunks.push(Pages::new(CHUNK).expect("the system has memory left"));
        }
        self.used += 1;
        cell
    }

    fn cell_mut(&mut self, cell: usize) -> &mut [u8] {
        let from = cell % self.cells * self.size;
        &mut self.chunks[cell / self.cells][from..from + self.size]
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Against a vector of vectors.
    #[test]
    fn states_stay_what_they_are() {
        for seed in 0..10 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut arena = Arena::new(5000);
            let mut plain: Vec<(At, Vec<u8>)> = Vec::new();
            for _ in 0..2000 {
                let len =
                    if rng.random_bool(0.1) { rng.random_range(0..=5000) } else { rng.random_range(0..300) };
                let state: Vec<u8> = (0..len).map(|_| rng.random()).collect();
                if plain.is_empty() || rng.random_bool(0.3) {
                    plain.push((arena.put(&state), state));
                } else {
                    let i = rng.random_range(0..plain.len());
                    plain[i] = (arena.replace(plain[i].0, &state), state);
                }
                let (at, state) = &plain[rng.random_range(0..plain.len())];
                assert_eq!(arena.get(*at, state.len()), state, "seed {seed}");
            }
            assert!(plain.iter().all(|(at, state)| arena.get(*at, state.len()) == state), "seed {seed}");
        }
    }

    #[test]
    fn every_length_has_a_class() {
        let arena = Arena::new(262_144);
        for len in (0..=262_144).step_by(7).chain([262_144]) {
            let size = arena.classes[arena.class_of(len)].size;
            assert!(
                size >= len && (len < LEAST || size <= len + len / 4 + 2 * STEP),
                "{len} bytes in {size}"
            );
        }
    }
}
