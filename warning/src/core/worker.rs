//! A worker: the state of the customers of some partitions, and what their events do to it.

use std::{fmt::Write as _, sync::Arc};

use tarim_datamart::ValueRef;
use tarim_features::{
    expr::{Answers, ExprId, Given, Scratch},
    row::{Dictionary, Row},
    stream::{Moment, Plan, Said, Sections, Seen},
};
use tarim_proto::warning::v1::{EventRef, Evidence};

use super::{
    Counts, Outbox, Position,
    crossed::CROSSED_BYTES_MAX,
    crossing::Looked,
    customers::{Customer, Customers, IDS_MAX},
    dead::DeadOffsets,
    ended::{ENDED_BYTES_MAX, Ended},
    episodes::{EPISODES_MAX, Episode},
    known::{Features, Met, Whose},
    letter::letter,
    raise::{Outcome, Raise, evidence},
    standing::STANDING_BYTES_MAX,
    timers::{Timer, Timers},
};
use crate::{
    event::{Event, Format, Intake, Reader, Taken},
    partitioner::Places,
    rulebook::{Ask, Asks, Binding, EPISODE, Group, Guards, Pattern, Shown, WarningBook},
};

/// An event that happened later than it was known by more is from the future: a clock is wrong.
pub(super) const AHEAD_MAX_US: i64 = 5 * 60 * 1_000_000;

/// Takes records, one after the other.
#[derive(Debug)]
pub struct Worker {
    reader: Reader,
    state: State,
    /// Where events must stand; None: wherever they do.
    pub(super) places: Option<Places>,
}

#[derive(Debug)]
pub(super) struct State {
    book: Arc<WarningBook>,
    /// An event of the log has brought the rulebook into force.
    swapped: bool,
    /// The generation of features that rules read.
    features: Features,
    /// Rules read features, and there are none.
    blind: bool,
    customers: Customers,
    timers: Timers,
    /// Latest event time or tick, in microseconds.
    clock_us: i64,
    /// Records that were not taken.
    dead: DeadOffsets,
    /// The partition that these are of: that of the first record. (What alerts spread stands in another one, where there is no
    /// Kafka.)
    home: Option<i32>,
    counts: Counts,
    layout: StateLayout,
    /// Most bytes of a customer's episodes.
    episode_bytes: usize,
    pub(super) work: Work,
}

/// Which section of a customer's state is what. The windows' are the first ones.
#[derive(Clone, Copy, Debug)]
struct StateLayout {
    episodes: (usize, usize),
    standing: (usize, usize),
    crossed: (usize, usize),
    ended: (usize, usize),
}

/// Buffers that are used again and again.
#[derive(Debug, Default)]
pub(super) struct Work {
    scratch: Scratch,
    always_scratch: Scratch,
    group_scratch: Scratch,
    episode_scratch: Scratch,
    said: Said,
    /// What of the customer's windows has been read for the event.
    pub seen: Seen,
    /// Conditions that are not false.
    found: Vec<(usize, Option<bool>)>,
    /// Those of them that a guard decides alone.
    whole: Vec<(usize, Option<bool>)>,
    /// Number of the event, from 1.
    pub event: u64,
    /// What crossings look at, by look.
    pub looks: Vec<Looked>,
    pub key: String,
    buffer: Vec<u8>,
}

impl Worker {
    pub fn new(book: Arc<WarningBook>) -> Self {
        let windows = book.plan().sections();
        let count = windows + 5;
        let counts = Counts {
            events: vec![0; book.streams().kinds().len()],
            raised: vec![0; book.rules().len()],
            repeated: vec![0; book.rules().len()],
            suppressed: vec![0; book.rules().len()],
            ..Counts::default()
        };
        Self {
            reader: Reader::new(Arc::new(Intake::new(&book))),
            places: None,
            state: State {
                customers: Customers::new(count, windows),
                layout: StateLayout {
                    episodes: (windows + 1, count),
                    standing: (windows + 2, count),
                    crossed: (windows + 3, count),
                    ended: (windows + 4, count),
                },
                episode_bytes: episode_bytes(book.plan()),
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
            },
        }
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
                    None => match self.state.event(&event, at, out) {
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

    pub fn counts(&self) -> &Counts {
        &self.state.counts
    }

    /// The log no longer has what stands before an offset: it will not be asked whether it was taken.
    pub fn forget_before(&mut self, offset: i64) {
        self.state.dead.forget_before(offset);
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    pub(super) fn into_state(self) -> State {
        self.state
    }

    pub(super) fn parts(&mut self) -> (&mut Reader, &mut State) {
        (&mut self.reader, &mut self.state)
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

/// What a snapshot needs of it.
impl State {
    pub(super) fn book(&self) -> &Arc<WarningBook> {
        &self.book
    }

    pub(super) fn is_swapped(&self) -> bool {
        self.swapped
    }

    pub(super) fn set_swapped(&mut self, swapped: bool) {
        self.swapped = swapped;
    }

    pub(super) fn features(&self) -> &Features {
        &self.features
    }

    pub(super) fn features_mut(&mut self) -> &mut Features {
        &mut self.features
    }

    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }

    /// Whether it has what rules read has changed.
    pub(super) fn see(&mut self) {
        self.blind = self.book.reads().first.is_some() && !self.features.has_rows();
    }

    pub(super) fn customers(&self) -> &Customers {
        &self.customers
    }

    pub(super) fn customers_mut(&mut self) -> &mut Customers {
        &mut self.customers
    }

    /// A customer, and the features that can be read.
    pub(super) fn looked_at(&mut self, customer: u32) -> (&Customer, &Features) {
        (self.customers.get(customer), &self.features)
    }

    pub(super) fn timers_mut(&mut self) -> &mut Timers {
        &mut self.timers
    }

    pub(super) fn clock_us(&self) -> i64 {
        self.clock_us
    }

    pub(super) fn set_clock(&mut self, us: i64) {
        self.clock_us = us;
    }

    pub(super) fn home(&self) -> Option<i32> {
        self.home
    }

    pub(super) fn set_home(&mut self, partition: Option<i32>) {
        self.home = partition;
    }

    pub(super) fn dead(&self) -> &DeadOffsets {
        &self.dead
    }

    pub(super) fn dead_mut(&mut self) -> &mut DeadOffsets {
        &mut self.dead
    }

    /// How many sections a customer's state has.
    pub(super) fn sections(&self) -> usize {
        self.layout.episodes.1
    }

    pub(super) fn identity_section(&self) -> usize {
        self.layout.episodes.0 - 1
    }

    pub(super) fn standing_section(&self) -> (usize, usize) {
        self.layout.standing
    }

    pub(super) fn crossed_section(&self) -> (usize, usize) {
        self.layout.crossed
    }

    pub(super) fn ended_section(&self) -> (usize, usize) {
        self.layout.ended
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Goes on counting, by the names of kinds and the new numbers of rules.
    pub(super) fn take_counts(
        &mut self,
        old: &Counts,
        rules: &[Option<u32>],
        before: &WarningBook,
        now: &WarningBook,
    ) {
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

    /// Which of them, of so many, are the episodes.
    pub(super) fn episodes_section(&self) -> (usize, usize) {
        self.layout.episodes
    }
}

impl State {
    /// Takes an event. Err: why it is a dead letter.
    fn event(&mut self, event: &Event<'_>, at: Position, out: &mut Outbox) -> Result<(), String> {
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
        let row = Row::new(&kind.layout, event.row, book.codes(event.kind), 0).map_err(|e| e.to_string())?;
        self.look(event, &row, customer).inspect_err(|_| self.counts.rejected += 1)?;
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

    /// Updates the customer's windows and finds the conditions that are not false.
    fn look(&mut self, event: &Event<'_>, row: &Row<'_>, customer: u32) -> Result<(), String> {
        let Self { book, customers, work, clock_us, features, .. } = self;
        let Work { scratch, always_scratch, group_scratch, said, seen, found, whole, .. } = work;
        let listener = &book.listeners()[event.kind];
        let rows = [*row];
        let mut evaluation = listener.program.start(&listener.bound, &rows, Dictionary::none(), scratch);
        evaluation.run(0);
        let plan = book.plan();
        plan.listen(event.kind, &evaluation.answers(0), said).map_err(|e| e.to_string())?;
        let count = self.layout.episodes.1;
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
    fn time_out(&mut self, timer: Timer, out: &mut Outbox) {
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
        self.write(timer.customer, &episodes);
        for episode in over {
            let fired = Fired {
                customer: timer.customer,
                episode: &episode,
                at_us: episode.deadline_us,
                events: vec![first_event(&episode)],
                values: self.evidence(&pattern.show, None, (timer.customer, episode.deadline_us)),
                unknown: episode.unknown,
            };
            self.raise(pattern, fired, out);
        }
    }

    fn episodes(&mut self, customer: u32) -> Vec<Episode> {
        let (section, count) = self.layout.episodes;
        Episode::all(self.customers.get(customer).sections.get(section, count)).collect()
    }

    /// Writes a customer's episodes; if they do not fit, the oldest give way.
    pub(super) fn write(&mut self, customer: u32, mut episodes: &[Episode]) {
        let sections = &mut self.customers.get_mut(customer).sections;
        let (most, at) = (self.episode_bytes, self.layout.episodes);
        while Episode::write(episodes, most, sections, at, &mut self.work.buffer).is_none() {
            episodes = &episodes[1..];
            self.counts.displaced += 1;
        }
    }

    /// Remembers what ended a customer's episodes.
    pub(super) fn remember(&mut self, customer: u32, ended: Ended) {
        let Self { book, customers, counts, layout, clock_us, .. } = self;
        let matters = |e: &Ended| {
            let ends = book.patterns().get(usize::from(e.pattern)).and_then(|p| p.ends.as_ref());
            ends.is_some_and(|ends| book.ends_until_us(ends, e.at_us) >= *clock_us)
        };
        counts.displaced += ended.put(&mut customers.get_mut(customer).sections, layout.ended, matters);
    }

    /// Raises the alert of a pattern.
    fn raise(&mut self, pattern: &Pattern, fired: Fired<'_>, out: &mut Outbox) {
        let Fired { customer, episode, at_us, events, values, unknown } = fired;
        let (rule, by_contagion) = (pattern.rule, pattern.by_contagion);
        let raise = Raise { rule, customer, key: &episode.key, at_us, unknown, values, events, by_contagion };
        let Self { book, customers, counts, layout, .. } = self;
        raise.raise(book, customers, layout.standing, counts, out);
    }

    /// What an alert of a time shows.
    fn evidence(
        &mut self,
        show: &[Shown],
        row: Option<&Row<'_>>,
        (customer, at_us): (u32, i64),
    ) -> Vec<Evidence> {
        let identity = self.identity_section();
        let state = self.customers.get(customer);
        let (now_us, count) = (state.now_us.max(at_us), self.layout.episodes.1);
        let (member, id) = Customers::ids_of(state.sections.get(identity, count));
        let whose = Whose { set: self.book.entities().set(), member, customer: id, event: row, now_us };
        let window = |w| self.book.plan().value(w, now_us, &state.sections, count);
        evidence(show, row, window, |feature| self.features.value(feature, whose))
    }
}

/// What the windows and all else of a customer leave of a state: however many episodes are open, no event is refused for want
/// of room.
fn episode_bytes(plan: &Plan) -> usize {
    // A pane that comes in before another one goes.
    const SLACK: usize = 1 << 10;
    let others = STANDING_BYTES_MAX + CROSSED_BYTES_MAX + ENDED_BYTES_MAX + IDS_MAX + SLACK;
    Sections::BYTES_MAX.saturating_sub(plan.bytes_most() + others)
}

/// An episode that fires.
struct Fired<'a> {
    customer: u32,
    episode: &'a Episode,
    at_us: i64,
    events: Vec<EventRef>,
    values: Vec<Evidence>,
    unknown: bool,
}

/// A condition of an event that holds, or may hold.
pub(super) struct Found<'a> {
    pub state: &'a mut State,
    pub event: &'a Event<'a>,
    pub row: &'a Row<'a>,
    pub ask: &'a Ask,
    at: Position,
    pub customer: u32,
    out: &'a mut Outbox,
}

impl Found<'_> {
    fn follow(&mut self, unknown: bool) {
        match self.ask.of {
            Asks::Rule(rule) => self.rule(rule, unknown),
            Asks::Crossing(crossing, look) => self.crossing(crossing, look, unknown),
            Asks::First(pattern) => self.first(pattern, unknown),
            Asks::Then(pattern) => self.then(pattern, unknown),
            Asks::Unless(pattern) => self.unless(pattern),
        }
    }

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

    pub fn raise(&mut self, raise: Raise<'_>) -> Outcome {
        let State { book, customers, counts, layout, .. } = &mut *self.state;
        raise.raise(book, customers, layout.standing, counts, self.out)
    }

    /// An episode begins, or begins anew.
    fn first(&mut self, index: usize, unknown: bool) {
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
        self.state.write(self.customer, &episodes);
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
    fn unless(&mut self, index: usize) {
        let book = self.state.book.clone();
        let Some(ends) = &book.patterns()[index].ends else { return };
        let mut episodes = self.state.episodes(self.customer);
        let before = episodes.len();
        let key = self.key();
        let at_us = self.event.happened_at_us;
        let is = |e: &Episode| usize::from(e.pattern) == index && e.key == key;
        episodes.retain(|e| !(is(e) && ends.reaches(at_us, e.started_us, e.deadline_us)));
        if episodes.len() < before {
            self.state.write(self.customer, &episodes);
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
    fn then(&mut self, index: usize, unknown: bool) {
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
        self.state.write(self.customer, &episodes);
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
                events: vec![first_event(&episode), self.event_ref()],
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
        let mut met = Met::default();
        let (plain, known);
        let (bound, rows) = match &fires.bound {
            Binding::Event(bound) => {
                plain = [*self.row];
                (bound, &plain[..])
            }
            Binding::Known(knows) => {
                known = features.start(knows, &mut met, whose(book, self.event, self.row, state.now_us));
                (known.0, &known.1[..])
            }
        };
        let mut evaluation = fires.program.start(bound, rows, Dictionary::none(), &mut work.episode_scratch);
        let plan = book.plan();
        let now = Moment::at(state.now_us);
        plan.read(&fires.windows, &now, &state.sections, layout.episodes.1, &mut work.seen);
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

    /// The key's fields, as text. Of several fields, what separates them is marked where it stands in one, so that
    /// different fields are different keys.
    fn key(&self) -> String {
        let mut key = String::new();
        self.write_key(&mut key);
        key
    }

    /// The same in the place of what is there.
    pub fn write_key(&self, key: &mut String) {
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

    fn evidence(&mut self) -> Vec<Evidence> {
        self.evidence_of(&self.ask.show)
    }

    pub fn evidence_of(&mut self, show: &[Shown]) -> Vec<Evidence> {
        // As its condition saw the windows: what has spread may be ahead of the time here.
        let at = (self.customer, self.event.happened_at_us.min(self.state.clock_us));
        self.state.evidence(show, Some(self.row), at)
    }

    fn amount(&self) -> Option<i64> {
        self.row.int(self.ask.amount?)
    }

    pub fn event_ref(&self) -> EventRef {
        let Position { partition, offset } = self.at;
        EventRef { event_id: self.event.id.to_owned(), partition, offset }
    }
}

/// Whose features an event reads.
pub(super) fn whose<'a>(
    book: &'a WarningBook,
    event: &'a Event<'_>,
    row: &'a Row<'_>,
    now_us: i64,
) -> Whose<'a> {
    let Event { member, customer, .. } = *event;
    Whose { set: book.entities().set(), member, customer, event: Some(row), now_us }
}

fn first_event(episode: &Episode) -> EventRef {
    let Episode { partition, offset, .. } = *episode;
    EventRef { event_id: episode.event_id.clone(), partition, offset }
}

fn hours(us: i64) -> String {
    format!("{} h", us / 3_600_000_000)
}
