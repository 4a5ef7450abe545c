//! Where rows are: from the hash of what they are called to their number.
//!
//! ```text
//!  hash ─┬─ high bits ─► one of 1,024 tables          each grows by itself, so that nobody waits long;
//!        └─ low bits ──► | row + 1, hash | … | 0 |    open addressing, in order; 0: nobody
//! ```
//!
//! Nobody ever leaves: of those that stay alone another is made ([`super::keys`]). Copies share tables, as those of a [`Column`](super::column::Column) share pieces; and a table
//! is written to a snapshot as it lies, so that opening hashes nothing.

use std::sync::Arc;

/// Tables; a power of two.
pub const TABLES: usize = 1024;
/// Fewest cells of a table that has any.
const LEAST: usize = 8;

/// Rows by hash.
#[derive(Clone, Debug)]
pub struct Index {
    tables: Vec<Arc<Table>>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    /// None, or a power of two of them.
    cells: Vec<u64>,
    taken: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { tables: vec![Arc::default(); TABLES] }
    }
}

impl Index {
    /// The row of a hash of which this is true.
    #[inline]
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let cells = &self.tables[(hash >> 54) as usize].cells;
        let tag = hash as u32;
        let mut cell = first(tag, cells.len());
        loop {
            let value = *cells.get(cell)?;
            let row = (value as u32).checked_sub(1)?;
            if (value >> 32) as u32 == tag && is(row) {
                return Some(row);
            }
            cell = (cell + 1) & (cells.len() - 1);
        }
    }

    /// Adds a row that is not in it.
    pub fn insert(&mut self, hash: u64, row: u32) {
        let table = Arc::make_mut(&mut self.tables[(hash >> 54) as usize]);
        // Of eight cells three are free, so that searches end soon, and end at all.
        if 8 * (table.taken + 1) > 5 * table.cells.len() {
            let cells = vec![0; (2 * table.cells.len()).max(LEAST)];
            let old = std::mem::replace(&mut table.cells, cells);
            old.into_iter().filter(|value| *value != 0).for_each(|value| put(&mut table.cells, value));
        }
        put(&mut table.cells, (hash & u64::from(u32::MAX)) << 32 | u64::from(row + 1));
        table.taken += 1;
    }

    /// Which table a hash is in.
    pub fn table_of(hash: u64) -> usize {
        (hash >> 54) as usize
    }

    /// The rows of a table, each with a hash by which it can be put into another index.
    pub fn of_table(&self, table: usize) -> impl Iterator<Item = (u64, u32)> {
        let taken = self.tables[table].cells.iter().filter(|value| **value != 0);
        taken.map(move |value| ((table as u64) << 54 | value >> 32, *value as u32 - 1))
    }

    /// Each table's cells, in order.
    pub fn tables(&self) -> impl Iterator<Item = &[u64]> {
        self.tables.iter().map(|table| table.cells.as_slice())
    }

    /// From the cells of each table; None if they can be none.
    pub fn from_tables(tables: Vec<Vec<u64>>) -> Option<Self> {
        let table = |cells: Vec<u64>| {
            let taken = cells.iter().filter(|value| **value != 0).count();
            let fits = cells.is_empty() || (cells.len().is_power_of_two() && taken < cells.len());
            fits.then(|| Arc::new(Table { cells, taken }))
        };
        let tables: Vec<_> = tables.into_iter().map(table).collect::<Option<_>>()?;
        (tables.len() == TABLES).then_some(Self { tables })
    }
}

fn put(cells: &mut [u64], value: u64) {
    let mut cell = first((value >> 32) as u32, cells.len());
    while cells[cell] != 0 {
        cell = (cell + 1) & (cells.len() - 1);
    }
    cells[cell] = value;
}

#[inline]
fn first(tag: u32, len: usize) -> usize {
    ((u64::from(tag) * len as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::collections::HashMap;

    use super::*;

    /// Against a map, with hashes of which many are equal or neighbours.
    #[test]
    fn whoever_is_in_it_is_found_also_after_it_was_written() {
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (mut index, mut plain) = (Index::default(), HashMap::<u64, Vec<u32>>::new());
            let range = [3, 1000, u64::MAX][rng.random_range(0..3)];
            for row in 0..rng.random_range(0..5000) {
                let hash = u64::MAX - rng.random_range(0..range);
                let all = plain.entry(hash).or_default();
                if all.len() < 4 {
                    all.push(row);
                    index.insert(hash, row);
                }
            }
            let written = index.tables().map(<[u64]>::to_vec).collect();
            let read = Index::from_tables(written).expect("what was written");
            for index in [index, read] {
                for (hash, rows) in &plain {
                    for row in rows {
                        assert_eq!(index.find(*hash, |r| r == *row), Some(*row), "seed {seed}");
                    }
                    assert_eq!(index.find(*hash, |_| false), None);
                }
                let hash = rng.random();
                assert_eq!(index.find(hash, |_| true).is_some(), plain.contains_key(&hash));
            }
        }
    }
}
