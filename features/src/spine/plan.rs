//! The plans: which facts are seen, and what values follow from them.

use datafusion::{
    arrow::array::{AsArray, StringArray},
    arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType},
    common::{Column, ScalarValue},
    error::DataFusionError,
    functions::expr_fn::coalesce,
    functions_aggregate::expr_fn::{bool_or, count, min},
    logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, cast, lit, when},
    prelude::{DataFrame, SessionContext, ident},
};
use tarim_datamart::Value;

use super::{Spine, range::in_range, stale_column};
use crate::{
    entity::{Entity, KNOWN},
    list::List,
    view::{
        Feature, FeatureSet, View,
        aggregate::{self, AS_OF, TIME},
        source::{self, Facts, SUPERSEDED_AT},
    },
};

/// The spine's own columns have names that no SQL of a view is likely to use.
pub(super) const ID: &str = "__spine";
pub(crate) const MEMBER: &str = "__member";
pub(crate) const KEY: &str = "__key";
const ALIAS: &str = "spine";

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

/// Name of a list's column in the flat schema.
pub(super) fn list_column(list: &str) -> String {
    format!("list.{list}")
}

/// Name of a feature's column in the flat schema.
fn feature_column(entity: &str, feature: &str) -> String {
    format!("{entity}.{feature}")
}

/// A column of a relation; names are taken as they are, dots and all.
pub(super) fn column(relation: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(relation), name))
}

fn time_literal(us: i64) -> Expr {
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
            let value = in_range(&name, feature.range, value_or_default(&relation, j, feature));
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
            columns.push(value_or_default(&relation, j, feature).alias(feature.name.as_str()));
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
            let member = of(&plan, super::MEMBER);
            let mut filter = is_seen(&plan, facts, as_of.clone());
            if !members.is_empty() {
                filter = filter.and(member.clone().in_list(members.iter().map(lit).collect(), false));
            }
            let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
            columns.push(member.alias(MEMBER));
            columns.push(of(&plan, &facts.key).alias(KEY));
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
fn of(plan: &LogicalPlan, name: &str) -> Expr {
    let index = plan.schema().index_of_column_by_name(None, name);
    index.map_or_else(|| ident(name), |i| Expr::Column(plan.schema().columns()[i].clone()))
}

/// A column of a plan as a time; dates count from their midnight, UTC.
fn time(plan: &LogicalPlan, name: &str) -> Expr {
    let ty = plan.schema().index_of_column_by_name(None, name).map(|i| plan.schema().field(i).data_type());
    // A cast to the same type would hide the column from the table's statistics.
    if ty == Some(&TIME) { of(plan, name) } else { cast(of(plan, name), TIME) }
}

/// The values of a view as `f0`, `f1`, … and its time as `time`, by identity and `as_of`.
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
        exprs.push((format!("f{i}"), parse(&feature.sql, feature.ty)?));
    }
    if let Some(sql) = &view.timestamp {
        exprs.push(("time".to_owned(), parse(sql, tarim_datamart::Type::Timestamp)?));
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

/// The value of a known entity.
fn value_or_default(relation: &str, index: usize, feature: &Feature) -> Expr {
    let value = column(relation, &format!("f{index}"));
    let default = match &feature.default {
        Value::Null => return value,
        Value::Boolean(v) => lit(*v),
        Value::Int64(v) => lit(*v),
        Value::Float64(v) => lit(*v),
        Value::Utf8(v) => lit(v.as_str()),
        Value::Date32(v) => lit(ScalarValue::Date32(Some(*v))),
        Value::Timestamp(v) => time_literal(*v),
    };
    coalesce(vec![value, default])
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

/// Answers of some lists, by `__spine`.
pub(super) struct Answers {
    pub plan: LogicalPlan,
    pub names: Vec<String>,
}

/// Answers of all lists to every row of a spine; lists of one table and field are asked together.
pub(super) async fn list_answers(
    session: &SessionContext,
    features: &FeatureSet,
    spine: &Spine,
) -> Result<Vec<Answers>, DataFusionError> {
    let mut groups: Vec<(&str, &str)> =
        features.lists().iter().map(|l| (l.table.as_str(), l.field.as_str())).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut answers = Vec::new();
    for (table, field) in groups {
        let lists: Vec<&List> =
            features.lists().iter().filter(|l| l.table == table && l.field == field).collect();
        answers.push(answer(session, features, spine, table, field, &lists).await?);
    }
    Ok(answers)
}

async fn answer(
    session: &SessionContext,
    features: &FeatureSet,
    spine: &Spine,
    table: &str,
    field: &str,
    lists: &[&List],
) -> Result<Answers, DataFusionError> {
    let rows = spine.rows(&[(KEY, field)])?;
    let entries = source::plan(session, &source::Source::Table(table.to_owned())).await?;
    let as_of = || ident(AS_OF);
    let on = [
        ident(MEMBER).eq(of(&entries, super::MEMBER)),
        ident(KEY).eq(of(&entries, field)),
        entry_is_known(features, &entries, table, as_of()),
        at_or_null(&entries, "valid_from", |from| from.lt_eq(as_of())),
        at_or_null(&entries, "expires_at", |until| as_of().lt(until)),
    ];
    let list = of(&entries, "list");
    let hits = LogicalPlanBuilder::from(rows.clone())
        .alias(ALIAS)?
        .join_on(entries.clone(), JoinType::Inner, on)?
        .aggregate(
            [ident(ID)],
            lists
                .iter()
                .enumerate()
                .map(|(i, l)| bool_or(list.clone().eq(lit(l.name.as_str()))).alias(format!("hit{i}")))
                .collect::<Vec<_>>(),
        )?
        .alias("hits")?
        .build()?;
    let loaded = loaded_since(session, features, table).await?;
    let joined = LogicalPlanBuilder::from(rows).alias(ALIAS)?.join_on(
        hits,
        JoinType::Left,
        [column(ALIAS, ID).eq(column("hits", ID))],
    )?;
    let mut columns = vec![column(ALIAS, ID).alias(ID)];
    let mut names = Vec::new();
    for (i, l) in lists.iter().enumerate() {
        let asked = match loaded.iter().find(|(name, _)| *name == l.name) {
            Some((_, since)) => {
                column(ALIAS, KEY).is_not_null().and(time_literal(*since).lt_eq(column(ALIAS, AS_OF)))
            }
            None => lit(false),
        };
        let hit = coalesce(vec![column("hits", &format!("hit{i}")), lit(false)]);
        let name = list_column(&l.name);
        columns.push(when(asked, hit).end()?.alias(name.as_str()));
        names.push(name);
    }
    Ok(Answers { plan: joined.project(columns)?.build()?, names })
}

/// The version of an entry that is known at a time.
fn entry_is_known(features: &FeatureSet, entries: &LogicalPlan, table: &str, as_of: Expr) -> Expr {
    let table = features.tables().iter().find(|t| t.name == table);
    let table = table.expect("the tables of lists are among the tables of the features");
    let known = time(entries, &table.known_at).lt_eq(as_of.clone());
    if !table.versioned {
        return known;
    }
    known.and(at_or_null(entries, SUPERSEDED_AT, |superseded| as_of.lt(superseded)))
}

fn at_or_null(plan: &LogicalPlan, name: &str, holds: impl FnOnce(Expr) -> Expr) -> Expr {
    of(plan, name).is_null().or(holds(time(plan, name)))
}

/// Lists of a table that had entries, of any version, and since when (microseconds since
/// 1970-01-01T00:00:00Z): from then on, not being on them means something.
pub(crate) async fn loaded_since(
    session: &SessionContext,
    features: &FeatureSet,
    table: &str,
) -> Result<Vec<(String, i64)>, DataFusionError> {
    let entries = source::plan(session, &source::Source::Table(table.to_owned())).await?;
    let known_at = features.tables().iter().find(|t| t.name == table).map(|t| t.known_at.as_str());
    let known_at = time(&entries, known_at.unwrap_or_default());
    let list = cast(of(&entries, "list"), DataType::Utf8).alias("list");
    let since =
        DataFrame::new(session.state(), entries).aggregate(vec![list], vec![min(known_at).alias("since")])?;
    let mut loaded = Vec::new();
    for batch in since.collect().await? {
        let names: &StringArray = batch.column(0).as_string();
        let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        let pairs = names.iter().zip(times.iter());
        loaded.extend(pairs.filter_map(|(name, since)| Some((name?.to_owned(), since?))));
    }
    Ok(loaded)
}

/// All entries of a list that are known at a time: `member`, `value` (what is looked up), `entry_id`,
/// `reason`, `source`, `valid_from`, `expires_at` (both as timestamps, NULL: no limit).
pub(crate) async fn entries_at(
    session: &SessionContext,
    features: &FeatureSet,
    list: &List,
    as_of_us: i64,
) -> Result<DataFrame, DataFusionError> {
    let entries = source::plan(session, &source::Source::Table(list.table.clone())).await?;
    let text = |name: &str| cast(of(&entries, name), DataType::Utf8);
    let mut columns = vec![text(super::MEMBER).alias("member"), text(&list.field).alias("value")];
    columns.extend(["entry_id", "reason", "source"].map(|c| text(c).alias(c)));
    columns.extend(["valid_from", "expires_at"].map(|c| time(&entries, c).alias(c)));
    let known = entry_is_known(features, &entries, &list.table, time_literal(as_of_us));
    let on_list = of(&entries, "list").eq(lit(list.name.as_str()));
    let plan = LogicalPlanBuilder::from(entries).filter(known.and(on_list))?.project(columns)?.build()?;
    Ok(DataFrame::new(session.state(), plan))
}
