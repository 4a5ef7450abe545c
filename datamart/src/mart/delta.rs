//! One Delta table in a folder: made, read, written, committed.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
};
use datafusion::object_store::ObjectStoreExt;
use deltalake::{
    DeltaTable, DeltaTableBuilder, DeltaTableError, Path as StorePath,
    datafile::writer::{DeltaWriter, WriterConfig},
    kernel::{
        Action, Add, StructField, Transaction,
        engine::arrow_conversion::{TryIntoArrow, TryIntoKernel},
        transaction::{CommitBuilder, CommitProperties},
    },
    operations::get_num_idx_cols_and_stats_columns,
    protocol::{DeltaOperation, SaveMode},
};
use url::Url;

use super::Error;

/// Bytes of Parquet after which a new file is begun: what a writer holds in memory is of this order.
const FILE_BYTES: u64 = 64 << 20;

/// A folder that is, or will be, a Delta table.
#[derive(Clone, Debug)]
pub(crate) struct DeltaFolder {
    folder: PathBuf,
}

/// What a commit says beside the rows that it adds.
pub(crate) struct Label {
    /// Names what is done once only: a second commit of it conflicts.
    pub app_id: String,
    /// Kept in the commit information.
    pub metadata: (String, serde_json::Value),
}

impl DeltaFolder {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    pub fn error(&self, doing: &'static str) -> impl FnOnce(DeltaTableError) -> Error {
        let folder = self.folder.clone();
        move |source| Error::Delta { doing, folder, source: Box::new(source) }
    }

    fn url(&self) -> Result<Url, Error> {
        Url::from_directory_path(&self.folder)
            .map_err(|()| DeltaTableError::InvalidTableLocation(self.folder.display().to_string()))
            .map_err(self.error("name"))
    }

    /// The table as of now; None if there is none yet.
    pub async fn open(&self) -> Result<Option<DeltaTable>, Error> {
        if !self.folder.join("_delta_log").is_dir() {
            return Ok(None);
        }
        let builder = DeltaTableBuilder::from_url(self.url()?).map_err(self.error("name"))?;
        match builder.load().await {
            Ok(table) => Ok(Some(table)),
            // The folder of the log is made before its first commit: a table that died at birth is none.
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(source) => Err(self.error("open")(source)),
        }
    }

    /// The table as of now with at least the columns of `schema`; made if there is none, widened if a column
    /// is new. A column whose type differs is an error.
    pub async fn open_or_create(&self, schema: &Schema) -> Result<DeltaTable, Error> {
        let table = match self.open().await? {
            Some(table) => table,
            None => self.create(schema).await?,
        };
        let missing = self.missing_columns(&table, schema)?;
        if missing.is_empty() {
            return Ok(table);
        }
        let fields = self.struct_fields(&Schema::new(missing))?;
        table.add_columns().with_fields(fields).await.map_err(self.error("widen"))
    }

    async fn create(&self, schema: &Schema) -> Result<DeltaTable, Error> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|source| Error::Folder { folder: self.folder.clone(), source })?;
        let fields = self.struct_fields(schema)?;
        let builder = DeltaTableBuilder::from_url(self.url()?).map_err(self.error("name"))?;
        let unborn = builder.build().map_err(self.error("make"))?;
        let create = unborn.create().with_columns(fields).with_save_mode(SaveMode::Ignore);
        create.await.map_err(self.error("make"))
    }

    fn struct_fields(&self, schema: &Schema) -> Result<Vec<StructField>, Error> {
        let convert = |field: &arrow::datatypes::FieldRef| field.as_ref().try_into_kernel();
        Ok(schema.fields().iter().map(convert).collect::<Result<_, _>>()?)
    }

    fn missing_columns(&self, table: &DeltaTable, schema: &Schema) -> Result<Vec<Field>, Error> {
        let existing = self.arrow_schema(table)?;
        let mut missing = Vec::new();
        for field in schema.fields() {
            match existing.field_with_name(field.name()) {
                Err(_) => missing.push(field.as_ref().clone().with_nullable(true)),
                Ok(is) if is.data_type() == field.data_type() => {}
                Ok(is) => {
                    return Err(Error::ColumnType {
                        folder: self.folder.clone(),
                        column: field.name().clone(),
                        is: is.data_type().to_string(),
                        wanted: field.data_type().to_string(),
                    });
                }
            }
        }
        Ok(missing)
    }

    fn arrow_schema(&self, table: &DeltaTable) -> Result<Schema, Error> {
        let snapshot = table.snapshot().map_err(self.error("read"))?;
        Ok(snapshot.schema().as_ref().try_into_arrow()?)
    }

    /// Adds files in one commit and returns the new version.
    pub async fn append(
        &self,
        table: &DeltaTable,
        adds: Vec<Add>,
        label: Option<Label>,
    ) -> Result<u64, Error> {
        let mut properties = CommitProperties::default();
        if let Some(label) = label {
            properties = properties
                .with_metadata([label.metadata])
                .with_application_transaction(Transaction::new(label.app_id, 1));
        }
        let actions = adds.into_iter().map(Action::Add).collect();
        self.commit(table, actions, SaveMode::Append, properties).await
    }

    /// Replaces every file by others in one commit and returns the new version.
    pub async fn overwrite(&self, table: &DeltaTable, adds: Vec<Add>) -> Result<u64, Error> {
        let snapshot = table.snapshot().map_err(self.error("read"))?;
        let files = snapshot.log_data();
        let removed = files.iter().map(|file| Action::Remove(file.remove_action(true)));
        let actions = removed.chain(adds.into_iter().map(Action::Add)).collect();
        self.commit(table, actions, SaveMode::Overwrite, CommitProperties::default()).await
    }

    async fn commit(
        &self,
        table: &DeltaTable,
        actions: Vec<Action>,
        mode: SaveMode,
        properties: CommitProperties,
    ) -> Result<u64, Error> {
        let operation = DeltaOperation::Write { mode, partition_by: None, predicate: None };
        let snapshot = table.snapshot().map_err(self.error("read"))?;
        let finalized = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(snapshot), table.log_store(), operation)
            .await
            .map_err(self.error("commit to"))?;
        Ok(finalized.version())
    }

    /// Deletes files that were written and not committed.
    pub async fn delete(&self, table: &DeltaTable, adds: &[Add]) -> Result<(), Error> {
        let store = table.object_store();
        for add in adds {
            let deleted = store.delete(&StorePath::from(add.path.as_str())).await;
            deleted.map_err(DeltaTableError::from).map_err(self.error("delete a file of"))?;
        }
        Ok(())
    }

    /// Whether a commit of this table carries the application transaction.
    pub async fn has_transaction(&self, table: &DeltaTable, app_id: &str) -> Result<bool, Error> {
        let snapshot = table.snapshot().map_err(self.error("read"))?;
        let version = snapshot.transaction_version(table.log_store().as_ref(), app_id).await;
        Ok(version.map_err(self.error("read"))?.is_some())
    }
}

/// Streams batches into Parquet files of a table. They are no part of it until they are committed.
pub(crate) struct Writer {
    inner: DeltaWriter,
    folder: DeltaFolder,
}

impl Writer {
    pub fn new(table: &DeltaTable, folder: DeltaFolder, schema: SchemaRef) -> Self {
        let (indexed, stats) = get_num_idx_cols_and_stats_columns(None, HashMap::new());
        let config =
            WriterConfig::new(schema, Vec::new(), None, NonZeroU64::new(FILE_BYTES), None, indexed, stats);
        Self { inner: DeltaWriter::new(table.object_store(), config), folder }
    }

    pub async fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.inner.write(batch).await.map_err(self.folder.error("write to"))
    }

    /// Finishes the files and returns the actions that would add them.
    pub async fn close(self) -> Result<Vec<Add>, Error> {
        self.inner.close().await.map_err(self.folder.error("write to"))
    }
}
