//! Another rulebook, while running: what both keep of a customer stays.

use std::sync::Arc;

use tarim_features::stream::{Migration, Sections};

use super::{
    crossed::Crossed,
    customers::Customers,
    episodes::Episode,
    standing::Standing,
    worker::{State, Worker},
};
use crate::rulebook::{Crossing, WarningBook};

impl Worker {
    /// Goes on with another rulebook. Windows that take the same of the same events keep what they have, and so do patterns,
    /// standing alerts and crossings of rules that are there still; new windows begin empty.
    pub fn swap(&mut self, book: Arc<WarningBook>) {
        let mut worker = Worker::new(book);
        worker.state_mut().take_over(self.state_mut());
        *self = worker;
    }
}

impl State {
    fn take_over(&mut self, old: &mut State) {
        old.customers_mut().close();
        let (before, now) = (old.book().clone(), self.book().clone());
        let migration = Migration::new((before.streams(), before.plan()), (now.streams(), now.plan()));
        // By the ids of rules.
        let rules: Vec<Option<u32>> = before
            .rules()
            .iter()
            .map(|rule| now.rules().iter().position(|r| r.id == rule.id).map(|i| i as u32))
            .collect();
        let patterns: Vec<Option<u16>> = before
            .patterns()
            .iter()
            .map(|pattern| {
                let rule = rules[pattern.rule]? as usize;
                now.patterns().iter().position(|p| p.rule == rule).map(|i| i as u16)
            })
            .collect();
        let (old_count, new_count) = (old.sections(), self.sections());
        let (old_identity, new_identity) = (old.identity_section(), self.identity_section());
        for slot in 0..old.customers().len() as u32 {
            let (now_us, state) = old.customers().state(slot);
            let section = |section: usize| Sections::section_of(state, section, old_count);
            let mut sections = Sections::new(new_count);
            let identity = sections.replace(new_identity, new_count, section(old_identity));
            identity.expect("an identity fits an empty state");
            let windows = migration.apply(now.plan(), now_us, (state, old_count), &mut sections, new_count);
            windows.expect("a rulebook whose windows do not fit a state is refused");
            let episodes: Vec<Episode> = Episode::all(section(old.episodes_section().0))
                .filter_map(|e| Some(Episode { pattern: patterns[usize::from(e.pattern)]?, ..e }))
                .collect();
            for standing in Standing::all(section(old.standing_section().0)) {
                // One that does not fit would be raised again: rather twice than not at all.
                if let Some(rule) = rules[standing.rule as usize] {
                    let _ = Standing { rule, ..standing }.put(None, &mut sections, self.standing_section());
                }
            }
            for (_, crossed) in Crossed::all(section(old.crossed_section().0)) {
                if let Some(crossed) = same_crossing(crossed, &rules, (&before, &now)) {
                    crossed.put(None, &mut sections, self.crossed_section());
                }
            }
            let put: Option<()> = Customers::put(self.customers_mut(), slot, now_us, sections.bytes());
            put.expect("customers come in order");
            if !episodes.is_empty() {
                self.write(slot, &episodes);
            }
        }
        // The timers look at what is kept, not at who is open.
        self.customers_mut().close();
        self.set_clock(old.clock_us());
        self.set_swapped(true);
        self.take_counts(old.counts(), &rules, &before, &now);
        self.set_timers();
    }
}

/// What a crossing saw, by the new rulebook. Of another line, whoever is beyond that one too was told; others were not.
fn same_crossing(
    crossed: Crossed,
    rules: &[Option<u32>],
    (before, now): (&WarningBook, &WarningBook),
) -> Option<Crossed> {
    let rule = rules[crossed.rule as usize]?;
    let (old, new) = (crossing(before, crossed.rule)?, crossing(now, rule)?);
    let beyond = crossed.beyond && (old.line == new.line || new.line.is_passed(crossed.value));
    (old.of == new.of).then_some(Crossed { rule, beyond, ..crossed })
}

fn crossing(book: &WarningBook, rule: u32) -> Option<&Crossing> {
    book.crossings().iter().find(|crossing| crossing.rule == rule as usize)
}
