//! The state of a worker: all that it keeps of the records so far, and buffers that each event uses again.
//!
//! What is done with it stands in the files of what it is done for:
//!
//! ```text
//!  an event comes ─► admit, conditions, found, patterns, crossing
//!  time goes on   ─► deadlines
//!  it is saved    ─► snapshot         another rulebook takes it over ─► swap
//! ```

use std::sync::Arc;

use tarim_features::{
    expr::Scratch,
    stream::{Said, Seen},
};

use super::{
    Counts, crossing::Looked, customers::Customers, dead::DeadOffsets, known::Features, layout::StateLayout,
    timers::Timers,
};
use crate::rulebook::WarningBook;

/// What a worker knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) book: Arc<WarningBook>,
    /// An event of the log has brought the rulebook into force.
    pub(super) swapped: bool,
    /// The generation of features that rules read.
    pub(super) features: Features,
    /// Rules read features, and there are none.
    pub(super) blind: bool,
    pub(super) customers: Customers,
    pub(super) timers: Timers,
    /// Latest event time or tick, in microseconds.
    pub(super) clock_us: i64,
    /// Records that were not taken.
    pub(super) dead: DeadOffsets,
    /// The partition that these are of: that of the first record. (What alerts spread stands in another one, where there is no
    /// Kafka.)
    pub(super) home: Option<i32>,
    pub(super) counts: Counts,
    pub(super) layout: StateLayout,
    pub(super) work: Work,
}

/// Buffers that are used again and again.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) scratch: Scratch,
    pub(super) always_scratch: Scratch,
    pub(super) group_scratch: Scratch,
    pub(super) episode_scratch: Scratch,
    pub(super) said: Said,
    /// What of the customer's windows has been read for the event.
    pub(super) seen: Seen,
    /// Conditions that are not false.
    pub(super) found: Vec<(usize, Option<bool>)>,
    /// Those of them that a guard decides alone.
    pub(super) whole: Vec<(usize, Option<bool>)>,
    /// Number of the event, from 1.
    pub(super) event: u64,
    /// What crossings look at, by look.
    pub(super) looks: Vec<Looked>,
    /// The key of a crossing, as text.
    pub(super) key: String,
    /// Episodes as bytes.
    pub(super) buffer: Vec<u8>,
}

impl State {
    /// Nothing has been taken yet.
    pub(super) fn new(book: Arc<WarningBook>) -> Self {
        let counts = Counts {
            events: vec![0; book.streams().kinds().len()],
            raised: vec![0; book.rules().len()],
            repeated: vec![0; book.rules().len()],
            suppressed: vec![0; book.rules().len()],
            ..Counts::default()
        };
        let layout = StateLayout::new(book.plan());
        Self {
            customers: Customers::new(layout.count, layout.identity),
            layout,
            timers: Timers::default(),
            clock_us: i64::MIN,
            dead: DeadOffsets::default(),
            home: None,
            counts,
            work: Work::default(),
            swapped: false,
            features: Features::default(),
            blind: book.reads().first.is_some(),
            book,
        }
    }
}
