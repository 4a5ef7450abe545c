//! Lists in plans: who is on them, since when they say anything, and which entries they have.

use datafusion::{
    arrow::{
        array::{AsArray, StringArray},
        datatypes::{DataType, TimestampMicrosecondType},
    },
    error::DataFusionError,
    functions::expr_fn::coalesce,
    functions_aggregate::expr_fn::{bool_or, min},
    logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, cast, lit, when},
    prelude::{DataFrame, SessionContext, ident},
};

use super::{
    MEMBER as OF_MEMBER, Spine,
    plan::{ALIAS, ID, KEY, MEMBER, column, of, time, time_literal},
};
use crate::{
    list::List,
    view::{
        FeatureSet,
        aggregate::AS_OF,
        source::{self, SUPERSEDED_AT},
    },
};

/// Name of a list's column in the flat schema.
pub(super) fn list_column(list: &str) -> String {
    format!("list.{list}")
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
        ident(MEMBER).eq(of(&entries, OF_MEMBER)),
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
    let mut columns = vec![text(OF_MEMBER).alias("member"), text(&list.field).alias("value")];
    columns.extend(["entry_id", "reason", "source"].map(|c| text(c).alias(c)));
    columns.extend(["valid_from", "expires_at"].map(|c| time(&entries, c).alias(c)));
    let known = entry_is_known(features, &entries, &list.table, time_literal(as_of_us));
    let on_list = of(&entries, "list").eq(lit(list.name.as_str()));
    let plan = LogicalPlanBuilder::from(entries).filter(known.and(on_list))?.project(columns)?.build()?;
    Ok(DataFrame::new(session.state(), plan))
}
