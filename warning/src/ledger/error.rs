//! What can go wrong with the ledger.

use std::{io, path::PathBuf};

use crate::lifecycle::Id;

/// Why the ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Something that was on disk cannot be read any more.
    #[error(
        "{}, byte {offset}: {what}. What follows cannot be trusted.\n    fix: restore the file from a copy; without \
         one, move it away and let the alerts be read anew (what was done about them is lost)",
        file.display()
    )]
    Corrupt { file: PathBuf, offset: u64, what: String },
    /// An alert that was on disk cannot be read any more; all else goes on.
    #[error(
        "{}, byte {offset}: an alert cannot be read: {what}\n    fix: restore the file from a copy, which its service reads \
         at its next start",
        file.display()
    )]
    Body { file: PathBuf, offset: u64, what: String },
    /// A bug: none is ever removed.
    #[error("there is no warning {warning}, though a digest tells of it")]
    NoWarning { warning: Id },
    /// The disk refused.
    #[error("cannot {what} {}: {source}\n    fix: check the disk's space, health and permissions", file.display())]
    Io {
        what: &'static str,
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Two writers would destroy each other's work.
    #[error("{} is in use by another process\n    fix: stop the other `tarim warn serve`, or give this one another --state", folder.display())]
    InUse { folder: PathBuf },
    /// It takes nothing more: it was closed, or a write failed before.
    #[error("the ledger is closed: {0}")]
    Closed(String),
}

impl LedgerError {
    /// For `map_err`: what was tried, with which file.
    pub(super) fn io(what: &'static str, file: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, file, source }
    }
}
