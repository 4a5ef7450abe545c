//! One file of the bank: rows in, text out, a known share of them spoiled.
//!
//! A row is cells in one reused buffer; nothing is allocated per row. (The csv crate would do, but it
//! runs unoptimised in the dev profile, where it takes longer than making the bank.)

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use crate::{
    calendar::{Day, Time},
    dice::Dice,
    planted::{Plant, Planted},
};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Header, this delimiter, UTF-8.
    Csv(char),
    /// As [`Format::Csv`], in GB18030.
    Gb18030(char),
    /// One JSON object per line; empty cells are null.
    Ndjson,
}

/// How a cell can be spoiled, and so which rule of the quality gate it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// 30 February: rule `type`.
    Date,
    /// A wrong check character: rule `gb11643` or `gb32100`.
    Check(&'static str),
    /// A code that no list has: rule `codes` or `mapping`.
    Code(&'static str),
    /// A letter among the digits: rule `type`, or `scale` where the standard multiplies a decimal.
    Number(&'static str),
    /// Nothing in a required field: rule `required`.
    Missing,
    /// The row stands twice: rule `key`.
    Twice,
}

impl Spoil {
    fn rule(self) -> &'static str {
        match self {
            Spoil::Date => "type",
            Spoil::Check(rule) | Spoil::Code(rule) | Spoil::Number(rule) => rule,
            Spoil::Missing => "required",
            Spoil::Twice => "key",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Spoil::Date => "impossible_date",
            Spoil::Check(_) => "bad_checksum",
            Spoil::Code(_) => "unknown_code",
            Spoil::Number(_) => "not_a_number",
            Spoil::Missing => "missing",
            Spoil::Twice => "duplicate_key",
        }
    }

    /// The cell, spoiled.
    fn spoiled(self, cell: &str) -> String {
        match self {
            Spoil::Date => match cell.contains('-') {
                true => format!("{}-02-30{}", &cell[..4], &cell[10..]),
                false => format!("{}0230", &cell[..4]),
            },
            Spoil::Check(_) => {
                let last = if cell.ends_with('0') { "1" } else { "0" };
                format!("{}{last}", &cell[..cell.len() - 1])
            }
            Spoil::Code(_) => "??".into(),
            Spoil::Number(_) => format!("{}O", &cell[..cell.len() - 1]),
            Spoil::Missing => String::new(),
            Spoil::Twice => cell.into(),
        }
    }
}

/// What a file is.
pub struct Form {
    pub file: &'static str,
    pub format: Format,
    /// Column names, in order. Those that end in `#` are numbers in NDJSON (the `#` is not written).
    pub columns: &'static [&'static str],
    /// Which cells can be spoiled, and how.
    pub spoils: &'static [(&'static str, Spoil)],
}

/// A file being written.
pub struct Sheet {
    form: &'static Form,
    out: BufWriter<File>,
    cells: String,
    ends: Vec<usize>,
    line: String,
    /// As [`Sheet::rows`] counts them.
    rows: u64,
    planted: u64,
    written: u64,
    bytes: u64,
    cutoff: Time,
    dirt: Dice,
    dirty: f64,
}

impl Sheet {
    /// Creates `folder/form.file` and writes its header.
    pub fn create(
        folder: &Path,
        form: &'static Form,
        cutoff: Time,
        dirt: Dice,
        dirty: f64,
    ) -> io::Result<Self> {
        let mut sheet = Self {
            form,
            out: BufWriter::with_capacity(1 << 16, File::create(folder.join(form.file))?),
            cells: String::new(),
            ends: Vec::with_capacity(form.columns.len()),
            line: String::new(),
            rows: 0,
            planted: 0,
            written: 0,
            bytes: 0,
            cutoff,
            dirt,
            dirty,
        };
        if form.format != Format::Ndjson {
            for column in form.columns {
                sheet.text(column);
            }
            sheet.write_row()?;
            sheet.ends.clear();
            sheet.cells.clear();
            sheet.written = 0;
        }
        Ok(sheet)
    }

    /// Adds a text cell.
    pub fn text(&mut self, cell: &str) -> &mut Self {
        self.cells.push_str(cell);
        self.close()
    }

    /// Adds an empty cell.
    pub fn none(&mut self) -> &mut Self {
        self.close()
    }

    /// Adds a whole number.
    pub fn int(&mut self, cell: i64) -> &mut Self {
        let _ = write!(self.cells, "{cell}");
        self.close()
    }

    /// Adds fen as decimal CNY.
    pub fn yuan(&mut self, fen: i64) -> &mut Self {
        let _ = write!(self.cells, "{}.{:02}", fen / 100, fen % 100);
        self.close()
    }

    /// Adds a number with three decimals.
    pub fn ratio(&mut self, cell: f64) -> &mut Self {
        let _ = write!(self.cells, "{cell:.3}");
        self.close()
    }

    /// Adds true or false.
    pub fn flag(&mut self, cell: bool) -> &mut Self {
        self.text(if cell { "true" } else { "false" })
    }

    /// Adds a day in ISO 8601.
    pub fn day(&mut self, cell: Day) -> &mut Self {
        self.text(cell.iso())
    }

    /// Adds a day as eight digits.
    pub fn compact_day(&mut self, cell: Day) -> &mut Self {
        self.cells.extend(cell.iso().chars().filter(|c| *c != '-'));
        self.close()
    }

    /// Adds a time in ISO 8601, UTC.
    pub fn time(&mut self, cell: Time) -> &mut Self {
        let _ = write!(self.cells, "{cell}");
        self.close()
    }

    fn close(&mut self) -> &mut Self {
        self.ends.push(self.cells.len());
        self
    }

    /// Adds the time at which the bank knew the row, and ends it. A row that is not known yet on the
    /// bank's last day is not written.
    pub fn known(&mut self, known_at: Time, planted: &mut Planted) -> io::Result<()> {
        self.time(known_at);
        if known_at > self.cutoff {
            self.cells.clear();
            self.ends.clear();
            return Ok(());
        }
        self.end(planted)
    }

    /// Ends a row that is known later than the bank's last day, and written all the same.
    pub fn known_later(&mut self, known_at: Time, planted: &mut Planted) -> io::Result<()> {
        self.time(known_at);
        self.end(planted)
    }

    /// Adds the time at which the bank knew a planted row, and ends it: never spoiled, and neither counted nor
    /// drawn for, so that the numbers and the dirt of all other rows are what they would be without it.
    pub fn known_planted(&mut self, known_at: Time) -> io::Result<()> {
        self.time(known_at);
        self.write_row()?;
        self.planted += 1;
        self.cells.clear();
        self.ends.clear();
        Ok(())
    }

    /// A row that, for something planted, is not written: counted and drawn for as if it were, so that all
    /// other rows are what they would be with it.
    pub fn leave_out(&mut self, known_at: Time) {
        if known_at <= self.cutoff {
            let twice = self.spoil().is_some_and(|(_, spoil)| *spoil == Spoil::Twice);
            self.rows += 1 + u64::from(twice);
        }
    }

    fn end(&mut self, planted: &mut Planted) -> io::Result<()> {
        debug_assert_eq!(self.ends.len(), self.form.columns.len(), "{}", self.form.file);
        let form = self.form;
        if let Some(&(column, spoil)) = self.spoil() {
            let at = form.columns.iter().position(|c| *c == column).expect("a column of the file");
            // An empty cell cannot be spoiled: the row then stays clean.
            if !self.cell(at).is_empty() {
                let key = self.cell(1).to_owned();
                if spoil == Spoil::Twice {
                    self.write_row()?;
                    self.rows += 1;
                } else {
                    self.replace(at, &spoil.spoiled(self.cell(at)));
                }
                let header = u64::from(form.format != Format::Ndjson);
                planted.note(Plant {
                    kind: spoil.name(),
                    member: self.cell(0),
                    table: form.file.split('.').next().unwrap_or_default(),
                    key: &key,
                    cluster: "",
                    detail: &format!("line {}, {column}: rule {}", self.written + 1 + header, spoil.rule()),
                })?;
            }
        }
        self.write_row()?;
        self.rows += 1;
        self.cells.clear();
        self.ends.clear();
        Ok(())
    }

    /// How the row is spoiled, if it is.
    fn spoil(&mut self) -> Option<&'static (&'static str, Spoil)> {
        // Drawn for each row whatever `dirty` is, so that a cleaner bank is the same bank.
        let (draw, which) = (self.dirt.unit(), self.dirt.unit());
        match draw < self.dirty {
            true => self.form.spoils.get((which * self.form.spoils.len() as f64) as usize),
            false => self.first_of_its_kind(),
        }
    }

    /// Each way of spoiling shows early in the file at least once, however small the bank.
    fn first_of_its_kind(&self) -> Option<&'static (&'static str, Spoil)> {
        let nth = self.rows.checked_sub(25)?;
        (self.dirty > 0.0 && nth % 5 == 0).then(|| self.form.spoils.get((nth / 5) as usize))?
    }

    fn cell(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.cells[start..self.ends[at]]
    }

    fn replace(&mut self, at: usize, cell: &str) {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        let old = self.ends[at];
        self.cells.replace_range(start..old, cell);
        for end in &mut self.ends[at..] {
            *end = *end - (old - start) + cell.len();
        }
    }

    fn write_row(&mut self) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        match self.form.format {
            Format::Csv(delimiter) | Format::Gb18030(delimiter) => {
                for at in 0..self.ends.len() {
                    if at > 0 {
                        line.push(delimiter);
                    }
                    push_csv(&mut line, self.cell(at), delimiter);
                }
            }
            Format::Ndjson => {
                for (at, column) in self.form.columns.iter().enumerate() {
                    line.push(if at == 0 { '{' } else { ',' });
                    push_json(&mut line, column, self.cell(at));
                }
                line.push('}');
            }
        }
        line.push('\n');
        let written = match self.form.format {
            Format::Gb18030(_) => {
                let (bytes, _, _) = encoding_rs::GB18030.encode(&line);
                self.out.write_all(&bytes)?;
                bytes.len()
            }
            _ => {
                self.out.write_all(line.as_bytes())?;
                line.len()
            }
        };
        self.line = line;
        self.written += 1;
        self.bytes += written as u64;
        Ok(())
    }

    /// Rows so far, for numbering them: without the header, and as if nothing had been planted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Planted rows so far.
    pub fn planted(&self) -> u64 {
        self.planted
    }

    /// Flushes the file; rows and bytes.
    pub fn finish(mut self) -> io::Result<(u64, u64)> {
        self.out.flush()?;
        Ok((self.written, self.bytes))
    }
}

fn push_csv(line: &mut String, cell: &str, delimiter: char) {
    if cell.contains([delimiter, '"', '\n', '\r']) {
        line.push('"');
        line.push_str(&cell.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(cell);
    }
}

fn push_json(line: &mut String, column: &str, cell: &str) {
    let (name, number) = match column.strip_suffix('#') {
        Some(name) => (name, true),
        None => (column, false),
    };
    let _ = write!(line, "\"{name}\":");
    match () {
        () if cell.is_empty() => line.push_str("null"),
        // A spoiled number is text, as a source that is wrong would send it.
        () if number && cell.parse::<f64>().is_ok() => line.push_str(cell),
        () => line.push_str(&serde_json::Value::from(cell).to_string()),
    }
}
