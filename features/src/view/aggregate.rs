//! The SQL of a feature: an expression over aggregates of facts.
//!
//! Checked and rewritten once, for every way of computing it, so that a value does not depend on how the
//! facts happened to lie:
//!
//! - `sum`, `avg`, `var…`, `stddev…` of Float64 are exact ([`super::exact`]); `count(DISTINCT …)` is ours
//!   too, for its memory ([`super::distinct`]);
//! - a `sum`, and `+`, `-` and `*`, of integers are integers, and the value is unknown if one of them is no int64
//!   ([`super::arithmetic`], [`Value::overflows`]);
//! - `first_value` and `last_value` need an ORDER BY, and ties in it are broken by the table's key, else by
//!   the value itself;
//! - only aggregates of which the same can be said are let in;
//! - NaN is NULL and −0 is +0 in what a feature gives, in min, max and the like;
//! - `/` is in Float64, and a division by zero is NULL;
//! - times are in microseconds ([`tarim_datamart::times`]).
//!
//! Outside an aggregate only `as_of` may stand.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, TimeUnit},
    common::{
        Column, DFSchema, ExprSchema,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion, TreeNodeRewriter},
    },
    error::DataFusionError,
    execution::SessionState,
    functions::expr_fn::{isnan, nullif},
    functions_aggregate::expr_fn::bool_or,
    logical_expr::{
        Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, SortExpr, cast, col,
        expr::AggregateFunction, lit, try_cast, utils::find_aggregate_exprs, when,
    },
};
use tarim_datamart::{Type, times::in_microseconds};

use super::{
    arithmetic::{checked, is_no_int64},
    distinct,
    exact::{self, Kind},
    source::{Facts, Refusal, SUPERSEDED_AT, Source, check_expr, first_line, reads_version, unplanned},
};

/// The column that holds the time at which facts are looked at.
pub(crate) const AS_OF: &str = "as_of";

/// Arrow's type of a time.
pub(crate) const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// What is let in, besides the sums that are rewritten.
const AGGREGATES: [&str; 8] =
    ["count", "min", "max", "median", "bool_and", "bool_or", "first_value", "last_value"];

/// What `sql` may see: the columns of the facts, and `as_of`.
pub(crate) fn scope(facts: &LogicalPlan) -> Result<DFSchema, DataFusionError> {
    let as_of = Schema::new(vec![Field::new(AS_OF, TIME, false)]);
    facts.schema().join(&DFSchema::try_from(as_of)?)
}

/// The SQL of a feature as it is computed.
pub(crate) struct Value {
    pub expr: Expr,
    /// Whether an integer in it is no int64: then the value is unknown, and has no default. None: it has none that could be.
    pub overflows: Option<Expr>,
}

/// Parses, checks and rewrites the SQL of a feature into an expression of type `ty`.
pub(crate) fn parse(
    state: &SessionState,
    scope: &DFSchema,
    facts: &Facts,
    sql: &str,
    ty: Type,
) -> Result<Value, Refusal> {
    let planning = |e: DataFusionError| {
        unplanned(&e, "correct the SQL: DataFusion's, over the columns of the view's source and `as_of`")
    };
    let parsed = state.create_logical_expr(sql, scope).map_err(planning)?.unalias_nested().data;
    check_expr(&parsed)?;
    if facts.is_versioned() && reads_version(&parsed) {
        return Err(Refusal::new(
            format!("the feature looks at `{SUPERSEDED_AT}`, which became known later than the row"),
            "leave it out: of the versions of a row, the one that is known at the time is seen, and no other",
        ));
    }
    check_shape(&parsed)?;
    let parsed = in_microseconds(parsed, scope).map_err(planning)?.data;
    let (expr, overflows) = rewrite(parsed, scope, facts)?;
    let found = result_type(state, scope, &expr).map_err(planning)?;
    let arrow = ty.arrow();
    if !widens(&found, ty) {
        return Err(Refusal::new(
            format!("the SQL gives {found}, the feature is {ty}"),
            match ty {
                Type::Int64 => "change `type`, or round explicitly: CAST(round(…) AS BIGINT)".to_owned(),
                _ => format!("change `type`, or CAST(… AS {arrow})"),
            },
        ));
    }
    let expr = if found == arrow { expr } else { cast(expr, arrow) };
    let expr = if ty == Type::Float64 { canonical(expr) } else { expr };
    Ok(Value { expr, overflows: overflows.into_iter().reduce(Expr::or) })
}

/// The values of expressions that [`parse`] made, by `group`, under the names given. The result has the
/// columns of `group` and one column per expression.
pub(crate) fn group_by(
    facts: LogicalPlan,
    group: Vec<Column>,
    exprs: Vec<(String, Expr)>,
) -> Result<LogicalPlan, DataFusionError> {
    let aggregates = find_aggregate_exprs(exprs.iter().map(|(_, e)| e));
    let name = |i: usize| format!("__aggregate_{i}");
    let named = aggregates.iter().enumerate().map(|(i, a)| a.clone().alias(name(i)));
    let keys = group.iter().cloned().map(Expr::Column);
    let grouped = LogicalPlanBuilder::from(facts).aggregate(keys.clone(), named.collect::<Vec<_>>())?;
    let mut columns: Vec<Expr> = keys.collect();
    for (alias, expr) in exprs {
        let expr = expr.transform_down(|e| {
            Ok(match aggregates.iter().position(|a| *a == e) {
                Some(i) => Transformed::yes(col(name(i))),
                None => Transformed::no(e),
            })
        })?;
        columns.push(expr.data.alias(alias));
    }
    grouped.project(columns)?.build()
}

/// Aggregates of the right kind, and no column outside of one.
fn check_shape(expr: &Expr) -> Result<(), Refusal> {
    let mut refusal = None;
    let mut aggregates = 0;
    let walk = expr.apply(|e| {
        let mut next = TreeNodeRecursion::Continue;
        match e {
            Expr::AggregateFunction(f) => {
                aggregates += 1;
                refusal = check_aggregate(f).err();
                next = TreeNodeRecursion::Jump;
            }
            Expr::WindowFunction(_) => {
                refusal = Some(Refusal::new(
                    "a window function stands in a feature",
                    "use an aggregate, such as last_value(x ORDER BY t)",
                ));
            }
            Expr::Column(c) if c.name != AS_OF => {
                refusal = Some(Refusal::new(
                    format!("`{}` stands outside an aggregate: many facts have one each", c.name),
                    format!("write max({0}), last_value({0} ORDER BY …) or the like", c.name),
                ));
            }
            _ => {}
        }
        Ok(if refusal.is_some() { TreeNodeRecursion::Stop } else { next })
    });
    if let Err(e) = walk {
        return Err(Refusal::new(first_line(&e), "correct the SQL"));
    }
    match refusal {
        Some(refusal) => Err(refusal),
        None if aggregates == 0 => Err(Refusal::new(
            "the SQL has no aggregate: a feature sums up many facts",
            "write sum(…), count(*), max(…), last_value(x ORDER BY t) or the like",
        )),
        None => Ok(()),
    }
}

fn check_aggregate(f: &AggregateFunction) -> Result<(), Refusal> {
    let name = f.func.name();
    if summation(name).is_none() && !AGGREGATES.contains(&name) {
        let all: Vec<_> = AGGREGATES.iter().chain(&["sum", "avg", "stddev", "var"]).copied().collect();
        return Err(Refusal::new(
            format!("{name}() is not among the aggregates that give the same bits in any order of facts"),
            format!("use one of {}", all.join(", ")),
        ));
    }
    if is_positional(name) && f.params.order_by.is_empty() {
        return Err(Refusal::new(
            format!("{name}() without ORDER BY takes any fact"),
            format!("write {name}(x ORDER BY t)"),
        ));
    }
    if f.params.distinct && name != "count" {
        return Err(Refusal::new(format!("{name}(DISTINCT …) is not supported"), "remove DISTINCT"));
    }
    if f.params.distinct && f.params.args.len() != 1 {
        return Err(Refusal::new(
            "count(DISTINCT …) of several expressions",
            "count one, such as a || '/' || b",
        ));
    }
    let inner = f.params.args.iter().chain(f.params.filter.as_deref());
    for e in inner.chain(f.params.order_by.iter().map(|s| &s.expr)) {
        if e.exists(|e| Ok(matches!(e, Expr::AggregateFunction(_) | Expr::WindowFunction(_)))).unwrap_or(true)
        {
            return Err(Refusal::new("an aggregate stands inside an aggregate", "aggregate once"));
        }
    }
    Ok(())
}

fn is_positional(name: &str) -> bool {
    matches!(name, "first_value" | "last_value")
}

/// The exact aggregate that takes the place of DataFusion's.
fn summation(name: &str) -> Option<Kind> {
    Some(match name {
        "sum" => Kind::Sum,
        "avg" => Kind::Avg,
        "var" | "var_samp" => Kind::Var { sample: true },
        "var_pop" => Kind::Var { sample: false },
        "stddev" | "stddev_samp" => Kind::Stddev { sample: true },
        "stddev_pop" => Kind::Stddev { sample: false },
        _ => return None,
    })
}

/// The expression as it is computed, and what tells that an integer in it is no int64.
fn rewrite(expr: Expr, scope: &DFSchema, facts: &Facts) -> Result<(Expr, Vec<Expr>), Refusal> {
    let mut rewriter = Rewriter { scope, facts, overflows: Vec::new() };
    match expr.rewrite(&mut rewriter) {
        Ok(rewritten) => Ok((rewritten.data, rewriter.overflows)),
        Err(e) => Err(Refusal::new(first_line(&e), "correct the SQL")),
    }
}

struct Rewriter<'a> {
    scope: &'a DFSchema,
    facts: &'a Facts,
    overflows: Vec<Expr>,
}

impl TreeNodeRewriter for Rewriter<'_> {
    type Node = Expr;

    /// What stands in an aggregate is about facts, one by one, and what else there is about the aggregates' results.
    fn f_down(&mut self, e: Expr) -> Result<Transformed<Expr>, DataFusionError> {
        Ok(match e {
            Expr::AggregateFunction(f) => Transformed::new(self.aggregate(f)?, true, TreeNodeRecursion::Jump),
            other => Transformed::no(other),
        })
    }

    fn f_up(&mut self, e: Expr) -> Result<Transformed<Expr>, DataFusionError> {
        arithmetic(e, self.scope, &mut self.overflows).map(Transformed::yes)
    }
}

impl Rewriter<'_> {
    fn aggregate(&mut self, mut f: AggregateFunction) -> Result<Expr, DataFusionError> {
        let scope = self.scope;
        let within = |e: Expr, overflows: &mut Vec<Expr>| {
            e.transform_up(|e| arithmetic(e, scope, overflows).map(Transformed::yes)).map(|e| e.data)
        };
        let (mut of_facts, mut of_filter) = (Vec::new(), Vec::new());
        let f_params = &mut f.params;
        for e in f_params.args.iter_mut().chain(f_params.order_by.iter_mut().map(|s| &mut s.expr)) {
            *e = within(std::mem::take(e), &mut of_facts)?;
        }
        if let Some(filter) = &mut f_params.filter {
            **filter = within(std::mem::take(filter), &mut of_filter)?;
        }
        // The aggregate passes a NULL over, so another one tells of it: of the facts that the filter lets in, and, if the
        // filter itself overflows, of all, since it is not known which those are.
        if let Some(any) = of_facts.into_iter().reduce(Expr::or) {
            let any = bool_or(any);
            self.overflows.push(match &f_params.filter {
                Some(filter) => any.filter((**filter).clone()).build()?,
                None => any,
            });
        }
        self.overflows.extend(of_filter.into_iter().reduce(Expr::or).map(bool_or));
        if !is_sum_of_integers(&f, scope)? {
            return rewrite_aggregate(f, scope, self.facts).map(Expr::AggregateFunction);
        }
        let sum = widened(f);
        self.overflows.push(is_no_int64(sum.clone()));
        Ok(try_cast(sum, DataType::Int64))
    }
}

/// The operation at the top of an expression as it is computed.
fn arithmetic(e: Expr, scope: &DFSchema, overflows: &mut Vec<Expr>) -> Result<Expr, DataFusionError> {
    match e {
        Expr::BinaryExpr(mut b) if matches!(b.op, Operator::Divide | Operator::Modulo) => {
            if b.op == Operator::Divide {
                b.left = Box::new(to_float(*b.left, scope)?);
                b.right = Box::new(to_float(*b.right, scope)?);
            }
            let zero = if b.right.get_type(scope)?.is_floating() { lit(0.0) } else { lit(0i64) };
            b.right = Box::new(nullif(*b.right, zero));
            Ok(Expr::BinaryExpr(b))
        }
        other => checked(other, scope, overflows),
    }
}

fn is_sum_of_integers(f: &AggregateFunction, scope: &DFSchema) -> Result<bool, DataFusionError> {
    Ok(summation(f.func.name()) == Some(Kind::Sum)
        && f.params.args.first().map(|a| a.get_type(scope)).transpose()?.is_some_and(|ty| ty.is_integer()))
}

/// A sum of integers that no number of facts overflows: DataFusion's wraps around.
fn widened(mut f: AggregateFunction) -> Expr {
    f.params.args = f.params.args.into_iter().map(|a| cast(a, DataType::Decimal128(20, 0))).collect();
    Expr::AggregateFunction(f)
}

fn rewrite_aggregate(
    mut f: AggregateFunction,
    scope: &DFSchema,
    facts: &Facts,
) -> Result<AggregateFunction, DataFusionError> {
    let name = f.func.name().to_owned();
    let types = f.params.args.iter().map(|a| a.get_type(scope)).collect::<Result<Vec<_>, _>>()?;
    if let Some(kind) = summation(&name) {
        // A sum of decimals is exact as it is.
        if kind != Kind::Sum || types.first().is_some_and(DataType::is_floating) {
            f.func = exact::aggregate(kind);
            f.params.args =
                f.params.args.into_iter().map(|a| to_float(a, scope)).collect::<Result<_, _>>()?;
        }
        return Ok(f);
    }
    if let ([ty], true) = (&types[..], f.params.distinct) {
        let as_type = match ty {
            _ if ty.is_string() => DataType::Utf8,
            _ if ty.is_floating() => {
                let what = "count(DISTINCT …) of a float: floats that look equal often are not";
                return Err(DataFusionError::Plan(what.into()));
            }
            _ => DataType::Int64,
        };
        f.params.args = f.params.args.into_iter().map(|a| cast(a, as_type.clone())).collect();
        f.params.distinct = false;
        f.func = distinct::aggregate();
        return Ok(f);
    }
    for (arg, ty) in f.params.args.iter_mut().zip(&types) {
        if ty.is_floating() {
            *arg = canonical(to_float(std::mem::take(arg), scope)?);
        }
    }
    if is_positional(&name) {
        let order = &mut f.params.order_by;
        match &facts.source {
            Source::Table(table) => {
                for key in facts.tables.iter().filter(|t| t.name == *table).flat_map(|t| &t.key) {
                    // With the table's name, as the analyst's columns have it: it may be one of them.
                    let key = Expr::Column(scope.qualified_field_with_unqualified_name(key)?.into());
                    order.push(key.sort(true, false));
                }
            }
            Source::Select(_) => order.extend(f.params.args.first().map(|a| a.clone().sort(true, false))),
        }
        sort_once(order, scope)?;
    }
    Ok(f)
}

/// Leaves out what is sorted by already: DataFusion leaves it out of the order that it keeps, but not of the aggregate's states,
/// and panics. To it a cast to the type that a value has already is the value.
fn sort_once(order: &mut Vec<SortExpr>, scope: &DFSchema) -> Result<(), DataFusionError> {
    let mut once: Vec<SortExpr> = Vec::with_capacity(order.len());
    for mut sort in std::mem::take(order) {
        let plain = sort.expr.transform_up(|e| match e {
            Expr::Cast(c) if c.expr.get_type(scope)? == *c.field.data_type() => Ok(Transformed::yes(*c.expr)),
            other => Ok(Transformed::no(other)),
        });
        sort.expr = plain?.data;
        if once.iter().all(|s| s.expr != sort.expr) {
            once.push(sort);
        }
    }
    *order = once;
    Ok(())
}

fn to_float(expr: Expr, scope: &DFSchema) -> Result<Expr, DataFusionError> {
    Ok(if expr.get_type(scope)? == DataType::Float64 { expr } else { cast(expr, DataType::Float64) })
}

/// NaN is NULL and −0 is +0.
fn canonical(expr: Expr) -> Expr {
    // `x + 0.0` turns −0 into +0 and leaves everything else as it is.
    let zero = expr.clone() + lit(0.0);
    when(isnan(expr).is_false(), zero).end().expect("a CASE with one branch is well formed")
}

/// The type that an expression over aggregates has once DataFusion has coerced it.
fn result_type(state: &SessionState, scope: &DFSchema, expr: &Expr) -> Result<DataType, DataFusionError> {
    let facts = LogicalPlan::EmptyRelation(datafusion::logical_expr::EmptyRelation {
        produce_one_row: false,
        schema: Arc::new(scope.clone()),
    });
    let plan = group_by(facts, vec![Column::new_unqualified(AS_OF)], vec![("value".into(), expr.clone())])?;
    let plan = state.analyzer().execute_and_check(plan, &state.config_options().clone(), |_, _| {})?;
    let column = Column::new_unqualified("value");
    Ok(plan.schema().data_type(&column)?.clone())
}

/// Whether every value of an Arrow type is one of `ty`, so that it may be cast without being asked for.
fn widens(from: &DataType, ty: Type) -> bool {
    match ty {
        Type::Boolean => *from == DataType::Boolean,
        Type::Int64 => {
            from.is_signed_integer()
                || matches!(from, DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64)
        }
        Type::Float64 => from.is_floating() || from.is_integer(),
        Type::Utf8 => from.is_string(),
        Type::Date32 => *from == DataType::Date32,
        Type::Timestamp => matches!(from, DataType::Timestamp(_, None) | DataType::Date32),
    }
}
