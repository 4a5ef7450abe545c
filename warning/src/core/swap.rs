//! Another rulebook, while running: what both keep of a customer stays, and what is new comes from history.

use std::sync::Arc;

use tarim_features::stream::{Migration, Sections};

use super::{
    Counts, backfill::Backfill, crossed::Crossed, ended::Ended, episodes::Episode, known::Features,
    standing::Standing, state::State, worker::Worker,
};
use crate::rulebook::{Crossing, WarningBook};

impl Worker {
    /// Goes on with another rulebook. Windows that take the same of the same events keep what they have, and so do patterns,
    /// standing alerts and crossings of rules that are there still; a pattern that waits for something else, or for another
    /// time, is a new one. New windows and patterns are those that history has
    /// filled; without it they begin empty. If rules read features, it is to be given rows behind it ([`Worker::know`]).
    pub fn swap(&mut self, book: Arc<WarningBook>, history: Option<Backfill>) {
        let mut worker = Worker::new(book);
        let history = history.map(Backfill::into_state);
        worker.state.take_over(&mut self.state, history.as_ref());
        worker.places = self.places.take();
        *self = worker;
    }
}

impl State {
    fn take_over(&mut self, old: &mut State, history: Option<&State>) {
        old.customers.close();
        let (before, now) = (old.book.clone(), self.book.clone());
        let filled = history.map(|h| &h.book);
        let migration = Migration::new(
            (before.streams(), before.plan()),
            filled.map(|book| (book.streams(), book.plan())),
            (now.streams(), now.plan()),
        );
        // By the ids of rules.
        let rules: Vec<Option<u32>> = before
            .rules()
            .iter()
            .map(|rule| now.rules().iter().position(|r| r.id == rule.id).map(|i| i as u32))
            .collect();
        let kept = patterns(&before, &now);
        let new = filled.map_or(Vec::new(), |book| patterns(book, &now));
        let (old_count, new_count) = (old.layout.count, self.layout.count);
        let (old_identity, new_identity) = (old.layout.identity, self.layout.identity);
        for slot in 0..old.customers.len() as u32 {
            let (now_us, state) = old.customers.state(slot);
            let section = |section: usize| Sections::section_of(state, section, old_count);
            let mut sections = Sections::new(new_count);
            let identity = section(old_identity);
            let put = sections.replace(new_identity, new_count, identity);
            put.expect("an identity fits an empty state");
            let past = history.and_then(|h| {
                let slot = h.customers.find(identity)?;
                Some((h, (h.customers.state(slot).1, h.layout.count)))
            });
            let states = ((state, old_count), past.map(|(_, state)| state));
            let windows = migration.apply(now.plan(), now_us, states, &mut sections, new_count);
            windows.expect("a rulebook whose windows do not fit a state is refused");
            let mut episodes = episodes(section(old.layout.episodes.0), &kept);
            if let Some((h, (state, count))) = past {
                episodes
                    .extend(self::episodes(Sections::section_of(state, h.layout.episodes.0, count), &new));
            }
            for standing in Standing::all(section(old.layout.standing.0)) {
                // One that does not fit would be raised again: rather twice than not at all.
                if let Some(rule) = rules[standing.rule as usize] {
                    let _ = Standing { rule, ..standing }.put(None, &mut sections, self.layout.standing);
                }
            }
            for (_, crossed) in Crossed::all(section(old.layout.crossed.0)) {
                if let Some(crossed) = same_crossing(crossed, &rules, (&before, &now)) {
                    crossed.put(None, &mut sections, self.layout.crossed);
                }
            }
            let ended = |section: &[u8], patterns: &[Option<u16>]| -> Vec<Ended> {
                let still = |e: Ended| Some(Ended { pattern: patterns[usize::from(e.pattern)]?, ..e });
                Ended::all(section).filter_map(still).collect()
            };
            let mut over = ended(section(old.layout.ended.0), &kept);
            if let Some((h, (state, count))) = past {
                over.extend(ended(Sections::section_of(state, h.layout.ended.0, count), &new));
            }
            for ended in over {
                ended.put(&mut sections, self.layout.ended, |_| true);
            }
            let put = self.customers.put(slot, now_us, sections.bytes());
            put.expect("customers come in order");
            if !episodes.is_empty() {
                self.write_episodes(slot, &episodes);
            }
        }
        // The timers look at what is kept, not at who is open.
        self.customers.close();
        self.clock_us = old.clock_us;
        self.swapped = true;
        // Its rows are to be given again: they are bound to the rulebook's programs.
        self.features = Features::named(old.features.version().map(str::to_owned));
        self.set_blind();
        self.dead = std::mem::take(&mut old.dead);
        self.home = old.home;
        self.take_counts(&old.counts, &rules, &before, &now);
        self.set_timers();
    }

    /// Goes on counting, by the names of kinds and the new numbers of rules.
    fn take_counts(&mut self, old: &Counts, rules: &[Option<u32>], before: &WarningBook, now: &WarningBook) {
        let Counts { events, raised, repeated, suppressed, .. } = &mut self.counts;
        for (kind, n) in before.streams().kinds().iter().zip(&old.events) {
            if let Some(kind) = now.streams().kind(&kind.name) {
                events[kind] = *n;
            }
        }
        let lists = [(raised, &old.raised), (repeated, &old.repeated), (suppressed, &old.suppressed)];
        for (new, old) in lists {
            for (rule, n) in rules.iter().zip(old) {
                if let Some(rule) = rule {
                    new[*rule as usize] = *n;
                }
            }
        }
        let Counts { ticks, rejected, unreadable, misplaced, late, displaced, .. } = *old;
        let displaced = displaced + self.counts.displaced;
        let kept = std::mem::take(&mut self.counts);
        self.counts = Counts { ticks, rejected, unreadable, misplaced, late, displaced, ..kept };
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

/// Of each pattern its number in another rulebook, if that has it and means the same by it.
fn patterns(of: &WarningBook, now: &WarningBook) -> Vec<Option<u16>> {
    let all = 0..of.patterns().len();
    all.map(|pattern| of.same_pattern(pattern, now).map(|i| i as u16)).collect()
}

/// The episodes of a section, of the patterns that are there still.
fn episodes(section: &[u8], patterns: &[Option<u16>]) -> Vec<Episode> {
    let still = |e: Episode| Some(Episode { pattern: patterns[usize::from(e.pattern)]?, ..e });
    Episode::all(section).filter_map(still).collect()
}
