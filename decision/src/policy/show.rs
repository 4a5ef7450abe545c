//! Values that stand beside a reason.

use tarim_datamart::{Value, ValueRef};
use tarim_features::expr::ExprId;

/// One value to show.
#[derive(Clone, Debug, PartialEq)]
pub struct Show {
    /// As an analyst writes it: `customer.dpd_max`, `let.debt_to_income`.
    pub name: String,
    pub source: Source,
}

/// Where a shown value comes from. It is read when the reason is told, so that deciding costs nothing for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A column of a relation.
    Column { relation: usize, column: usize },
    /// An expression of the step.
    Expr(ExprId),
}

/// What a decision was made from.
pub trait Facts {
    /// A column's value, by index of relation and column, and whether it is NULL only because it was stale.
    fn column(&self, relation: usize, column: usize) -> (ValueRef<'_>, bool);

    /// What an expression of a step came to; the step by its index in the plan.
    fn expr(&self, step: usize, id: ExprId) -> Value;
}
