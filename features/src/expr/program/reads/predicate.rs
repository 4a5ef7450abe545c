//! Predicates: a column of a row held against a constant, straight from the row's bytes.
//!
//! Most conditions of lenders are of this kind. The value goes to no register, and one loop does all those that read
//! numbers of a kind, whatever their width. All comparisons of order are one, `value > constant`, taken as it is or the
//! other way round: `a < 18` is "not `a > 17`".

use super::{Presence, Source};
use crate::{
    expr::{
        op::{Comparison, Reg},
        program::registers::Truth,
    },
    row::{Cell, Slot, TextCell, Uint},
};

/// One predicate. Small, for a program with thousands of them is read from memory at each decision. What the column is
/// compared with stands apart, in the same order among what its program
/// [compares with](crate::expr::program::Constants::compared): the bits of a float, an integer less the cell's base, an index of a text or a set. (Of a boolean: its mask.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Predicate {
    /// Byte of a boolean; of another cell, that of its [`Uint`].
    at: u32,
    /// Byte of its present bit.
    present: u32,
    pub to: Reg,
    /// The present bit in its byte.
    mask: u8,
    group: u8,
    /// Of the cell's [`Uint`]. (Apart from the rest of it there is room for it here.)
    shift: u8,
    /// It holds where the comparison does not.
    other_way: bool,
}

/// Predicates that share a loop, in the order of the loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Is TRUE.
    Flag,
    /// Is more than the constant.
    OverFloat,
    OverInt,
    /// Is the constant.
    IsFloat,
    IsInt,
    /// A text is the constant.
    TextIs,
    /// A text is among those of a set.
    TextIn,
}

/// What a column is held against.
#[derive(Clone, Copy, Debug)]
pub enum Against {
    /// Nothing: it is a boolean.
    Itself,
    Float(Comparison, f64),
    Int(Comparison, i64),
    /// An index of [`Constants::texts`](crate::expr::program::Constants::texts).
    Text(u32),
    /// An index of [`Constants::text_sets`](crate::expr::program::Constants::text_sets).
    Set(u32),
}

impl Predicate {
    /// The predicate, and what the column is compared with. None: it is to be computed in registers.
    pub fn of(slot: Slot, against: Against, to: Reg) -> Option<(Kind, Self, u64)> {
        let (present, bit) = slot.present_bit();
        let predicate = |kind: Kind, Uint { at, shift }: Uint, constant: u64, other_way: bool| {
            let (mask, group) = (1 << bit, slot.group);
            Some((kind, Self { at, present, to, mask, group, shift, other_way }, constant))
        };
        let int = |of: Uint, c: Comparison, i: i64| {
            let (kind, i, other_way) = match c {
                Comparison::Gt => (Kind::OverInt, i, false),
                Comparison::LtEq => (Kind::OverInt, i, true),
                Comparison::GtEq => (Kind::OverInt, i.checked_sub(1)?, false),
                Comparison::Lt => (Kind::OverInt, i.checked_sub(1)?, true),
                Comparison::Eq => (Kind::IsInt, i, false),
                Comparison::NotEq => (Kind::IsInt, i, true),
                // They have an answer for NULL.
                Comparison::Distinct | Comparison::NotDistinct => return None,
            };
            predicate(kind, of, i as u64, other_way)
        };
        match (slot.cell, against) {
            (Cell::Boolean { at, mask }, Against::Itself) => {
                predicate(Kind::Flag, Uint { at, shift: 0 }, mask.into(), false)
            }
            // Nothing lies below −∞; to be at least that needs another loop.
            (Cell::Float { of }, Against::Float(c, x)) if x > f64::NEG_INFINITY => {
                let (kind, x, other_way) = match c {
                    Comparison::Gt => (Kind::OverFloat, x, false),
                    Comparison::LtEq => (Kind::OverFloat, x, true),
                    Comparison::GtEq => (Kind::OverFloat, x.next_down(), false),
                    Comparison::Lt => (Kind::OverFloat, x.next_down(), true),
                    Comparison::Eq => (Kind::IsFloat, x, false),
                    Comparison::NotEq => (Kind::IsFloat, x, true),
                    Comparison::Distinct | Comparison::NotDistinct => return None,
                };
                predicate(kind, of, x.to_bits(), other_way)
            }
            (Cell::Int { of, base }, Against::Int(c, i)) => int(of, c, i.checked_sub(base)?),
            (Cell::Text { of }, Against::Text(text)) => predicate(Kind::TextIs, of, text.into(), false),
            (Cell::Text { of }, Against::Set(set)) => predicate(Kind::TextIn, of, set.into(), false),
            _ => None,
        }
    }

    /// Where its cell is, for their order.
    pub fn at(&self) -> u32 {
        self.at
    }

    #[inline]
    fn cell(&self) -> Uint {
        Uint { at: self.at, shift: self.shift }
    }

    #[inline]
    fn presence(&self) -> Presence {
        Presence { byte: self.present, mask: self.mask, group: self.group }
    }

    /// Without a branch: neither values nor whether they are known can be foreseen.
    #[inline]
    fn truth(&self, known: bool, holds: bool) -> Truth {
        Truth::of(known, known & (holds ^ self.other_way))
    }

    /// A text by what is to be said of its code, or of itself where the row keeps it. A code that the dictionary
    /// lacks is a damaged row: it reads as NULL, as [`Row`](crate::row::Row) does.
    #[inline]
    fn text(
        &self,
        known: bool,
        from: &Source<'_, '_>,
        by_code: impl FnOnce(u32) -> bool,
        by_text: impl FnOnce(&str) -> bool,
    ) -> Truth {
        match from.row.text_cell(self.cell()) {
            Some(TextCell::Code(code)) => {
                let known = known & ((code as usize) < from.bound.texts(from.relation));
                Truth::of(known, known & by_code(code))
            }
            Some(TextCell::Text(text)) if known => by_text(text).into(),
            _ => Truth::UNKNOWN,
        }
    }
}

/// Computes the predicates of one row, which are in the order of their cells: the row is read forwards. The constants are
/// in the same order.
#[inline(always)]
pub fn run(
    kind: Kind,
    of: &[Predicate],
    constants: &[u64],
    from: &Source<'_, '_>,
    is_known: impl Fn(&[u8], Presence) -> bool + Copy,
    out: &mut [Truth],
) {
    let (bytes, relation) = (from.row.bytes(), from.relation);
    let is_known = |at| is_known(bytes, at);
    let float = |p: &Predicate| f64::from_bits(p.cell().read(bytes));
    let int = |p: &Predicate| p.cell().read(bytes) as i64;
    // A comparison with NaN is unknown.
    let of_float = |p: &Predicate, known: bool, value: f64, holds| p.truth(known & !value.is_nan(), holds);
    match kind {
        Kind::Flag => each(of, constants, is_known, out, |p, constant, known| {
            Truth::of(known, known & (u64::from(bytes[p.at as usize]) & constant != 0))
        }),
        Kind::OverFloat => each(of, constants, is_known, out, |p, constant, known| {
            let value = float(p);
            of_float(p, known, value, value > f64::from_bits(constant))
        }),
        Kind::OverInt => {
            each(of, constants, is_known, out, |p, constant, known| p.truth(known, int(p) > constant as i64))
        }
        Kind::IsFloat => each(of, constants, is_known, out, |p, constant, known| {
            let value = float(p);
            of_float(p, known, value, value == f64::from_bits(constant))
        }),
        Kind::IsInt => {
            each(of, constants, is_known, out, |p, constant, known| p.truth(known, int(p) == constant as i64))
        }
        Kind::TextIs => each(of, constants, is_known, out, |p, constant, known| {
            let text = constant as usize;
            let code = from.bound.code(text, relation);
            p.text(known, from, |c| c == code, |t| t == from.constants.texts[text])
        }),
        Kind::TextIn => each(of, constants, is_known, out, |p, constant, known| {
            let set = constant as usize;
            let codes = from.bound.set(set, relation);
            p.text(known, from, |code| has_code(codes, code), |text| from.constants.has_text(set, text))
        }),
    }
}

/// `truth` is told whether there is a value.
#[inline(always)]
fn each(
    of: &[Predicate],
    constants: &[u64],
    is_known: impl Fn(Presence) -> bool,
    out: &mut [Truth],
    truth: impl Fn(&Predicate, u64, bool) -> Truth,
) {
    for (p, constant) in of.iter().zip(constants) {
        out[p.to as usize] = truth(p, *constant, is_known(p.presence()));
    }
}

/// Sets of so many codes are looked through, which has no branch to foresee.
const FEW: usize = 16;

/// Is the code among the sorted ones?
#[inline]
pub fn has_code(codes: &[u32], code: u32) -> bool {
    match codes.len() {
        0..=FEW => codes.iter().fold(false, |found, c| found | (*c == code)),
        _ => codes.binary_search(&code).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;
    use crate::{
        expr::program::{
            Bound, Constants,
            reads::{Reads, RowReads},
            registers::Registers,
        },
        row::{Column, Dictionary, Layout, Row, RowBuilder},
    };
    use tarim_datamart::{Type, Value};

    const ALL: [Comparison; 6] = [
        Comparison::Eq,
        Comparison::NotEq,
        Comparison::Lt,
        Comparison::LtEq,
        Comparison::Gt,
        Comparison::GtEq,
    ];

    /// What a predicate says of a value; None: there is no such predicate.
    fn says(column: &Column, value: &Value, against: Against) -> Option<Truth> {
        let layout = std::sync::Arc::new(Layout::new(vec![column.clone()], vec![]).expect("one column"));
        let mut builder = RowBuilder::new(&layout);
        builder.set(0, value).expect("a value of the column's type");
        let (kind, predicate, constant) = Predicate::of(layout.slot(0), against, 0)?;
        let row = Row::new(&layout, builder.finish(), Dictionary::none(), 0).expect("a whole row");
        let of_row =
            RowReads { predicates: [(kind, vec![(predicate, constant)])].into(), ..RowReads::default() };
        let mut registers = Registers { booleans: vec![Truth::UNKNOWN], ..Registers::default() };
        let (reads, compared) = Reads::new([(0, of_row)].into());
        let constants = Constants { compared, ..Constants::default() };
        reads.run(&[row], &constants, &Bound::none(), &mut registers);
        Some(registers.booleans[0])
    }

    fn holds(c: Comparison, ordering: Option<Ordering>) -> Option<bool> {
        ordering.map(|o| c.holds(o))
    }

    #[test]
    fn integers_at_every_edge() {
        let ranges = [
            None,
            Some((-3, 200)),
            Some((i64::MIN, i64::MIN + 300)),
            Some((0, 1 << 20)),
            Some((-4, i64::MAX >> 9)),
        ];
        let edges = [i64::MIN, i64::MIN + 1, i64::MIN + 300, -4, -3, -1, 0, 1, 199, 200, 1 << 20, i64::MAX];
        for range in ranges {
            let column = Column { range, ..Column::new("i", Type::Int64) };
            let (low, high) = range.unwrap_or((i64::MIN, i64::MAX));
            for value in edges.into_iter().filter(|v| (low..=high).contains(v)) {
                for (c, constant) in ALL.into_iter().flat_map(|c| edges.map(|e| (c, e))) {
                    let said = says(&column, &Value::Int64(value), Against::Int(c, constant));
                    let expected = holds(c, Some(value.cmp(&constant)));
                    assert!(said.is_none_or(|s| s.get() == expected), "{range:?}: {value} {c:?} {constant}");
                }
            }
            let null = says(&column, &Value::Null, Against::Int(Comparison::Lt, 7));
            assert!(null.is_none_or(|said| said == Truth::UNKNOWN));
        }
    }

    #[test]
    fn floats_at_every_edge() {
        let tiny = f64::from_bits(1);
        let edges = [f64::NEG_INFINITY, f64::MIN, -1.5, -tiny, -0.0, 0.0, tiny, 1.5, f64::MAX, f64::INFINITY];
        let column = Column::new("x", Type::Float64);
        for value in edges.into_iter().chain([f64::NAN]) {
            for (c, constant) in ALL.into_iter().flat_map(|c| edges.map(|e| (c, e))) {
                let said = says(&column, &Value::Float64(value), Against::Float(c, constant));
                let expected = holds(c, value.partial_cmp(&constant));
                assert_eq!(said.is_none(), constant == f64::NEG_INFINITY, "only that has no predicate");
                assert!(said.is_none_or(|s| s.get() == expected), "{value} {c:?} {constant}");
            }
        }
        assert!(says(&column, &Value::Null, Against::Float(Comparison::Lt, f64::NAN)).is_none());
    }
}
