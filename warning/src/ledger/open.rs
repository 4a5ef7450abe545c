//! How a ledger is opened, and what is read then.

use std::{
    path::Path,
    sync::{Mutex, atomic::AtomicBool},
    time::Duration,
};

use super::{
    LedgerError, News, OpenWarnings, View,
    bodies::InFile,
    books::{Books, Done},
    log::Log,
    snapshot::{self, State},
    view::Whole,
    writer::Shared,
};
use crate::{
    clock::Clock,
    delivery::{Managers, Policy},
};

/// How far a partition of a topic of alerts has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub topic: String,
    pub partition: i32,
    /// Offset of the first record that has not been read.
    pub next: i64,
}

/// What pushes are made by.
#[derive(Clone, Debug)]
pub struct Pushing {
    pub policy: Policy,
    pub managers: Managers,
    pub clock: Clock,
}

/// How a ledger is opened.
#[derive(Clone, Debug)]
pub struct Opening {
    /// None: nothing new is pushed.
    pub pushing: Option<Pushing>,
    pub clock: Clock,
    /// So long a push stays in the inbox of its reader.
    pub inbox: Duration,
    /// A snapshot is written once the log has grown by so many bytes, and by as many as the last one has.
    pub snapshot_bytes: u64,
}

/// Read in a second or less.
const SNAPSHOT_BYTES: u64 = 64 << 20;

/// A quarter of a year.
const INBOX: Duration = Duration::from_secs(92 * 86_400);

impl Default for Opening {
    fn default() -> Self {
        Self { pushing: None, clock: Clock::default(), inbox: INBOX, snapshot_bytes: SNAPSHOT_BYTES }
    }
}

impl Opening {
    /// What was pushed before then is no longer in the inbox.
    pub(super) fn inbox_from_us(&self) -> i64 {
        let inbox_us = i64::try_from(self.inbox.as_micros()).unwrap_or(i64::MAX);
        self.clock.now_us().saturating_sub(inbox_us)
    }
}

/// Everything that a folder holds, and where in the log its snapshot stands and how long that is.
pub fn read(folder: &Path, opening: &Opening) -> Result<(Log, Books, Shared, (u64, u64)), LedgerError> {
    let State { lifecycle, delivery, outbox, pushes, inbox, mut positions, start, bytes } =
        snapshot::load(folder, opening.inbox);
    let mut books = Books { lifecycle: Whole::new(lifecycle), delivery, stage: None };
    let from_us = opening.inbox_from_us();
    inbox.forget(from_us);
    let (log, torn) = Log::open(folder, start, &mut |begins, record| {
        let mut done = Done::default();
        done.again(&mut books, begins, record)?;
        books.lifecycle.write().settle();
        outbox.put(done.changes);
        if let Some(through) = done.sent {
            outbox.sent(through);
        }
        if !done.pushes.is_empty() {
            inbox.put(&done.pushes);
            inbox.forget(from_us);
        }
        pushes.put(done.pushes);
        if let Some(through) = done.pushed {
            pushes.sent(through);
        }
        positions.extend(done.positions.into_iter().map(|p| ((p.topic, p.partition), p.next)));
        Ok(())
    })?;
    if let Some(torn) = torn {
        tracing::warn!(
            "{}: cut {} bytes of an unfinished write off at byte {}; nobody was told of it",
            log.path().display(),
            torn.bytes,
            torn.end,
        );
    }
    let shared = Shared {
        view: View::new(books.lifecycle.clone(), InFile::open(log.path())?),
        open_warnings: OpenWarnings::new(&books.lifecycle.read()),
        news: News::default(),
        outbox,
        inbox,
        pushes,
        positions: Mutex::new(positions),
        open: AtomicBool::new(true),
    };
    Ok((log, books, shared, (start.at, bytes)))
}
