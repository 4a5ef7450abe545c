//! The columns of a batch as the rows of decisions.

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch},
    datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType},
};
use tarim_datamart::{Type, Value, ValueRef};
use tarim_features::{
    expr::{BatchAnswers, ExprId},
    spine::stale_column,
};

use super::BacktestError;
use crate::{
    policy::Facts,
    rulebook::{Relation, Rulebook},
};

/// One relation of a batch.
struct Given {
    /// By column of its layout; None: no step of the plan has computed it.
    columns: Vec<Option<ArrayRef>>,
    /// By group of its layout: whether its columns are stale; None for what is never stale.
    stale: Vec<Option<BooleanArray>>,
}

/// All relations of a batch, looked at row by row.
pub struct Rows<'a> {
    rulebook: &'a Rulebook,
    relations: Vec<Given>,
}

impl<'a> Rows<'a> {
    /// Finds the columns of a flat batch. What is given must be there; results of steps need not.
    pub fn of(rulebook: &'a Rulebook, batch: &RecordBatch) -> Result<Self, BacktestError> {
        let given = |relation: &Relation| {
            let column = |name: &str| {
                let name = format!("{}.{name}", relation.name);
                match batch.column_by_name(&name) {
                    None if relation.source.is_input() => Err(BacktestError::Column(name)),
                    found => Ok(found.cloned()),
                }
            };
            let columns =
                relation.layout.columns().iter().map(|c| column(&c.name)).collect::<Result<_, _>>()?;
            let stale = |group: &str| {
                batch.column_by_name(&stale_column(&relation.name, group)).map(|c| c.as_boolean().clone())
            };
            let stale = relation.layout.groups().iter().map(|g| stale(&g.name)).collect();
            Ok::<_, BacktestError>(Given { columns, stale })
        };
        Ok(Self { rulebook, relations: rulebook.relations().iter().map(given).collect::<Result<_, _>>()? })
    }

    /// One of the rows, with the answers of each step.
    pub fn row<'b>(&'b self, row: usize, answers: &'b [BatchAnswers]) -> RowFacts<'b> {
        RowFacts { rows: self, answers, row }
    }

    /// Is a group of a relation stale in a row?
    pub fn is_stale(&self, relation: usize, group: usize, row: usize) -> bool {
        self.relations[relation].stale[group].as_ref().is_some_and(|s| s.is_valid(row) && s.value(row))
    }

    /// A value; NULL if no step has computed it.
    pub fn value(&self, relation: usize, column: usize, row: usize) -> ValueRef<'_> {
        self.relations[relation].columns[column].as_ref().map_or(ValueRef::Null, |c| value(c, row))
    }
}

/// One row of a batch.
pub struct RowFacts<'a> {
    rows: &'a Rows<'a>,
    answers: &'a [BatchAnswers],
    row: usize,
}

impl Facts for RowFacts<'_> {
    fn column(&self, relation: usize, column: usize) -> (ValueRef<'_>, bool) {
        let group = self.rows.rulebook.relations()[relation].layout.columns()[column].group;
        let stale = self.rows.is_stale(relation, usize::from(group), self.row);
        (self.rows.value(relation, column, self.row), stale)
    }

    fn expr(&self, step: usize, id: ExprId) -> Value {
        value(self.answers[step].column(id), self.row).to_value()
    }
}

/// A value of a column.
///
/// # Panics
/// If the column is of none of the six types.
pub fn value(column: &ArrayRef, row: usize) -> ValueRef<'_> {
    if column.is_null(row) {
        return ValueRef::Null;
    }
    match Type::from_arrow(column.data_type()).expect("a column is of one of the six types") {
        Type::Boolean => ValueRef::Boolean(column.as_boolean().value(row)),
        Type::Int64 => ValueRef::Int64(column.as_primitive::<Int64Type>().value(row)),
        Type::Float64 => ValueRef::Float64(column.as_primitive::<Float64Type>().value(row)),
        Type::Utf8 => ValueRef::Utf8(column.as_string::<i32>().value(row)),
        Type::Date32 => ValueRef::Date32(column.as_primitive::<Date32Type>().value(row)),
        Type::Timestamp => ValueRef::Timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row)),
    }
}
