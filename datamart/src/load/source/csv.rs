//! CSV, one record after the other, with its line in the file.
//!
//! The records are taken apart by csv-core, to which a line ends with a line feed, a carriage return, or both; so it does
//! here. What csv-core leaves open is a damaged line: a quote that is opened and not closed makes one record of many
//! lines, in the worst case of the rest of the file; a later quote in the same column may even make it one of the
//! right number of columns, and csv-core then takes the text behind that quote as the field's. A quote behind a blank
//! opens nothing to it: the quotes, and the delimiters between them, would be text. So a record that reaches over
//! several lines and has not the right number of columns, or text behind a closing quote, or a blank before an opening
//! one, or no end, is not believed: its first line alone is reported, and reading goes on with the next.

use std::fs::File;

use csv_core::{ReadRecordResult, ReaderBuilder};

use super::{
    Chunk, ReadError,
    decode::{Decoder, REPLACEMENT},
    text::Defect,
};
use crate::{
    gate::{Broken, rules},
    standards::Source,
};

/// A record of more bytes, without its last line's end, is taken for a quote that is never closed.
const LONGEST_RECORD: usize = 1 << 20;

pub(crate) struct Csv {
    decoder: Decoder,
    core: csv_core::Reader,
    delimiter: u8,
    quote: Option<u8>,
    /// Decoded text; what stands before `start` is done with.
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    /// Line that `start` stands in, from 1.
    line: u64,
    /// Whether a carriage return stands before `start`: it has ended the line, and a line feed behind it ends none.
    after_return: bool,
    /// Fields of the current record, one behind the other, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    columns: Vec<String>,
    /// Positions of the columns that are asked for.
    selected: Vec<usize>,
}

/// What is wrong with a record whose quotes do not fit.
const BEHIND_QUOTE: &str = "text stands behind a closing quote";
const BEFORE_QUOTE: &str = "a blank stands before an opening quote";

/// How the attempt to read a record ended.
enum Attempt {
    /// Length in bytes, and number of fields.
    Record(usize, usize),
    /// The text ends within a quote, or the record is longer than any.
    Unclosed,
    End,
}

impl Csv {
    pub fn open(file: File, source: &Source) -> Result<Self, ReadError> {
        let mut builder = ReaderBuilder::new();
        builder.delimiter(source.delimiter);
        match source.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        let mut csv = Self {
            decoder: Decoder::new(file, source.encoding),
            core: builder.build(),
            delimiter: source.delimiter,
            quote: source.quote,
            buffer: Vec::new(),
            start: 0,
            ended: false,
            line: 1,
            after_return: false,
            fields: vec![0; 4096],
            ends: vec![0; 64],
            columns: Vec::new(),
            selected: Vec::new(),
        };
        let first = csv.attempt()?;
        let (length, count) = match first {
            Attempt::Record(length, count) => (length, count),
            Attempt::End => return Err(ReadError::Empty),
            Attempt::Unclosed => return Err(ReadError::Header("a quote is opened and never closed".into())),
        };
        if source.header {
            if let Some(what) = csv.misquoted(length) {
                return Err(ReadError::Header(what.into()));
            }
            csv.columns = csv.record(count).map(|field| field.trim().to_owned()).collect();
            csv.pass(length);
        } else {
            csv.columns = (1..=count).map(|i| format!("c{i}")).collect();
        }
        Ok(csv)
    }

    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    pub fn bytes_read(&self) -> u64 {
        self.decoder.bytes_read
    }

    /// Asks for columns, by position.
    pub fn select(&mut self, positions: Vec<usize>) {
        self.selected = positions;
    }

    /// Reads up to `rows` rows; none are left when the chunk stays empty.
    pub fn read(&mut self, rows: usize, chunk: &mut Chunk) -> Result<(), ReadError> {
        chunk.clear(self.selected.len());
        while chunk.rows() < rows {
            match self.attempt()? {
                Attempt::End => break,
                Attempt::Unclosed => self.give_up("a quote is opened and never closed", chunk)?,
                Attempt::Record(length, count) => match self.damage(length, count) {
                    None => self.take(length, count, chunk),
                    Some(what) if self.lines_in(length) > 1 => {
                        self.give_up(&format!("{what}; is a quote not closed?"), chunk)?;
                    }
                    Some(what) => {
                        let line = self.text_of(length);
                        chunk.push_unreadable(self.line, line, row_broken(&what));
                        self.pass(length);
                    }
                },
            }
        }
        Ok(())
    }

    /// Adds the current record to the chunk.
    fn take(&mut self, length: usize, count: usize, chunk: &mut Chunk) {
        let raw = &self.buffer[self.start..self.start + length];
        if self.decoder.lossy && raw.windows(REPLACEMENT.len()).any(|w| w == REPLACEMENT) {
            let message = "the line has bytes that are no characters in this encoding".to_owned();
            let broken = Broken { rule: rules::ENCODING.into(), message };
            chunk.defects.push(Defect { row: chunk.rows(), broken, line: None });
        }
        let total = if count == 0 { 0 } else { self.ends[count - 1] };
        // The buffer is text and is cut at ASCII characters only.
        let text = std::str::from_utf8(&self.fields[..total]).unwrap_or_default();
        for (column, position) in chunk.columns.iter_mut().zip(&self.selected) {
            let begin = if *position == 0 { 0 } else { self.ends[position - 1] };
            column.push(text.get(begin..self.ends[*position]));
        }
        chunk.lines.push(self.line);
        self.pass(length);
    }

    /// Reports the first line of a record that is not believed and goes on behind it.
    fn give_up(&mut self, what: &str, chunk: &mut Chunk) -> Result<(), ReadError> {
        let rest = &self.buffer[self.start..];
        let end = rest.iter().position(|b| is_line_end(*b));
        let length = end.map_or(rest.len(), |end| end + 1);
        let what = match end {
            Some(end) if end <= LONGEST_RECORD => what,
            _ => "the line is longer than 1 MiB",
        };
        chunk.push_unreadable(self.line, self.text_of(length), row_broken(what));
        self.pass(length);
        if end.is_none() { self.pass_line() } else { Ok(()) }
    }

    /// Passes the rest of a line: what stands there is no row, however it looks.
    fn pass_line(&mut self) -> Result<(), ReadError> {
        while !self.ended {
            self.fill()?;
            if let Some(end) = self.buffer.iter().position(|b| is_line_end(*b)) {
                self.pass(end + 1);
                break;
            }
            self.pass(self.buffer.len());
        }
        Ok(())
    }

    /// Why a record is no row.
    fn damage(&self, length: usize, count: usize) -> Option<String> {
        match count == self.columns.len() {
            true => self.misquoted(length).map(str::to_owned),
            false => Some(format!("{count} columns, expected are {}", self.columns.len())),
        }
    }

    /// What is wrong with the quotes of a record. A quoted field begins and ends with its quotes; blanks behind it do not
    /// count.
    fn misquoted(&self, length: usize) -> Option<&'static str> {
        let raw = &self.buffer[self.start..self.start + length];
        let quote = self.quote.filter(|quote| raw.contains(quote))?;
        let blank = |b: &&u8| **b == b' ' && self.delimiter != b' ';
        let blanks = |text: &[u8]| text.iter().take_while(blank).count();
        let mut rest = raw;
        while let Some(first) = rest.first() {
            if *first == quote {
                let Some(behind) = behind_quoted(&rest[1..], quote) else { return Some(BEHIND_QUOTE) };
                rest = &behind[blanks(behind)..];
                if rest.first().is_some_and(|b| *b != self.delimiter && !is_line_end(*b)) {
                    return Some(BEHIND_QUOTE);
                }
            } else if rest.get(blanks(rest)) == Some(&quote) {
                return Some(BEFORE_QUOTE);
            }
            let Some(end) = rest.iter().position(|b| *b == self.delimiter) else { break };
            rest = &rest[end + 1..];
        }
        None
    }

    fn record(&self, count: usize) -> impl Iterator<Item = &str> {
        (0..count).map(|i| {
            let begin = if i == 0 { 0 } else { self.ends[i - 1] };
            std::str::from_utf8(&self.fields[begin..self.ends[i]]).unwrap_or_default()
        })
    }

    /// Takes the record at `start` apart without passing it.
    fn attempt(&mut self) -> Result<Attempt, ReadError> {
        loop {
            self.core.reset();
            // Empty lines are no rows, to csv-core neither.
            let empty = self.buffer[self.start..].iter().take_while(|b| is_line_end(**b)).count();
            self.pass(empty);
            let input = &self.buffer[self.start..];
            if input.is_empty() && !self.ended {
                // To csv-core, no input means the end.
                self.fill()?;
                continue;
            }
            let (result, length, _, count) = self.core.read_record(input, &mut self.fields, &mut self.ends);
            match result {
                // One that came into the buffer whole is not believed either: where it stands must not matter.
                ReadRecordResult::Record if length - 1 > LONGEST_RECORD => return Ok(Attempt::Unclosed),
                ReadRecordResult::Record => return Ok(Attempt::Record(length, count)),
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::End => return Ok(Attempt::End),
                ReadRecordResult::InputEmpty if self.ended || input.len() > LONGEST_RECORD => {
                    return Ok(Attempt::Unclosed);
                }
                ReadRecordResult::InputEmpty => self.fill()?,
            }
        }
    }

    fn fill(&mut self) -> Result<(), ReadError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if !self.decoder.fill(&mut self.buffer)? {
            self.ended = true;
            // The last line may lack its end.
            if self.buffer.last().is_some_and(|b| *b != b'\n') {
                self.buffer.push(b'\n');
            }
        }
        Ok(())
    }

    fn pass(&mut self, length: usize) {
        let passed = &self.buffer[self.start..self.start + length];
        let Some(last) = passed.last() else { return };
        self.line += ends_in(passed, self.after_return);
        self.after_return = *last == b'\r';
        self.start += length;
    }

    /// Lines that a record reaches over; the last one's end is part of it.
    fn lines_in(&self, length: usize) -> u64 {
        ends_in(&self.buffer[self.start..self.start + length], false)
    }

    fn text_of(&self, length: usize) -> String {
        let raw = &self.buffer[self.start..self.start + length];
        String::from_utf8_lossy(raw).trim_end_matches(['\n', '\r']).to_owned()
    }
}

/// What stands behind the closing quote of a text whose opening quote has been passed.
fn behind_quoted(mut rest: &[u8], quote: u8) -> Option<&[u8]> {
    loop {
        let end = rest.iter().position(|b| *b == quote)?;
        rest = &rest[end + 1..];
        match rest.first() {
            // Two quotes stand for one within the text.
            Some(b) if *b == quote => rest = &rest[1..],
            _ => return Some(rest),
        }
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Line ends in a text that may stand behind a carriage return: `\n`, `\r`, or the two as one.
fn ends_in(text: &[u8], after_return: bool) -> u64 {
    let count = |byte| text.iter().filter(|b| **b == byte).count();
    let (feeds, returns) = (count(b'\n'), count(b'\r'));
    let pairs = if returns == 0 { 0 } else { text.windows(2).filter(|pair| *pair == b"\r\n").count() };
    let begun = usize::from(after_return && text.first() == Some(&b'\n'));
    (feeds + returns - pairs - begun) as u64
}

fn row_broken(what: &str) -> Broken {
    Broken { rule: rules::ROW.into(), message: what.to_owned() }
}
