//! Decision tables: rows of cells against inputs, with an explicit hit policy and three-valued matching.
//!
//! ```text
//!   inputs ─► keys ─► each row: TRUE, FALSE or unknown
//!   unique   the one row that matches          first   the first that does
//!   collect  sum, min, max or count of all that do
//! ```
//!
//! A row whose cell looks at an unknown value is unknown. If every way that the unknown rows could turn
//! out gives the same outputs, those are the answer; otherwise the table's answer is unknown. An engine
//! that skips such rows would grant an applicant whose age is missing what the next row down grants.
//!
//! An author who writes `null` in a column has said what unknown means there: in that column unknown is
//! a value like any other, and cells that do not name it do not match it.

mod analysis;
mod read;
#[cfg(test)]
mod tests;

use tarim_datamart::{Place, Type};
use tarim_features::expr::{Answers, ExprId};
use tarim_models::{cell::Cell, domain::Domain};

pub use self::{
    analysis::{Check, Gap, Overlap, analyse},
    read::{Header, TableText},
};
use super::{
    answer::{Out, What, Work},
    show::Show,
};
use crate::outcome::Effect;

/// Which of the rows that match is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// At most one row matches any input.
    Unique,
    /// The first in the file.
    First,
    /// All of them, aggregated.
    Collect,
}

/// How `collect` puts the values of an output together. Empty cells count for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collect {
    Sum,
    Min,
    Max,
    /// Number of rows that match.
    Count,
}

/// A decision table, ready to run. Its inputs are expressions 0, 1, 2, … of the step.
#[derive(Clone, Debug)]
pub struct Table {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub place: Place,
    pub hit: Hit,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
    pub rows: Vec<Row>,
    /// What it means that no row applies; None: outputs are NULL, nothing more.
    pub if_no_match: Option<Effect>,
    /// What an unknown answer means; None: outputs are NULL, nothing more.
    pub if_unknown: Option<Effect>,
    pub show: Vec<Show>,
}

/// An input column.
#[derive(Clone, Debug)]
pub struct Input {
    pub name: String,
    pub domain: Domain,
    /// Some cell of the column is `null`.
    pub names_null: bool,
}

/// An output column.
#[derive(Clone, Debug)]
pub struct Output {
    pub name: String,
    pub ty: Type,
    /// Of hit policy `collect` only.
    pub collect: Option<Collect>,
}

/// A row, its cells in the order of the inputs and of the outputs.
#[derive(Clone, Debug)]
pub struct Row {
    pub cells: Vec<Cell>,
    pub outs: Vec<Out>,
    pub place: Place,
}

/// What a table says.
#[derive(Debug, PartialEq)]
enum Answer {
    /// The outputs, written to `out`.
    Known,
    NoMatch,
    Unknown,
}

impl Table {
    pub(super) fn run(&self, answers: &impl Answers, work: &mut Work) {
        let mut keys = std::mem::take(&mut work.keys);
        keys.clear();
        keys.extend(self.inputs.iter().enumerate().map(|(i, c)| c.domain.ask(answers, ExprId(i as u32))));
        let answer = match self.hit {
            Hit::Unique => self.unique(&keys, &mut work.out),
            Hit::First => self.first(&keys, &mut work.out),
            Hit::Collect => self.collect(&keys, &mut work.out),
        };
        work.keys = keys;
        let (what, effect) = match answer {
            Answer::Known => return,
            Answer::NoMatch => (What::NoRow, self.if_no_match),
            Answer::Unknown => (What::Unknown, self.if_unknown),
        };
        if let Some(effect) = effect {
            work.find(what, effect);
        }
        work.out.clear();
        work.out.extend(self.outputs.iter().map(|o| match what {
            What::NoRow => o.of_nothing(),
            _ => Out::Null,
        }));
    }

    /// TRUE, FALSE or unknown (None).
    fn matches(&self, row: &Row, keys: &[Option<i64>]) -> Option<bool> {
        let mut known = Some(true);
        for ((cell, key), input) in row.cells.iter().zip(keys).zip(&self.inputs) {
            match cell.matches(*key) {
                Some(false) => return Some(false),
                None if input.names_null => return Some(false),
                None => known = None,
                Some(true) => {}
            }
        }
        known
    }

    /// Rows that match for certain (true) or perhaps (false).
    fn candidates(&self, keys: &[Option<i64>]) -> impl Iterator<Item = (bool, &Row)> {
        self.rows.iter().filter_map(|row| match self.matches(row, keys) {
            Some(true) => Some((true, row)),
            Some(false) => None,
            None => Some((false, row)),
        })
    }

    /// One row must match for certain, and none that could match may say anything else. So two rows that
    /// match (the check could not rule it out) are an answer only if they agree.
    fn unique(&self, keys: &[Option<i64>], out: &mut Vec<Out>) -> Answer {
        let mut certain = false;
        let mut said: Option<&Row> = None;
        for (sure, row) in self.candidates(keys) {
            certain |= sure;
            match said {
                Some(before) if before.outs != row.outs => return Answer::Unknown,
                _ => said = Some(row),
            }
        }
        match said {
            None => Answer::NoMatch,
            Some(_) if !certain => Answer::Unknown,
            Some(row) => {
                out.extend_from_slice(&row.outs);
                Answer::Known
            }
        }
    }

    /// The first row that matches for certain, unless one before it could match and say anything else.
    fn first(&self, keys: &[Option<i64>], out: &mut Vec<Out>) -> Answer {
        let mut said: Option<&Row> = None;
        for (sure, row) in self.candidates(keys) {
            if said.is_some_and(|before| before.outs != row.outs) {
                return Answer::Unknown;
            }
            if sure {
                out.extend_from_slice(&row.outs);
                return Answer::Known;
            }
            said = Some(row);
        }
        if said.is_some() { Answer::Unknown } else { Answer::NoMatch }
    }

    /// Aggregates of the certain rows, if the uncertain ones could not change any of them.
    fn collect(&self, keys: &[Option<i64>], out: &mut Vec<Out>) -> Answer {
        let (mut certain, mut perhaps) = (Vec::new(), Vec::new());
        for (sure, row) in self.candidates(keys) {
            if sure { certain.push(row) } else { perhaps.push(row) }
        }
        if certain.is_empty() {
            return if perhaps.is_empty() { Answer::NoMatch } else { Answer::Unknown };
        }
        for (i, output) in self.outputs.iter().enumerate() {
            let collect = output.collect.unwrap_or(Collect::Count);
            let cells = certain.iter().map(|r| r.outs[i]);
            let Some(total) = fold(collect, output.of_nothing(), cells) else { return Answer::Unknown };
            if perhaps.iter().any(|row| could_change(collect, total, row.outs[i])) {
                return Answer::Unknown;
            }
            out.push(total);
        }
        Answer::Known
    }
}

/// Could one more row with this cell change the total? If none of several rows could, no choice of them could.
fn could_change(collect: Collect, total: Out, cell: Out) -> bool {
    match (collect, cell) {
        (Collect::Count, _) => true,
        (_, Out::Null) => false,
        (Collect::Sum, Out::Int64(i)) => i != 0,
        (Collect::Sum, Out::Float64(x)) => x != 0.0,
        (Collect::Min, cell) => total == Out::Null || less(cell, total),
        (Collect::Max, cell) => total == Out::Null || less(total, cell),
        (Collect::Sum, _) => true,
    }
}

impl Output {
    /// What comes of no row at all: a sum or count of nothing is 0, anything else NULL.
    fn of_nothing(&self) -> Out {
        match (self.collect, self.ty) {
            (Some(Collect::Count), _) | (Some(Collect::Sum), Type::Int64) => Out::Int64(0),
            (Some(Collect::Sum), _) => Out::Float64(0.0),
            _ => Out::Null,
        }
    }
}

/// Aggregate of some cells; None if a sum of integers overflows.
fn fold(collect: Collect, of_nothing: Out, cells: impl Iterator<Item = Out>) -> Option<Out> {
    if collect == Collect::Count {
        return Some(Out::Int64(cells.count() as i64));
    }
    let mut total = of_nothing;
    for cell in cells {
        total = match (collect, total, cell) {
            (_, total, Out::Null) => total,
            (_, Out::Null, cell) => cell,
            (Collect::Sum, Out::Int64(a), Out::Int64(b)) => Out::Int64(a.checked_add(b)?),
            (Collect::Sum, Out::Float64(a), Out::Float64(b)) => Out::Float64(a + b),
            (Collect::Min, a, b) => {
                if less(b, a) {
                    b
                } else {
                    a
                }
            }
            (Collect::Max, a, b) => {
                if less(a, b) {
                    b
                } else {
                    a
                }
            }
            // The reader lets only numbers be summed, and an output has one type.
            (_, total, _) => total,
        };
    }
    Some(total)
}

fn less(a: Out, b: Out) -> bool {
    match (a, b) {
        (Out::Int64(a), Out::Int64(b)) | (Out::Timestamp(a), Out::Timestamp(b)) => a < b,
        (Out::Float64(a), Out::Float64(b)) => a < b,
        (Out::Date32(a), Out::Date32(b)) => a < b,
        _ => false,
    }
}
