//! The answers of a set of expressions: what policy logic asks, whichever engine computed them.

use std::ops::Range;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType},
};
use tarim_datamart::{Type, Value};

use super::{
    ExprId,
    op::Bank,
    program::{Output, Registers, Truth},
};

/// Answers for one row. Each is None for NULL; to ask for another type than the expression has is a slip that
/// panics.
pub trait Answers {
    fn truth(&self, id: ExprId) -> Option<bool>;
    fn int(&self, id: ExprId) -> Option<i64>;
    fn float(&self, id: ExprId) -> Option<f64>;
    fn text(&self, id: ExprId) -> Option<&str>;
    /// Days since 1970-01-01.
    fn date(&self, id: ExprId) -> Option<i32>;
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn timestamp(&self, id: ExprId) -> Option<i64>;
    /// Of whichever type. Allocates for a text.
    fn value(&self, id: ExprId) -> Value;

    /// The key of a text: what `key_of` says of it, unless the program was compiled to say it
    /// ([`ExprSet::with_keys`](super::ExprSet::with_keys)); then both say the same.
    fn text_key(&self, id: ExprId, key_of: impl Fn(&str) -> i64) -> Option<i64> {
        self.text(id).map(key_of)
    }

    /// What is an integer where it is worked out (an integer, a date, a time, a key that the program says), whatever its
    /// type; None: it is not one there, and is to be asked for by its type.
    #[inline]
    fn integer(&self, _: ExprId) -> Option<Option<i64>> {
        None
    }

    /// Tells of those of some conditions that are not FALSE, in order, and whether they are TRUE (None: unknown).
    fn each_not_false(&self, ids: Range<u32>, mut tell: impl FnMut(ExprId, Option<bool>)) {
        for id in ids.map(ExprId) {
            match self.truth(id) {
                Some(false) => {}
                truth => tell(id, truth),
            }
        }
    }

    /// Tells of those of some conditions that are TRUE, in order.
    fn each_true(&self, ids: Range<u32>, mut tell: impl FnMut(ExprId)) {
        self.each_not_false(ids, |id, truth| {
            if truth.is_some() {
                tell(id);
            }
        });
    }

    /// The value of an expression of a type. Allocates for a text.
    fn value_as(&self, id: ExprId, ty: Type) -> Value {
        let value = match ty {
            Type::Boolean => self.truth(id).map(Value::Boolean),
            Type::Int64 => self.int(id).map(Value::Int64),
            Type::Float64 => self.float(id).map(Value::Float64),
            Type::Utf8 => self.text(id).map(|s| Value::Utf8(s.to_owned())),
            Type::Date32 => self.date(id).map(Value::Date32),
            Type::Timestamp => self.timestamp(id).map(Value::Timestamp),
        };
        value.unwrap_or(Value::Null)
    }
}

/// The answers that a row program computed for one row.
#[derive(Clone, Copy, Debug)]
pub struct RowAnswers<'a> {
    pub(super) outputs: &'a [Output],
    /// The outputs up to the first that is not a boolean.
    pub(super) conditions: &'a [Truth],
    pub(super) registers: &'a Registers,
}

impl Answers for RowAnswers<'_> {
    #[inline]
    fn truth(&self, id: ExprId) -> Option<bool> {
        self.registers.booleans[self.from(id, Type::Boolean)].get()
    }

    #[inline]
    fn int(&self, id: ExprId) -> Option<i64> {
        self.registers.ints[self.from(id, Type::Int64)].get()
    }

    #[inline]
    fn float(&self, id: ExprId) -> Option<f64> {
        let x = self.registers.floats[self.from(id, Type::Float64)];
        (!x.is_nan()).then_some(x)
    }

    fn text(&self, id: ExprId) -> Option<&str> {
        let output = self.outputs[id.0 as usize];
        assert!(!output.keyed, "expression {} was compiled to tell its key, not its text", id.0);
        self.registers.text_in_buffer(self.from(id, Type::Utf8) as u32)
    }

    #[inline]
    fn text_key(&self, id: ExprId, key_of: impl Fn(&str) -> i64) -> Option<i64> {
        match self.outputs[id.0 as usize] {
            Output { keyed: true, from, .. } => self.registers.ints[from as usize].get(),
            _ => self.text(id).map(key_of),
        }
    }

    #[inline]
    fn date(&self, id: ExprId) -> Option<i32> {
        // A register of a date holds nothing but dates.
        self.registers.ints[self.from(id, Type::Date32)].get().map(|days| days as i32)
    }

    fn timestamp(&self, id: ExprId) -> Option<i64> {
        self.registers.ints[self.from(id, Type::Timestamp)].get()
    }

    #[inline(always)]
    fn integer(&self, id: ExprId) -> Option<Option<i64>> {
        let output = &self.outputs[id.0 as usize];
        (output.bank() == Bank::Int).then(|| self.registers.ints[output.from as usize].get())
    }

    fn value(&self, id: ExprId) -> Value {
        self.value_as(id, self.outputs[id.0 as usize].ty)
    }

    #[inline]
    fn each_not_false(&self, ids: Range<u32>, mut tell: impl FnMut(ExprId, Option<bool>)) {
        self.each(ids, Truth::not_false, |id, truth| tell(id, truth.get()));
    }

    #[inline]
    fn each_true(&self, ids: Range<u32>, mut tell: impl FnMut(ExprId)) {
        self.each(ids, Truth::are_true, |id, _| tell(id));
    }
}

impl RowAnswers<'_> {
    /// Conditions that are chosen, eight at a time: nearly all are not. `chosen` has a byte for each that is.
    #[inline]
    fn each(&self, ids: Range<u32>, chosen: impl Fn(&[Truth]) -> u64, mut tell: impl FnMut(ExprId, Truth)) {
        assert!(ids.end as usize <= self.conditions.len(), "a condition is a boolean");
        let conditions = &self.conditions[ids.start as usize..ids.end as usize];
        for (first, eight) in ids.step_by(8).zip(conditions.chunks(8)) {
            let mut rest = chosen(eight);
            while rest != 0 {
                let i = rest.trailing_zeros() / 8;
                rest &= !(0xff << (8 * i));
                tell(ExprId(first + i), eight[i as usize]);
            }
        }
    }

    #[inline]
    fn from(&self, id: ExprId, ty: Type) -> usize {
        let output = self.outputs[id.0 as usize];
        assert_eq!(output.ty, ty, "expression {} is {}, and was asked for {ty}", id.0, output.ty);
        output.from as usize
    }
}

/// The answers that DataFusion computed for a batch, read row by row: [`BatchAnswers::seek`].
#[derive(Clone, Debug)]
pub struct BatchAnswers {
    columns: Vec<ArrayRef>,
    rows: usize,
    row: usize,
}

impl BatchAnswers {
    pub(super) fn new(columns: Vec<ArrayRef>, rows: usize) -> Self {
        Self { columns, rows, row: 0 }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Goes to a row; answers are of that row until the next `seek`.
    pub fn seek(&mut self, row: usize) {
        assert!(row < self.rows, "row {row} of a batch of {}", self.rows);
        self.row = row;
    }

    /// The answers of an expression for all rows.
    pub fn column(&self, id: ExprId) -> &ArrayRef {
        &self.columns[id.0 as usize]
    }

    fn valid(&self, id: ExprId) -> Option<&ArrayRef> {
        Some(self.column(id)).filter(|c| c.is_valid(self.row))
    }
}

impl Answers for BatchAnswers {
    fn truth(&self, id: ExprId) -> Option<bool> {
        self.valid(id).map(|c| c.as_boolean().value(self.row))
    }

    fn int(&self, id: ExprId) -> Option<i64> {
        self.valid(id).map(|c| c.as_primitive::<Int64Type>().value(self.row))
    }

    fn float(&self, id: ExprId) -> Option<f64> {
        self.valid(id).map(|c| c.as_primitive::<Float64Type>().value(self.row))
    }

    fn text(&self, id: ExprId) -> Option<&str> {
        self.valid(id).map(|c| c.as_string::<i32>().value(self.row))
    }

    fn date(&self, id: ExprId) -> Option<i32> {
        self.valid(id).map(|c| c.as_primitive::<Date32Type>().value(self.row))
    }

    fn timestamp(&self, id: ExprId) -> Option<i64> {
        self.valid(id).map(|c| c.as_primitive::<TimestampMicrosecondType>().value(self.row))
    }

    fn value(&self, id: ExprId) -> Value {
        let ty =
            Type::from_arrow(self.column(id).data_type()).expect("an expression is of one of the six types");
        self.value_as(id, ty)
    }
}
