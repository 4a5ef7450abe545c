//! DataFusion sessions over the datamart.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::{
    catalog::TableProvider,
    common::{JoinType, cast::as_string_array},
    dataframe::DataFrame,
    datasource::MemTable,
    logical_expr::{Expr, cast, ident, lit},
    prelude::{SessionConfig, SessionContext},
    scalar::ScalarValue,
};
use deltalake::DeltaTable;

use super::{Datamart, DeltaFolder, Error, loads};
use crate::{functions, times};

/// Names that sessions use for tables about loads.
pub(super) fn is_reserved(table: &str) -> bool {
    table == "loads" || table.starts_with("quarantine_")
}

impl Datamart {
    /// A session in which every table of the standards stands under its name (one that was never loaded is
    /// empty), with `quarantine_<table>`, `loads`, every result table, and the functions of
    /// [`crate::checks`]. It sees the versions of now: a load that completes later needs another session.
    ///
    /// Columns have the six types of [`crate::Type`]: texts are Utf8, not Utf8View.
    pub async fn session(&self) -> Result<SessionContext, Error> {
        let session = SessionContext::new_with_config(config());
        functions::register(&session);
        times::register(&session);
        // Before the tables, and only once: what completes later is told by the commits of the tables, so that a
        // load is seen with its rows and once, or not at all.
        let indexed_loads = DeltaFolder::new(self.loads_folder()).open().await?;
        let indexed = self.indexed_versions(indexed_loads.as_ref()).await?;
        let mut unindexed = Vec::new();
        let mut quarantines = Vec::new();
        for table in self.standards().tables() {
            let folder = DeltaFolder::new(self.table_folder(&table.name));
            let delta = folder.open().await?;
            if let Some(delta) = &delta {
                let indexed = indexed.get(&table.name).copied();
                unindexed.extend(self.unindexed(&folder, delta, indexed).await?);
            }
            let rows = self.frame(&session, delta.as_ref(), &table.schema()).await?;
            session.register_table(&table.name, rows.into_view())?;
            let quarantine = DeltaFolder::new(self.quarantine_folder(&table.name)).open().await?;
            let rows = self.frame(&session, quarantine.as_ref(), &crate::load::quarantine_schema()).await?;
            quarantines.push((table.name.clone(), rows));
        }
        let loads = self.loads(&session, indexed_loads.as_ref(), &unindexed).await?;
        session.register_table("loads", loads.clone().into_view())?;
        let completed = loads.select(vec![ident("load_id").alias("completed_id")])?;
        for (table, rows) in quarantines {
            let seen =
                rows.join(completed.clone(), JoinType::LeftSemi, &["load_id"], &["completed_id"], None)?;
            session.register_table(format!("quarantine_{table}"), seen.into_view())?;
        }
        self.register_results(&session).await?;
        Ok(session)
    }

    /// Names of the tables that something was ever loaded into, be it without a good row. `session` is one of this
    /// datamart's.
    pub async fn loaded(&self, session: &SessionContext) -> Result<BTreeSet<String>, Error> {
        let loads = session.table("loads").await?.select_columns(&["table"])?.distinct()?.collect().await?;
        let mut tables = BTreeSet::new();
        for batch in &loads {
            tables.extend(as_string_array(batch.column(0))?.iter().flatten().map(str::to_owned));
        }
        Ok(tables)
    }

    /// `_loads`, with the records that a crash kept out of it.
    async fn loads(
        &self,
        session: &SessionContext,
        indexed: Option<&DeltaTable>,
        unindexed: &[loads::LoadRecord],
    ) -> Result<DataFrame, Error> {
        let indexed = self.frame(session, indexed, &loads::schema()).await?;
        if unindexed.is_empty() {
            return Ok(indexed);
        }
        let late = session.read_batch(loads::to_batch(unindexed)?)?;
        Ok(indexed.union(late)?)
    }

    /// A Delta table as DataFusion reads it.
    pub(crate) async fn provider(
        &self,
        session: &SessionContext,
        delta: &DeltaTable,
    ) -> Result<Arc<dyn TableProvider>, Error> {
        let state = session.state();
        let folder = DeltaFolder::new(self.folder().to_path_buf());
        delta.update_datafusion_session(&state).map_err(folder.error("read"))?;
        Ok(delta.table_provider().with_session(Arc::new(state)).await?)
    }

    /// Rows of a table with exactly the columns and types of `schema`: columns that the table does not have
    /// yet are NULL, those that the standard no longer has are left out.
    async fn frame(
        &self,
        session: &SessionContext,
        delta: Option<&DeltaTable>,
        schema: &SchemaRef,
    ) -> Result<DataFrame, Error> {
        let Some(delta) = delta else {
            let empty = MemTable::try_new(schema.clone(), vec![vec![]])?;
            return Ok(session.read_table(Arc::new(empty))?);
        };
        let provider = self.provider(session, delta).await?;
        let stored = provider.schema();
        let column = |name: &str, wanted: &DataType| -> Result<Expr, Error> {
            Ok(match stored.field_with_name(name) {
                Ok(is) if is.data_type() == wanted => ident(name),
                Ok(_) => cast(ident(name), wanted.clone()).alias(name),
                Err(_) => lit(ScalarValue::try_from(wanted)?).alias(name),
            })
        };
        let columns: Vec<Expr> =
            schema.fields().iter().map(|f| column(f.name(), f.data_type())).collect::<Result<_, _>>()?;
        Ok(session.read_table(provider)?.select(columns)?)
    }

    async fn register_results(&self, session: &SessionContext) -> Result<(), Error> {
        let error = |source| Error::Folder { folder: self.folder().to_path_buf(), source };
        let entries = match std::fs::read_dir(self.folder()) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(error)?,
        };
        for entry in entries {
            let name = entry.map_err(error)?.file_name();
            let Some(name) = name.to_str().filter(|n| !n.starts_with(['_', '.'])) else { continue };
            if self.standards().table(name).is_some() || is_reserved(name) {
                continue;
            }
            if let Some(delta) = DeltaFolder::new(self.table_folder(name)).open().await? {
                session.register_table(name, self.provider(session, &delta).await?)?;
            }
        }
        Ok(())
    }
}

fn config() -> SessionConfig {
    let mut config = SessionConfig::new().with_information_schema(true);
    let options = config.options_mut();
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    config
}
