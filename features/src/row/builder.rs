//! Writes packed rows.

use std::sync::Arc;

use tarim_datamart::{Type, Value, ValueRef};

use super::layout::{Cell, Layout, Uint, end_of_range};

/// Set in a utf8 cell whose other bits are an offset into the row itself.
pub(super) const IN_ROW: u32 = 1 << 31;

/// Time of a group that was never set: as old as can be.
pub(super) const NEVER: i64 = i64::MIN;

/// Writes one packed row after the other; allocates nothing once warm.
///
/// Every column is NULL, and every group's time infinitely old, until set.
#[derive(Clone, Debug)]
pub struct RowBuilder {
    layout: Arc<Layout>,
    bytes: Vec<u8>,
}

/// Why a value cannot stand in a column.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum CellError {
    #[error("column {column:?} is {expected}; it was given {given}")]
    Type { column: String, expected: Type, given: Type },
    #[error(
        "column {column:?}: {value} is outside its range {low} to {high}; widen the range where it is declared"
    )]
    Range { column: String, value: Value, low: Value, high: Value },
    #[error("column {column:?}: {value:?} is none of its codes; add it where they are declared")]
    NotACode { column: String, value: String },
    #[error("column {column:?}: the texts of this row exceed 2 GiB")]
    TooLong { column: String },
    #[error(
        "column {column:?}: {code} is not a dictionary code (below 2^31), or is none of the column's own"
    )]
    Code { column: String, code: u32 },
}

impl RowBuilder {
    pub fn new(layout: &Arc<Layout>) -> Self {
        let mut builder = Self { layout: layout.clone(), bytes: Vec::with_capacity(layout.fixed_len()) };
        builder.clear();
        builder
    }

    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Starts the next row.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(self.layout.fixed_len(), 0);
        for group in 1..self.layout.groups().len() {
            self.set_group_time(group, NEVER);
        }
    }

    /// The row as it stands: copy it before `clear`.
    pub fn finish(&self) -> &[u8] {
        &self.bytes
    }

    /// Sets a column; a text goes into the row's own tail. To set NULL is to unset.
    pub fn set(&mut self, column: usize, value: &Value) -> Result<(), CellError> {
        self.set_ref(column, value.as_ref())
    }

    /// Sets a column to a borrowed value.
    pub fn set_ref(&mut self, column: usize, value: ValueRef<'_>) -> Result<(), CellError> {
        match value {
            ValueRef::Null => {
                self.set_null(column);
                Ok(())
            }
            ValueRef::Boolean(v) => self.set_bool(column, v),
            ValueRef::Int64(v) => self.set_int(column, v),
            ValueRef::Float64(v) => self.set_float(column, v),
            ValueRef::Utf8(v) => self.set_text(column, v),
            ValueRef::Date32(v) => self.set_date(column, v),
            ValueRef::Timestamp(v) => self.set_timestamp(column, v),
        }
    }

    pub fn set_null(&mut self, column: usize) {
        self.bytes[column / 8] &= !(1 << (column % 8));
    }

    pub fn set_bool(&mut self, column: usize, value: bool) -> Result<(), CellError> {
        let Cell::Boolean { at, mask } = self.layout.slot(column).cell else {
            return Err(self.mismatch(column, Type::Boolean));
        };
        let byte = &mut self.bytes[at as usize];
        *byte = if value { *byte | mask } else { *byte & !mask };
        self.present(column);
        Ok(())
    }

    #[inline]
    pub fn set_int(&mut self, column: usize, value: i64) -> Result<(), CellError> {
        self.set_number(column, Type::Int64, value)
    }

    /// Sets an integer, a date or a timestamp, whichever `ty` is.
    #[inline]
    fn set_number(&mut self, column: usize, ty: Type, value: i64) -> Result<(), CellError> {
        let described = &self.layout.columns()[column];
        let (Cell::Int { of, base }, true) = (self.layout.slot(column).cell, described.ty == ty) else {
            return Err(self.mismatch(column, ty));
        };
        if let Some((low, high)) = described.range
            && !(low..=high).contains(&value)
        {
            let [value, low, high] = [value, low, high].map(|end| end_of_range(ty, end));
            return Err(CellError::Range { column: described.name.clone(), value, low, high });
        }
        of.write(&mut self.bytes, value.wrapping_sub(base) as u64);
        self.present(column);
        Ok(())
    }

    pub fn set_float(&mut self, column: usize, value: f64) -> Result<(), CellError> {
        let Cell::Float { of } = self.layout.slot(column).cell else {
            return Err(self.mismatch(column, Type::Float64));
        };
        of.write(&mut self.bytes, value.to_bits());
        self.present(column);
        Ok(())
    }

    /// Sets a text: one of the column's codes, or, if it has none, any, kept in the row itself. (Setting it twice keeps
    /// both: a row is written once.)
    #[inline]
    pub fn set_text(&mut self, column: usize, value: &str) -> Result<(), CellError> {
        let Cell::Text { of } = self.layout.slot(column).cell else {
            return Err(self.mismatch(column, Type::Utf8));
        };
        let described = &self.layout.columns()[column];
        if described.codes.is_empty() {
            append_text(&mut self.bytes, 0, of, value)
                .ok_or_else(|| CellError::TooLong { column: described.name.clone() })?;
        } else {
            let code = self.layout.codes().code(value).filter(|code| self.layout.has_code(column, *code));
            let not = || CellError::NotACode { column: described.name.clone(), value: value.to_owned() };
            of.write(&mut self.bytes, code.ok_or_else(not)?.into());
        }
        self.present(column);
        Ok(())
    }

    /// Sets a text by its code in the dictionary that the row will be read with, which begins with the
    /// [layout's codes](Layout::codes).
    #[inline]
    pub fn set_text_code(&mut self, column: usize, code: u32) -> Result<(), CellError> {
        let Cell::Text { of } = self.layout.slot(column).cell else {
            return Err(self.mismatch(column, Type::Utf8));
        };
        let described = &self.layout.columns()[column];
        if code & IN_ROW != 0 || !(described.codes.is_empty() || self.layout.has_code(column, code)) {
            return Err(CellError::Code { column: described.name.clone(), code });
        }
        of.write(&mut self.bytes, code.into());
        self.present(column);
        Ok(())
    }

    /// Sets a date, in days since 1970-01-01.
    pub fn set_date(&mut self, column: usize, days: i32) -> Result<(), CellError> {
        self.set_number(column, Type::Date32, days.into())
    }

    /// Sets a time, in microseconds since 1970-01-01T00:00:00Z.
    #[inline]
    pub fn set_timestamp(&mut self, column: usize, us: i64) -> Result<(), CellError> {
        self.set_number(column, Type::Timestamp, us)
    }

    /// Says when a group's values were true, in microseconds since 1970-01-01T00:00:00Z. Group 0 has no
    /// time and ignores it.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn set_group_time(&mut self, group: usize, us: i64) {
        assert!(group < self.layout.groups().len(), "the row has no group {group}");
        if let Some(at) = self.layout.time_at(group) {
            self.bytes[at..at + 8].copy_from_slice(&us.to_le_bytes());
        }
    }

    fn present(&mut self, column: usize) {
        self.bytes[column / 8] |= 1 << (column % 8);
    }

    fn mismatch(&self, column: usize, given: Type) -> CellError {
        let c = &self.layout.columns()[column];
        CellError::Type { column: c.name.clone(), expected: c.ty, given }
    }
}

/// Appends `text` to a row, which begins at `row` in `bytes` and is the last thing there, and points its cell to it. None
/// if the row becomes too long.
pub(super) fn append_text(bytes: &mut Vec<u8>, row: usize, cell: Uint, text: &str) -> Option<()> {
    let start = u32::try_from(bytes.len() - row).ok().filter(|s| s & IN_ROW == 0)?;
    let len = u32::try_from(text.len()).ok()?;
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    cell.write(&mut bytes[row..], (start | IN_ROW).into());
    Some(())
}
