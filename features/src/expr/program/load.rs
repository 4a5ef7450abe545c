//! Loads: columns of a packed row to registers, all of one kind in one loop.

use super::{
    Bound,
    registers::{Int, Registers, Text, known_or_nan},
};
use crate::{
    expr::op::{Bank, Reg},
    row::{Cell, Row, Slot, TextCell, Uint},
};

/// Columns of one row whose cells are alike.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub relation: u32,
    pub kind: Kind,
}

/// Where a column is, small, and without having to ask what kind of cell it has: that is the load's.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Of an integer.
    base: i64,
    pub of: Uint,
    /// Byte of its present bit.
    present: u32,
    bit: u8,
    group: u8,
}

impl From<Slot> for Source {
    fn from(slot: Slot) -> Self {
        let (of, base) = match slot.cell {
            Cell::Int { of, base } => (of, base),
            Cell::Float { of } | Cell::Text { of } => (of, 0),
            Cell::Boolean { .. } => unreachable!("a boolean is a predicate, which reads the row itself"),
        };
        let (present, bit) = slot.present_bit();
        Self { base, of, present, bit, group: slot.group }
    }
}

impl Source {
    /// Whether there is a value that is not stale.
    #[inline]
    pub fn is_known(&self, bytes: &[u8], stale: u64) -> bool {
        (u64::from(bytes[self.present as usize] >> self.bit) & !(stale >> self.group)) & 1 == 1
    }
}

/// Cells that one loop reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Boolean,
    Float,
    Int,
    Text,
    /// An integer, read as a float: most formulas see it as nothing else.
    Widened,
}

impl Kind {
    pub fn of(cell: Cell) -> Self {
        match cell {
            Cell::Boolean { .. } => Kind::Boolean,
            Cell::Float { .. } => Kind::Float,
            Cell::Int { .. } => Kind::Int,
            Cell::Text { .. } => Kind::Text,
        }
    }

    pub fn bank(self) -> Bank {
        match self {
            Kind::Boolean => Bank::Boolean,
            Kind::Float | Kind::Widened => Bank::Float,
            Kind::Text => Bank::Text,
            Kind::Int => Bank::Int,
        }
    }
}

impl Load {
    /// Reads each cell to the register beside it.
    #[inline(never)]
    pub fn run(self, cells: &[(Source, Reg)], rows: &[Row<'_>], bound: &Bound, r: &mut Registers) {
        let row = &rows[self.relation as usize];
        let (bytes, stale) = (row.bytes(), row.stale());
        match self.kind {
            Kind::Boolean => unreachable!("a boolean is a predicate, which reads the row itself"),
            Kind::Float => {
                for (cell, to) in cells {
                    r.floats[*to as usize] = known_or_nan(cell.of.read(bytes), cell.is_known(bytes, stale));
                }
            }
            Kind::Int => {
                for (cell, to) in cells {
                    let value = cell.base.wrapping_add(cell.of.read(bytes) as i64);
                    r.ints[*to as usize] = Int { value, known: cell.is_known(bytes, stale) };
                }
            }
            Kind::Widened => {
                for (cell, to) in cells {
                    let value = cell.base.wrapping_add(cell.of.read(bytes) as i64) as f64;
                    r.floats[*to as usize] = known_or_nan(value.to_bits(), cell.is_known(bytes, stale));
                }
            }
            Kind::Text => {
                for (cell, to) in cells {
                    let text = cell.is_known(bytes, stale).then(|| row.text_cell(cell.of)).flatten();
                    r.texts[*to as usize] = match text {
                        Some(TextCell::Code(code)) => self.coded(code, bound),
                        Some(TextCell::Text(text)) => Some(r.push(text)),
                        None => None,
                    };
                }
            }
        }
    }

    fn coded(self, code: u32, bound: &Bound) -> Option<Text> {
        // A code that the dictionary lacks is a damaged row: it reads as NULL, as Row does.
        ((code as usize) < bound.texts(self.relation as usize))
            .then_some(Text::Code { relation: self.relation, code })
    }
}
