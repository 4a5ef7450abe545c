//! Point in time: what was known of entities at given times.
//!
//! A *spine* says of whom and when: rows of (member, keys, as_of). The features of each row are computed
//! from the facts that had happened before its `as_of` and were known by then:
//!
//! ```text
//!  spine ──┬─ join by member and key: facts of view 1, seen at as_of ── group by row ── values ─┐
//!          ├─ … view 2 …                                                                        ├─ left joins
//!          ├─ join the entity's table ── known?                                                 │  by row
//!          └─ join the list's table ── hit?  ───────────────────────────────────────────────────┘
//!                                                                                               │
//!                    spine_id | customer.known | customer.txn_count | … | list.aml_black <──────┘
//! ```
//!
//! Materialising is the same with one `as_of` for everybody, where the join is not needed: facts are
//! grouped by member and key ([`Moment::All`]). What a value is, is written once; see [`plan`].

mod bounds;
mod lists;
mod plan;

use std::{collections::HashSet, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, AsArray, RecordBatch},
        datatypes::{DataType, Int64Type},
    },
    catalog::default_table_source::provider_as_source,
    datasource::MemTable,
    error::DataFusionError,
    logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, cast},
    prelude::{DataFrame, SessionContext, ident},
};

pub(crate) use lists::{entries_at, loaded_since};
pub(crate) use plan::{Moment, member_counts, rows_at};

use crate::view::{
    FeatureSet,
    aggregate::{AS_OF, TIME},
    source::with_versions,
};

/// Column of a spine that names its rows: an Int64, unique.
pub const SPINE_ID: &str = "spine_id";
/// Column of a spine that says which member looks.
pub const MEMBER: &str = "member";

/// Why features cannot be computed.
#[derive(Debug, thiserror::Error)]
pub enum SpineError {
    #[error("the spine has no column {column:?}; give one of type {ty}")]
    Missing { column: String, ty: DataType },
    #[error("row {row} of the spine has no {column}")]
    Null { row: usize, column: &'static str },
    #[error("the spine_id {0} came twice; it names a row, so it is unique")]
    Repeated(i64),
    #[error("features cannot be computed: {0}")]
    DataFusion(#[from] DataFusionError),
}

/// Column of the result that says whether the values of a view are stale at as_of.
pub fn stale_column(entity: &str, view: &str) -> String {
    format!("{entity}#{view}.stale")
}

/// The features and list answers of every row of a spine, each as of its own time.
///
/// `spine` has the columns `spine_id` (Int64, unique), `member` (Utf8), `as_of` (Timestamp in microseconds)
/// and one Utf8 column for each application field that names an entity or is looked up in a list. It is
/// read once, into memory; `session` has the tables of the datamart.
///
/// The result has one row per row of the spine, in no particular order: `spine_id`; for each entity
/// `<entity>.known` (never NULL), `<entity>.<feature>` for each feature, and `<entity>#<view>.stale` (never
/// NULL) for each view; and `list.<name>` for each list. Stale features are NULL.
///
/// # Errors
/// A spine without a column that is needed, or that names a row twice. When the result is read: a feature
/// outside its declared range.
pub async fn point_in_time(
    session: &SessionContext,
    features: &FeatureSet,
    spine: DataFrame,
) -> Result<DataFrame, SpineError> {
    let session = with_versions(session, features.tables()).await?;
    let spine = hold(features, spine).await?;
    let mut joined = spine.rows(&[])?;
    let mut columns: Vec<Expr> = vec![ident(SPINE_ID)];
    for (i, entity) in features.entities().iter().enumerate() {
        let moment = Moment::Rows(spine.rows(&[(plan::KEY, &entity.application)])?);
        let values = plan::values(&session, entity, &moment).await?;
        let names: Vec<_> = values.schema().fields().iter().map(|f| f.name().clone()).collect();
        let relation = format!("e{i}");
        joined = left_join(joined, values, &relation)?;
        let flat = names.into_iter().filter(|n| n != plan::ID);
        columns.extend(flat.map(|n| plan::column(&relation, &n).alias(n)));
    }
    for (i, answers) in lists::list_answers(&session, features, &spine).await?.into_iter().enumerate() {
        let relation = format!("l{i}");
        joined = left_join(joined, answers.plan, &relation)?;
        columns.extend(answers.names.iter().map(|n| plan::column(&relation, n).alias(n)));
    }
    // The flat schema has lists in the order of the rulebook, wherever their tables are.
    let order = |e: &Expr| {
        let name = e.schema_name().to_string();
        features.lists().iter().position(|l| name == lists::list_column(&l.name)).map_or(0, |i| i + 1)
    };
    columns.sort_by_key(order);
    let plan = LogicalPlanBuilder::from(joined).project(columns)?.build()?;
    Ok(DataFrame::new(session.state(), plan))
}

/// A spine that is held in memory, so that every part of the plan sees the same rows.
pub(crate) struct Spine {
    table: Arc<MemTable>,
}

impl Spine {
    /// Its rows as `__spine`, `__member`, `as_of` and some columns under other names.
    pub fn rows(&self, columns: &[(&str, &str)]) -> Result<LogicalPlan, DataFusionError> {
        let scan = LogicalPlanBuilder::scan("spine", provider_as_source(self.table.clone()), None)?;
        if columns.is_empty() {
            return scan.project([ident(SPINE_ID)])?.build();
        }
        let own = [(plan::ID, SPINE_ID), (plan::MEMBER, MEMBER), (AS_OF, AS_OF)];
        let all = own.iter().chain(columns).map(|(to, from)| ident(*from).alias(*to));
        scan.project(all.collect::<Vec<_>>())?.build()
    }
}

/// Checks a spine and takes it into memory, without the columns that nobody asks for.
async fn hold(features: &FeatureSet, spine: DataFrame) -> Result<Spine, SpineError> {
    let mut wanted = vec![(SPINE_ID, DataType::Int64), (MEMBER, DataType::Utf8), (AS_OF, TIME)];
    let keys = features.entities().iter().map(|e| e.application.as_str());
    for key in keys.chain(features.lists().iter().map(|l| l.field.as_str())) {
        if !wanted.iter().any(|(name, _)| *name == key) {
            wanted.push((key, DataType::Utf8));
        }
    }
    let mut columns = Vec::new();
    for (name, ty) in wanted {
        let found = spine.schema().index_of_column_by_name(None, name);
        let found = found.ok_or_else(|| SpineError::Missing { column: name.into(), ty: ty.clone() })?;
        let (relation, field) = spine.schema().qualified_field(found);
        let column = Expr::Column((relation, field).into());
        columns.push(if *field.data_type() == ty { column } else { cast(column, ty) }.alias(name));
    }
    let spine = spine.select(columns)?;
    let schema = Arc::new(spine.schema().as_arrow().clone());
    let partitions = spine.collect_partitioned().await?;
    check_rows(partitions.iter().flatten())?;
    let table = MemTable::try_new(schema, partitions)?;
    Ok(Spine { table: Arc::new(table) })
}

/// No row without id, member or time; no id twice.
fn check_rows<'b>(batches: impl Iterator<Item = &'b RecordBatch>) -> Result<(), SpineError> {
    let mut ids = HashSet::new();
    for batch in batches {
        for (column, name) in batch.columns().iter().zip([SPINE_ID, MEMBER, AS_OF]) {
            if let Some(row) = (0..column.len()).find(|i| column.is_null(*i)) {
                return Err(SpineError::Null { row, column: name });
            }
        }
        for id in batch.column(0).as_primitive::<Int64Type>().values() {
            if !ids.insert(*id) {
                return Err(SpineError::Repeated(*id));
            }
        }
    }
    Ok(())
}

/// Joins values by the spine's rows.
fn left_join(left: LogicalPlan, right: LogicalPlan, relation: &str) -> Result<LogicalPlan, DataFusionError> {
    let right = LogicalPlanBuilder::from(right).alias(relation)?.build()?;
    let on = ident(SPINE_ID).eq(plan::column(relation, plan::ID));
    LogicalPlanBuilder::from(left).join_on(right, JoinType::Left, [on])?.build()
}
