//! Rows of a source, as columns of text.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, StringArray},
    buffer::{Buffer, NullBuffer, OffsetBuffer},
    error::ArrowError,
};

use crate::gate::Broken;

/// Some consecutive rows of a source: only the columns that the mapping asks for.
#[derive(Default)]
pub(crate) struct Chunk {
    /// In the order in which they were asked for.
    pub columns: Vec<TextColumn>,
    /// Line (of Parquet: row) in the file, from 1, of each row.
    pub lines: Vec<u64>,
    /// What is wrong with rows before anything in them is looked at.
    pub defects: Vec<Defect>,
}

/// A row that is not as a row of its format must be.
pub(crate) struct Defect {
    pub row: usize,
    pub broken: Broken,
    /// The line itself, if it could not be taken apart into columns; the row's columns are then empty.
    pub line: Option<String>,
}

impl Chunk {
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Empties it, for `columns` columns.
    pub fn clear(&mut self, columns: usize) {
        self.columns.resize_with(columns, TextColumn::default);
        self.columns.iter_mut().for_each(TextColumn::clear);
        self.lines.clear();
        self.defects.clear();
    }

    /// Adds a row of which only the line is known.
    pub fn push_unreadable(&mut self, at: u64, line: String, broken: Broken) {
        self.defects.push(Defect { row: self.rows(), broken, line: Some(line) });
        self.columns.iter_mut().for_each(|column| column.push(None));
        self.lines.push(at);
    }
}

/// A column of texts in one buffer. A text is never empty: what is empty, or only blanks, is no value.
#[derive(Clone, Default)]
pub(crate) struct TextColumn {
    text: String,
    /// Where each value ends.
    ends: Vec<usize>,
    valid: Vec<bool>,
}

impl TextColumn {
    pub fn with_capacity(rows: usize) -> Self {
        Self { text: String::new(), ends: Vec::with_capacity(rows), valid: Vec::with_capacity(rows) }
    }

    pub fn get(&self, row: usize) -> Option<&str> {
        if !self.valid[row] {
            return None;
        }
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        Some(&self.text[start..self.ends[row]])
    }

    /// Adds a value without the blanks at both its ends.
    pub fn push(&mut self, value: Option<&str>) {
        let value = value.map_or("", |text| text.trim_matches(' '));
        self.text.push_str(value);
        self.ends.push(self.text.len());
        self.valid.push(!value.is_empty());
    }

    /// Lets `write` append a value to the column's buffer.
    pub fn push_with(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
        self.valid.push(true);
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.valid.clear();
    }

    /// As an Arrow array.
    pub fn into_array(self) -> Result<ArrayRef, ArrowError> {
        let offset = |end: usize| {
            i32::try_from(end)
                .map_err(|_| ArrowError::InvalidArgumentError("2 GiB of text in one batch".into()))
        };
        let mut offsets = Vec::with_capacity(self.ends.len() + 1);
        offsets.push(0);
        for end in &self.ends {
            offsets.push(offset(*end)?);
        }
        let nulls = NullBuffer::from(self.valid);
        let values = Buffer::from_vec(self.text.into_bytes());
        Ok(Arc::new(StringArray::try_new(OffsetBuffer::new(offsets.into()), values, Some(nulls))?))
    }
}
