//! The gate for a whole row: the `[[check]]`s of a table.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{DataFusionError, cast::as_boolean_array},
    physical_expr::{PhysicalExpr, utils::collect_columns},
    scalar::ScalarValue,
};

use super::Broken;
use crate::{
    Problem, Table, Type, Value, ValueRef,
    sql::{self, Compiled},
};

/// The compiled row checks of a table. Cheap to share; evaluating needs no session.
#[derive(Clone, Debug)]
pub struct RowChecks {
    types: Vec<Type>,
    checks: Vec<RowRule>,
}

#[derive(Clone, Debug)]
struct RowRule {
    id: String,
    /// Said of a row that breaks it.
    message: String,
    compiled: Compiled,
    /// Indices of the fields that it reads, and the same check over them alone.
    columns: Vec<usize>,
    narrow: Compiled,
    narrow_schema: SchemaRef,
    /// Whether it is broken when all of them are NULL; None: it reads nothing.
    of_nothing: Option<Option<Broken>>,
}

impl RowChecks {
    /// Compiles the checks of a table that [`crate::Standards::read`] returned, which has compiled them before.
    pub fn compile(table: &Table) -> Result<Self, Problem> {
        let schema = table.schema();
        let types: Vec<Type> = table.fields.iter().map(|field| field.ty).collect();
        let compile = |check: &crate::RowCheck| {
            RowRule::compile(check, &schema, &types).map_err(|why| {
                check.place.problem(
                    format!("`{}` cannot be checked: {why}", check.sql),
                    "use the fields of this table and DataFusion's SQL",
                )
            })
        };
        let checks = table.checks.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { types, checks })
    }

    /// Whether the table has none.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// What DataFusion has planned for each, over the columns of the table: for whoever can compute the same at a lower cost.
    pub fn planned(&self) -> impl Iterator<Item = &Arc<dyn PhysicalExpr>> {
        self.checks.iter().map(|rule| &rule.compiled.expr)
    }

    /// Those of them whose index is kept.
    pub fn only(&self, keep: impl Fn(usize) -> bool) -> Self {
        let kept = self.checks.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, rule)| rule.clone());
        Self { types: self.types.clone(), checks: kept.collect() }
    }

    /// Every check that a row breaks. `value` gives the value of a field of the table (in its order, `member`
    /// first), NULL or of the field's type.
    ///
    /// A check is evaluated over the columns that it reads, and if none of them is known not at all: what it
    /// makes of nothing is known beforehand.
    pub fn check<'v>(&self, value: impl Fn(usize) -> ValueRef<'v>) -> Vec<Broken> {
        let mut broken = Vec::new();
        for rule in &self.checks {
            broken.extend(match &rule.of_nothing {
                Some(of_nothing) if rule.columns.iter().all(|c| value(*c).is_null()) => of_nothing.clone(),
                _ => {
                    rule.check(|i| value(rule.columns[i]).to_value().into_scalar(self.types[rule.columns[i]]))
                }
            });
        }
        broken
    }

    /// Tells `report` every check that a row of the batch breaks. A check whose computation fails (a cast, an
    /// overflow) is broken by the rows that it fails on.
    pub(crate) fn check_batch(&self, batch: &RecordBatch, mut report: impl FnMut(usize, Broken)) {
        for rule in &self.checks {
            match failing(&rule.compiled, batch) {
                Ok(rows) => rows.into_iter().for_each(|row| report(row, rule.broken())),
                Err(_) => {
                    for row in 0..batch.num_rows() {
                        match failing(&rule.compiled, &batch.slice(row, 1)) {
                            Ok(rows) if rows.is_empty() => {}
                            Ok(_) => report(row, rule.broken()),
                            Err(_) => report(row, rule.incomputable()),
                        }
                    }
                }
            }
        }
    }
}

impl RowRule {
    fn compile(check: &crate::RowCheck, schema: &SchemaRef, types: &[Type]) -> Result<Self, String> {
        let compiled = sql::expression(&check.sql, schema)?;
        let mut columns: Vec<usize> = collect_columns(&compiled.expr).iter().map(|c| c.index()).collect();
        columns.sort_unstable();
        let narrow_schema = Arc::new(schema.project(&columns).map_err(|e| e.to_string())?);
        let narrow = sql::expression(&check.sql, &narrow_schema)?;
        let message = format!("{} / {}", check.zh, check.en);
        let mut rule = Self {
            id: check.id.clone(),
            message,
            compiled,
            columns,
            narrow,
            narrow_schema,
            of_nothing: None,
        };
        if !rule.columns.is_empty() {
            rule.of_nothing = Some(rule.check(|i| Value::Null.into_scalar(types[rule.columns[i]])));
        }
        Ok(rule)
    }

    /// Checks one row. `value` gives the value of each column that it reads.
    fn check(&self, value: impl Fn(usize) -> ScalarValue) -> Option<Broken> {
        let failing = || {
            let columns = (0..self.columns.len()).map(|i| value(i).to_array());
            let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
            let one_row = RecordBatchOptions::new().with_row_count(Some(1));
            let batch = RecordBatch::try_new_with_options(self.narrow_schema.clone(), columns, &one_row)?;
            failing(&self.narrow, &batch)
        };
        match failing() {
            Ok(rows) if rows.is_empty() => None,
            Ok(_) => Some(self.broken()),
            Err(_) => Some(self.incomputable()),
        }
    }

    fn broken(&self) -> Broken {
        Broken { rule: self.id.clone(), message: self.message.clone() }
    }

    /// What could not be computed is not repeated: the values may be personal.
    fn incomputable(&self) -> Broken {
        Broken { rule: self.id.clone(), message: format!("{} (it cannot be computed)", self.message) }
    }
}

/// Rows for which a check is FALSE.
fn failing(check: &Compiled, batch: &RecordBatch) -> Result<Vec<usize>, DataFusionError> {
    let answers = check.expr.evaluate(batch)?.into_array(batch.num_rows())?;
    let answers = as_boolean_array(&answers)?;
    Ok((0..answers.len()).filter(|row| answers.is_valid(*row) && !answers.value(*row)).collect())
}
