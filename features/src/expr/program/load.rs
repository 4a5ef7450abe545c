//! Loads: columns of a packed row to registers, all of one width in one loop.

use super::{
    Bound,
    registers::{Int, Registers, Text, known_or_nan},
};
use crate::{
    expr::op::{Bank, Reg},
    row::{Cell, Row, Slot, TextCell, Width},
};

/// Columns of one row whose cells are alike.
#[derive(Debug)]
pub struct Load {
    pub relation: u32,
    pub kind: Kind,
    /// Each with the register that it is read to.
    pub cells: Box<[(Source, Reg)]>,
}

/// Where a column is, small, and without having to ask what kind of cell it has: that is the load's.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Of an integer.
    base: i64,
    at: u32,
    /// Byte of its present bit.
    present: u32,
    bit: u8,
    group: u8,
}

impl From<Slot> for Source {
    fn from(slot: Slot) -> Self {
        let (at, base) = match slot.cell {
            Cell::Int { at, base, .. } => (at, base),
            Cell::Boolean { at, .. }
            | Cell::Float { at }
            | Cell::Text { at }
            | Cell::Date { at }
            | Cell::Timestamp { at } => (at, 0),
        };
        let (present, bit) = slot.present_bit();
        Self { base, at, present, bit, group: slot.group }
    }
}

impl Source {
    /// Whether there is a value that is not stale.
    #[inline]
    fn is_known(&self, bytes: &[u8], stale: u64) -> bool {
        (u64::from(bytes[self.present as usize] >> self.bit) & !(stale >> self.group)) & 1 == 1
    }

    #[inline]
    fn bytes<const N: usize>(&self, bytes: &[u8]) -> [u8; N] {
        let at = self.at as usize;
        bytes[at..at + N].try_into().expect("a slice of N bytes is an array of N bytes")
    }
}

/// Cells that one loop reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Boolean,
    Float,
    Int1,
    Int2,
    Int4,
    Int8,
    Date,
    Timestamp,
    Text,
}

impl Kind {
    pub fn of(cell: Cell) -> Self {
        match cell {
            Cell::Boolean { .. } => Kind::Boolean,
            Cell::Float { .. } => Kind::Float,
            Cell::Int { width: Width::W1, .. } => Kind::Int1,
            Cell::Int { width: Width::W2, .. } => Kind::Int2,
            Cell::Int { width: Width::W4, .. } => Kind::Int4,
            Cell::Int { width: Width::W8, .. } => Kind::Int8,
            Cell::Date { .. } => Kind::Date,
            Cell::Timestamp { .. } => Kind::Timestamp,
            Cell::Text { .. } => Kind::Text,
        }
    }

    pub fn bank(self) -> Bank {
        match self {
            Kind::Boolean => Bank::Boolean,
            Kind::Float => Bank::Float,
            Kind::Text => Bank::Text,
            Kind::Int1 | Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Date | Kind::Timestamp => Bank::Int,
        }
    }
}

impl Load {
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    pub fn run(&self, rows: &[Row<'_>], bound: &Bound, r: &mut Registers) {
        let row = &rows[self.relation as usize];
        let (bytes, stale) = (row.bytes(), row.stale());
        match self.kind {
            Kind::Boolean => {
                unreachable!("a boolean is a predicate, which reads the row itself")
            }
            Kind::Float => {
                for (cell, to) in &self.cells {
                    let value = u64::from_le_bytes(cell.bytes(bytes));
                    r.floats[*to as usize] = known_or_nan(value, cell.is_known(bytes, stale));
                }
            }
            Kind::Int1 => self.ints(row, r, |[b]| b.into()),
            Kind::Int2 => self.ints(row, r, |b| u16::from_le_bytes(b).into()),
            Kind::Int4 => self.ints(row, r, |b| u32::from_le_bytes(b).into()),
            Kind::Int8 | Kind::Timestamp => self.ints(row, r, i64::from_le_bytes),
            Kind::Date => self.ints(row, r, |b| i32::from_le_bytes(b).into()),
            Kind::Text => {
                for (cell, to) in &self.cells {
                    let text = cell.is_known(bytes, stale).then(|| row.text_cell(cell.at)).flatten();
                    r.texts[*to as usize] = match text {
                        Some(TextCell::Code(code)) => self.coded(code, bound),
                        Some(TextCell::Text(text)) => Some(r.push(text)),
                        None => None,
                    };
                }
            }
        }
    }

    #[inline]
    fn ints<const N: usize>(&self, row: &Row<'_>, r: &mut Registers, read: impl Fn([u8; N]) -> i64) {
        let (bytes, stale) = (row.bytes(), row.stale());
        for (cell, to) in &self.cells {
            let value = cell.base.wrapping_add(read(cell.bytes(bytes)));
            r.ints[*to as usize] = Int { value, known: cell.is_known(bytes, stale) };
        }
    }

    fn coded(&self, code: u32, bound: &Bound) -> Option<Text> {
        // A code that the dictionary lacks is a damaged row: it reads as NULL, as Row does.
        ((code as usize) < bound.texts(self.relation as usize))
            .then_some(Text::Code { relation: self.relation, code })
    }
}
