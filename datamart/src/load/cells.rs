//! Columns of typed values, filled from texts through the gate.
//!
//! A million rows pass here, so a value that is fine costs no allocation: it is parsed, checked, and pushed.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, TimestampMicrosecondArray,
    },
    buffer::{BooleanBuffer, NullBuffer},
    error::ArrowError,
};

use super::source::TextColumn;
use crate::{
    Field, Source, Tokeniser, Type, Value,
    gate::{Broken, parse},
};

/// A rule that a row breaks.
pub(crate) struct Fault {
    /// Row in the chunk.
    pub row: usize,
    /// Position of the field; none for the row as a whole.
    pub field: Option<usize>,
    pub broken: Broken,
}

/// Fills one field of a chunk, row after row.
pub(crate) struct Filler<'a> {
    field: &'a Field,
    position: usize,
    source: &'a Source,
    faults: &'a mut Vec<Fault>,
    cells: Cells,
    valid: Vec<bool>,
}

/// Values of one field; where the column is not valid, what stands here means nothing.
enum Cells {
    Boolean(Vec<bool>),
    Int64(Vec<i64>),
    Float64(Vec<f64>),
    Utf8(TextColumn),
    Date32(Vec<i32>),
    Timestamp(Vec<i64>),
}

impl<'a> Filler<'a> {
    pub fn new(
        field: &'a Field,
        position: usize,
        source: &'a Source,
        rows: usize,
        faults: &'a mut Vec<Fault>,
    ) -> Self {
        let cells = match field.ty {
            Type::Boolean => Cells::Boolean(Vec::with_capacity(rows)),
            Type::Int64 => Cells::Int64(Vec::with_capacity(rows)),
            Type::Float64 => Cells::Float64(Vec::with_capacity(rows)),
            Type::Utf8 => Cells::Utf8(TextColumn::with_capacity(rows)),
            Type::Date32 => Cells::Date32(Vec::with_capacity(rows)),
            Type::Timestamp => Cells::Timestamp(Vec::with_capacity(rows)),
        };
        Self { field, position, source, faults, cells, valid: Vec::with_capacity(rows) }
    }

    /// The field that is filled.
    pub fn field(&self) -> &'a Field {
        self.field
    }

    /// Adds a row's text as the source writes it; none is the field's default, or missing.
    pub fn push_text(&mut self, text: Option<&str>) {
        let Some(text) = text else { return self.push_missing() };
        if let Cells::Utf8(cells) = &mut self.cells {
            cells.push(Some(text));
            self.valid.push(true);
            self.check(|field, broken| field.check_text(text, broken));
            return;
        }
        match parse_as(self.field.ty, text, self.source) {
            Some(value) => self.push_value(&value),
            None => self.push_broken(self.field.not_of_type(text)),
        }
    }

    /// Adds a row's value, which is of the field's type.
    pub fn push_value(&mut self, value: &Value) {
        match (&mut self.cells, value) {
            (_, value) if is_missing(value) => return self.push_missing(),
            // Nothing behind meets it: no row check can compute with it, and it has no text.
            (_, value) if !value.as_ref().is_of_calendar() => {
                return self.push_broken(self.field.not_of_calendar(value.as_ref()));
            }
            (Cells::Utf8(cells), Value::Utf8(text)) => cells.push(Some(text)),
            _ => self.push_cell(value),
        }
        self.valid.push(true);
        match value {
            Value::Utf8(text) => self.check(|field, broken| field.check_text(text, broken)),
            _ => self.check(|field, broken| field.check_range(value.as_ref(), broken)),
        }
    }

    /// Adds a row that has no value because it breaks a rule.
    pub fn push_broken(&mut self, broken: Broken) {
        self.faults.push(Fault { row: self.valid.len(), field: Some(self.position), broken });
        self.push_null();
    }

    /// Adds a row of which nothing is known, and nothing expected.
    pub fn push_null(&mut self) {
        self.push_cell(&Value::Null);
        self.valid.push(false);
    }

    fn push_missing(&mut self) {
        match &self.field.default {
            Some(default) if !is_missing(default) => {
                // A default has passed the gate when the standard was read.
                self.push_cell(default);
                self.valid.push(true);
            }
            _ if self.field.required => self.push_broken(self.field.missing()),
            _ => self.push_null(),
        }
    }

    fn push_cell(&mut self, value: &Value) {
        match (&mut self.cells, value) {
            (Cells::Boolean(cells), Value::Boolean(b)) => cells.push(*b),
            (Cells::Int64(cells), Value::Int64(i)) => cells.push(*i),
            (Cells::Float64(cells), Value::Float64(x)) => cells.push(*x),
            (Cells::Utf8(cells), Value::Utf8(text)) => cells.push(Some(text)),
            (Cells::Date32(cells), Value::Date32(d)) => cells.push(*d),
            (Cells::Timestamp(cells), Value::Timestamp(t)) => cells.push(*t),
            (Cells::Boolean(cells), _) => cells.push(false),
            (Cells::Int64(cells) | Cells::Timestamp(cells), _) => cells.push(0),
            (Cells::Float64(cells), _) => cells.push(0.0),
            (Cells::Utf8(cells), _) => cells.push(None),
            (Cells::Date32(cells), _) => cells.push(0),
        }
    }

    /// Runs checks on the row that was added last.
    fn check(&mut self, run: impl FnOnce(&Field, &mut Vec<Broken>)) {
        let mut broken = Vec::new();
        run(self.field, &mut broken);
        let row = self.valid.len() - 1;
        let field = Some(self.position);
        self.faults.extend(broken.into_iter().map(|broken| Fault { row, field, broken }));
    }

    /// The filled column.
    pub fn finish(self) -> Result<ArrayRef, ArrowError> {
        let nulls = || NullBuffer::new(BooleanBuffer::from(self.valid.as_slice()));
        Ok(match self.cells {
            Cells::Boolean(cells) => Arc::new(BooleanArray::new(cells.into(), Some(nulls()))),
            Cells::Int64(cells) => Arc::new(Int64Array::new(cells.into(), Some(nulls()))),
            Cells::Float64(cells) => Arc::new(Float64Array::new(cells.into(), Some(nulls()))),
            Cells::Date32(cells) => Arc::new(Date32Array::new(cells.into(), Some(nulls()))),
            Cells::Timestamp(cells) => Arc::new(TimestampMicrosecondArray::new(cells.into(), Some(nulls()))),
            Cells::Utf8(cells) => cells.into_array()?,
        })
    }
}

/// Whether a value is none: of a text, blanks do not count.
fn is_missing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Utf8(text) => text.trim_matches(' ').is_empty(),
        _ => false,
    }
}

/// Text as a value of any type but utf8, in the notations of a source.
fn parse_as(ty: Type, text: &str, source: &Source) -> Option<Value> {
    match ty {
        Type::Date32 => match &source.date_format {
            Some(format) => format.date(text).map(Value::Date32),
            None => parse::date32(text).map(Value::Date32),
        },
        Type::Timestamp => match (&source.timestamp_format, &source.date_format) {
            (Some(format), _) => format.timestamp(text),
            (None, None) => parse::timestamp(text),
            (None, Some(format)) => parse::timestamp(text).or_else(|| format.timestamp(text)),
        }
        .map(Value::Timestamp),
        _ => parse::value(ty, text),
    }
}

/// Tokens of a column of texts.
pub(crate) fn tokenise(
    column: &ArrayRef,
    kind: &str,
    tokeniser: &Tokeniser,
) -> Result<ArrayRef, datafusion::common::DataFusionError> {
    let texts = datafusion::common::cast::as_string_array(column)?;
    let mut tokens = TextColumn::with_capacity(texts.len());
    for text in texts {
        match text {
            Some(text) => tokens.push_with(|out| tokeniser.write_token(kind, text, out)),
            None => tokens.push(None),
        }
    }
    Ok(tokens.into_array()?)
}
