//! Bodies of alerts, read from where they stand when somebody asks.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, path::PathBuf, sync::Arc};

use tarim_proto::warning::v1::Alert;

use super::{LedgerError, entry};
use crate::lifecycle::{Id, Place, Warning};

/// Whoever knows what alerts say, and what warnings are about.
pub trait Bodies {
    /// What an alert says, which stands there.
    fn body(&self, place: Place) -> Result<Alert, LedgerError>;

    /// A warning as it is now.
    fn warning(&self, member: &str, id: Id) -> Result<Arc<Warning>, LedgerError>;
}

/// Those in the ledger's file. What is not durable is not asked for: nobody has seen its place.
#[derive(Clone, Debug)]
pub struct InFile {
    file: Arc<File>,
    path: PathBuf,
}

impl InFile {
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let file = File::open(path).map_err(LedgerError::io("open", path.into()))?;
        Ok(Self { file: Arc::new(file), path: path.into() })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What an alert says, which stands there.
    pub fn body(&self, place: Place) -> Result<Alert, LedgerError> {
        let mut bytes = vec![0; place.length()];
        let lost = |what| LedgerError::Body { file: self.path.clone(), offset: place.offset(), what };
        match self.file.read_exact_at(&mut bytes, place.offset()) {
            Ok(()) => entry::body(place, &bytes).map_err(lost),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(lost("the file ends before it".into())),
            Err(e) => Err(LedgerError::io("read an alert of", self.path.clone())(e)),
        }
    }
}

/// Records that are kept in memory: a history without a disk.
#[derive(Debug, Default)]
pub struct InMemory(Vec<u8>);

impl InMemory {
    /// What an alert says, which stands there.
    pub fn body(&self, place: Place) -> Result<Alert, LedgerError> {
        let at = place.offset() as usize;
        let bytes = self.0.get(at..at + place.length()).unwrap_or_default();
        let lost = |what| LedgerError::Body { file: "memory".into(), offset: place.offset(), what };
        entry::body(place, bytes).map_err(lost)
    }
}

/// Takes records that are to be written.
pub trait Records {
    /// Offset at which the next record will begin.
    fn begins(&self) -> u64;

    /// Takes the next record.
    fn gather(&mut self, record: &[u8]);
}

impl Records for InMemory {
    fn begins(&self) -> u64 {
        self.0.len() as u64
    }

    fn gather(&mut self, record: &[u8]) {
        self.0.extend_from_slice(record);
    }
}
