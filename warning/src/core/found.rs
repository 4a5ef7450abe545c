//! A condition that holds of an event, and what follows from it.
//!
//! ```text
//!  Found ─┬─ of a rule ─► alert
//!         ├─ of a crossing ─► crossing
//!         └─ of a pattern: first, then, unless ─► patterns
//! ```
//!
//! All of them have their key, what they show and the event's place from here.

use std::fmt::Write as _;

use tarim_datamart::ValueRef;
use tarim_features::row::Row;
use tarim_proto::warning::v1::{EventRef, Evidence};

use super::{
    Outbox, Position,
    raise::{Outcome, Raise},
    state::State,
};
use crate::{
    event::Event,
    rulebook::{Ask, Asks, Shown},
};

/// A condition of an event that holds, or may hold.
pub(super) struct Found<'a> {
    pub(super) state: &'a mut State,
    pub(super) event: &'a Event<'a>,
    pub(super) row: &'a Row<'a>,
    pub(super) ask: &'a Ask,
    pub(super) at: Position,
    pub(super) customer: u32,
    pub(super) out: &'a mut Outbox,
}

impl Found<'_> {
    /// Does what the condition is for. `unknown`: whether it holds is not known, and that counts.
    pub(super) fn follow(&mut self, unknown: bool) {
        match self.ask.of {
            Asks::Rule(rule) => self.rule(rule, unknown),
            Asks::Crossing(crossing, look) => self.crossing(crossing, look, unknown),
            Asks::First(pattern) => self.first(pattern, unknown),
            Asks::Then(pattern) => self.then(pattern, unknown),
            Asks::Unless(pattern) => self.unless(pattern),
        }
    }

    /// A rule fires.
    fn rule(&mut self, rule: usize, unknown: bool) {
        let key = self.key();
        let raise = Raise {
            rule,
            customer: self.customer,
            key: &key,
            at_us: self.event.happened_at_us,
            unknown,
            values: self.evidence(),
            events: vec![self.event_ref()],
            by_contagion: self.state.book.is_contagion(self.event.kind),
        };
        self.raise(raise);
    }

    /// Raises an alert, unless it is held back.
    pub(super) fn raise(&mut self, raise: Raise<'_>) -> Outcome {
        let State { book, customers, counts, layout, .. } = &mut *self.state;
        raise.raise(book, customers, layout.standing, counts, self.out)
    }

    /// The key's fields, as text. Of several fields, what separates them is marked where it stands in one, so that
    /// different fields are different keys.
    pub(super) fn key(&self) -> String {
        let mut key = String::new();
        self.write_key(&mut key);
        key
    }

    /// The same in the place of what is there.
    pub(super) fn write_key(&self, key: &mut String) {
        key.clear();
        let columns = self.ask.key.as_slice();
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                key.push('/');
            }
            match self.row.get_ref(*column) {
                ValueRef::Null => {}
                ValueRef::Utf8(text) if columns.len() == 1 => key.push_str(text),
                ValueRef::Utf8(text) => {
                    for c in text.chars() {
                        if let '\\' | '/' = c {
                            key.push('\\');
                        }
                        key.push(c);
                    }
                }
                value => write!(key, "{}", value.to_value()).expect("a text takes all"),
            }
        }
    }

    /// What an alert of the condition shows.
    pub(super) fn evidence(&mut self) -> Vec<Evidence> {
        self.evidence_of(&self.ask.show)
    }

    /// The same, if it shows these.
    pub(super) fn evidence_of(&mut self, show: &[Shown]) -> Vec<Evidence> {
        // As its condition saw the windows: what has spread may be ahead of the time here.
        let at = (self.customer, self.event.happened_at_us.min(self.state.clock_us));
        self.state.evidence(show, Some(self.row), at)
    }

    /// The field that is kept or added.
    pub(super) fn amount(&self) -> Option<i64> {
        self.row.int(self.ask.amount?)
    }

    /// Where the event stands.
    pub(super) fn event_ref(&self) -> EventRef {
        let Position { partition, offset } = self.at;
        EventRef { event_id: self.event.id.to_owned(), partition, offset }
    }
}
