//! What an event does to patterns: sequences, which wait for something to follow, and absences, which wait for nothing to come.
//!
//! ```text
//!  first ─► ended already? ─no─► an episode ─┬─ unless ─► it is over, and nothing is told
//!                                            ├─ then ─► its sum and count grow ─► does it fire? ─► alert
//!                                            └─ its time is over (deadlines) ─► alert, if it waits for that
//! ```
//!
//! Events come in any order, so what ends patterns is remembered (`ended`): what it ends may be heard of only later.

use tarim_features::{
    expr::{Answers, ExprId, Given},
    row::Dictionary,
    stream::Moment,
};
use tarim_proto::warning::v1::Evidence;

use super::{
    ended::Ended,
    episodes::{EPISODES_MAX, Episode},
    found::Found,
    known::{Met, whose},
    raise::Fired,
    state::State,
    timers::Timer,
};
use crate::rulebook::{EPISODE, Pattern};

impl Found<'_> {
    /// An episode begins, or begins anew.
    pub(super) fn first(&mut self, index: usize, unknown: bool) {
        let book = self.state.book.clone();
        let pattern = &book.patterns()[index];
        let key = self.key();
        let started_us = self.event.happened_at_us;
        let episode = Episode {
            pattern: index as u16,
            started_us,
            deadline_us: started_us.saturating_add(pattern.within_us),
            kept: self.amount(),
            sum: 0,
            count: 0,
            unknown,
            partition: self.at.partition,
            offset: self.at.offset,
            event_id: self.event.id.to_owned(),
            key,
        };
        if !episode.fits() {
            self.state.counts.displaced += 1;
            return;
        }
        if self.was_ended(pattern, &episode) {
            return;
        }
        let deadline_us = episode.deadline_us;
        let mut episodes = self.state.episodes(self.customer);
        let same = |e: &Episode| e.pattern == episode.pattern && e.key == episode.key;
        // A timer for each deadline would be many timers: whoever is woken early sets the next one.
        let mut set = pattern.at_end;
        if pattern.renewed {
            match episodes.iter_mut().find(|e| same(e)) {
                // What ends an absence must be known to have happened.
                Some(old) if old.started_us >= started_us || unknown => return,
                Some(old) => {
                    *old = episode;
                    set = false;
                }
                None => episodes.push(episode),
            }
        } else {
            // What nothing can follow any more makes room, whatever its key.
            let past = self.state.clock_us.saturating_sub(book.lateness_most_us());
            let waits = |e: &Episode| book.patterns()[usize::from(e.pattern)].at_end;
            episodes.retain(|e| e.deadline_us >= past || waits(e));
            if episodes.iter().filter(|e| same(e)).count() >= EPISODES_MAX
                && let Some(oldest) = episodes.iter().position(same)
            {
                episodes.remove(oldest);
                self.state.counts.displaced += 1;
            }
            episodes.push(episode);
        }
        self.state.write_episodes(self.customer, &episodes);
        if set {
            let timer = Timer { deadline_us, customer: self.customer, pattern: index as u32 };
            if deadline_us < self.state.clock_us {
                // It came so late that its time is over already.
                self.state.time_out(timer, self.out);
            } else {
                self.state.timers.set(timer);
            }
        }
    }

    /// What ends an episode has come: it does not fire, nor does one that is heard of only later.
    pub(super) fn unless(&mut self, index: usize) {
        let book = self.state.book.clone();
        let Some(ends) = &book.patterns()[index].ends else { return };
        let mut episodes = self.state.episodes(self.customer);
        let before = episodes.len();
        let key = self.key();
        let at_us = self.event.happened_at_us;
        let is = |e: &Episode| usize::from(e.pattern) == index && e.key == key;
        episodes.retain(|e| !(is(e) && ends.reaches(at_us, e.started_us, e.deadline_us)));
        if episodes.len() < before {
            self.state.write_episodes(self.customer, &episodes);
        }
        if book.ends_until_us(ends, at_us) >= self.state.clock_us {
            self.state.remember(self.customer, Ended::new(index, &key, at_us));
        }
    }

    /// Whether what ends an episode came before what begins it.
    fn was_ended(&mut self, pattern: &Pattern, episode: &Episode) -> bool {
        let Some(ends) = &pattern.ends else { return false };
        let Episode { started_us, deadline_us, .. } = *episode;
        let (section, count) = self.state.layout.ended;
        let mut all = Ended::all(self.state.customers.get(self.customer).sections.get(section, count));
        let of = Ended::new(usize::from(episode.pattern), &episode.key, 0);
        all.any(|e| {
            let itself = ends.by_its_like && e.at_us == started_us;
            (Ended { at_us: 0, ..e }) == of && !itself && ends.reaches(e.at_us, started_us, deadline_us)
        })
    }

    /// Something follows.
    pub(super) fn then(&mut self, index: usize, unknown: bool) {
        let book = self.state.book.clone();
        let pattern = &book.patterns()[index];
        let mut episodes = self.state.episodes(self.customer);
        let key = self.key();
        let amount = self.amount().unwrap_or(0);
        let mut fired = Vec::new();
        let mut changed = false;
        for (i, episode) in episodes.iter_mut().enumerate() {
            if !self.belongs(episode, index, &key) {
                continue;
            }
            changed = true;
            episode.sum = episode.sum.saturating_add(amount);
            episode.count = episode.count.saturating_add(1);
            episode.unknown |= unknown;
            match self.fires(pattern, episode) {
                Some(true) => fired.push((i, episode.unknown)),
                Some(false) => {}
                None => fired.push((i, true)),
            }
        }
        if !changed {
            return;
        }
        let fired: Vec<(Episode, bool)> =
            fired.into_iter().rev().map(|(i, unknown)| (episodes.remove(i), unknown)).collect();
        self.state.write_episodes(self.customer, &episodes);
        for (episode, unknown) in fired.into_iter().rev() {
            let mut values = self.evidence();
            let kept = episode.kept.map_or(String::new(), |kept| kept.to_string());
            let followed = [kept, episode.sum.to_string(), episode.count.to_string()];
            let followed = EPISODE.iter().zip(followed);
            values.extend(
                followed.map(|((name, _), value)| Evidence { name: format!("episode.{name}"), value }),
            );
            let fired = Fired {
                customer: self.customer,
                episode: &episode,
                at_us: self.event.happened_at_us,
                events: vec![episode.first_event(), self.event_ref()],
                values,
                unknown,
            };
            self.state.raise(pattern, fired, self.out);
        }
    }

    /// Whether an episode fires by what has followed; None: it does, since it cannot be told.
    fn fires(&mut self, pattern: &Pattern, episode: &Episode) -> Option<bool> {
        let Some(fires) = &pattern.fires else { return Some(true) };
        let State { book, customers, work, layout, features, .. } = &mut *self.state;
        let state = customers.get(self.customer);
        let whose = whose(book, self.event, self.row, state.now_us);
        let (bound, rows) = features.of(&fires.bound, &mut Met::default(), whose);
        let mut evaluation = fires.program.start(bound, &rows, Dictionary::none(), &mut work.episode_scratch);
        let plan = book.plan();
        let now = Moment::at(state.now_us);
        plan.read(&fires.windows, &now, &state.sections, layout.count, &mut work.seen);
        for (window, inlet) in &fires.inlets {
            evaluation.put_number(*inlet, work.seen.get(*window));
        }
        let kept = episode.kept.map_or(Given::Null, Given::Int64);
        let values = [kept, Given::Int64(episode.sum), Given::Int64(episode.count.into())];
        for (inlet, value) in fires.episode.iter().zip(values) {
            if let Some(inlet) = inlet {
                evaluation.put(*inlet, value);
            }
        }
        evaluation.run(0);
        match evaluation.answers(0).truth(ExprId(0)) {
            None if fires.unknown => None,
            truth => Some(truth == Some(true)),
        }
    }

    /// Whether this event counts for an episode.
    fn belongs(&self, episode: &Episode, pattern: usize, key: &str) -> bool {
        let time_us = self.event.happened_at_us;
        usize::from(episode.pattern) == pattern
            && episode.key == key
            && (episode.started_us..=episode.deadline_us).contains(&time_us)
    }
}
