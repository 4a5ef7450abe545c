//! What can go wrong with a journal.

use std::{io, path::PathBuf};

/// Why the journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Something that was on disk cannot be read any more.
    #[error(
        "{}, byte {offset}: {what}. What was recorded from here on cannot be trusted.\n    fix: restore it from a \
         copy; without one, move this segment and the later ones away (what was recorded before remains; room that lost \
         decisions have reserved is held until it expires, or a repeat of the request gives it back)",
        file.display()
    )]
    Corrupt {
        /// The segment.
        file: PathBuf,
        /// Where in it the first unreadable record starts.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The disk refused.
    #[error("cannot {what} {}: {source}\n    fix: check the disk's space, health and permissions", file.display())]
    Io {
        /// What was tried: "write".
        what: &'static str,
        /// With which file or folder.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Two writers would destroy each other's work.
    #[error("{} is in use by another process\n    fix: stop the other `tarim serve`, or give this one another --home", folder.display())]
    InUse {
        /// The journal's folder.
        folder: PathBuf,
    },
    /// A record that no segment can hold.
    #[error("a record of {size} bytes; the longest is {} bytes", super::frame::PAYLOAD_MAX)]
    TooLong {
        /// Its length in bytes.
        size: usize,
    },
    /// The journal takes no more records: it was closed, or a write failed before.
    #[error("the journal is closed: {0}")]
    Closed(String),
}

impl JournalError {
    /// For `map_err`: what was tried, with which file.
    pub(crate) fn io(what: &'static str, file: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, file, source }
    }
}
