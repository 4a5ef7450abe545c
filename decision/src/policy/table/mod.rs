//! Decision tables: rows of cells against inputs, with an explicit hit policy and three-valued matching.
//!
//! ```text
//!   inputs ─► keys ─► each row: TRUE, FALSE or unknown        (found by the index)
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
mod hit;
mod index;
mod read;
#[cfg(test)]
mod scan;
#[cfg(test)]
mod tests;

use tarim_datamart::{Place, Type};
use tarim_features::expr::{Answers, ExprId};
use tarim_models::{cell::Cell, domain::Domain};

use self::index::Index;
pub use self::{
    analysis::{Check, Gap, Overlap, analyse},
    index::Pick,
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
    /// Made of the rows, which a run then looks at only where the index is not exact.
    index: Index,
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
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// The outputs, written to `out`.
    Known,
    NoMatch,
    Unknown,
}

impl Table {
    #[inline(never)]
    pub(super) fn run(&self, answers: &impl Answers, work: &mut Work) {
        let key = |i: usize| self.inputs[i].domain.ask(answers, ExprId(i as u32));
        let Work { keys, picks, out, .. } = work;
        match self.answer(key, keys, picks, out) {
            Answer::Known => {}
            Answer::NoMatch => self.find(What::NoRow, self.if_no_match, work),
            Answer::Unknown => self.find(What::Unknown, self.if_unknown, work),
        }
    }

    /// There is no answer.
    #[inline(never)]
    fn find(&self, what: What, effect: Option<Effect>, work: &mut Work) {
        if let Some(effect) = effect {
            work.find(what, effect);
        }
        work.out.truncate(work.began);
        work.out.extend(self.outputs.iter().map(|o| match what {
            What::NoRow => o.of_nothing(),
            _ => Out::Null,
        }));
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
