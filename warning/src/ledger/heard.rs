//! Up to when the ledger knows of all alerts: a file beside it, for whoever follows it.
//!
//! Without it a ledger to which nothing comes could not be told from one that nobody writes any more.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

/// Name of the file in the ledger's folder: a time in microseconds since 1970-01-01T00:00:00Z, and its complement.
const NAME: &str = "warnings.heard";

/// The writer's side.
pub struct Heard {
    file: File,
    at_us: AtomicI64,
}

impl Heard {
    /// Nothing is heard yet, by this process.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(folder.join(NAME))?;
        Ok(Self { file, at_us: AtomicI64::new(i64::MIN) })
    }

    /// Says so. It is never synced: after a crash of the machine nobody follows what was before.
    pub fn until(&self, at_us: i64) {
        if self.at_us.fetch_max(at_us, Ordering::AcqRel) >= at_us {
            return;
        }
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&at_us.to_le_bytes());
        bytes[8..].copy_from_slice(&(!at_us).to_le_bytes());
        if let Err(e) = self.file.write_all_at(&bytes, 0) {
            tracing::warn!("cannot say in {NAME} up to when all alerts are known: {e}");
        }
    }

    /// None: nothing was heard.
    pub fn at_us(&self) -> Option<i64> {
        Some(self.at_us.load(Ordering::Acquire)).filter(|at| *at != i64::MIN)
    }
}

/// What the writer said last; None: nothing, or it is being written.
pub fn read(folder: &Path) -> Option<i64> {
    let bytes = std::fs::read(folder.join(NAME)).ok()?;
    let number = |at: usize| Some(i64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    number(0).zip(number(8)).filter(|(at, not)| *at == !*not).map(|(at, _)| at)
}
