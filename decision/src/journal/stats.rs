//! What the journal counts of itself, and the exposure ledger, which is written in the same way.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::metrics::{Sizes, Times};

/// How the journal fares.
pub struct Stats {
    /// Records that were written and synced together.
    pub groups: Sizes,
    /// What that took.
    pub commits: Times,
    /// Bytes of records that are durable.
    pub bytes: AtomicU64,
    /// Records that were handed over and are not durable yet.
    queued: AtomicU64,
    started: Instant,
    /// When the group that is being written was taken, in nanoseconds since `started`; 0: there is none.
    writing_since: AtomicU64,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            groups: Sizes::default(),
            commits: Times::default(),
            bytes: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            started: Instant::now(),
            writing_since: AtomicU64::new(0),
        }
    }

    /// Records that wait to be durable.
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// For how long the group that is being written has been so: what a stuck disk shows by.
    pub fn lag(&self) -> Duration {
        match self.writing_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.started.elapsed().saturating_sub(Duration::from_nanos(since)),
        }
    }

    pub(crate) fn submitted(&self, records: usize) {
        self.queued.fetch_add(records as u64, Ordering::Relaxed);
    }

    /// There was no room in the queue.
    pub(crate) fn withdrawn(&self, records: usize) {
        self.queued.fetch_sub(records as u64, Ordering::Relaxed);
    }

    /// A group is being written; gives when that began.
    pub(crate) fn writing(&self) -> Instant {
        let now = Instant::now();
        let since = now.duration_since(self.started).as_nanos() as u64;
        self.writing_since.store(since.max(1), Ordering::Relaxed);
        now
    }

    /// The group is written, or never will be: `durable` bytes.
    pub(crate) fn written(&self, since: Instant, records: usize, durable: Option<usize>) {
        if let Some(bytes) = durable {
            self.commits.time(since.elapsed());
            self.groups.record(records as u64, 1);
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.queued.fetch_sub(records as u64, Ordering::Relaxed);
        self.writing_since.store(0, Ordering::Relaxed);
    }
}
