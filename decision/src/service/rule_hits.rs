//! How often each rule took part in a decision.
//!
//! Each thing that a step can find has a slot of its own; a finding leads to it by indices alone. Names come in
//! only when somebody asks.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
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
    /// The reason's id of each slot. The first is that of a stopped product.
    ids: Vec<String>,
    /// Of slot i as many counters as there are effects, one an effect.
    counters: Sharded<Box<[AtomicU64]>>,
    /// What was counted with the rulebooks before: of whatever can be told, if only 0. (Who computes with the growth of a counter
    /// would miss the first hit of one that is not there yet.)
    before: BTreeMap<(String, Effect), u64>,
}

struct StepSlots {
    first: usize,
    /// Of a scorecard's characteristics: where the slots of each begin, behind the first.
    characteristics: Vec<usize>,
}

impl RuleHits {
    /// For a rulebook. What `former` has counted goes on; what was hit while it was replaced may be missed.
    pub fn new(rulebook: &Rulebook, former: Option<&Self>) -> Self {
        let mut ids = vec![STOPPED.to_owned()];
        let steps: Vec<_> =
            rulebook.steps().iter().map(|step| StepSlots::new(&step.logic, &mut ids)).collect();
        let counters = Sharded::new(|| (0..ids.len() * EFFECTS.len()).map(|_| AtomicU64::new(0)).collect());
        let known: std::collections::HashSet<&str> = ids.iter().map(String::as_str).collect();
        let former = former.map(RuleHits::totals).unwrap_or_default().into_iter();
        let former = former.filter(|((id, _), _)| known.contains(id));
        let mut before: BTreeMap<(String, Effect), u64> =
            former.map(|((id, effect), hits)| ((id.to_owned(), effect), hits)).collect();
        for (step, slots) in rulebook.steps().iter().zip(&steps) {
            for (what, effect) in possible(&step.logic) {
                let id = &ids[slots.slot(&Finding { step: 0, what, effect })];
                before.entry((id.clone(), effect)).or_default();
            }
        }
        Self { steps, counters, before, ids }
    }

    /// Counts the reasons of a decision.
    pub fn count(&self, judged: &Judged<'_>) {
        let counters = self.counters.mine();
        let hit = |slot: usize, effect: Effect| {
            counters[slot * EFFECTS.len() + effect as usize].fetch_add(1, Ordering::Relaxed);
        };
        let plan = judged.plan();
        if let Some(effect) = judged.verdict().stopped() {
            hit(0, effect);
        }
        for finding in judged.findings() {
            hit(self.steps[plan.steps[finding.step].step.index].slot(finding), finding.effect);
        }
    }

    /// Every reason that was told, or can be.
    pub fn totals(&self) -> Totals<'_> {
        let before = self.before.iter().map(|((id, effect), hits)| ((id.as_str(), *effect), *hits));
        let mut totals: Totals<'_> = before.collect();
        for counters in self.counters.all() {
            for (i, counter) in counters.iter().enumerate() {
                let hits = counter.load(Ordering::Relaxed);
                if hits > 0 {
                    let of = (self.ids[i / EFFECTS.len()].as_str(), EFFECTS[i % EFFECTS.len()]);
                    *totals.entry(of).or_default() += hits;
                }
            }
        }
        totals
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
