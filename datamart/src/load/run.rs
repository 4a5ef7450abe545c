//! One load from beginning to end.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

use arrow::{array::ArrayRef, compute::cast};
use datafusion::{
    common::DataFusionError,
    logical_expr::ident,
    prelude::{SessionContext, col, lit},
};
use deltalake::{DeltaTable, kernel::Add};
use futures::StreamExt;
use tokio::{sync::mpsc, task::spawn_blocking};
use uuid::Uuid;

use super::{
    LoadError, LoadReport, ReadError,
    admit::{Admitted, Gate},
    keys::{KeyReader, KeySet},
    plan::Plan,
    quarantine,
    report::Tally,
    source::{Chunk, Reader},
};
use crate::{
    Datamart, Source, Table, Tokeniser,
    mart::{COMMIT_KEY, DeltaFolder, Label, LoadRecord, Writer},
};

/// Rows that go through the gate at once.
const CHUNK_ROWS: usize = 8192;
/// Chunks between the gate and the writers.
const CHANNEL: usize = 2;

/// How to load a file.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// The table; else the first whose source matches the file's name.
    pub table: Option<String>,
    /// The member whose rows these are. A source that gives `member` itself must give this one.
    pub member: Option<String>,
    /// Commits nothing if more rows than this are bad, in percent; else any number may be.
    pub max_bad_percent: Option<f64>,
    /// Told now and then how many bytes of the file are read.
    pub progress: Option<Arc<dyn Fn(u64) + Send + Sync>>,
    /// Where to stop as if the process had died.
    #[doc(hidden)]
    pub stop_at: Option<FailPoint>,
}

/// Places where a test lets a load die.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailPoint {
    Started,
    FirstChunkWritten,
    RowsWritten,
    QuarantineCommitted,
    TableCommitted,
    Indexed,
}

impl FailPoint {
    /// All of them, in the order in which a load passes them.
    pub const ALL: [FailPoint; 6] = [
        FailPoint::Started,
        FailPoint::FirstChunkWritten,
        FailPoint::RowsWritten,
        FailPoint::QuarantineCommitted,
        FailPoint::TableCommitted,
        FailPoint::Indexed,
    ];
}

impl LoadOptions {
    fn reach(&self, point: FailPoint) -> Result<(), LoadError> {
        if self.stop_at == Some(point) { Err(LoadError::Stopped(point)) } else { Ok(()) }
    }
}

impl Datamart {
    /// The table and source that a file is loaded by: of `table` if it is given, else of the first table (by
    /// name) with a source whose `files` matches the file's name.
    pub fn source_of(&self, file: &Path, table: Option<&str>) -> Result<(&Table, &Source), LoadError> {
        let standards = self.standards();
        let names = || standards.tables().map(|t| t.name.as_str()).collect::<Vec<_>>().join(", ");
        let tables: Vec<&Table> = match table {
            None => standards.tables().collect(),
            Some(name) => vec![
                standards
                    .table(name)
                    .ok_or_else(|| LoadError::NoTable { table: name.to_owned(), tables: names() })?,
            ],
        };
        let file_name = file.file_name().unwrap_or_default().to_string_lossy();
        let sources = || tables.iter().flat_map(|t| t.sources.iter().map(move |s| (*t, s)));
        sources().find(|(_, source)| source.files.matches(&file_name)).ok_or_else(|| LoadError::NoSource {
            file: file.display().to_string(),
            of: table.map_or_else(|| "any table".to_owned(), |t| format!("the table `{t}`")),
            known: sources().map(|(t, s)| format!("{} ({})", s.files, t.name)).collect::<Vec<_>>().join(", "),
        })
    }

    /// Loads a file. Bad rows are no error: they are quarantined, and the report counts them.
    pub async fn load(
        &self,
        file: &Path,
        options: &LoadOptions,
        tokeniser: &Tokeniser,
    ) -> Result<LoadReport, LoadError> {
        let (table, source) = self.source_of(file, options.table.as_deref())?;
        let load = Load {
            mart: self,
            table,
            source,
            file,
            options,
            tokeniser,
            begun: Instant::now(),
            folder: DeltaFolder::new(self.table_folder(&table.name)),
            quarantine: DeltaFolder::new(self.quarantine_folder(&table.name)),
        };
        load.run().await
    }
}

/// A load under way.
struct Load<'a> {
    mart: &'a Datamart,
    table: &'a Table,
    source: &'a Source,
    file: &'a Path,
    options: &'a LoadOptions,
    tokeniser: &'a Tokeniser,
    begun: Instant,
    folder: DeltaFolder,
    quarantine: DeltaFolder,
}

/// Files that are written and not yet committed.
struct Written {
    tally: Tally,
    good: Vec<Add>,
    bad: Vec<Add>,
    keys: KeySet,
    absent: Vec<String>,
    ignored: Vec<String>,
}

impl Load<'_> {
    async fn run(&self) -> Result<LoadReport, LoadError> {
        let _lock = self.lock().await?;
        let stamp = self.stamp()?;
        let path = self.file.to_path_buf();
        let hash =
            joined(spawn_blocking(move || hash_of(&path)).await)?.map_err(|e| self.unreadable(e.into()))?;
        let member = self.options.member.as_deref();
        let id_by = |standards| app_id(&self.table.name, member, &hash, standards);
        let mut app_id = id_by(None);

        let table = self.folder.open_or_create(&self.table.schema()).await?;
        self.index_what_a_crash_left(&table).await?;
        if self.folder.has_transaction(&table, &app_id).await? {
            let standards = self.mart.standards().hash();
            let records = self.mart.load_records(&self.table.name, member, &hash).await?;
            if let Some(record) = standing(records, standards) {
                return Ok(already_loaded(record));
            }
            app_id = id_by(Some(standards));
        }
        self.options.reach(FailPoint::Started)?;

        let load_id = Uuid::now_v7().to_string();
        let mut written = self.write_rows(&table, &load_id, KeySet::new()).await?;
        self.find_in_table(&table, &mut written.keys).await?;
        if written.keys.repeats_table() {
            self.discard(&table, &written).await?;
            written.keys.restart();
            written = self.write_rows(&table, &load_id, written.keys).await?;
        }
        if self.stamp()? != stamp {
            self.discard(&table, &written).await?;
            return Err(LoadError::Changed { file: self.file.to_path_buf() });
        }
        self.options.reach(FailPoint::RowsWritten)?;

        let tally = &written.tally;
        let report = LoadReport {
            record: LoadRecord {
                load_id,
                table: self.table.name.clone(),
                table_version: table.version().unwrap_or(0) + 1,
                member: member.map(str::to_owned),
                source: self.source.name.clone(),
                file: self.file_name(),
                file_hash: hash,
                standards_hash: self.mart.standards().hash().to_owned(),
                rows: tally.rows,
                good: tally.good,
                bad: tally.bad,
                rules: tally.rules.clone(),
                loaded_at_us: now_us(),
                duration_ms: self.begun.elapsed().as_millis() as u64,
            },
            already_loaded: false,
            fields: tally.fields.clone(),
            samples: tally.samples.clone(),
            absent_fields: written.absent.clone(),
            ignored_columns: written.ignored.clone(),
        };
        let percent = tally.bad_percent();
        if let Some(allowed) = self.options.max_bad_percent.filter(|allowed| percent > *allowed) {
            self.discard(&table, &written).await?;
            return Err(LoadError::TooManyBad { percent, allowed, report: Box::new(report) });
        }
        self.commit(&table, written, &report.record, app_id).await?;
        Ok(report)
    }

    /// The three commits. The second makes the load; see [`crate::mart`].
    async fn commit(
        &self,
        table: &DeltaTable,
        written: Written,
        record: &LoadRecord,
        app_id: String,
    ) -> Result<(), LoadError> {
        if !written.bad.is_empty() {
            let quarantine = self.quarantine.open_or_create(&quarantine::schema()).await?;
            self.quarantine.append(&quarantine, written.bad, None).await?;
        }
        self.options.reach(FailPoint::QuarantineCommitted)?;
        let metadata = serde_json::to_value(record).map_err(|e| DataFusionError::External(Box::new(e)))?;
        let label = Label { app_id, metadata: (COMMIT_KEY.to_owned(), metadata) };
        self.folder.append(table, written.good, Some(label)).await?;
        self.options.reach(FailPoint::TableCommitted)?;
        self.mart.index_loads(std::slice::from_ref(record)).await?;
        self.options.reach(FailPoint::Indexed)
    }

    /// Reads the file through the gate and writes what comes out. Nothing of it is committed.
    async fn write_rows(
        &self,
        table: &DeltaTable,
        load_id: &str,
        keys: KeySet,
    ) -> Result<Written, LoadError> {
        let mut reader = Reader::open(self.file, self.source).map_err(|e| self.unreadable(e))?;
        let plan = Plan::new(self.table, self.source, &reader, self.options.member.as_deref())?;
        reader.select(&plan.column_names(), CHUNK_ROWS).map_err(|e| self.unreadable(e))?;
        let (absent, ignored) = (plan.absent.clone(), plan.ignored.clone());

        let mut good = Writer::new(table, self.folder.clone(), self.table.schema());
        let mut bad: Option<Writer> = None;
        let mut tally = Tally::default();
        let (sender, mut chunks) = mpsc::channel(CHANNEL);
        let pump = Pump { reader, plan, keys, tokeniser: self.tokeniser.clone(), sender };
        let pump = spawn_blocking(move || pump.run());
        while let Some((admitted, bytes_read)) = chunks.recv().await {
            let Admitted { rows, good: batch, bad: bad_rows } = admitted;
            tally.add(rows, &bad_rows);
            if batch.num_rows() > 0 {
                good.write(&batch).await?;
            }
            if !bad_rows.is_empty() {
                let batch = quarantine::to_batch(&bad_rows, load_id, &self.file_name())?;
                let writer = match &mut bad {
                    Some(writer) => writer,
                    None => bad.insert(self.quarantine_writer().await?),
                };
                writer.write(&batch).await?;
            }
            if let Some(progress) = &self.options.progress {
                progress(bytes_read);
            }
            self.options.reach(FailPoint::FirstChunkWritten)?;
        }
        let keys = joined(pump.await)?.map_err(|e| match e {
            PumpError::Read(e) => self.unreadable(e),
            PumpError::Gate(e) => LoadError::DataFusion(e),
        })?;
        let bad = match bad {
            Some(writer) => writer.close().await?,
            None => Vec::new(),
        };
        Ok(Written { tally, good: good.close().await?, bad, keys, absent, ignored })
    }

    async fn quarantine_writer(&self) -> Result<Writer, LoadError> {
        let quarantine = self.quarantine.open_or_create(&quarantine::schema()).await?;
        Ok(Writer::new(&quarantine, self.quarantine.clone(), quarantine::schema()))
    }

    /// Streams the table's keys past those of the file.
    async fn find_in_table(&self, table: &DeltaTable, keys: &mut KeySet) -> Result<(), LoadError> {
        let session = SessionContext::new();
        let mut rows = session.read_table(self.mart.provider(&session, table).await?)?;
        if let Some(member) = &self.options.member {
            rows = rows.filter(col("member").eq(lit(member)))?;
        }
        let unique = self.table.unique();
        let mut stream = rows.select(unique.iter().map(|name| ident(*name)))?.execute_stream().await?;
        let types = unique.iter().filter_map(|name| self.table.field(name)).map(|field| field.ty.arrow());
        let types: Vec<_> = types.collect();
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let columns = batch.columns().iter().zip(&types).map(|(column, ty)| cast(column, ty));
            let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
            let reader = KeyReader::new(&columns)?;
            for row in 0..batch.num_rows() {
                if let Some(key) = keys.hash(|bytes| reader.write(row, bytes)) {
                    keys.meet_in_table(key);
                }
            }
        }
        Ok(())
    }

    async fn discard(&self, table: &DeltaTable, written: &Written) -> Result<(), LoadError> {
        self.folder.delete(table, &written.good).await?;
        if let Some(quarantine) = self.quarantine.open().await? {
            self.quarantine.delete(&quarantine, &written.bad).await?;
        }
        Ok(())
    }

    async fn index_what_a_crash_left(&self, table: &DeltaTable) -> Result<(), LoadError> {
        let loads = DeltaFolder::new(self.mart.loads_folder()).open().await?;
        let indexed = self.mart.indexed_versions(loads.as_ref()).await?.get(&self.table.name).copied();
        let missing = self.mart.unindexed(&self.folder, table, indexed).await?;
        if !missing.is_empty() {
            self.mart.index_loads(&missing).await?;
        }
        Ok(())
    }

    /// Waits until no other load works on the table. The lock goes with the returned file.
    async fn lock(&self) -> Result<File, LoadError> {
        let path = self.mart.lock_file(&self.table.name);
        let lock = {
            let path = path.clone();
            move || -> io::Result<File> {
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                let file = File::create(&path)?;
                file.lock()?;
                Ok(file)
            }
        };
        joined(spawn_blocking(lock).await)?.map_err(|source| LoadError::Lock { file: path, source })
    }

    /// Changes when somebody writes to the file.
    fn stamp(&self) -> Result<(u64, Option<SystemTime>), LoadError> {
        let metadata = fs::metadata(self.file).map_err(|e| self.unreadable(e.into()))?;
        Ok((metadata.len(), metadata.modified().ok()))
    }

    fn file_name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn unreadable(&self, source: ReadError) -> LoadError {
        LoadError::Read { file: self.file.to_path_buf(), source: Box::new(source) }
    }
}

/// Reads and checks on a thread of its own, while the other end of the channel writes.
struct Pump {
    reader: Reader,
    plan: Plan,
    keys: KeySet,
    tokeniser: Tokeniser,
    sender: mpsc::Sender<(Admitted, u64)>,
}

enum PumpError {
    Read(ReadError),
    Gate(DataFusionError),
}

impl Pump {
    fn run(mut self) -> Result<KeySet, PumpError> {
        let mut chunk = Chunk::default();
        loop {
            self.reader.read(CHUNK_ROWS, &mut chunk).map_err(PumpError::Read)?;
            if chunk.rows() == 0 {
                return Ok(self.keys);
            }
            let mut gate = Gate { plan: &self.plan, tokeniser: &self.tokeniser, keys: &mut self.keys };
            let admitted = gate.admit(&chunk).map_err(PumpError::Gate)?;
            // A receiver that is gone has an error of its own to tell.
            if self.sender.blocking_send((admitted, self.reader.bytes_read())).is_err() {
                return Ok(self.keys);
            }
        }
    }
}

/// Of the loads of one file, the one by which it is loaded. One without a good row is none where the standards are not what
/// they were: whoever corrected them loads the file again.
fn standing(records: Vec<LoadRecord>, standards: &str) -> Option<LoadRecord> {
    let stands = |r: &LoadRecord| r.good > 0 || r.rows == 0 || r.standards_hash == standards;
    records.into_iter().filter(stands).max_by_key(|r| r.good)
}

fn already_loaded(record: LoadRecord) -> LoadReport {
    LoadReport {
        record,
        already_loaded: true,
        fields: Default::default(),
        samples: Default::default(),
        absent_fields: Vec::new(),
        ignored_columns: Vec::new(),
    }
}

/// What is loaded once only: these bytes into this table for this member; and once more by other standards where they had no
/// good row.
fn app_id(table: &str, member: Option<&str>, file_hash: &str, standards: Option<&str>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [table, member.unwrap_or_default(), file_hash].into_iter().chain(standards) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    format!("tarim-load-{}", hasher.finalize().to_hex())
}

fn hash_of(path: &PathBuf) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn now_us() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

/// A panic of a thread goes on in the one that waits for it.
fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Result<T, LoadError> {
    result.map_err(|e| match e.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(e) => LoadError::DataFusion(DataFusionError::External(Box::new(e))),
    })
}
