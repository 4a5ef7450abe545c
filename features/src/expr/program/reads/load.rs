//! Loads: columns of a packed row to registers, all of one kind in one loop.

use super::{Presence, Source};
use crate::{
    expr::{
        op::Reg,
        program::registers::{Int, Registers, Text, known_or_nan},
    },
    row::{Cell, Slot, TextCell, Uint},
};

/// A column that is read to a register. What kind of cell it has says the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Load {
    /// Of an integer.
    base: i64,
    /// Byte of the cell's [`Uint`], and of the present bit.
    at: u32,
    present: u32,
    pub to: Reg,
    shift: u8,
    mask: u8,
    group: u8,
}

/// Loads that share a loop, in the order of the loops. (A boolean is a predicate.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Float,
    Int,
    /// An integer, read as a float: most formulas see it as nothing else.
    Widened,
    Text,
}

impl Load {
    /// None: it is a boolean.
    pub fn of(slot: Slot, widened: bool, to: Reg) -> Option<(Kind, Self)> {
        let (kind, of, base) = match slot.cell {
            Cell::Int { of, base } => (if widened { Kind::Widened } else { Kind::Int }, of, base),
            Cell::Float { of } => (Kind::Float, of, 0),
            Cell::Text { of } => (Kind::Text, of, 0),
            Cell::Boolean { .. } => return None,
        };
        let (present, bit) = slot.present_bit();
        let Uint { at, shift } = of;
        Some((kind, Self { base, at, present, to, shift, mask: 1 << bit, group: slot.group }))
    }

    #[inline]
    fn cell(&self) -> Uint {
        Uint { at: self.at, shift: self.shift }
    }

    #[inline]
    fn presence(&self) -> Presence {
        Presence { byte: self.present, mask: self.mask, group: self.group }
    }
}

/// Reads each cell to its register.
#[inline(always)]
pub fn run(
    kind: Kind,
    of: &[Load],
    from: &Source<'_, '_>,
    is_known: impl Fn(&[u8], Presence) -> bool,
    r: &mut Registers,
) {
    let bytes = from.row.bytes();
    let int = |load: &Load| load.base.wrapping_add(load.cell().read(bytes) as i64);
    match kind {
        Kind::Float => {
            for load in of {
                r.floats[load.to as usize] =
                    known_or_nan(load.cell().read(bytes), is_known(bytes, load.presence()));
            }
        }
        Kind::Int => {
            for load in of {
                r.ints[load.to as usize] = Int { value: int(load), known: is_known(bytes, load.presence()) };
            }
        }
        Kind::Widened => {
            for load in of {
                let value = int(load) as f64;
                r.floats[load.to as usize] = known_or_nan(value.to_bits(), is_known(bytes, load.presence()));
            }
        }
        Kind::Text => {
            for load in of {
                let text =
                    is_known(bytes, load.presence()).then(|| from.row.text_cell(load.cell())).flatten();
                r.texts[load.to as usize] = match text {
                    Some(TextCell::Code(code)) => from.coded(code),
                    Some(TextCell::Text(text)) => Some(r.push(text)),
                    None => None,
                };
            }
        }
    }
}

impl Source<'_, '_> {
    fn coded(&self, code: u32) -> Option<Text> {
        // A code that the dictionary lacks is a damaged row: it reads as NULL, as Row does.
        ((code as usize) < self.bound.texts(self.relation))
            .then_some(Text::Code { relation: self.relation as u32, code })
    }
}
