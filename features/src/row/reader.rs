//! Reads a packed row.

use tarim_datamart::{Type, Value, ValueRef};

use super::{
    builder::{IN_ROW, NEVER, append_text},
    dictionary::Dictionary,
    layout::{Cell, Freshness, Layout, Slot, Uint},
};

/// One packed row with what is needed to read it. A NULL or stale column reads as None.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    layout: &'a Layout,
    bytes: &'a [u8],
    dictionary: &'a Dictionary,
    /// A bit per group.
    stale: u64,
}

/// A text as it stands in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextCell<'a> {
    /// Code in the row's dictionary.
    Code(u32),
    /// Kept in the row itself.
    Text(&'a str),
}

/// The same, of which nobody has seen yet whether it is a text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RawText<'a> {
    Code(u32),
    Bytes(&'a [u8]),
}

/// Why bytes are not a row.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RowError {
    #[error(
        "the row has {len} bytes, its layout needs {needed}: it was written for another schema; \
         materialise again"
    )]
    TooShort { len: usize, needed: usize },
    #[error(
        "the row is damaged: the text of column {column:?} is neither in the dictionary nor in the row, \
             or none of the column's codes"
    )]
    Text { column: String },
    #[error("the row is damaged: column {column:?} holds {value}, outside its range")]
    Range { column: String, value: i64 },
    #[error("the texts of the row exceed 2 GiB")]
    TooLong,
}

impl<'a> Row<'a> {
    /// A row to read at `now_us` (microseconds since 1970-01-01T00:00:00Z), which decides what is stale:
    /// a group whose time lies more than its freshness before it.
    ///
    /// Only the length is checked here. Bytes that come from outside the process (a file without a
    /// checksum, a journal) go through [`Row::verify`] once; a text that is out of bounds reads as NULL.
    #[inline]
    pub fn new(
        layout: &'a Layout,
        bytes: &'a [u8],
        dictionary: &'a Dictionary,
        now_us: i64,
    ) -> Result<Self, RowError> {
        if bytes.len() < layout.fixed_len() {
            return Err(RowError::TooShort { len: bytes.len(), needed: layout.fixed_len() });
        }
        let mut row = Self { layout, bytes, dictionary, stale: 0 };
        for Freshness { group, time_at, max_us } in layout.freshness() {
            // A time that was never set is as old as can be.
            let time = row.time(*time_at);
            row.stale |= u64::from(time == NEVER || now_us.saturating_sub(time) > *max_us) << group;
        }
        Ok(row)
    }

    /// Checks that every text can be read and every integer is in its range.
    pub fn verify(&self) -> Result<(), RowError> {
        for (i, c) in self.layout.columns().iter().enumerate() {
            let slot = self.layout.slot(i);
            if !self.is_set(slot) {
                continue;
            }
            if let Cell::Text { of } = slot.cell
                && !self.text_of(self.code(of)).is_some_and(|text| c.admits(text))
            {
                return Err(RowError::Text { column: c.name.clone() });
            }
            if let (Cell::Int { of, base }, Some((low, high))) = (slot.cell, c.range) {
                let value = self.integer(of, base);
                if !(low..=high).contains(&value) {
                    return Err(RowError::Range { column: c.name.clone(), value });
                }
            }
        }
        Ok(())
    }

    #[inline]
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    #[inline]
    pub fn dictionary(&self) -> &'a Dictionary {
        self.dictionary
    }

    /// When the values of a group were true; None for group 0 and for a time that was never set.
    pub fn group_time(&self, group: usize) -> Option<i64> {
        let at = self.layout.time_at(group)?;
        Some(self.time(at as u32)).filter(|t| *t != NEVER)
    }

    #[inline]
    fn time(&self, at: u32) -> i64 {
        let at = at as usize;
        i64::from_le_bytes(self.bytes[at..at + 8].try_into().expect("eight bytes"))
    }

    /// Whether a column reads as NULL because its group is older than its freshness.
    pub fn is_stale(&self, column: usize) -> bool {
        self.stale >> self.layout.slot(column).group & 1 == 1
    }

    /// The value of a column, NULL if it is stale.
    pub fn get(&self, column: usize) -> Value {
        self.get_ref(column).to_value()
    }

    /// As [`Row::get`], with the text where it stands.
    pub fn get_ref(&self, column: usize) -> ValueRef<'a> {
        let slot = self.layout.slot(column);
        match self.layout.ty(column) {
            Type::Boolean => self.bool_at(slot).map(ValueRef::Boolean),
            Type::Int64 => self.int_at(slot).map(ValueRef::Int64),
            Type::Float64 => self.float_at(slot).map(ValueRef::Float64),
            Type::Utf8 => self.text_at(slot).map(ValueRef::Utf8),
            // A cell of a date holds nothing but dates, unless it is damaged.
            Type::Date32 => self.int_at(slot).map(|days| ValueRef::Date32(days as i32)),
            Type::Timestamp => self.int_at(slot).map(ValueRef::Timestamp),
        }
        .unwrap_or(ValueRef::Null)
    }

    /// A boolean; None also if the column is of another type (so are all of these).
    pub fn bool(&self, column: usize) -> Option<bool> {
        self.bool_at(self.layout.slot(column))
    }

    pub fn int(&self, column: usize) -> Option<i64> {
        self.number(column, Type::Int64)
    }

    pub fn float(&self, column: usize) -> Option<f64> {
        self.float_at(self.layout.slot(column))
    }

    pub fn text(&self, column: usize) -> Option<&'a str> {
        self.text_at(self.layout.slot(column))
    }

    /// Days since 1970-01-01.
    pub fn date(&self, column: usize) -> Option<i32> {
        self.number(column, Type::Date32).map(|days| days as i32)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn timestamp(&self, column: usize) -> Option<i64> {
        self.number(column, Type::Timestamp)
    }

    fn number(&self, column: usize, ty: Type) -> Option<i64> {
        let is = self.layout.ty(column) == ty;
        is.then(|| self.int_at(self.layout.slot(column))).flatten()
    }

    /// The same, by a slot of this row's layout: what a compiled program reads by.
    #[inline]
    pub fn bool_at(&self, slot: Slot) -> Option<bool> {
        match slot.cell {
            Cell::Boolean { at, mask } if self.is_known(slot) => Some(self.bytes[at as usize] & mask != 0),
            _ => None,
        }
    }

    #[inline]
    pub fn int_at(&self, slot: Slot) -> Option<i64> {
        match slot.cell {
            Cell::Int { of, base } if self.is_known(slot) => Some(self.integer(of, base)),
            _ => None,
        }
    }

    #[inline]
    pub fn float_at(&self, slot: Slot) -> Option<f64> {
        match slot.cell {
            Cell::Float { of } if self.is_known(slot) => Some(f64::from_bits(of.read(self.bytes))),
            _ => None,
        }
    }

    #[inline]
    pub fn text_at(&self, slot: Slot) -> Option<&'a str> {
        match slot.cell {
            Cell::Text { of } if self.is_known(slot) => self.text_of(self.code(of)),
            _ => None,
        }
    }

    /// The text of a cell that is known, as it stands: by code, or in the row.
    #[inline]
    pub(crate) fn text_cell(&self, cell: Uint) -> Option<TextCell<'a>> {
        Some(match self.raw_text(cell)? {
            RawText::Code(code) => TextCell::Code(code),
            RawText::Bytes(bytes) => TextCell::Text(std::str::from_utf8(bytes).ok()?),
        })
    }

    #[inline]
    pub(crate) fn raw_text(&self, cell: Uint) -> Option<RawText<'a>> {
        let cell = self.code(cell);
        if cell & IN_ROW == 0 { Some(RawText::Code(cell)) } else { self.bytes_of(cell).map(RawText::Bytes) }
    }

    /// Whether the column of `slot` has a value that is not stale.
    #[inline]
    pub fn is_known(&self, slot: Slot) -> bool {
        self.is_set(slot) && self.stale >> slot.group & 1 == 0
    }

    /// Appends to `out` the same row with its texts in its own tail, so that it can be read with no more than the
    /// [layout's codes](Layout::codes). Group times are kept: read at the same time it gives the same values.
    pub fn to_self_contained(&self, out: &mut Vec<u8>) -> Result<(), RowError> {
        let start = out.len();
        out.extend_from_slice(&self.bytes[..self.layout.fixed_len()]);
        for &i in self.layout.texts() {
            let slot = self.layout.slot(i);
            if let Cell::Text { of } = slot.cell
                && self.is_set(slot)
            {
                let damaged = || RowError::Text { column: self.layout.columns()[i].name.clone() };
                let text = self.text_of(self.code(of)).ok_or_else(damaged)?;
                append_text(out, start, of, text).ok_or(RowError::TooLong)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn is_set(&self, slot: Slot) -> bool {
        self.bytes[slot.present as usize / 8] >> (slot.present % 8) & 1 == 1
    }

    #[inline]
    fn integer(&self, of: Uint, base: i64) -> i64 {
        base.wrapping_add(of.read(self.bytes) as i64)
    }

    /// A code, or where in the row the text is.
    #[inline]
    fn code(&self, of: Uint) -> u32 {
        of.read(self.bytes) as u32
    }

    fn text_of(&self, cell: u32) -> Option<&'a str> {
        if cell & IN_ROW == 0 {
            return self.dictionary.get(cell);
        }
        std::str::from_utf8(self.bytes_of(cell)?).ok()
    }

    /// The bytes of a text that is in the row.
    #[inline]
    fn bytes_of(&self, cell: u32) -> Option<&'a [u8]> {
        let start = (cell & !IN_ROW) as usize;
        let (len, tail) = self.bytes.get(start..)?.split_first_chunk::<4>()?;
        tail.get(..u32::from_le_bytes(*len) as usize)
    }

    /// A bit for each group, set if it is stale.
    #[inline]
    pub(crate) fn stale(&self) -> u64 {
        self.stale
    }
}
