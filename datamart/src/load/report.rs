//! The quality report of a load, for people and for programs.

use std::{collections::BTreeMap, fmt};

use comfy_table::{CellAlignment, Table as Grid, presets};
use serde::Serialize;

use super::{admit::BadRow, quarantine};
use crate::mart::LoadRecord;

/// Examples that are kept of each rule.
const SAMPLES: usize = 3;

/// What a load did, and how good its data were.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    #[serde(flatten)]
    pub record: LoadRecord,
    /// The same file had been loaded before: nothing was changed. The record is that of the first load, and
    /// what follows is empty.
    pub already_loaded: bool,
    /// How many rows had a broken rule in a field.
    pub fields: BTreeMap<String, u64>,
    /// The first few rows of each rule.
    pub samples: BTreeMap<String, Vec<Sample>>,
    /// Fields that nothing in the file fills: all NULL.
    pub absent_fields: Vec<String>,
    /// Columns of the file that no field takes.
    pub ignored_columns: Vec<String>,
}

/// A row that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    pub line: u64,
    pub message: String,
}

/// Counts while a load runs.
#[derive(Default)]
pub(crate) struct Tally {
    pub rows: u64,
    pub good: u64,
    pub bad: u64,
    pub rules: BTreeMap<String, u64>,
    pub fields: BTreeMap<String, u64>,
    pub samples: BTreeMap<String, Vec<Sample>>,
}

impl Tally {
    pub fn add(&mut self, rows: usize, bad: &[BadRow]) {
        self.rows += rows as u64;
        self.bad += bad.len() as u64;
        self.good = self.rows - self.bad;
        for row in bad {
            for rule in quarantine::rules_of(row) {
                *self.rules.entry(rule.to_owned()).or_default() += 1;
                let samples = self.samples.entry(rule.to_owned()).or_default();
                let message =
                    row.broken.iter().find(|(_, broken)| broken.rule == rule).map(|(_, b)| &b.message);
                if samples.len() < SAMPLES
                    && let Some(message) = message
                {
                    samples.push(Sample { line: row.line, message: message.clone() });
                }
            }
            let mut fields: Vec<&String> =
                row.broken.iter().filter_map(|(field, _)| field.as_ref()).collect();
            fields.sort();
            fields.dedup();
            for field in fields {
                *self.fields.entry(field.clone()).or_default() += 1;
            }
        }
    }

    /// Bad rows in percent.
    pub fn bad_percent(&self) -> f64 {
        if self.rows == 0 { 0.0 } else { self.bad as f64 * 100.0 / self.rows as f64 }
    }
}

/// A few lines, a table of the rules that were broken, and where to see the rows that broke them.
impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = &self.record;
        write!(f, "{}", self.findings())?;
        if r.bad > 0 && !self.already_loaded {
            write!(
                f,
                "\n  see: tarim sql \"SELECT source_line, rules, broken, row FROM quarantine_{} WHERE load_id = '{}'\"",
                r.table, r.load_id
            )?;
        }
        Ok(())
    }
}

/// A report without where to see the rows: those of a load that was refused are nowhere.
pub(super) struct Findings<'a>(&'a LoadReport);

impl fmt::Display for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        let r = &report.record;
        if report.already_loaded {
            let when = crate::Value::Timestamp(r.loaded_at_us);
            return write!(
                f,
                "{} → {}: already loaded at {when} ({} good, {} quarantined); nothing was changed",
                r.file, r.table, r.good, r.bad
            );
        }
        write!(
            f,
            "{} → {}: {} rows, {} good, {} quarantined, in {:.1} s",
            r.file,
            r.table,
            r.rows,
            r.good,
            r.bad,
            r.duration_ms as f64 / 1000.0
        )?;
        if !report.absent_fields.is_empty() {
            write!(f, "\n  no column for: {} (NULL)", report.absent_fields.join(", "))?;
        }
        if !report.ignored_columns.is_empty() {
            write!(f, "\n  not taken: {}", report.ignored_columns.join(", "))?;
        }
        if r.bad > 0 {
            write!(f, "\n{}", report.rules_grid())?;
            if !report.fields.is_empty() {
                let mut worst: Vec<(&String, &u64)> = report.fields.iter().collect();
                worst.sort_by_key(|(field, count)| (std::cmp::Reverse(**count), *field));
                let worst: Vec<String> =
                    worst.iter().take(5).map(|(field, count)| format!("{field} ({count})")).collect();
                write!(f, "\n  worst fields: {}", worst.join(", "))?;
            }
        }
        Ok(())
    }
}

impl LoadReport {
    pub(super) fn findings(&self) -> Findings<'_> {
        Findings(self)
    }

    fn rules_grid(&self) -> Grid {
        let mut grid = Grid::new();
        grid.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(["rule", "rows", "line", "for example"]);
        let mut rules: Vec<(&String, &u64)> = self.record.rules.iter().collect();
        rules.sort_by_key(|(rule, count)| (std::cmp::Reverse(**count), *rule));
        for (rule, count) in rules {
            let samples = self.samples.get(rule).map(Vec::as_slice).unwrap_or_default();
            let lines: Vec<String> = samples.iter().map(|s| s.line.to_string()).collect();
            let messages: Vec<&str> = samples.iter().map(|s| s.message.as_str()).collect();
            grid.add_row([rule.clone(), count.to_string(), lines.join("\n"), messages.join("\n")]);
        }
        for column in [1, 2] {
            if let Some(column) = grid.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        grid
    }
}
