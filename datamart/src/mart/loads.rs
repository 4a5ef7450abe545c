//! Records of loads: written into the commit that makes a load, indexed in `_loads`.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    util::display::array_value_to_string,
};
use datafusion::{
    common::cast::{as_int64_array, as_string_array},
    logical_expr::ident,
    prelude::{SessionContext, col, lit},
};
use deltalake::DeltaTable;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::{Datamart, DeltaFolder, Error, Writer};

/// Key of the record in a commit's information.
pub(crate) const COMMIT_KEY: &str = "tarim.load";

/// What a completed load did.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct LoadRecord {
    /// Also stands in the quarantined rows. Every attempt has its own, so that those of one that died are
    /// never taken for those of one that completed.
    pub load_id: String,
    pub table: String,
    /// Version of the Delta table that this load made.
    pub table_version: u64,
    /// The member that the load was for, if it was told.
    pub member: Option<String>,
    /// Name of the source in the standard.
    pub source: String,
    /// The file's name, without its folder.
    pub file: String,
    /// BLAKE3 of the file's bytes, in hex.
    pub file_hash: String,
    /// Of the standards that the rows were checked by.
    pub standards_hash: String,
    pub rows: u64,
    pub good: u64,
    pub bad: u64,
    /// How many rows broke each rule.
    pub rules: BTreeMap<String, u64>,
    /// When it began, in microseconds since 1970-01-01T00:00:00Z.
    pub loaded_at_us: i64,
    pub duration_ms: u64,
}

pub(crate) fn schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let count = |name| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        text("load_id"),
        text("table"),
        count("table_version"),
        text("member"),
        text("source"),
        text("file"),
        text("file_hash"),
        text("standards_hash"),
        count("rows"),
        count("good"),
        count("bad"),
        text("rules"),
        Field::new("loaded_at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        count("duration_ms"),
    ]))
}

pub(crate) fn to_batch(records: &[LoadRecord]) -> Result<RecordBatch, Error> {
    let text = |of: &dyn Fn(&LoadRecord) -> Option<String>| -> ArrayRef {
        Arc::new(records.iter().map(of).collect::<StringArray>())
    };
    let count = |of: &dyn Fn(&LoadRecord) -> u64| -> ArrayRef {
        Arc::new(records.iter().map(|r| i64::try_from(of(r)).ok()).collect::<Int64Array>())
    };
    let columns = vec![
        text(&|r| Some(r.load_id.clone())),
        text(&|r| Some(r.table.clone())),
        count(&|r| r.table_version),
        text(&|r| r.member.clone()),
        text(&|r| Some(r.source.clone())),
        text(&|r| Some(r.file.clone())),
        text(&|r| Some(r.file_hash.clone())),
        text(&|r| Some(r.standards_hash.clone())),
        count(&|r| r.rows),
        count(&|r| r.good),
        count(&|r| r.bad),
        text(&|r| serde_json::to_string(&r.rules).ok()),
        Arc::new(records.iter().map(|r| Some(r.loaded_at_us)).collect::<TimestampMicrosecondArray>()),
        count(&|r| r.duration_ms),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// One record of a batch.
fn from_batch(batch: &RecordBatch, row: usize) -> Option<LoadRecord> {
    let cell = |name: &str| {
        let column = batch.column_by_name(name).filter(|c| c.is_valid(row))?;
        array_value_to_string(column, row).ok()
    };
    let count = |name: &str| cell(name)?.parse().ok();
    let loaded_at = cell("loaded_at")?;
    Some(LoadRecord {
        load_id: cell("load_id")?,
        table: cell("table")?,
        table_version: count("table_version")?,
        member: cell("member"),
        source: cell("source")?,
        file: cell("file")?,
        file_hash: cell("file_hash")?,
        standards_hash: cell("standards_hash")?,
        rows: count("rows")?,
        good: count("good")?,
        bad: count("bad")?,
        rules: serde_json::from_str(&cell("rules")?).ok()?,
        loaded_at_us: crate::gate::parse::timestamp(&loaded_at)?,
        duration_ms: count("duration_ms")?,
    })
}

impl Datamart {
    /// Records of a table's loads that are committed but not yet in `_loads`: a crash came between.
    ///
    /// `indexed` is the newest version of the table that `_loads` knows of, so that usually nothing is read.
    pub(crate) async fn unindexed(
        &self,
        folder: &DeltaFolder,
        table: &DeltaTable,
        indexed: Option<u64>,
    ) -> Result<Vec<LoadRecord>, Error> {
        let newest = table.version().unwrap_or(0);
        // Version 0 makes the table and holds no rows.
        let behind = newest.saturating_sub(indexed.unwrap_or(0));
        if behind == 0 {
            return Ok(Vec::new());
        }
        let limit = usize::try_from(behind).ok();
        let commits: Vec<_> =
            table.history(limit).try_collect().await.map_err(folder.error("read the history of"))?;
        let records = commits.into_iter().filter_map(|mut commit| commit.info.remove(COMMIT_KEY));
        let mut unindexed = Vec::new();
        for record in records {
            let record: LoadRecord = serde_json::from_value(record)
                .map_err(|e| Error::Record { folder: folder.path().to_path_buf(), why: e.to_string() })?;
            // The history goes on behind `table`, whose rows are of when it was opened.
            if record.table_version <= newest {
                unindexed.push(record);
            }
        }
        Ok(unindexed)
    }

    /// The newest version of each table that `_loads` has a record of; none if there is no `_loads` yet.
    pub(crate) async fn indexed_versions(
        &self,
        loads: Option<&DeltaTable>,
    ) -> Result<BTreeMap<String, u64>, Error> {
        let Some(loads) = loads else { return Ok(BTreeMap::new()) };
        let session = SessionContext::new();
        let newest = datafusion::functions_aggregate::expr_fn::max(col("table_version"));
        let provider = self.provider(&session, loads).await?;
        let batches =
            session.read_table(provider)?.aggregate(vec![col("\"table\"")], vec![newest])?.collect().await?;
        let mut versions = BTreeMap::new();
        for batch in &batches {
            let tables = arrow::compute::cast(batch.column(0), &DataType::Utf8)?;
            let newest = as_int64_array(batch.column(1))?;
            for (table, version) in as_string_array(&tables)?.iter().zip(newest) {
                if let (Some(table), Some(Ok(version))) = (table, version.map(u64::try_from)) {
                    versions.insert(table.to_owned(), version);
                }
            }
        }
        Ok(versions)
    }

    /// The records of the loads of a file with these bytes, of which one at least has taken place.
    pub(crate) async fn load_records(
        &self,
        table: &str,
        member: Option<&str>,
        file_hash: &str,
    ) -> Result<Vec<LoadRecord>, Error> {
        let folder = self.loads_folder();
        let lost = |why: String| Error::Record { folder: folder.clone(), why };
        let Some(loads) = DeltaFolder::new(folder.clone()).open().await? else {
            return Err(lost("there is no table".into()));
        };
        let session = SessionContext::new();
        let of_member = match member {
            Some(member) => col("member").eq(lit(member)),
            None => col("member").is_null(),
        };
        let rows = session
            .read_table(self.provider(&session, &loads).await?)?
            .filter(ident("table").eq(lit(table)).and(ident("file_hash").eq(lit(file_hash))).and(of_member))?
            .collect()
            .await?;
        let records = rows.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| from_batch(batch, row)));
        let records =
            records.collect::<Option<Vec<_>>>().ok_or_else(|| lost("a column is missing".into()))?;
        if records.is_empty() { Err(lost("it is not there".into())) } else { Ok(records) }
    }

    /// Appends records to `_loads`.
    pub(crate) async fn index_loads(&self, records: &[LoadRecord]) -> Result<(), Error> {
        let folder = DeltaFolder::new(self.loads_folder());
        let table = folder.open_or_create(&schema()).await?;
        let mut writer = Writer::new(&table, folder.clone(), schema());
        writer.write(&to_batch(records)?).await?;
        let adds = writer.close().await?;
        folder.append(&table, adds, None).await.map(|_| ())
    }
}
