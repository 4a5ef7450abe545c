//! What a program looks at in packed rows: all of it, before anything is computed.
//!
//! ```text
//!   row of a relation ─┬─► predicates: flags │ more than … │ equal to … │ texts ─► booleans
//!                      ├─► keys of texts ─────────────────────────────────────► integers
//!                      └─► loads: floats │ integers │ widened │ texts ────────► registers of each bank
//! ```
//!
//! Rows are read one after the other, of each all kinds in this order, with a loop for each. A program rarely has all
//! kinds, but a loop that has nothing to do costs less than to choose the next one: the processor has to guess what is
//! chosen, and who decides by hundreds of programs in turn has it guess wrong.

mod keys;
mod load;
mod predicate;

use std::collections::BTreeMap;

pub use self::{
    keys::{CodeKeys, KeyOf, Names},
    load::{Kind as LoadKind, Load},
    predicate::{Against, Kind as PredicateKind, Predicate, has_code},
};
use super::{Bound, Constants, registers::Registers};
use crate::row::Row;

/// Everything that is read of the rows of a program, each kind in one list. (A program is one of hundreds, and none of it
/// is in the cache: it is read forwards, from a few places.)
#[derive(Debug, Default)]
pub struct Reads {
    rows: Vec<OfRow>,
    predicates: Vec<Predicate>,
    keys: Vec<KeyOf>,
    loads: Vec<Load>,
}

/// How many of each kind are read of the row of a relation.
#[derive(Debug)]
struct OfRow {
    relation: u32,
    predicates: [u32; PredicateKind::COUNT],
    keys: u32,
    loads: [u32; LoadKind::COUNT],
}

/// What is read of one row, while a program is made.
#[derive(Debug, Default)]
pub struct RowReads {
    pub predicates: BTreeMap<PredicateKind, Vec<Predicate>>,
    pub keys: Vec<KeyOf>,
    pub loads: BTreeMap<LoadKind, Vec<Load>>,
}

/// Where a column's present bit is, and whose freshness it has.
#[derive(Clone, Copy)]
struct Presence {
    /// Byte of the bit, and the bit in it.
    byte: u32,
    mask: u8,
    group: u8,
}

/// What is not read yet.
struct Rest<'a> {
    predicates: &'a [Predicate],
    keys: &'a [KeyOf],
    loads: &'a [Load],
}

/// One row, and what its texts are looked up with.
struct Source<'a, 'r> {
    row: &'a Row<'r>,
    relation: usize,
    constants: &'a Constants,
    bound: &'a Bound,
}

impl Reads {
    /// By relation.
    pub fn new(rows: BTreeMap<u32, RowReads>) -> Self {
        fn add<K: Copy + Into<usize>, T, const N: usize>(
            list: &mut Vec<T>,
            kinds: BTreeMap<K, Vec<T>>,
        ) -> [u32; N] {
            let mut counts = [0; N];
            for (kind, more) in kinds {
                counts[kind.into()] = more.len() as u32;
                list.extend(more);
            }
            counts
        }
        let mut reads = Self::default();
        for (relation, RowReads { predicates, keys, loads }) in rows {
            reads.rows.push(OfRow {
                relation,
                predicates: add(&mut reads.predicates, predicates),
                keys: keys.len() as u32,
                loads: add(&mut reads.loads, loads),
            });
            reads.keys.extend(keys);
        }
        reads.rows.shrink_to_fit();
        reads.predicates.shrink_to_fit();
        reads.keys.shrink_to_fit();
        reads.loads.shrink_to_fit();
        reads
    }

    /// How many columns are looked at, each as often as it is.
    pub fn len(&self) -> usize {
        self.predicates.len() + self.keys.len() + self.loads.len()
    }

    /// Reads rows, one of each relation that is given.
    #[inline]
    pub fn run(&self, rows: &[Row<'_>], constants: &Constants, bound: &Bound, r: &mut Registers) {
        let mut rest = Rest { predicates: &self.predicates, keys: &self.keys, loads: &self.loads };
        for of in &self.rows {
            let relation = of.relation as usize;
            let row = &rows[relation];
            let source = Source { row, relation, constants, bound };
            let (bytes, stale) = (row.bytes(), row.stale());
            let is_set = move |at: Presence| bytes[at.byte as usize] & at.mask != 0;
            // Rows are rarely stale.
            if stale == 0 {
                of.run(&mut rest, &source, r, is_set);
            } else {
                of.run(&mut rest, &source, r, move |at| is_set(at) & (stale >> at.group & 1 == 0));
            }
        }
    }
}

impl OfRow {
    /// `is_known` says whether a column has a value that is not stale.
    #[inline(never)]
    fn run(
        &self,
        rest: &mut Rest<'_>,
        from: &Source<'_, '_>,
        r: &mut Registers,
        is_known: impl Fn(Presence) -> bool + Copy,
    ) {
        predicate::run(
            self.predicates.map(|n| next(&mut rest.predicates, n)),
            from,
            is_known,
            &mut r.booleans,
        );
        keys::run(next(&mut rest.keys, self.keys), from, is_known, &mut r.ints);
        load::run(self.loads.map(|n| next(&mut rest.loads, n)), from, is_known, r);
    }
}

/// Takes the first so many.
#[inline]
fn next<'a, T>(list: &mut &'a [T], count: u32) -> &'a [T] {
    let (first, rest) = list.split_at(count as usize);
    *list = rest;
    first
}
