//! The pipeline without its edges: records in; alerts, dead letters and timers out.
//!
//! ```text
//!  record ─► Reader ─► is it late, or from the future? ─► dead letter                          worker, admit
//!                │
//!            the stream's clock goes on ─► timers that are due ─► alerts                        deadlines
//!                │
//!            the customer's state: windows are updated                                          conditions, features::stream
//!                │
//!            conditions of the kind: one row program                                            conditions
//!                │
//!            what ends patterns, what follows, what begins them, rules and crossings ─► alerts  found, patterns, crossing, raise
//! ```
//!
//! There is no I/O here, no clock but the stream's own (the latest event time or tick), no chance, and no order but that of the records. So the
//! same records give the same alerts, with the same ids.

mod admit;
mod arena;
mod backfill;
mod conditions;
mod crossed;
mod crossing;
mod customers;
mod dead;
mod deadlines;
mod ended;
mod episodes;
mod evidence;
mod foresee;
mod found;
mod index;
mod known;
mod layout;
mod letter;
mod patterns;
mod raise;
mod snapshot;
mod standing;
mod state;
mod swap;
mod timers;
mod worker;

use tarim_proto::warning::v1::{Alert, DeadLetter};

pub use backfill::Backfill;
pub use foresee::FORESEEN;
pub use letter::RECORD_MAX;
pub(crate) use letter::shortened;
pub(crate) use snapshot::{CHECKSUM, is_whole, made_with};
pub use snapshot::{SnapshotError, Span};
pub use worker::Worker;

/// Where a record stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub partition: i32,
    pub offset: i64,
}

/// What a worker puts out.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    pub alerts: Vec<Alert>,
    pub dead: Vec<DeadLetter>,
    /// Of the alerts, by index: those that rest on an alert of somebody else that has spread. They spread no further, or what
    /// goes round in circles would never come to rest.
    pub by_contagion: Vec<usize>,
    /// From here on the rulebook of this version holds: before the next record is taken, the worker is to be given it
    /// ([`Worker::swap`]), with what history says of it ([`Worker::backfill`]).
    pub rulebook: Option<String>,
    /// From here on the features of this generation are read: before the next record is taken, the worker is to be given its
    /// rows ([`Worker::know`]). Of a rulebook that names a generation: behind the swap.
    pub features: Option<String>,
    /// The event was not taken: rules read features, and nobody has said of which generation. Nothing may be taken behind it.
    pub is_blind: bool,
}

impl Outbox {
    pub fn clear(&mut self) {
        self.alerts.clear();
        self.dead.clear();
        self.by_contagion.clear();
    }
}

/// What a worker has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that were taken, by kind.
    pub events: Vec<u64>,
    pub ticks: u64,
    /// Records that could not be read, broke the standards, or stood in another partition than their customer's.
    pub rejected: u64,
    /// Those of them that could not be read, and that stood elsewhere.
    pub unreadable: u64,
    pub misplaced: u64,
    /// Events that came after the allowed lateness.
    pub late: u64,
    /// Alerts by rule: raised, held back because one stood, and held back because one of another rule stood.
    pub raised: Vec<u64>,
    pub repeated: Vec<u64>,
    pub suppressed: Vec<u64>,
    /// Episodes that gave way to newer ones.
    pub displaced: u64,
}

/// What was not taken, by reason, and what was forgotten to make room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Records that are no events at all, events that break the standards, …
    pub unreadable: u64,
    pub invalid: u64,
    /// … that came after the allowed lateness, and that stood in another partition than their customer's.
    pub late: u64,
    pub misplaced: u64,
    /// Episodes of patterns that gave way to newer ones, or were too long.
    pub displaced: u64,
}

impl Counts {
    pub fn losses(&self) -> Losses {
        let Counts { rejected, unreadable, misplaced, late, displaced, .. } = *self;
        Losses { unreadable, invalid: rejected - unreadable - misplaced, late, misplaced, displaced }
    }
}

impl Losses {
    /// Those since then, added to what there is.
    pub fn add(&mut self, then: Losses, now: Losses) {
        self.unreadable += now.unreadable - then.unreadable;
        self.invalid += now.invalid - then.invalid;
        self.late += now.late - then.late;
        self.misplaced += now.misplaced - then.misplaced;
        self.displaced += now.displaced - then.displaced;
    }
}
