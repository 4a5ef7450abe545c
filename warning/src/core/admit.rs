//! An event is taken, or refused: what it does, from first to last.
//!
//! ```text
//!  is it in time? ─► the stream's clock goes on ─► its customer ─► conditions that hold ─► each is followed
//!                     (deadlines)                                   (conditions)            (found)
//! ```

use tarim_features::row::Row;

use super::{Outbox, Position, found::Found, state::State, worker::AHEAD_MAX_US};
use crate::event::Event;

impl State {
    /// Takes an event. Err: why it is a dead letter.
    pub(super) fn take_event(
        &mut self,
        event: &Event<'_>,
        at: Position,
        out: &mut Outbox,
    ) -> Result<(), String> {
        let time_us = event.happened_at_us;
        if time_us.saturating_sub(event.known_at_us) > AHEAD_MAX_US {
            self.counts.rejected += 1;
            return Err("happened_at: it is later than known_at: correct the clock of the sender".into());
        }
        let late_us = self.clock_us.saturating_sub(time_us);
        let allowed_us = self.book.allowed_lateness_us(event.kind);
        if late_us > allowed_us {
            self.counts.late += 1;
            let (late, allowed) = (hours(late_us), hours(allowed_us));
            return Err(format!(
                "happened_at: the event is {late} late; {allowed} are allowed (pipeline.lateness of the warnings)"
            ));
        }
        self.admit(event, at, out)
    }

    /// The same of an event that is in time.
    pub(super) fn admit(&mut self, event: &Event<'_>, at: Position, out: &mut Outbox) -> Result<(), String> {
        // What has spread comes from another partition, which may be ahead of this one: its time is not the time here, and would
        // make what is still to come here late.
        if !self.book.is_contagion(event.kind) {
            self.advance(event.happened_at_us, out);
        }
        let customer = self.customers.slot(event.member, event.customer);
        let customer = customer.ok_or_else(|| {
            self.counts.rejected += 1;
            "customer_id: it is too long, or there are too many customers for one worker".to_owned()
        })?;
        let book = self.book.clone();
        let kind = &book.streams().kinds()[event.kind];
        let row = Row::new(&kind.layout, event.row, book.codes(event.kind), 0).map_err(|e| e.to_string());
        let row = row.inspect_err(|_| self.counts.rejected += 1)?;
        self.listen(event, &row, customer).inspect_err(|_| self.counts.rejected += 1)?;
        self.counts.events[event.kind] += 1;
        self.work.event += 1;

        let asks = &book.listeners()[event.kind].asks;
        let found = std::mem::take(&mut self.work.found);
        for (i, truth) in &found {
            let ask = &asks[*i];
            if *truth == Some(true) || ask.unknown {
                let mut found = Found { state: self, event, row: &row, ask, at, customer, out };
                found.follow(truth.is_none());
            }
        }
        self.work.found = found;
        Ok(())
    }
}

fn hours(us: i64) -> String {
    format!("{} h", us / 3_600_000_000)
}
