//! The Delta tables of an installation.
//!
//! ```text
//! datamart/
//!   <table>/               good rows of a table of the standards, or a result table that a crate wrote
//!   _quarantine/<table>/   bad rows, with every rule that they broke
//!   _loads/                one row per completed load
//!   _locks/                who is loading what
//! ```
//!
//! A Delta commit is atomic for one table, and a load touches three. **The commit of the good rows is the
//! load**: it carries an application transaction that names file and table (and the standards, where a file of which no row
//! was good is loaded once more by others), and the whole record of the load
//! in its commit information. What belongs to a load and stands elsewhere is seen only through that:
//! quarantined rows carry the load's id and are hidden unless a commit has it, and `_loads` is an index that is
//! written afterwards; a record that a crash kept out of it is read from the commit, and written by the next
//! load. So a load that dies is either wholly visible or not at all, and running it again completes it.

mod delta;
mod error;
mod loads;
mod session;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use futures::{Stream, StreamExt};

pub(crate) use delta::{DeltaFolder, Label, Writer};
pub use error::Error;
pub(crate) use loads::COMMIT_KEY;
pub use loads::LoadRecord;

use crate::Standards;

/// The Delta tables of an installation, with the standards that say what is in them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Datamart {
    folder: Arc<Path>,
    standards: Standards,
}

/// What happens to the rows that a result table already has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// They stay.
    Append,
    /// They are replaced, in the same commit; older versions of the table still have them.
    Overwrite,
}

impl Datamart {
    /// The datamart in a folder. Whoever writes first makes the folder; until then all tables are empty.
    pub fn open(folder: &Path, standards: Standards) -> Result<Self, Error> {
        let whole = canonical(folder);
        let whole = whole.map_err(|source| Error::Folder { folder: folder.to_path_buf(), source })?;
        Ok(Self { folder: whole.into(), standards })
    }

    /// The standards of its tables.
    pub fn standards(&self) -> &Standards {
        &self.standards
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a result table (decisions of a backtest, an audience, …) in one commit and returns its new version.
    ///
    /// The first write makes the table; later ones may bring new columns. Tables of the standards are loaded
    /// through the gate alone, so their names are refused. The end of `batches` means that they are complete;
    /// who cannot complete them must end them with an error ([`Error::Incomplete`]), and no row is committed.
    pub async fn write(
        &self,
        table: &str,
        schema: SchemaRef,
        mut batches: impl Stream<Item = Result<RecordBatch, Error>> + Unpin,
        mode: WriteMode,
    ) -> Result<u64, Error> {
        let well_formed = table.starts_with(|c: char| c.is_ascii_lowercase())
            && table.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !well_formed || self.standards.table(table).is_some() || session::is_reserved(table) {
            return Err(Error::ResultName { table: table.to_owned() });
        }
        let folder = DeltaFolder::new(self.table_folder(table));
        let delta = folder.open_or_create(&schema).await?;
        let mut writer = Writer::new(&delta, folder.clone(), schema);
        while let Some(batch) = batches.next().await {
            writer.write(&batch?).await?;
        }
        let adds = writer.close().await?;
        match mode {
            WriteMode::Append => folder.append(&delta, adds, None).await,
            WriteMode::Overwrite => folder.overwrite(&delta, adds).await,
        }
    }

    pub(crate) fn table_folder(&self, table: &str) -> PathBuf {
        self.folder.join(table)
    }

    pub(crate) fn quarantine_folder(&self, table: &str) -> PathBuf {
        self.folder.join("_quarantine").join(table)
    }

    pub(crate) fn loads_folder(&self) -> PathBuf {
        self.folder.join("_loads")
    }

    pub(crate) fn lock_file(&self, table: &str) -> PathBuf {
        self.folder.join("_locks").join(table)
    }
}

/// The whole path of a folder that need not be there yet.
fn canonical(folder: &Path) -> io::Result<PathBuf> {
    match folder.canonicalize() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else { return Err(e) };
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Ok(canonical(parent)?.join(name))
        }
        found => found,
    }
}
