//! What an event says to a customer's windows and to the conditions of its kind.
//!
//! ```text
//!  program of the kind: part 0, what windows take ─► the customer's windows are updated
//!                       part 1, guards ─► of each that is not false: conditions that read windows and features ─► found
//! ```
//!
//! Which conditions have which guard is the rulebook's: see [`Listener`](crate::rulebook::Listener).

use tarim_features::{
    expr::{Answers, Scratch},
    row::{Dictionary, Row},
    stream::Moment,
};

use super::{
    known::{Met, whose},
    state::{State, Work},
};
use crate::{
    event::Event,
    rulebook::{Binding, Group, Guards},
};

impl State {
    /// Updates the customer's windows and finds the conditions that are not false.
    pub(super) fn listen(&mut self, event: &Event<'_>, row: &Row<'_>, customer: u32) -> Result<(), String> {
        let Self { book, customers, work, clock_us, features, .. } = self;
        let Work { scratch, always_scratch, group_scratch, said, seen, found, whole, .. } = work;
        let listener = &book.listeners()[event.kind];
        let rows = [*row];
        let mut evaluation = listener.program.start(&listener.bound, &rows, Dictionary::none(), scratch);
        evaluation.run(0);
        let plan = book.plan();
        plan.listen(event.kind, &evaluation.answers(0), said).map_err(|e| e.to_string())?;
        let count = self.layout.count;
        let state = customers.get_mut(customer);
        let time_us = match book.is_contagion(event.kind) && *clock_us > i64::MIN {
            true => event.happened_at_us.min(*clock_us),
            false => event.happened_at_us,
        };
        state.now_us = state.now_us.max(time_us);
        let now = Moment::at(state.now_us);
        plan.update(event.kind, said, (time_us, &now), &mut state.sections, count)
            .map_err(|e| e.to_string())?;
        evaluation.run(1);
        found.clear();
        seen.clear();
        let whose = whose(book, event, row, state.now_us);
        let mut met = Met::default();
        let mut ask = |group: &'_ Group, guard: Option<bool>, scratch: &mut Scratch| {
            let (ignoring, all) = (group.ignoring, group.asks.len() as u32);
            // Where the guard is unknown, nothing is TRUE.
            if guard.is_none() && ignoring == all {
                return;
            }
            let known;
            let (bound, rows) = match &group.bound {
                Binding::Event(bound) => (bound, &rows[..]),
                Binding::Known(knows) => {
                    known = features.start(knows, &mut met, whose);
                    (known.0, &known.1[..])
                }
            };
            let mut evaluation = group.program.start(bound, rows, Dictionary::none(), scratch);
            plan.read(&group.windows, &now, &state.sections, count, seen);
            for (window, inlet) in &group.inlets {
                evaluation.put_number(*inlet, seen.get(*window));
            }
            evaluation.run(0);
            let answers = evaluation.answers(0);
            if guard.is_some() {
                answers.each_true(0..ignoring, |id| found.push((group.asks[id.0 as usize], guard)));
            }
            answers.each_not_false(ignoring..all, |id, truth| {
                found.push((group.asks[id.0 as usize], truth.and(guard)));
            });
        };
        if let Some(group) = &listener.always {
            ask(group, Some(true), always_scratch);
        }
        if let Some(group) = &listener.always_known {
            ask(group, Some(true), group_scratch);
        }
        let guards = 0..listener.guards.len() as u32;
        whole.clear();
        evaluation.answers(1).each_not_false(guards, |id, truth| {
            let Guards { whole: conditions, group, known } = &listener.guards[id.0 as usize];
            whole.extend(conditions.iter().map(|i| (*i, truth)));
            if let Some(group) = group {
                ask(group, truth, group_scratch);
            }
            if let Some(group) = known {
                ask(group, truth, group_scratch);
            }
        });
        found.append(whole);
        // Each comes in its turn, whichever way it was found.
        found.sort_unstable_by_key(|(i, _)| *i);
        Ok(())
    }
}
