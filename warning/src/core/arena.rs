//! Millions of small states in memory.
//!
//! ```text
//!  class of 64 bytes   | owner, state | owner, state | …      chunks of large pages
//!  class of 96         | owner, state | …
//!  …
//! ```
//!
//! A state lies in a cell of the least class that holds it, and moves when it outgrows that. Then the last cell of the class takes
//! its place, so that there never is a hole: states grow as time goes by, and nobody would come to fill the cells that all have
//! left. An allocator for everybody leaves holes, and gives pages back and gets them again, zeroed by the kernel: an eighth of
//! all time.

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
    /// Chunks that a class no longer needs, for whichever needs one next: fresh ones are cleared by the kernel first.
    spare: Vec<Pages>,
}

#[derive(Debug)]
struct Class {
    /// Bytes of a cell, and cells of a chunk.
    size: usize,
    cells: usize,
    chunks: Vec<Pages>,
    /// Cells that are taken: the first ones.
    used: usize,
}

/// Bytes of a cell that say whose it is.
const OWNER: usize = 4;

impl Arena {
    /// For states of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        let most = OWNER + most;
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
        let class = |size| Class { size, cells: CHUNK / size, chunks: Vec::new(), used: 0 };
        Self { classes: sizes.into_iter().map(class).collect(), by_steps, spare: Vec::new() }
    }

    fn class_of(&self, len: usize) -> usize {
        usize::from(self.by_steps[(OWNER + len).div_ceil(STEP)])
    }

    /// Keeps a state of an owner.
    ///
    /// # Panics
    /// If there is no memory left: nothing could be kept any more.
    pub fn put(&mut self, owner: u32, state: &[u8]) -> At {
        let number = self.class_of(state.len());
        let class = &mut self.classes[number];
        let cell = class.add(&mut self.spare);
        assert!(cell < 1 << CELL_BITS, "a place has room for the number of its cell");
        class.write(cell, owner, state);
        At((number as u32) << CELL_BITS | cell as u32)
    }

    /// Keeps a state in the place of another of its owner's; gives where. Tells whoever has moved by that, and where to.
    pub fn replace(&mut self, at: At, owner: u32, state: &[u8], moved: impl FnOnce(u32, At)) -> At {
        let (number, cell) = at.parts();
        let (len, size) = (OWNER + state.len(), self.classes[number].size);
        // Whoever has become a little smaller will grow again.
        if len <= size && 2 * len > size {
            self.classes[number].write(cell, owner, state);
            return at;
        }
        if let Some(last) = self.classes[number].remove(cell, &mut self.spare) {
            moved(last, at);
        }
        self.put(owner, state)
    }

    /// The first `len` bytes of what lies there.
    #[inline]
    pub fn get(&self, at: At, len: usize) -> &[u8] {
        let (number, cell) = at.parts();
        let class = &self.classes[number];
        let from = cell % class.cells * class.size + OWNER;
        &class.chunks[cell / class.cells][from..from + len]
    }

    /// Bytes of all cells.
    pub fn bytes(&self) -> usize {
        self.classes.iter().map(|class| class.used * class.size).sum()
    }
}

impl At {
    #[inline]
    fn parts(self) -> (usize, usize) {
        ((self.0 >> CELL_BITS) as usize, (self.0 & ((1 << CELL_BITS) - 1)) as usize)
    }
}

impl Class {
    fn add(&mut self, spare: &mut Vec<Pages>) -> usize {
        let cell = self.used;
        if cell / self.cells == self.chunks.len() {
            let fresh = || Pages::new(CHUNK).expect("the system has memory left");
            self.chunks.push(spare.pop().unwrap_or_else(fresh));
        }
        self.used += 1;
        cell
    }

    fn write(&mut self, cell: usize, owner: u32, state: &[u8]) {
        let from = cell % self.cells * self.size;
        let cell = &mut self.chunks[cell / self.cells][from..from + self.size];
        cell[..OWNER].copy_from_slice(&owner.to_le_bytes());
        cell[OWNER..OWNER + state.len()].copy_from_slice(state);
    }

    /// Fills a cell with what is in the last one, whose owner is given; None: it was the last one.
    fn remove(&mut self, cell: usize, spare: &mut Vec<Pages>) -> Option<u32> {
        self.used -= 1;
        let last = self.used;
        let (from, to) = (last % self.cells * self.size, cell % self.cells * self.size);
        let (from_chunk, to_chunk) = (last / self.cells, cell / self.cells);
        let owner = (cell != last).then(|| {
            if from_chunk == to_chunk {
                self.chunks[to_chunk].copy_within(from..from + self.size, to);
            } else {
                let [source, target] =
                    self.chunks.get_disjoint_mut([from_chunk, to_chunk]).expect("two chunks of the class");
                target[to..to + self.size].copy_from_slice(&source[from..from + self.size]);
            }
            u32::from_le_bytes(self.chunks[to_chunk][to..to + OWNER].try_into().expect("four bytes"))
        });
        // One chunk more than is needed stays: whoever leaves may come back.
        while self.chunks.len() > self.used.div_ceil(self.cells) + 1 {
            spare.extend(self.chunks.pop());
        }
        owner
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
            for _ in 0..4000 {
                let len =
                    if rng.random_bool(0.1) { rng.random_range(0..=4990) } else { rng.random_range(0..300) };
                let state: Vec<u8> = (0..len).map(|_| rng.random()).collect();
                if plain.is_empty() || rng.random_bool(0.3) {
                    plain.push((arena.put(plain.len() as u32, &state), state));
                } else {
                    let i = rng.random_range(0..plain.len());
                    let mut went = None;
                    let at =
                        arena.replace(plain[i].0, i as u32, &state, |owner, at| went = Some((owner, at)));
                    if let Some((owner, at)) = went {
                        plain[owner as usize].0 = at;
                    }
                    plain[i] = (at, state);
                }
                let (at, state) = &plain[rng.random_range(0..plain.len())];
                assert_eq!(arena.get(*at, state.len()), state, "seed {seed}");
            }
            assert!(plain.iter().all(|(at, state)| arena.get(*at, state.len()) == state), "seed {seed}");
            assert_eq!(arena.classes.iter().map(|class| class.used).sum::<usize>(), plain.len(), "no holes");
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
