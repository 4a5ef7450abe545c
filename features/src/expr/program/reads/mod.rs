//! What a program looks at in packed rows: all of it, before anything is computed.
//!
//! ```text
//!   row of a relation ─┬─► predicates: flags │ more than … │ equal to … │ texts ─► booleans
//!                      ├─► keys of texts ─────────────────────────────────────► integers
//!                      └─► loads: floats │ integers │ widened │ texts ────────► registers of each bank
//! ```
//!
//! Rows are read one after the other, of each the kinds that there are, in this order, with a loop for each.

mod keys;
mod load;
mod predicate;

use std::collections::BTreeMap;

pub use self::{
    keys::{CodeKeys, KeyOf, Names},
    load::{Kind as LoadKind, Load},
    predicate::{Against, Kind as PredicateKind, Predicate, has_code},
};
use super::{Bound, Constants, registers::Registers, span::Span};
use crate::row::Row;

/// Everything that is read of the rows of a program, each kind in one list. (A program is one of hundreds, and none of it
/// is in the cache: it is read forwards, from a few places.)
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct Reads {
    rows: Vec<OfRow>,
    /// Of one row after the other.
    loops: Vec<Loop>,
    predicates: Vec<Predicate>,
    keys: Vec<KeyOf>,
    loads: Vec<Load>,
}

/// What is read of the row of a relation.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OfRow {
    relation: u32,
    /// Of its loops.
    loops: Span,
}

/// Reads of one kind, which stand together in the list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Loop {
    kind: Kind,
    on: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Predicate(PredicateKind),
    Key,
    Load(LoadKind),
}

/// What is read of one row, while a program is made.
#[derive(Debug, Default)]
pub struct RowReads {
    /// Each with what the column is compared with.
    pub predicates: BTreeMap<PredicateKind, Vec<(Predicate, u64)>>,
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

/// One row, and what its texts are looked up with.
struct Source<'a, 'r> {
    row: &'a Row<'r>,
    relation: usize,
    constants: &'a Constants,
    bound: &'a Bound,
}

impl Reads {
    /// By relation; and what each predicate compares with.
    pub fn new(rows: BTreeMap<u32, RowReads>) -> (Self, Vec<u64>) {
        let (mut reads, mut compared) = (Self::default(), Vec::new());
        for (relation, RowReads { predicates, keys, loads }) in rows {
            let first = reads.loops.len();
            for (kind, of) in predicates {
                let (of, constants): (Vec<_>, Vec<_>) = of.into_iter().unzip();
                let on = Span::add(&mut reads.predicates, of);
                compared.extend(constants);
                reads.loops.push(Loop { kind: Kind::Predicate(kind), on });
            }
            if !keys.is_empty() {
                let on = Span::add(&mut reads.keys, keys);
                reads.loops.push(Loop { kind: Kind::Key, on });
            }
            for (kind, of) in loads {
                let on = Span::add(&mut reads.loads, of);
                reads.loops.push(Loop { kind: Kind::Load(kind), on });
            }
            reads.rows.push(OfRow { relation, loops: Span::of(first..reads.loops.len()) });
        }
        let Self { rows, loops, predicates, keys, loads } = &mut reads;
        rows.shrink_to_fit();
        loops.shrink_to_fit();
        predicates.shrink_to_fit();
        keys.shrink_to_fit();
        loads.shrink_to_fit();
        (reads, compared)
    }

    /// How many columns are looked at, each as often as it is.
    pub fn len(&self) -> usize {
        self.predicates.len() + self.keys.len() + self.loads.len()
    }

    /// The relations that something is read of.
    pub fn relations(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().map(|of| of.relation as usize)
    }

    /// Reads rows, one of each relation that is given.
    #[inline]
    pub fn run(&self, rows: &[Row<'_>], constants: &Constants, bound: &Bound, r: &mut Registers) {
        for of in &self.rows {
            let relation = of.relation as usize;
            let row = &rows[relation];
            let source = Source { row, relation, constants, bound };
            let loops = of.loops.on(&self.loops);
            let stale = row.stale();
            let is_set = |row: &[u8], at: Presence| row[at.byte as usize] & at.mask != 0;
            // Rows are rarely stale.
            if stale == 0 {
                self.read(loops, &source, r, is_set);
            } else {
                self.read(loops, &source, r, |row, at| is_set(row, at) & (stale >> at.group & 1 == 0));
            }
        }
    }

    /// `is_known` says whether a column of the row of these bytes has a value that is not stale. (It is given the bytes: one
    /// that had them with it would keep another register busy in each loop.)
    #[inline(never)]
    fn read(
        &self,
        loops: &[Loop],
        from: &Source<'_, '_>,
        r: &mut Registers,
        is_known: impl Fn(&[u8], Presence) -> bool + Copy,
    ) {
        for Loop { kind, on } in loops {
            match *kind {
                Kind::Predicate(kind) => {
                    let (of, constants) = (on.on(&self.predicates), on.on(&from.constants.compared));
                    predicate::run(kind, of, constants, from, is_known, &mut r.booleans);
                }
                Kind::Key => keys::run(on.on(&self.keys), from, is_known, &mut r.ints),
                Kind::Load(kind) => load::run(kind, on.on(&self.loads), from, is_known, r),
            }
        }
    }
}
