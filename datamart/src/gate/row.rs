//! The gate for a whole row: the `[[check]]`s of a table.

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{DataFusionError, cast::as_boolean_array},
    scalar::ScalarValue,
};

use super::Broken;
use crate::{
    Problem, Table, Type, Value,
    sql::{self, Compiled},
};

/// The compiled row checks of a table. Cheap to share; evaluating needs no session.
#[derive(Clone, Debug)]
pub struct RowChecks {
    schema: SchemaRef,
    types: Vec<Type>,
    checks: Vec<RowRule>,
}

#[derive(Clone, Debug)]
struct RowRule {
    id: String,
    /// Said of a row that breaks it.
    message: String,
    compiled: Compiled,
}

impl RowChecks {
    /// Compiles the checks of a table that [`crate::Standards::read`] returned, which has compiled them before.
    pub fn compile(table: &Table) -> Result<Self, Problem> {
        let schema = table.schema();
        let compile = |check: &crate::RowCheck| match sql::expression(&check.sql, &schema) {
            Ok(compiled) => {
                let message = format!("{} / {}", check.zh, check.en);
                Ok(RowRule { id: check.id.clone(), message, compiled })
            }
            Err(why) => Err(check.place.problem(
                format!("`{}` cannot be checked: {why}", check.sql),
                "use the fields of this table and DataFusion's SQL",
            )),
        };
        let checks = table.checks.iter().map(compile).collect::<Result<_, _>>()?;
        let types = table.fields.iter().map(|field| field.ty).collect();
        Ok(Self { schema, types, checks })
    }

    /// Whether the table has none.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// Every check that a row breaks. `row` has a value for each field of the table, in its order (`member`
    /// first), each NULL or of the field's type.
    pub fn check(&self, row: &[Value]) -> Vec<Broken> {
        let mut broken = Vec::new();
        if self.is_empty() {
            return broken;
        }
        let columns = row.iter().zip(&self.types).map(|(value, ty)| scalar(value, *ty).to_array());
        let batch = columns
            .collect::<Result<Vec<ArrayRef>, _>>()
            .and_then(|columns| Ok(RecordBatch::try_new(self.schema.clone(), columns)?));
        match batch {
            Ok(batch) => self.check_batch(&batch, |_, b| broken.push(b)),
            Err(e) => broken.push(Broken { rule: super::rules::TYPE.into(), message: sql::explain(&e) }),
        }
        broken
    }

    /// Tells `report` every check that a row of the batch breaks. A check whose computation fails (a cast, an
    /// overflow) is broken by the rows that it fails on.
    pub(crate) fn check_batch(&self, batch: &RecordBatch, mut report: impl FnMut(usize, Broken)) {
        for rule in &self.checks {
            match rule.failing(batch) {
                Ok(rows) => rows.into_iter().for_each(|row| report(row, rule.broken())),
                Err(_) => {
                    for row in 0..batch.num_rows() {
                        match rule.failing(&batch.slice(row, 1)) {
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
    /// Rows for which the check is FALSE.
    fn failing(&self, batch: &RecordBatch) -> Result<Vec<usize>, DataFusionError> {
        let answers = self.compiled.expr.evaluate(batch)?.into_array(batch.num_rows())?;
        let answers = as_boolean_array(&answers)?;
        Ok((0..answers.len()).filter(|row| answers.is_valid(*row) && !answers.value(*row)).collect())
    }

    fn broken(&self) -> Broken {
        Broken { rule: self.id.clone(), message: self.message.clone() }
    }

    /// What could not be computed is not repeated: the values may be personal.
    fn incomputable(&self) -> Broken {
        Broken { rule: self.id.clone(), message: format!("{} (it cannot be computed)", self.message) }
    }
}

/// As DataFusion takes it; NULL gets the field's type.
fn scalar(value: &Value, ty: Type) -> ScalarValue {
    match value {
        Value::Boolean(b) => ScalarValue::Boolean(Some(*b)),
        Value::Int64(i) => ScalarValue::Int64(Some(*i)),
        Value::Float64(x) => ScalarValue::Float64(Some(*x)),
        Value::Utf8(s) => ScalarValue::Utf8(Some(s.clone())),
        Value::Date32(d) => ScalarValue::Date32(Some(*d)),
        Value::Timestamp(t) => ScalarValue::TimestampMicrosecond(Some(*t), None),
        Value::Null => match ty {
            Type::Boolean => ScalarValue::Boolean(None),
            Type::Int64 => ScalarValue::Int64(None),
            Type::Float64 => ScalarValue::Float64(None),
            Type::Utf8 => ScalarValue::Utf8(None),
            Type::Date32 => ScalarValue::Date32(None),
            Type::Timestamp => ScalarValue::TimestampMicrosecond(None, None),
        },
    }
}
