//! Edges from the tables of a datamart.

use datafusion::{
    arrow::{
        array::{Array, AsArray, RecordBatch},
        datatypes::{DataType, TimeUnit, TimestampMicrosecondType},
    },
    error::DataFusionError,
    logical_expr::{LogicalPlanBuilder, cast, ident, lit},
    prelude::{DataFrame, SessionContext},
    scalar::ScalarValue,
};
use futures::TryStreamExt;

use super::{Builder, Edge, EdgeSet, Edges, Row, TooMany};
use crate::view::source::{Source, plan, with_versions};

/// Why edges cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the edges `{edge}` cannot be read: {source}")]
    DataFusion { edge: String, source: Box<DataFusionError> },
    #[error("the edges `{edge}`: {source}")]
    TooMany { edge: String, source: TooMany },
}

/// Loads kinds of edges, by index; the others have none. `session` has the tables of the datamart. A row without a member, or
/// without an id at one of its ends, is no edge.
pub async fn load(session: &SessionContext, set: &EdgeSet, which: &[usize]) -> Result<Edges, LoadError> {
    let mut builder = Builder::new(set.edges().len());
    for index in which {
        let edge = &set.edges()[*index];
        let failed =
            |e: DataFusionError| LoadError::DataFusion { edge: edge.name.clone(), source: Box::new(e) };
        let frame = rows(session, edge).await.map_err(failed)?;
        let mut batches = frame.execute_stream().await.map_err(failed)?;
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            add(&mut builder, *index, &batch)
                .map_err(|source| LoadError::TooMany { edge: edge.name.clone(), source })?;
        }
    }
    let last = || which.last().map_or_else(String::new, |index| set.edges()[*index].name.clone());
    builder.finish().map_err(|source| LoadError::TooMany { edge: last(), source })
}

/// Member, from, to, since and until, of these types.
async fn rows(session: &SessionContext, edge: &Edge) -> Result<DataFrame, DataFusionError> {
    let session = with_versions(session, &edge.tables).await?;
    let plan = plan(&session, &Source::Select(edge.sql.text.clone())).await?;
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let text = |name: &str| cast(ident(name), DataType::Utf8).alias(name);
    let when = |name: &str, selected: bool| match selected {
        true => cast(ident(name), time.clone()).alias(name),
        false => lit(ScalarValue::TimestampMicrosecond(None, None)).alias(name),
    };
    let columns = [
        text("member"),
        text("from_id"),
        text("to_id"),
        when("since", edge.since),
        when("until", edge.until),
    ];
    let plan = LogicalPlanBuilder::from(plan).project(columns)?.build()?;
    Ok(DataFrame::new(session.state(), plan))
}

fn add(builder: &mut Builder, edge: usize, batch: &RecordBatch) -> Result<(), TooMany> {
    let [member, from, to] = [0, 1, 2].map(|i| batch.column(i).as_string::<i32>());
    let [since, until] = [3, 4].map(|i| batch.column(i).as_primitive::<TimestampMicrosecondType>());
    for i in 0..batch.num_rows() {
        if [member, from, to].iter().any(|text| text.is_null(i) || text.value(i).is_empty()) {
            continue;
        }
        builder.add(Row {
            edge,
            member: member.value(i),
            from: from.value(i),
            to: to.value(i),
            since_us: since.is_valid(i).then(|| since.value(i)),
            until_us: until.is_valid(i).then(|| until.value(i)),
        })?;
    }
    Ok(())
}
