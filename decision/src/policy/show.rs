//! Values that stand beside a reason.

use tarim_datamart::Value;
use tarim_features::expr::{Answers, ExprId};

use crate::outcome::NamedValue;

/// One value to show.
#[derive(Clone, Debug, PartialEq)]
pub struct Show {
    /// As an analyst writes it: `customer.dpd_max`, `let.debt_to_income`.
    pub name: String,
    pub source: Source,
}

/// Where a shown value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A column of a relation: read when the reason is rendered, so that a rule that does not fire costs nothing.
    Column { relation: usize, column: usize },
    /// An expression of the step, taken when the rule fires.
    Expr(ExprId),
}

/// The rows that a decision was made from, by index of relation and column.
pub trait Facts {
    /// A column's value, and whether it is NULL only because it was stale.
    fn column(&self, relation: usize, column: usize) -> (Value, bool);
}

impl Show {
    /// The value, if it is one that must be taken now.
    pub(super) fn take(&self, answers: &impl Answers) -> Option<Value> {
        match self.source {
            Source::Column { .. } => None,
            Source::Expr(id) => Some(answers.value(id)),
        }
    }
}

/// Puts names to the values of `shows`; `taken` are those that were taken when the step ran.
pub(super) fn render(shows: &[Show], taken: &[Value], facts: &impl Facts) -> Vec<NamedValue> {
    let mut taken = taken.iter();
    shows
        .iter()
        .map(|show| {
            let (value, stale) = match show.source {
                Source::Column { relation, column } => facts.column(relation, column),
                Source::Expr(_) => (taken.next().cloned().unwrap_or_default(), false),
            };
            NamedValue { name: show.name.clone(), value, stale }
        })
        .collect()
}
