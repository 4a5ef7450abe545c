//! How often each rule took part in a decision.
//!
//! Each thing that a step can find has a slot of its own; a finding leads to it by indices alone. Names come in
//! only when somebody asks.
//!
//! ```text
//!  RuleHits of a rulebook ── Slots ◄─┐
//!  RuleHits of the next   ── Slots ◄─┤ Book: those that are counted in, and the sum of all that were
//! ```
//!
//! Decisions that began with a rulebook end with it, after the next was swapped in. What they count stays counted: a counter never
//! falls, or whoever computes its growth takes it for one that began anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    engine::Judged,
    metrics::Sharded,
    outcome::Effect,
    policy::{CAPPED, Finding, Logic, NO_ROOM, ROOM_UNKNOWN, STOPPED, answer::What, possible},
    rulebook::Rulebook,
};

/// Effects in the order of their counters.
const EFFECTS: [Effect; 5] = [Effect::Score, Effect::Warn, Effect::Refer, Effect::Decline, Effect::Block];

/// How often each reason was told with each effect. The ids are those of one rulebook, so their number is bounded.
pub type Totals<'a> = BTreeMap<(&'a str, Effect), u64>;

/// Counts by slot and effect.
pub struct RuleHits {
    /// Of each distinct step of the rulebook.
    steps: Vec<StepSlots>,
    slots: Arc<Slots>,
    /// Ids of all slots.
    ids: BTreeSet<String>,
    /// Whatever can be told. (Who computes with the growth of a counter would miss the first hit of one that is not there yet.)
    possible: BTreeSet<(String, Effect)>,
    book: Arc<Mutex<Book>>,
}

/// What decisions by one rulebook count in.
struct Slots {
    /// The reason's id of each slot. The first is that of a stopped product.
    ids: Vec<String>,
    /// Of slot i as many counters as there are effects, one an effect.
    counters: Sharded<Box<[AtomicU64]>>,
}

/// What was counted with all rulebooks of a service.
#[derive(Default)]
struct Book {
    /// Of those by which nobody decides any more. It grows by the ids that rulebooks ever had.
    settled: BTreeMap<(String, Effect), u64>,
    /// Of the others.
    counting: Vec<Arc<Slots>>,
}

struct StepSlots {
    first: usize,
    /// Of a scorecard's characteristics: where the slots of each begin, behind the first.
    characteristics: Vec<usize>,
}

impl RuleHits {
    /// For a rulebook. What `former` has counted goes on, and what decisions still count in it.
    pub fn new(rulebook: &Rulebook, former: Option<&Self>) -> Self {
        let mut ids = vec![STOPPED.to_owned()];
        let steps: Vec<_> =
            rulebook.steps().iter().map(|step| StepSlots::new(&step.logic, &mut ids)).collect();
        let mut possible_here = BTreeSet::new();
        for (step, slots) in rulebook.steps().iter().zip(&steps) {
            for (what, effect) in possible(&step.logic) {
                let id = &ids[slots.slot(&Finding { step: 0, what, effect })];
                possible_here.insert((id.clone(), effect));
            }
        }
        let counters = Sharded::new(|| (0..ids.len() * EFFECTS.len()).map(|_| AtomicU64::new(0)).collect());
        let names = ids.iter().cloned().collect();
        let slots = Arc::new(Slots { ids, counters });
        let book = former.map_or_else(Arc::default, |former| former.book.clone());
        locked(&book).counting.push(slots.clone());
        Self { steps, slots, ids: names, possible: possible_here, book }
    }

    /// Counts the reasons of a decision.
    pub fn count(&self, judged: &Judged<'_>) {
        let plan = judged.plan();
        if let Some(effect) = judged.verdict().stopped() {
            self.slots.hit(0, effect);
        }
        for finding in judged.findings() {
            let slot = self.steps[plan.steps[finding.step].step.index].slot(finding);
            self.slots.hit(slot, finding.effect);
        }
    }

    /// Every reason of this rulebook that was told, by whichever, or can be.
    pub fn totals(&self) -> Totals<'_> {
        let possible = self.possible.iter().map(|(id, effect)| ((id.as_str(), *effect), 0));
        let mut totals: Totals<'_> = possible.collect();
        let mut add = |id: &str, effect: Effect, hits: u64| {
            if let Some(id) = self.ids.get(id) {
                *totals.entry((id.as_str(), effect)).or_default() += hits;
            }
        };
        let book = locked(&self.book);
        book.settled.iter().for_each(|((id, effect), hits)| add(id, *effect, *hits));
        book.counting.iter().for_each(|slots| slots.each(&mut add));
        totals
    }
}

/// Nobody decides by the rulebook any more: what was counted is final.
impl Drop for RuleHits {
    fn drop(&mut self) {
        let Book { settled, counting } = &mut *locked(&self.book);
        counting.retain(|slots| !Arc::ptr_eq(slots, &self.slots));
        self.slots.each(&mut |id, effect, hits| *settled.entry((id.to_owned(), effect)).or_default() += hits);
    }
}

/// A sum that was cut short by a panic is no reason to count nothing any more.
fn locked(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    fn hit(&self, slot: usize, effect: Effect) {
        self.counters.mine()[slot * EFFECTS.len() + effect as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Every counter that is above 0, of each thread.
    fn each(&self, add: &mut impl FnMut(&str, Effect, u64)) {
        for counters in self.counters.all() {
            for (i, counter) in counters.iter().enumerate() {
                let hits = counter.load(Ordering::Relaxed);
                if hits > 0 {
                    add(&self.ids[i / EFFECTS.len()], EFFECTS[i % EFFECTS.len()], hits);
                }
            }
        }
    }
}

impl StepSlots {
    /// Gives everything that a step can find a slot, by the id that its reason has.
    fn new(logic: &Logic, ids: &mut Vec<String>) -> Self {
        let first = ids.len();
        let mut characteristics = Vec::new();
        match logic {
            Logic::Rules(set) => ids.extend(set.rules.iter().map(|rule| rule.id.clone())),
            Logic::Table(table) => ids.push(table.id.clone()),
            Logic::Score(score) => {
                for c in score.card.characteristics() {
                    characteristics.push(ids.len() - first);
                    let usual = format!("{}.{}", score.card.id, c.name);
                    // No bin for its value; then each bin.
                    ids.push(usual.clone());
                    let own = |bin: &tarim_models::scorecard::Bin| bin.reason.as_ref().map(|r| r.id.clone());
                    ids.extend(c.bins().iter().map(|bin| own(bin).unwrap_or_else(|| usual.clone())));
                }
            }
            Logic::Limit(limit) => {
                ids.push("limit".into());
                if limit.room.is_some() {
                    ids.extend([CAPPED, NO_ROOM, ROOM_UNKNOWN].map(str::to_owned));
                }
            }
            Logic::Rate(_) => ids.push("rate".into()),
        }
        Self { first, characteristics }
    }

    fn slot(&self, finding: &Finding) -> usize {
        self.first
            + match finding.what {
                What::RuleFired(rule) | What::RuleUnknown(rule) => rule,
                What::NoBin(characteristic) => self.characteristics[characteristic],
                What::Lost { characteristic, bin, .. } => self.characteristics[characteristic] + 1 + bin,
                What::NoRow | What::Unknown | What::BelowMin => 0,
                What::Capped => 1,
                What::NoRoom => 2,
                What::RoomUnknown => 3,
            }
    }
}
