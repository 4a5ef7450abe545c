//! The plans: which facts are seen, and what values follow from them.

use datafusion::{
    arrow::array::{AsArray, StringArray},
    arrow::datatypes::{DataType, Int64Type},
    common::{Column, DFSchema, ScalarValue},
    error::DataFusionError,
    functions::expr_fn::coalesce,
    functions_aggregate::expr_fn::count,
    logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, cast, lit, when},
    prelude::{DataFrame, SessionContext, ident},
};
use tarim_datamart::Value;

use super::{bounds::within, stale_column};
use crate::{
    entity::{Entity, KNOWN},
    view::{
        Feature, View,
        aggregate::{self, AS_OF, TIME},
        source::{self, Facts, SUPERSEDED_AT},
    },
};

/// The spine's own columns have names that no SQL of a view is likely to use.
pub(super) const ID: &str = "__spine";
pub(crate) const MEMBER: &str = "__member";
pub(crate) const KEY: &str = "__key";
pub(super) const ALIAS: &str = "spine";

/// Of whom, and when.
pub(crate) enum Moment {
    /// Rows of `__spine`, `__member`, `__key`, `as_of`: each at its own time.
    Rows(LogicalPlan),
    /// Everybody who is known at one time; only of some members, if any are named.
    All { as_of_us: i64, members: Vec<String> },
}

impl Moment {
    /// The columns that name one of them.
    fn identity(&self) -> &'static [&'static str] {
        match self {
            Moment::Rows(_) => &[ID],
            Moment::All { .. } => &[MEMBER, KEY],
        }
    }

    /// What facts are grouped by: `as_of` follows from the identity, and expressions may use it.
    fn group(&self) -> Vec<Column> {
        self.identity().iter().copied().chain([AS_OF]).map(Column::new_unqualified).collect()
    }
}

/// Name of a feature's column in the flat schema.
fn feature_column(entity: &str, feature: &str) -> String {
    format!("{entity}.{feature}")
}

/// A column of a relation; names are taken as they are, dots and all.
pub(super) fn column(relation: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(relation), name))
}

pub(super) fn time_literal(us: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(us), None))
}

/// `__spine`, and the columns of an entity in the flat schema, for every row of a spine.
pub(super) async fn values(
    session: &SessionContext,
    entity: &Entity,
    moment: &Moment,
) -> Result<LogicalPlan, DataFusionError> {
    let Moment::Rows(rows) = moment else { unreachable!("a spine has rows") };
    let rows =
        LogicalPlanBuilder::from(rows.clone()).project([ident(ID), ident(AS_OF)])?.alias(ALIAS)?.build()?;
    let known = aggregate::group_by(seen(session, &entity.facts, moment).await?, moment.group(), Vec::new())?;
    let mut joined = join_values(rows, known, "known", moment)?;
    let known = column("known", ID).is_not_null();
    let mut columns =
        vec![column(ALIAS, ID).alias(ID), known.clone().alias(feature_column(&entity.name, KNOWN))];
    let mut stale_columns = Vec::new();
    for (i, view) in entity.views.iter().enumerate() {
        let relation = format!("v{i}");
        joined = join_values(joined, view_values(session, view, moment).await?, &relation, moment)?;
        let stale = known.clone().and(is_stale(view, &relation));
        for (j, feature) in view.features.iter().enumerate() {
            let name = feature_column(&entity.name, &feature.name);
            let value = within(&name, feature, value_or_default(joined.schema(), &relation, j, feature));
            let shown = when(known.clone().and(stale.clone().is_not_true()), value).end()?;
            columns.push(shown.alias(name));
        }
        stale_columns.push(stale.alias(stale_column(&entity.name, &view.name)));
    }
    columns.extend(stale_columns);
    LogicalPlanBuilder::from(joined).project(columns)?.build()
}

/// Every entity known at a time, with what its packed row holds: `__member`, `__key`, the features in the
/// order of the layout (without `known`), and the time of each view. Nothing is stale yet: rows hold
/// values with their times, and readers judge them.
pub(crate) async fn rows_at(
    session: &SessionContext,
    entity: &Entity,
    moment: &Moment,
) -> Result<DataFrame, DataFusionError> {
    let everybody =
        aggregate::group_by(seen(session, &entity.facts, moment).await?, moment.group(), Vec::new())?;
    let mut joined = LogicalPlanBuilder::from(everybody).alias(ALIAS)?.build()?;
    let mut columns: Vec<Expr> =
        [MEMBER, KEY].map(|name| cast(column(ALIAS, name), DataType::Utf8).alias(name)).into();
    let mut times = Vec::new();
    for (i, view) in entity.views.iter().enumerate() {
        let relation = format!("v{i}");
        joined = join_values(joined, view_values(session, view, moment).await?, &relation, moment)?;
        for (j, feature) in view.features.iter().enumerate() {
            let value = value_or_default(joined.schema(), &relation, j, feature);
            columns.push(value.alias(feature.name.as_str()));
        }
        times.push(time_of(view, &relation).alias(format!("__time_{i}")));
    }
    columns.extend(times);
    let plan = LogicalPlanBuilder::from(joined).project(columns)?.build()?;
    Ok(DataFrame::new(session.state(), plan))
}

/// How many entities each member knows at a time.
pub(crate) async fn member_counts(
    session: &SessionContext,
    entity: &Entity,
    as_of_us: i64,
) -> Result<Vec<(String, u64)>, DataFusionError> {
    let moment = Moment::All { as_of_us, members: Vec::new() };
    let facts = seen(session, &entity.facts, &moment).await?;
    let known = aggregate::group_by(facts, moment.group(), Vec::new())?;
    let counts = DataFrame::new(session.state(), known)
        .aggregate(vec![ident(MEMBER)], vec![count(lit(1)).alias("n")])?
        .sort(vec![ident(MEMBER).sort(true, false)])?;
    let mut found = Vec::new();
    for batch in counts.collect().await? {
        let members: &StringArray = batch.column(0).as_string();
        let n = batch.column(1).as_primitive::<Int64Type>();
        found.extend(
            members.iter().zip(n.values()).map(|(m, n)| (m.unwrap_or_default().to_owned(), *n as u64)),
        );
    }
    Ok(found)
}

/// Facts that are seen, each with the identity and the as_of of whoever sees it.
async fn seen(
    session: &SessionContext,
    facts: &Facts,
    moment: &Moment,
) -> Result<LogicalPlan, DataFusionError> {
    let plan = source::plan(session, &facts.source).await?;
    match moment {
        Moment::Rows(rows) => {
            let on = [
                ident(MEMBER).eq(of(&plan, super::MEMBER)),
                ident(KEY).eq(of(&plan, &facts.key)),
                is_seen(&plan, facts, ident(AS_OF)),
            ];
            LogicalPlanBuilder::from(rows.clone()).alias(ALIAS)?.join_on(plan, JoinType::Inner, on)?.build()
        }
        Moment::All { as_of_us, members } => {
            let as_of = time_literal(*as_of_us);
            let (member, key) = (of(&plan, super::MEMBER), of(&plan, &facts.key));
            // Who has no key is nobody: a spine finds no such row either.
            let mut filter = is_seen(&plan, facts, as_of.clone()).and(key.clone().is_not_null());
            if !members.is_empty() {
                filter = filter.and(member.clone().in_list(members.iter().map(lit).collect(), false));
            }
            let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
            columns.push(member.alias(MEMBER));
            columns.push(key.alias(KEY));
            columns.push(as_of.alias(AS_OF));
            LogicalPlanBuilder::from(plan).filter(filter)?.project(columns)?.build()
        }
    }
}

/// The predicate of a fact that is seen at `as_of`; FALSE or NULL if it is not.
fn is_seen(plan: &LogicalPlan, facts: &Facts, as_of: Expr) -> Expr {
    let event_time = time(plan, &facts.event_time);
    let before = if facts.inclusive { event_time.lt_eq(as_of.clone()) } else { event_time.lt(as_of.clone()) };
    let known = before.and(time(plan, &facts.known_at).lt_eq(as_of.clone()));
    if !facts.is_versioned() {
        return known;
    }
    let superseded = time(plan, SUPERSEDED_AT);
    known.and(superseded.clone().is_null().or(as_of.lt(superseded)))
}

/// A column of a plan by its name alone.
pub(super) fn of(plan: &LogicalPlan, name: &str) -> Expr {
    let index = plan.schema().index_of_column_by_name(None, name);
    index.map_or_else(|| ident(name), |i| Expr::Column(plan.schema().columns()[i].clone()))
}

/// A column of a plan as a time; dates count from their midnight, UTC.
pub(super) fn time(plan: &LogicalPlan, name: &str) -> Expr {
    let ty = plan.schema().index_of_column_by_name(None, name).map(|i| plan.schema().field(i).data_type());
    // A cast to the same type would hide the column from the table's statistics.
    if ty == Some(&TIME) { of(plan, name) } else { cast(of(plan, name), TIME) }
}

/// The values of a view as `f0`, `f1`, …, whether those with sums of integers overflow as `o0`, `o1`, …, and its time as `time`,
/// by identity and `as_of`.
async fn view_values(
    session: &SessionContext,
    view: &View,
    moment: &Moment,
) -> Result<LogicalPlan, DataFusionError> {
    let facts = source::plan(session, &view.facts.source).await?;
    let scope = aggregate::scope(&facts)?;
    let state = session.state();
    let parse = |sql: &super::super::view::Sql, ty| {
        aggregate::parse(&state, &scope, &view.facts, &sql.text, ty)
            .map_err(|r| DataFusionError::Plan(format!("{}: {}", sql.place, r.what)))
    };
    let mut exprs = Vec::new();
    for (i, feature) in view.features.iter().enumerate() {
        let value = parse(&feature.sql, feature.ty)?;
        exprs.push((format!("f{i}"), value.expr));
        exprs.extend(value.overflows.map(|overflows| (format!("o{i}"), overflows)));
    }
    if let Some(sql) = &view.timestamp {
        exprs.push(("time".to_owned(), parse(sql, tarim_datamart::Type::Timestamp)?.expr));
    }
    aggregate::group_by(seen(session, &view.facts, moment).await?, moment.group(), exprs)
}

fn join_values(
    left: LogicalPlan,
    values: LogicalPlan,
    relation: &str,
    moment: &Moment,
) -> Result<LogicalPlan, DataFusionError> {
    let values = LogicalPlanBuilder::from(values).alias(relation)?.build()?;
    let on = moment.identity().iter().map(|name| column(ALIAS, name).eq(column(relation, name)));
    LogicalPlanBuilder::from(left).join_on(values, JoinType::Left, on)?.build()
}

/// The value of a known entity. A default stands for no facts; what overflows stays unknown.
fn value_or_default(values: &DFSchema, relation: &str, index: usize, feature: &Feature) -> Expr {
    let value = column(relation, &format!("f{index}"));
    let value = match default_of(feature) {
        Some(default) => coalesce(vec![value, default]),
        None => value,
    };
    let overflows = Column::new(Some(relation), format!("o{index}"));
    match values.has_column(&overflows) {
        true => {
            let known = Expr::Column(overflows).is_not_true();
            when(known, value).end().expect("a CASE with one branch is well formed")
        }
        false => value,
    }
}

fn default_of(feature: &Feature) -> Option<Expr> {
    Some(match &feature.default {
        Value::Null => return None,
        Value::Boolean(v) => lit(*v),
        Value::Int64(v) => lit(*v),
        Value::Float64(v) => lit(*v),
        Value::Utf8(v) => lit(v.as_str()),
        Value::Date32(v) => lit(ScalarValue::Date32(Some(*v))),
        Value::Timestamp(v) => time_literal(*v),
    })
}

/// How old the values of a view are: its timestamp, or as_of where it has none.
fn time_of(view: &View, relation: &str) -> Expr {
    let as_of = column(ALIAS, AS_OF);
    match view.timestamp {
        Some(_) => coalesce(vec![column(relation, "time"), as_of]),
        None => as_of,
    }
}

/// The rule of the packed row: `now − time > freshness`, in microseconds.
fn is_stale(view: &View, relation: &str) -> Expr {
    match (view.freshness_us, &view.timestamp) {
        (Some(freshness), Some(_)) => {
            let age =
                cast(column(ALIAS, AS_OF), DataType::Int64) - cast(time_of(view, relation), DataType::Int64);
            age.gt(lit(freshness))
        }
        // Values that are as old as their computation are new.
        _ => lit(false),
    }
}
