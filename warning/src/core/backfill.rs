//! What a new rulebook asks for and the state does not have is filled from history, before the rulebook comes into force.
//!
//! ```text
//!  log: │ history … from what can matter ……… up to the swap │ swap │ events from here on
//!         └─► Backfill: new windows, new patterns ──────────┐  │
//!              (a worker of a part of the rulebook)         ▼  ▼
//!  Worker: windows, patterns and alerts of both rulebooks ─► Worker of the new rulebook
//! ```
//!
//! The same records are taken again, in their order, by a worker of the [`WarningBook::part`] that is new. A record counts if it was
//! taken when it first came: what was too late by the stream's clock of that time, or broke the standards, is among the
//! [`DeadOffsets`]. So no gate is asked twice, and the rulebooks of before need not be known.
//!
//! A pattern is new, too, if the rule was there and waited for something else, or for another time.
//!
//! Windows depend on a customer's events alone. Patterns wait for time to go by: where there are new ones, all events and ticks are
//! followed, so that whatever has been over in the past is over. Its alerts are thrown away: they were not raised when it
//! would have been time, and a rule that is new does not begin with what is past.

use std::sync::Arc;

use tarim_features::{store::KeptRows, stream::Migration};

use super::{
    Outbox, Position,
    dead::DeadOffsets,
    state::State,
    worker::{AHEAD_MAX_US, Worker},
};
use crate::{
    event::{Format, Taken},
    rulebook::WarningBook,
};

/// History, as far as a new rulebook asks for it.
#[derive(Debug)]
pub struct Backfill {
    worker: Worker,
    dead: DeadOffsets,
    home: Option<i32>,
    out: Outbox,
    /// The stream's clock at the swap.
    until_us: i64,
    /// What happened before this cannot matter.
    from_us: i64,
    /// The latest that the stream's clock may have shown when history begins: whatever is not too late says so.
    began_us: i64,
    /// Names of windows, each with the longest time that it looks back, and of rules.
    windows: Vec<(String, i64)>,
    rules: Vec<String>,
    refused: u64,
}

impl Worker {
    /// What is to be filled from history before a rulebook comes into force; None: nothing.
    pub fn backfill(&self, book: &WarningBook) -> Option<Backfill> {
        let state = &self.state;
        let before = &state.book;
        let until_us = Some(state.clock_us).filter(|clock| *clock > i64::MIN)?;
        let (old, new) = ((before.streams(), before.plan()), (book.streams(), book.plan()));
        let windows = Migration::missing(old, new);
        let patterns: Vec<usize> =
            (0..book.patterns().len()).filter(|p| book.same_pattern(*p, before).is_none()).collect();
        if windows.is_empty() && patterns.is_empty() {
            return None;
        }
        let part = book.part(&windows, &patterns);
        let lateness_us = before.lateness_most_us().max(book.lateness_most_us());
        let need_us = part.looks_back_us().saturating_add(lateness_us);
        let of = |w: &usize| {
            let window = &book.streams().windows()[*w];
            (window.name.clone(), window.span_us())
        };
        Some(Backfill {
            dead: state.dead.clone(),
            home: state.home,
            out: Outbox::default(),
            until_us,
            from_us: until_us.saturating_sub(need_us),
            began_us: until_us,
            windows: windows.iter().map(of).collect(),
            rules: patterns.iter().map(|p| book.rule_of(*p).to_owned()).collect(),
            refused: 0,
            worker: Worker::new(Arc::new(part)),
        })
    }
}

impl Backfill {
    /// Of what generation of features new patterns read: the one that is in force with the new rulebook, all the way back. Those
    /// of before have been computed by other definitions, or are gone.
    pub fn know(&mut self, version: &str, rows: Arc<KeptRows>) {
        self.worker.know(version, rows);
    }

    /// Records that came before this time, by the log's clock, cannot matter: none that was taken is ahead of the log by more
    /// than a little.
    pub fn came_from_us(&self) -> i64 {
        self.from_us.saturating_sub(AHEAD_MAX_US)
    }

    /// Windows and rules that are filled.
    pub fn fills(&self) -> impl Iterator<Item = &str> {
        self.windows.iter().map(|(name, _)| name.as_str()).chain(self.rules.iter().map(String::as_str))
    }

    /// Takes a record of before the swap again. They come in their order, from the first one that can matter on.
    pub fn take(&mut self, at: Position, format: Format, payload: &[u8]) {
        if self.home == Some(at.partition) && self.dead.has(at.offset) {
            return;
        }
        let Worker { reader, state, .. } = &mut self.worker;
        // What has spread is not taken to be ahead of the stream's clock, which is followed for that.
        let book = &state.book;
        let hears_contagion = book.contagion().is_some_and(|kind| book.plan().listens(kind));
        let follows_all = hears_contagion || !book.patterns().is_empty();
        let is_idle = |kind| !book.plan().listens(kind);
        if !follows_all && reader.kind(format, payload).is_some_and(is_idle) {
            return;
        }
        match reader.read(format, payload) {
            Ok(Taken::Event(event)) => {
                let lateness_us = state.book.allowed_lateness_us(event.kind);
                self.began_us = self.began_us.min(event.happened_at_us.saturating_add(lateness_us));
                // The new standards, or what can be summed, are stricter than what it was taken by.
                if state.admit(&event, at, &mut self.out).is_err() {
                    self.refused += 1;
                }
            }
            Ok(Taken::Tick { at_us }) => state.advance(at_us, &mut self.out),
            // The rulebooks of before have had their say, and so have their features: see `know`.
            Ok(Taken::Rulebook { .. } | Taken::Features { .. }) => {}
            Err(_) => self.refused += 1,
        }
        self.out.clear();
    }

    /// Events that were taken when they came, and that the new rulebook could not take.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// If the log no longer has what came before: the windows that do not see all they should yet, each with the time from
    /// which on it does.
    pub fn whole_from(&self) -> Vec<(&str, i64)> {
        let all =
            self.windows.iter().map(|(name, span)| (name.as_str(), self.began_us.saturating_add(*span)));
        all.filter(|(_, from)| *from > self.until_us).collect()
    }

    /// The state that history has filled: all customers are closed, and time is that of the swap.
    pub(super) fn into_state(mut self) -> State {
        let mut state = self.worker.state;
        state.advance(self.until_us, &mut self.out);
        state.customers.close();
        state
    }
}
