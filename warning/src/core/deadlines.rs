//! The stream's time goes on, and the time of episodes is over.
//!
//! ```text
//!  event or tick ─► the clock ─► timers before it ─► episodes of pattern and customer that are over ─► alerts
//! ```
//!
//! A timer only wakes; episodes say themselves when they are over. So no timer is cancelled, and none is in a snapshot.

use tarim_features::stream::Sections;

use super::{Outbox, episodes::Episode, raise::Fired, state::State, timers::Timer};

impl State {
    /// The stream's time is at least this: timers go off.
    pub(super) fn advance(&mut self, to_us: i64, out: &mut Outbox) {
        if to_us <= self.clock_us {
            return;
        }
        self.clock_us = to_us;
        while let Some(timer) = self.timers.next_before(to_us) {
            self.time_out(timer, out);
        }
    }

    /// A deadline has passed: the episodes of the pattern that are over fire. Those that were renewed wait on.
    pub(super) fn time_out(&mut self, timer: Timer, out: &mut Outbox) {
        let book = self.book.clone();
        let pattern = &book.patterns()[timer.pattern as usize];
        let mut episodes = self.episodes(timer.customer);
        let of = |e: &Episode| u32::from(e.pattern) == timer.pattern;
        let over: Vec<Episode> =
            episodes.iter().filter(|e| of(e) && e.deadline_us <= timer.deadline_us).cloned().collect();
        let renewed = episodes.iter().filter(|e| of(e) && e.deadline_us > timer.deadline_us);
        // Each other episode has a timer of its own.
        if pattern.renewed
            && let Some(next) = renewed.map(|e| e.deadline_us).min()
        {
            self.timers.set(Timer { deadline_us: next, ..timer });
        }
        if over.is_empty() {
            return;
        }
        episodes.retain(|e| !of(e) || e.deadline_us > timer.deadline_us);
        self.write_episodes(timer.customer, &episodes);
        for episode in over {
            let fired = Fired {
                customer: timer.customer,
                episode: &episode,
                at_us: episode.deadline_us,
                events: vec![episode.first_event()],
                values: self.evidence(&pattern.show, None, (timer.customer, episode.deadline_us)),
                unknown: episode.unknown,
            };
            self.raise(pattern, fired, out);
        }
    }

    /// Sets the timers of all episodes that wait.
    pub(super) fn set_timers(&mut self) {
        let book = self.book.clone();
        for slot in 0..self.customers.len() as u32 {
            let (section, count) = self.layout.episodes;
            let episodes: Vec<Timer> =
                Episode::all(Sections::section_of(self.customers.state(slot).1, section, count))
                    .filter(|e| book.patterns().get(usize::from(e.pattern)).is_some_and(|p| p.at_end))
                    .map(|e| Timer { deadline_us: e.deadline_us, customer: slot, pattern: e.pattern.into() })
                    .collect();
            for timer in episodes {
                self.timers.set(timer);
            }
        }
    }
}
