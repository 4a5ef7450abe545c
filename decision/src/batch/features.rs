//! What was known of each application: its own fields beside the features and list answers of its time.
//!
//! What stood against a customer at a past time, and how much room limits of exposures left then, is not kept anywhere: there it is
//! unknown, never none.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array,
        new_null_array,
    },
    compute::{cast, concat_batches, take},
    datatypes::{Field, Int64Type, Schema},
};
use datafusion::prelude::SessionContext;
use tarim_datamart::{Table, Type};
use tarim_features::spine::{SPINE_ID, point_in_time};

use super::BacktestError;
use crate::rulebook::{Rulebook, Source};

/// Column of the flat batch that says which member decides.
pub const MEMBER: &str = "member";
/// Column of the flat batch that says as of when.
pub const AS_OF: &str = "as_of";

/// One flat batch: `member`, `as_of`, `application.*`, `<entity>.*`, `<entity>#<view>.stale`, `list.*`, `warning.*`, `exposure.*`,
/// with the rows of `applications` in their order.
pub async fn known(
    session: &SessionContext,
    rulebook: &Rulebook,
    standard: &Table,
    applications: &RecordBatch,
    as_of_us: Option<i64>,
) -> Result<RecordBatch, BacktestError> {
    let rows = applications.num_rows();
    let as_of = as_of(standard, applications, as_of_us)?;
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let spine =
        with_columns(applications, vec![(SPINE_ID.to_owned(), ids), (AS_OF.to_owned(), as_of.clone())])?;
    let computed = point_in_time(session, rulebook.features(), session.read_batch(spine)?).await?;
    let schema = Arc::new(computed.schema().as_arrow().clone());
    let computed = concat_batches(&schema, &computed.collect().await?)?;
    // They come in any order: row `i` of the applications is row `places[i]` of what was computed.
    let ids = computed.column_by_name(SPINE_ID).ok_or_else(|| BacktestError::Column(SPINE_ID.to_owned()))?;
    let mut places = vec![0u32; rows];
    for (place, id) in ids.as_primitive::<Int64Type>().values().iter().enumerate() {
        places[*id as usize] = place as u32;
    }
    let places = UInt32Array::from(places);

    let mut columns = vec![(AS_OF.to_owned(), as_of)];
    for (field, column) in applications.schema().fields().iter().zip(applications.columns()) {
        let own = field.name() == MEMBER;
        let name = if own { MEMBER.to_owned() } else { format!("application.{}", field.name()) };
        columns.push((name, column.clone()));
    }
    for (field, column) in schema.fields().iter().zip(computed.columns()) {
        if field.name() != SPINE_ID {
            columns.push((field.name().clone(), take(column, &places, None)?));
        }
    }
    for relation in
        rulebook.given().iter().filter(|r| matches!(r.source, Source::Warnings | Source::Exposure))
    {
        for column in relation.layout.columns() {
            let name = format!("{}.{}", relation.name, column.name);
            columns.push((name, new_null_array(&column.ty.arrow(), rows)));
        }
    }
    with_columns(&RecordBatch::new_empty(Arc::new(Schema::empty())), columns)
}

/// As of when each application is decided: its own event time, or one time for all.
fn as_of(
    standard: &Table,
    applications: &RecordBatch,
    as_of_us: Option<i64>,
) -> Result<ArrayRef, BacktestError> {
    if let Some(us) = as_of_us {
        return Ok(Arc::new(TimestampMicrosecondArray::from_value(us, applications.num_rows())));
    }
    let time = &standard.event_time;
    let time = applications.column_by_name(time).ok_or_else(|| BacktestError::Column(time.clone()))?;
    let time = cast(time, &Type::Timestamp.arrow())?;
    match (0..time.len()).find(|row| time.is_null(*row)) {
        Some(row) => Err(BacktestError::Null { key: format!("number {}", row + 1), what: "event time" }),
        None => Ok(time),
    }
}

/// The batch with more columns; an empty batch takes the columns as they are.
pub fn with_columns(
    batch: &RecordBatch,
    more: Vec<(String, ArrayRef)>,
) -> Result<RecordBatch, BacktestError> {
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    for (name, column) in more {
        fields.push(Arc::new(Field::new(name, column.data_type().clone(), true)));
        columns.push(column);
    }
    // A batch without columns has no number of rows to disagree with.
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
