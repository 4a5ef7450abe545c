//! A CSV file of a rulebook, as a spreadsheet saves it: trimmed cells that know their line.

use std::path::Path;

use tarim_datamart::{Place, Problem, SourceText, sheet};

/// A CSV file with a header.
#[derive(Clone, Debug)]
pub struct Csv {
    source: SourceText,
    header: Vec<String>,
    header_line: usize,
    lines: Vec<(usize, csv::StringRecord)>,
}

impl Csv {
    /// Reads a text. Empty lines are left out. There are no comments: a row that begins with `#` is a row.
    pub fn read(source: &SourceText) -> Result<Self, Problem> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(source.text().as_bytes());
        let mut lines = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| {
                let line = e.position().map_or(0, |p| p.line() as usize);
                let place = Place { file: source.path().into(), line };
                place.problem(format!("not CSV: {e}"), "save the sheet again as CSV UTF-8")
            })?;
            let line = record.position().map_or(0, |p| p.line() as usize);
            sheet::computed(&record, &Place { file: source.path().into(), line })?;
            // A spreadsheet saves empty rows as commas.
            if record.iter().any(|cell| !cell.is_empty()) {
                lines.push((line, record));
            }
        }
        if lines.is_empty() {
            return Err(Place::file(source.path())
                .problem("the file is empty", "write a header and at least one row"));
        }
        let (header_line, header) = lines.remove(0);
        let header: Vec<String> = header.iter().map(str::to_owned).collect();
        let this = Self { source: source.clone(), header, header_line, lines };
        for (i, name) in this.header.iter().enumerate() {
            if this.header[..i].contains(name) {
                return Err(this.header_place().problem(
                    format!("the column `{name}` stands twice in the header"),
                    "remove or rename one",
                ));
            }
        }
        for line in this.lines() {
            if line.record.len() != this.header.len() {
                return Err(line.place().problem(
                    format!("the row has {} cells, the header {}", line.record.len(), this.header.len()),
                    "put quotes around a cell that holds a comma, such as \"[0,10)\"; add missing cells",
                ));
            }
        }
        Ok(this)
    }

    /// Path relative to the rulebook.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Index of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|h| h == name)
    }

    pub fn header_place(&self) -> Place {
        Place { file: self.path().into(), line: self.header_line }
    }

    /// Rows below the header.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines.iter().map(|(line, record)| Line { csv: self, line: *line, record })
    }
}

/// One row.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    csv: &'a Csv,
    line: usize,
    record: &'a csv::StringRecord,
}

impl<'a> Line<'a> {
    /// Text of a cell, without spaces around it.
    pub fn cell(&self, column: usize) -> &'a str {
        &self.record[column]
    }

    pub fn place(&self) -> Place {
        Place { file: self.csv.path().into(), line: self.line }
    }
}
