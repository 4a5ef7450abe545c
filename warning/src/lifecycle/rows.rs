//! Many things of one kind, by number.

use std::{ops::Index, sync::Arc};

/// Things by number, from 0, in chunks: to add one never moves the others, and a copy of all is taken by their chunks' handles:
/// what changes later is changed in a copy of its chunk.
#[derive(Clone, Debug)]
pub struct Rows<T> {
    chunks: Vec<Arc<Vec<T>>>,
    len: usize,
}

/// So many are copied when one of them changes that somebody else holds, too.
const CHUNK: usize = 256;

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T> Rows<T> {
    /// Without those that were [forgotten](Rows::forget) when the first that is wanted had this number: the next has the number of
    /// the first of its chunk.
    pub fn behind(first: u32) -> Self {
        let chunks = first as usize / CHUNK;
        Self { chunks: vec![Arc::default(); chunks], len: chunks * CHUNK }
    }

    pub fn len(&self) -> u32 {
        self.len as u32
    }

    pub fn get(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        self.chunks.get(number / CHUNK)?.get(number % CHUNK)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

impl<T: Clone> Rows<T> {
    /// Its number.
    pub fn push(&mut self, row: T) -> u32 {
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Arc::new(Vec::with_capacity(CHUNK)));
        }
        if let Some(last) = self.chunks.last_mut() {
            Arc::make_mut(last).push(row);
        }
        self.len += 1;
        assert!(self.len < 1 << 31, "there are no two thousand million of anything here");
        self.len() - 1
    }

    /// Gives the memory of those before a number back, of which nobody asks any more; of the last few later.
    pub fn forget(&mut self, before: u32) {
        let kept = self.chunks.iter_mut().take(before as usize / CHUNK).rev();
        kept.take_while(|chunk| !chunk.is_empty()).for_each(|chunk| *chunk = Arc::default());
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let number = number as usize;
        let chunk = self.chunks.get_mut(number / CHUNK)?;
        if number % CHUNK < chunk.len() { Arc::make_mut(chunk).get_mut(number % CHUNK) } else { None }
    }
}

impl<T> Index<u32> for Rows<T> {
    type Output = T;

    /// Of a number that it gave out.
    fn index(&self, number: u32) -> &T {
        &self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }
}
