//! What can go wrong with a ledger, apart from refusals.

use std::{io, path::PathBuf, sync::Arc};

use super::operation::Refusal;
use crate::journal::JournalError;

/// Why an operation was not done, or a ledger cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Nothing was done, for a reason of the operation's.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much waits. Nothing was done.
    #[error("the exposure ledger has too many operations waiting; ask again later")]
    Busy,
    /// It takes nothing more: it was closed, or a write failed. What waits may have been done or not: whoever asks again with the
    /// same key once the ledger is open again learns which.
    #[error("the exposure ledger is closed: {0}")]
    Closed(String),
    /// The disk, or what stands on it.
    #[error(transparent)]
    Disk(Arc<JournalError>),
    /// There is no such folder.
    #[error(
        "there is no exposure ledger in {}\n    fix: name the installation with --home (or TARIM_HOME); `tarim serve` makes it \
         when the rulebook has limits",
        .0.display()
    )]
    Absent(PathBuf),
    /// A snapshot that cannot be read, and the log does not reach back far enough to do without it.
    #[error(
        "{}: {what}.\n    fix: restore it, or the log's segments from record {wanted} on, from a copy",
        file.display()
    )]
    Snapshot { file: PathBuf, what: String, wanted: u64 },
    /// Nothing stands of so early a time.
    #[error(
        "the ledger's folder holds nothing of that time: {0}\n    fix: bring archived segments and snapshots back"
    )]
    TooEarly(String),
}

impl From<JournalError> for LedgerError {
    fn from(e: JournalError) -> Self {
        Self::Disk(Arc::new(e))
    }
}

impl LedgerError {
    pub(super) fn io(what: &'static str, file: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| JournalError::io(what, file)(source).into()
    }
}
