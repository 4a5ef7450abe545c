//! NDJSON: one JSON object per line.
//!
//! Values become texts, which the gate reads as it reads those of CSV: a number as its exact decimal without an
//! exponent, an object or a list as its JSON.

use std::{fmt, fs::File};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;

use super::{
    Chunk, ReadError,
    decode::{Decoder, REPLACEMENT},
    json::{AnyValue, Members},
    text::Defect,
};
use crate::{
    gate::{Broken, rules},
    standards::Source,
};

/// A longer line is taken for a file that is no NDJSON.
const LONGEST_LINE: usize = 16 << 20;

pub(crate) struct Ndjson {
    decoder: Decoder,
    buffer: Vec<u8>,
    start: usize,
    line: u64,
    selected: Vec<String>,
    cells: Vec<Option<String>>,
}

impl Ndjson {
    pub fn open(file: File, source: &Source) -> Self {
        Self {
            decoder: Decoder::new(file, source.encoding),
            buffer: Vec::new(),
            start: 0,
            line: 0,
            selected: Vec::new(),
            cells: Vec::new(),
        }
    }

    pub fn bytes_read(&self) -> u64 {
        self.decoder.bytes_read
    }

    /// Asks for members of the objects, by name.
    pub fn select(&mut self, names: Vec<String>) {
        self.cells = vec![None; names.len()];
        self.selected = names;
    }

    /// Reads up to `rows` rows; none are left when the chunk stays empty.
    pub fn read(&mut self, rows: usize, chunk: &mut Chunk) -> Result<(), ReadError> {
        chunk.clear(self.selected.len());
        while chunk.rows() < rows {
            let Some(end) = self.next_line()? else { break };
            let line = &self.buffer[self.start..end];
            self.start = (end + 1).min(self.buffer.len());
            self.line += 1;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if self.decoder.lossy && line.windows(REPLACEMENT.len()).any(|w| w == REPLACEMENT) {
                let message = "the line has bytes that are no characters in this encoding".to_owned();
                let broken = Broken { rule: rules::ENCODING.into(), message };
                chunk.defects.push(Defect { row: chunk.rows(), broken, line: None });
            }
            self.cells.iter_mut().for_each(|cell| *cell = None);
            let mut json = serde_json::Deserializer::from_slice(line);
            let object = Object { names: &self.selected, cells: &mut self.cells, members: Members::of(line) };
            match object.deserialize(&mut json).and_then(|()| json.end()) {
                Ok(()) => {
                    for (column, cell) in chunk.columns.iter_mut().zip(&self.cells) {
                        column.push(cell.as_deref());
                    }
                    chunk.lines.push(self.line);
                }
                Err(e) => {
                    let text = String::from_utf8_lossy(line).trim_end().to_owned();
                    let broken = Broken { rule: rules::ROW.into(), message: no_object(&e) };
                    chunk.push_unreadable(self.line, text, broken);
                }
            }
        }
        Ok(())
    }

    /// Where the line at `start` ends; None at the end of the file.
    fn next_line(&mut self) -> Result<Option<usize>, ReadError> {
        let mut searched = self.start;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|b| *b == b'\n') {
                return Ok(Some(searched + end));
            }
            if self.buffer.len() - self.start > LONGEST_LINE {
                return Err(ReadError::LongLine { line: self.line + 1 });
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            searched = self.buffer.len();
            if !self.decoder.fill(&mut self.buffer)? {
                return Ok((!self.buffer.is_empty()).then_some(self.buffer.len()));
            }
        }
    }
}

/// Why a line is no object. In words of our own: serde_json quotes what it finds, which may be personal.
fn no_object(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => return "no JSON object: the line is a value of another kind".to_owned(),
        Category::Eof => "it is not complete",
        Category::Syntax | Category::Io => "it is no JSON",
    };
    // The column is within what was parsed, which is this one line.
    format!("no JSON object: {what}, column {}", error.column())
}

/// Reads an object into cells, leaving out members that nobody asked for.
struct Object<'a> {
    names: &'a [String],
    cells: &'a mut [Option<String>],
    /// The members' values as the line writes them.
    members: Members<'a>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let names = self.names;
        while let Some(position) = map.next_key_seed(Name(names))? {
            match position {
                Some(position) => {
                    let value = map.next_value_seed(AnyValue)?;
                    self.cells[position] = value.text(self.members.next_value());
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                    self.members.next_value();
                }
            }
        }
        Ok(())
    }
}

/// Position of a member's name among those asked for.
struct Name<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|n| n == name))
    }
}
