//! Times in SQL: microseconds, as everywhere in Tarim.
//!
//! DataFusion compares a date with a time in nanoseconds, and `TIMESTAMP` without a precision is nanoseconds to it. They end in the
//! year 2262: 9999-12-31, which many a source writes for "no end", is none of them, and the one row that has it stops
//! the whole query. So what DataFusion would cast to nanoseconds is cast to microseconds, which hold every date and time that
//! the gate lets in. What a function gives in nanoseconds (`to_timestamp`) is compared in nanoseconds still. So is what stands
//! within `VALUES` and `WITH RECURSIVE`, whose columns have the types that were found for them before. `date_trunc` is our own
//! ([`crate::date_trunc`]).
//!
//! A difference of two times is no INTERVAL, and is not made one ([`refuse_spans`]).

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::{
    common::{
        DFSchema, Result,
        config::ConfigOptions,
        plan_err,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Cast, Expr, ExprSchemable, LogicalPlan, TryCast, Union, expr_rewriter::NamePreserver,
        utils::merge_schema,
    },
    optimizer::{
        AnalyzerRule,
        analyzer::type_coercion::{TypeCoercion, TypeCoercionRewriter},
    },
    prelude::SessionContext,
};

const NAME: &str = "times_in_microseconds";
const NANOSECONDS: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);
const MICROSECONDS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Makes a session compute with times in microseconds.
pub fn register(session: &SessionContext) {
    session.register_udf(crate::date_trunc::function());
    if session.state().analyzer().rules.iter().all(|rule| rule.name() != NAME) {
        session.add_analyzer_rule(Arc::new(InMicroseconds));
    }
}

/// An expression with the types that DataFusion gives its parts, times in microseconds. Sessions do so by themselves
/// ([`register`]).
pub(crate) fn coerce(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let coerced = expr.rewrite(&mut TypeCoercionRewriter::new(schema))?.data;
    refuse_spans(&coerced, |span| span.get_type(schema))?;
    Ok(in_microseconds(coerced, schema)?.data)
}

/// What to write in the place of what [`refuse_spans`] refuses.
pub const SPAN_REMEDY: &str = "write booked_at > as_of - INTERVAL '90' DAY";

/// Refuses to make an INTERVAL of a difference of two times, as DataFusion does to compare them. Arrow compares INTERVALs by
/// their months first, then their days, then their time; such a difference has neither months nor days, so that 180 days would be
/// less than INTERVAL '1' DAY.
fn refuse_spans(expr: &Expr, type_of: impl Fn(&Expr) -> Result<DataType>) -> Result<()> {
    let is_span = |expr: &Expr, to: &FieldRef| {
        matches!(to.data_type(), DataType::Interval(_))
            && type_of(expr).is_ok_and(|ty| matches!(ty, DataType::Duration(_)))
    };
    let found = expr.exists(|e| {
        Ok(match e {
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => is_span(expr, field),
            _ => false,
        })
    })?;
    match found {
        true => {
            plan_err!("a difference of two times is no INTERVAL, and is not compared with one: {SPAN_REMEDY}")
        }
        false => Ok(()),
    }
}

fn refuse_spans_of(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let type_of = |expr: &Expr| expr.get_type(&merge_schema(&node.inputs()));
        node.apply_expressions(|expr| refuse_spans(expr, type_of).map(|()| TreeNodeRecursion::Continue))
    })
    .map(|_| ())
}

/// Puts casts to microseconds in the place of those to nanoseconds.
pub fn in_microseconds(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|e| {
        Ok(match e {
            Expr::Cast(Cast { expr, field }) if is_cut(&expr, &field, schema) => {
                Transformed::yes(cut(expr, schema, |expr| Expr::Cast(Cast::new(expr, MICROSECONDS))))
            }
            Expr::TryCast(TryCast { expr, field }) if is_cut(&expr, &field, schema) => {
                Transformed::yes(cut(expr, schema, |expr| Expr::TryCast(TryCast::new(expr, MICROSECONDS))))
            }
            other => Transformed::no(other),
        })
    })
}

/// Whether it is cast to nanoseconds and microseconds will do. (A number would be another time.)
fn is_cut(expr: &Expr, to: &FieldRef, schema: &DFSchema) -> bool {
    let ty = expr.get_type(schema);
    *to.data_type() == NANOSECONDS
        && ty.is_ok_and(|ty| match ty {
            DataType::Date32 | DataType::Date64 | DataType::Null => true,
            DataType::Timestamp(unit, None) => unit != TimeUnit::Nanosecond,
            ty => ty.is_string(),
        })
}

/// What is in microseconds stays as it is.
fn cut(expr: Box<Expr>, schema: &DFSchema, cast: impl FnOnce(Box<Expr>) -> Expr) -> Expr {
    if expr.get_type(schema).is_ok_and(|ty| ty == MICROSECONDS) { *expr } else { cast(expr) }
}

/// The rule of a session. It comes after DataFusion's coercion, which has written all casts out.
#[derive(Debug)]
struct InMicroseconds;

impl AnalyzerRule for InMicroseconds {
    fn name(&self) -> &str {
        NAME
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_down_up_with_subqueries(pass_recursion, of_node)?;
        let plan = match plan.transformed {
            // What is left in nanoseconds may meet microseconds now.
            true => TypeCoercion::new().analyze(plan.data, config)?,
            false => plan.data,
        };
        refuse_spans_of(&plan)?;
        Ok(plan)
    }
}

/// Nothing within a recursion is rewritten: its rows come back through a table that has the types of before.
fn pass_recursion(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let next = match is_fixed(&plan) {
        true => TreeNodeRecursion::Jump,
        false => TreeNodeRecursion::Continue,
    };
    Ok(Transformed::new(plan, false, next))
}

/// Whether the columns of a plan have the types that were found for them, whatever it is made of.
fn is_fixed(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Values(_) | LogicalPlan::RecursiveQuery(_))
}

fn of_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if is_fixed(&plan) {
        return Ok(Transformed::no(plan));
    }
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        let columns = scan.source.schema();
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &columns)?);
    }
    let names = NamePreserver::new(&plan);
    let plan = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(in_microseconds(expr, &schema)?.update_data(|expr| name.restore(expr)))
    })?;
    plan.map_data(|plan| match plan {
        // Its types are those that its inputs had.
        LogicalPlan::Union(union) => Union::try_new_with_loose_types(union.inputs).map(LogicalPlan::Union),
        plan => plan.recompute_schema(),
    })
}
