//! A check as an expression: DataFusion's SQL in Tarim's words, where both mean the same.
//!
//! Checks are all of DataFusion's SQL and mean what it makes of them, for files are loaded by them. Expressions are another
//! dialect, and what both can say need not be the same: where integers overflow, something is divided by zero or a
//! cast fails, a check "cannot be computed" and an expression is NULL. So the text of a check is not read once more.
//! What DataFusion has planned of it is, and of that only:
//!
//! | node | because |
//! |---|---|
//! | fields, constants | they are what they are; a constant is what DataFusion makes of it, casts and all |
//! | `=` `<>` `<` `<=` `>` `>=` `IS [NOT] DISTINCT FROM` | both sides are of one of the six types, written out in the plan. Floats differ only at NaN and −0, which [`super`] looks out for |
//! | `AND` `OR` `NOT` `IS …` `BETWEEN` `CASE` | three-valued alike, and nothing in them can fail, so that their order is nothing |
//! | `IN`, `LIKE`, of constants | the engines of expressions have them of DataFusion |
//! | int64 → float64 | rounded alike |
//! | date32 → timestamp | so a check compares them ([`tarim_datamart::times`]). What has more microseconds than can be counted, [`super`] looks out for |
//!
//! A personal field is a token where an expression reads it. So it may only be asked for being there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{DataType, Schema, SchemaRef, TimeUnit},
};
use datafusion::{
    logical_expr::{ColumnarValue, Operator},
    physical_expr::{
        PhysicalExpr,
        expressions::{
            BinaryExpr, CaseExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal,
            NegativeExpr, NotExpr, TryCastExpr,
        },
    },
    scalar::ScalarValue,
};
use tarim_datamart::{Place, Problem, Table, Type, Value, ValueRef};
use tarim_features::expr::{Checked, Scope};

/// Relations that the expression reads.
pub const APPLICATION: &str = "application";
pub const REQUEST: &str = "request";
/// Its constants are parameters: a value needs no words then.
const CONSTANTS: &str = "constant";

/// A check in Tarim's words.
pub struct Plain {
    sql: String,
    constants: Vec<(Type, Value)>,
    /// Indices of the fields that it reads of which it matters whether they are [`odd`].
    pub watched: BTreeSet<usize>,
}

impl Plain {
    /// None: it has something that is not known to mean the same.
    pub fn of(check: &Arc<dyn PhysicalExpr>, table: &Table) -> Option<Self> {
        let mut writer =
            Writer { table, schema: table.schema(), constants: Vec::new(), watched: BTreeSet::new() };
        let sql = writer.write(check)?;
        Some(Self { sql, constants: writer.constants, watched: writer.watched })
    }

    /// The expression, compiled.
    pub fn checked(&self, scope: &Scope, place: &Place) -> Result<Checked, Problem> {
        let mut scope = scope.clone();
        let mut values = BTreeMap::new();
        for (i, (ty, value)) in self.constants.iter().enumerate() {
            scope.declare_parameter(CONSTANTS, &name(i), *ty, place)?;
            values.insert(name(i), value.clone());
        }
        scope.parse(&self.sql, place)?.with(&values)
    }
}

fn name(constant: usize) -> String {
    format!("c{constant}")
}

struct Writer<'t> {
    table: &'t Table,
    schema: SchemaRef,
    constants: Vec<(Type, Value)>,
    watched: BTreeSet<usize>,
}

impl Writer<'_> {
    fn write(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            return if self.table.fields[column.index()].personal { None } else { Some(self.field(column)) };
        }
        if is_constant(expr) {
            return self.constant(expr);
        }
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            let (left, right) = (self.write(binary.left())?, self.write(binary.right())?);
            return Some(format!("({left} {} {right})", operator(*binary.op())?));
        }
        if let Some(not) = expr.downcast_ref::<NotExpr>() {
            return Some(format!("(NOT {})", self.write(not.arg())?));
        }
        if let Some(null) = expr.downcast_ref::<IsNullExpr>() {
            return Some(format!("({} IS NULL)", self.asked_for(null.arg())?));
        }
        if let Some(known) = expr.downcast_ref::<IsNotNullExpr>() {
            return Some(format!("({} IS NOT NULL)", self.asked_for(known.arg())?));
        }
        if let Some(list) = expr.downcast_ref::<InListExpr>() {
            let not = if list.negated() { "NOT " } else { "" };
            let x = self.write(list.expr())?;
            let constants: Option<Vec<String>> = list.list().iter().map(|c| self.constant(c)).collect();
            return Some(format!("({x} {not}IN ({}))", constants?.join(", ")));
        }
        if let Some(like) = expr.downcast_ref::<LikeExpr>().filter(|like| !like.case_insensitive()) {
            let not = if like.negated() { "NOT " } else { "" };
            return Some(format!(
                "({} {not}LIKE {})",
                self.write(like.expr())?,
                self.constant(like.pattern())?
            ));
        }
        if let Some(case) = expr.downcast_ref::<CaseExpr>() {
            return self.case(case);
        }
        self.cast(expr.downcast_ref::<CastExpr>()?)
    }

    fn cast(&mut self, cast: &CastExpr) -> Option<String> {
        use DataType::{Date32, Float64, Int64, Timestamp};
        use TimeUnit::Microsecond;
        let inner = self.write(cast.expr())?;
        match (cast.expr().data_type(&self.schema).ok()?, cast.cast_type()) {
            (Int64, Float64) => Some(format!("CAST({inner} AS DOUBLE)")),
            (Date32, Timestamp(Microsecond, None)) => {
                self.watched.insert(cast.expr().downcast_ref::<Column>()?.index());
                Some(format!("CAST({inner} AS TIMESTAMP)"))
            }
            _ => None,
        }
    }

    fn field(&mut self, column: &Column) -> String {
        let field = &self.table.fields[column.index()];
        if field.ty == Type::Float64 {
            self.watched.insert(column.index());
        }
        let relation = if super::is_member(field) { REQUEST } else { APPLICATION };
        format!("{relation}.\"{}\"", field.name)
    }

    /// What is only asked for being there. A token is there where its text is.
    fn asked_for(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
        match expr.downcast_ref::<Column>() {
            Some(column) => Some(self.field(column)),
            None => self.write(expr),
        }
    }

    fn case(&mut self, case: &CaseExpr) -> Option<String> {
        let mut sql = "(CASE".to_owned();
        if let Some(operand) = case.expr() {
            sql += &format!(" {}", self.write(operand)?);
        }
        for (when, then) in case.when_then_expr() {
            sql += &format!(" WHEN {} THEN {}", self.write(when)?, self.write(then)?);
        }
        if let Some(otherwise) = case.else_expr() {
            sql += &format!(" ELSE {}", self.write(otherwise)?);
        }
        Some(sql + " END)")
    }

    /// A constant as DataFusion computes it.
    fn constant(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
        if !is_constant(expr) {
            return None;
        }
        let one_row = RecordBatchOptions::new().with_row_count(Some(1));
        let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one_row).ok()?;
        let scalar = match expr.evaluate(&row).ok()? {
            ColumnarValue::Scalar(scalar) => scalar,
            ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0).ok()?,
        };
        let ty = Type::from_arrow(&scalar.data_type())?;
        let value = match scalar {
            ScalarValue::Float64(Some(x)) if odd(ValueRef::Float64(x)) => return None,
            ScalarValue::Boolean(Some(b)) => Value::Boolean(b),
            ScalarValue::Int64(Some(n)) => Value::Int64(n),
            ScalarValue::Float64(Some(x)) => Value::Float64(x),
            ScalarValue::Utf8(Some(text)) => Value::Utf8(text),
            ScalarValue::Date32(Some(days)) => Value::Date32(days),
            ScalarValue::TimestampMicrosecond(Some(us), None) => Value::Timestamp(us),
            _ => Value::Null,
        };
        self.constants.push((ty, value));
        Some(format!("{CONSTANTS}.{}", name(self.constants.len() - 1)))
    }
}

/// A value that DataFusion may take otherwise than an expression does: it tells NaN and −0 from all other numbers, and cannot
/// compute what is a hundred thousand years away in microseconds.
pub fn odd(value: ValueRef<'_>) -> bool {
    const DAYS: u32 = (i64::MAX / 86_400_000_000) as u32;
    match value {
        ValueRef::Float64(x) => x.is_nan() || x == 0.0 && x.is_sign_negative(),
        ValueRef::Date32(days) => days.unsigned_abs() > DAYS,
        _ => false,
    }
}

fn is_constant(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let made_of_one = expr.downcast_ref::<CastExpr>().is_some()
        || expr.downcast_ref::<TryCastExpr>().is_some()
        || expr.downcast_ref::<NegativeExpr>().is_some();
    expr.downcast_ref::<Literal>().is_some() || made_of_one && expr.children().into_iter().all(is_constant)
}

fn operator(op: Operator) -> Option<&'static str> {
    Some(match op {
        Operator::And => "AND",
        Operator::Or => "OR",
        Operator::Eq => "=",
        Operator::NotEq => "<>",
        Operator::Lt => "<",
        Operator::LtEq => "<=",
        Operator::Gt => ">",
        Operator::GtEq => ">=",
        Operator::IsDistinctFrom => "IS DISTINCT FROM",
        Operator::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
        _ => return None,
    })
}
