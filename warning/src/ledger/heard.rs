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

use crate::clock::Clock;

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
        if !is_news(at_us, self.at_us.load(Ordering::Acquire), Clock::System.now_us()) {
            return;
        }
        self.at_us.store(at_us, Ordering::Release);
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

/// It does not go back. But what is held is not of the future: a clock was ahead that said so, and it would keep out what is
/// heard until then.
fn is_news(at_us: i64, held_us: i64, now_us: i64) -> bool {
    at_us > held_us || (at_us < held_us && held_us > now_us)
}

/// What the writer said last; None: nothing, or it is being written.
pub fn read(folder: &Path) -> Option<i64> {
    let bytes = std::fs::read(folder.join(NAME)).ok()?;
    let number = |at: usize| Some(i64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    number(0).zip(number(8)).filter(|(at, not)| *at == !*not).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::is_news;

    #[test]
    fn it_goes_back_from_the_future_only() {
        for (at_us, held_us, now_us, wanted) in [
            (5, i64::MIN, 6, true),
            (5, 4, 6, true),
            (5, 5, 6, false),
            (4, 5, 6, false),
            (4, 9, 6, true),
            // It stands still: nothing is to be written.
            (9, 9, 6, false),
        ] {
            assert_eq!(is_news(at_us, held_us, now_us), wanted, "{at_us} after {held_us}, at {now_us}");
        }
    }
}
