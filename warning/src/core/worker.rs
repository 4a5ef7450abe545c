//! A worker: takes records one after the other, and tells what each of them is: an event of a customer, a tick of the clock, a
//! rulebook or features from here on, or a dead letter.

use std::sync::Arc;

use super::{Counts, Outbox, Position, letter::letter, state::State};
use crate::{
    event::{Format, Intake, Reader, Taken},
    partitioner::Places,
    rulebook::WarningBook,
};

/// An event that happened later than it was known by more is from the future: a clock is wrong.
pub(super) const AHEAD_MAX_US: i64 = 5 * 60 * 1_000_000;

/// Takes records, one after the other.
#[derive(Debug)]
pub struct Worker {
    pub(super) reader: Reader,
    pub(super) state: State,
    /// Where events must stand; None: wherever they do.
    pub(super) places: Option<Places>,
}

impl Worker {
    /// One that has taken nothing yet.
    pub fn new(book: Arc<WarningBook>) -> Self {
        Self { reader: Reader::new(Arc::new(Intake::new(&book))), places: None, state: State::new(book) }
    }

    /// Takes the record that stands at a position. What comes of it is added to `out`.
    pub fn take(&mut self, at: Position, format: Format, payload: &[u8], out: &mut Outbox) {
        self.take_that_came(at, i64::MAX, format, payload, out);
    }

    /// The same of a record that came at a time, by the log's own clock. What says that it happened after it came does not
    /// set the stream's clock: a single sender whose clock is years ahead would make everybody else's events late.
    pub fn take_that_came(
        &mut self,
        at: Position,
        came_us: i64,
        format: Format,
        payload: &[u8],
        out: &mut Outbox,
    ) {
        self.state.home.get_or_insert(at.partition);
        let ahead = |time_us: i64| time_us.saturating_sub(came_us) > AHEAD_MAX_US;
        let reason = match self.reader.read(format, payload) {
            Ok(Taken::Tick { at_us }) if ahead(at_us) => {
                self.state.counts.rejected += 1;
                "happened_at: the tick is ahead of the log: correct the clock of the sender".into()
            }
            Ok(Taken::Tick { at_us }) => {
                self.state.counts.ticks += 1;
                self.state.advance(at_us, out);
                return;
            }
            Ok(Taken::Rulebook { version, features }) => {
                out.rulebook = Some(version.to_owned());
                out.features = features.map(str::to_owned);
                return;
            }
            Ok(Taken::Features { version }) => {
                out.features = Some(version.to_owned());
                return;
            }
            Ok(Taken::Event(_)) if self.state.blind => {
                out.is_blind = true;
                return;
            }
            Ok(Taken::Event(event)) if ahead(event.happened_at_us) => {
                self.state.counts.rejected += 1;
                "happened_at: it is later than the event came: correct the clock of the sender".into()
            }
            Ok(Taken::Event(event)) => {
                let places = self.places.as_mut();
                match places.and_then(|p| p.misplaced(event.member, event.customer, at.partition)) {
                    Some(reason) => {
                        self.state.counts.rejected += 1;
                        self.state.counts.misplaced += 1;
                        reason
                    }
                    None => match self.state.take_event(&event, at, out) {
                        Ok(()) => return,
                        Err(reason) => reason,
                    },
                }
            }
            Err(rejected) => {
                self.state.counts.rejected += 1;
                self.state.counts.unreadable += u64::from(rejected.unreadable);
                rejected.to_string()
            }
        };
        if self.state.home == Some(at.partition) {
            self.state.dead.add(at.offset.into());
        }
        out.dead.push(letter(at, reason, payload));
    }

    /// From here on an event that stands in another partition than its customer's is not taken.
    pub fn set_places(&mut self, places: Places) {
        self.places = Some(places);
    }

    /// The rulebook that holds.
    pub fn book(&self) -> &Arc<WarningBook> {
        &self.state.book
    }

    /// Whether an event of the log has brought it into force.
    pub fn is_swapped(&self) -> bool {
        self.state.swapped
    }

    /// What it has done so far.
    pub fn counts(&self) -> &Counts {
        &self.state.counts
    }

    /// The log no longer has what stands before an offset: it will not be asked whether it was taken.
    pub fn forget_before(&mut self, offset: i64) {
        self.state.dead.forget_before(offset);
    }

    /// Customers who have a state.
    pub fn customers(&self) -> usize {
        self.state.customers.len()
    }

    /// The latest time of what was taken, in microseconds since 1970; 0: nothing was.
    pub fn latest_us(&self) -> i64 {
        self.state.clock_us.max(0)
    }

    /// Bytes of all states.
    pub fn state_bytes(&self) -> usize {
        self.state.customers.bytes()
    }

    /// Timers that are set.
    pub fn timers(&self) -> usize {
        self.state.timers.len()
    }
}
