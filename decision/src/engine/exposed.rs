//! From what was gathered to the exposure that would come of it, and from the ledger's answer to the row `exposure`.
//!
//! ```text
//!  gather ─► Inputs ─┬─► Engine::prospect ─► Core::look, at a glance ───┬─► Look: the row, and what is journaled
//!              ▲     └─► Engine::reserve ─► Core::outlook, if asked ────┘       │
//!              └─────────────────────── Engine::expose ◄────────────────────────┘        then: judge
//! ```

use tarim_datamart::Value;
use tarim_features::row::RowError;

use super::{Engine, Inputs, Look};
use crate::{
    exposure::{
        CounterUse, Pairs, Prepared, Prospect,
        scheme::{NONE, SchemeSet},
        standing::name,
    },
    outcome::{Call, Effect, NamedValue, Reason, Reservation, Stage},
    rulebook::{APPLICATION, Mapping, Origin, Relation, Rulebook, Source},
};

/// Why it cannot be told what the exposure of an application is.
#[derive(Debug, thiserror::Error)]
pub enum Unexposed {
    #[error(
        "the rulebook does not say what the exposure of an application is; write [exposure] in its limits/"
    )]
    NoMapping,
    #[error(
        "the {0} of the exposure is not known; send the field that [exposure] in the rulebook's limits/ names, or let it say \
         what stands in its place"
    )]
    Unknown(String),
    #[error("a row cannot be read: {0}")]
    Row(#[from] RowError),
}

/// What the ledger told of an exposure beside its row: as it is journaled.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exposed {
    /// Counters that may come above their warning line, as they stood before.
    #[prost(message, repeated, tag = "1")]
    pub counters: Vec<CounterUse>,
    /// Counters without room for what was to be reserved: nothing was. Of these, and of `short`, those that leave the least come
    /// first, and there are at most [`TOLD_MAX`].
    #[prost(message, repeated, tag = "2")]
    pub breaches: Vec<Short>,
    /// What was reserved.
    #[prost(message, optional, tag = "3")]
    pub taken: Option<Reservation>,
    /// Counters without room for what is asked for, when it was looked.
    #[prost(message, repeated, tag = "4")]
    pub short: Vec<Short>,
    /// So many more have no room.
    #[prost(uint32, tag = "5")]
    pub more: u32,
}

/// Most counters without room that one answer tells, and the journal keeps of it.
pub const TOLD_MAX: usize = 16;

/// A counter without room.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Short {
    #[prost(message, optional, tag = "1")]
    pub counter: Option<CounterUse>,
    /// How much less would have to be asked for.
    #[prost(int64, tag = "2")]
    pub fen: i64,
}

impl Exposed {
    /// Nothing was reserved, since these had no room.
    pub fn breached(all: impl Iterator<Item = Short>) -> Self {
        let (breaches, more) = tightest(all.collect());
        Self { breaches, more, ..Self::default() }
    }

    /// Each counter that had no room for what is asked for, told in a stage.
    pub(super) fn short(&self, limits: &SchemeSet, stage: Stage, effect: Effect) -> Vec<Reason> {
        self.without_room(&self.short, limits, stage, effect)
    }

    fn without_room(&self, all: &[Short], limits: &SchemeSet, stage: Stage, effect: Effect) -> Vec<Reason> {
        let told = all.iter().filter_map(|short| Some((short.counter.as_ref()?, short.fen)));
        let mut told: Vec<Reason> =
            told.map(|(counter, fen)| Reason { stage, ..breached(limits, counter, effect, fen) }).collect();
        if let Some(last) = told.last_mut().filter(|_| self.more > 0) {
            last.values.push(named("more_counters", Value::Int64(self.more.into())));
        }
        told
    }

    /// What is told of it: each counter without room; else each that comes above its warning line by what is reserved or, if nothing
    /// is, by the limit that is assigned.
    pub(super) fn reasons(&self, limits: &SchemeSet, limit_fen: Option<i64>) -> Vec<Reason> {
        if !self.breaches.is_empty() {
            return self.without_room(&self.breaches, limits, Stage::Limit, Effect::Decline);
        }
        let Some(fen) = self.taken.as_ref().map(|taken| taken.fen).or(limit_fen) else { return Vec::new() };
        let above = self.counters.iter().filter(|c| c.used_fen.saturating_add(fen) > c.warning_fen);
        above.map(|counter| warned(limits, counter, fen)).collect()
    }
}

/// Those that leave the least, in the order of the rulebook where they leave the same; and how many others there are.
pub(super) fn tightest(mut all: Vec<Short>) -> (Vec<Short>, u32) {
    all.sort_by_key(|short| short.counter.as_ref().map_or(i64::MAX, CounterUse::headroom_fen));
    let more = all.len().saturating_sub(TOLD_MAX) as u32;
    all.truncate(TOLD_MAX);
    (all, more)
}

fn breached(limits: &SchemeSet, counter: &CounterUse, effect: Effect, short: i64) -> Reason {
    let words = ["：超过控制线", ": above the hard line"];
    let values = [("cap_fen", counter.hard_fen), ("used_fen", counter.used_fen), ("shortfall_fen", short)];
    reason(limits, counter, effect, words, &values)
}

fn warned(limits: &SchemeSet, counter: &CounterUse, fen: i64) -> Reason {
    let words = ["：超过预警线", ": above the warning line"];
    let (warning, used) = (counter.warning_fen, counter.used_fen);
    let values =
        [("warning_fen", warning), ("cap_fen", counter.hard_fen), ("used_fen", used), ("more_fen", fen)];
    reason(limits, counter, Effect::Warn, words, &values)
}

/// The words are the rulebook's; a limit that it does not have (any more) is told by its id.
fn reason(
    limits: &SchemeSet,
    counter: &CounterUse,
    effect: Effect,
    [zh, en]: [&str; 2],
    amounts: &[(&str, i64)],
) -> Reason {
    let scheme = limits.schemes.iter().find(|scheme| scheme.id == counter.limit);
    let (own_zh, own_en) = scheme.map_or((&counter.limit, &counter.limit), |scheme| (&scheme.zh, &scheme.en));
    let amounts = amounts.iter().map(|(name, fen)| named(name, Value::Int64(*fen)));
    Reason {
        id: counter.limit.clone(),
        stage: Stage::Limit,
        effect,
        zh: format!("{own_zh}{zh}"),
        en: format!("{own_en}{en}"),
        unknown: false,
        values: std::iter::once(named("counter", Value::Utf8(name(counter)))).chain(amounts).collect(),
        points_lost: None,
        override_roles: Vec::new(),
    }
}

fn named(name: &str, value: Value) -> NamedValue {
    NamedValue { name: name.into(), value, stale: false }
}

impl Inputs {
    /// What was reserved for it, or why nothing could be. (Counters are forgotten: they stood so before.)
    pub(crate) fn reserved(&mut self, exposed: Exposed) {
        self.exposed = Some(Box::new(exposed));
    }

    /// What was reserved.
    pub(crate) fn taken(&self) -> Option<&Reservation> {
        self.exposed.as_ref()?.taken.as_ref()
    }
}

impl Engine {
    /// Whether a call on what was gathered asks how the counters of the exposure stand.
    pub fn asks_exposure(&self, inputs: &Inputs, call: Call) -> bool {
        let plan = inputs.plan.filter(|(rulebook, _)| *rulebook == self.rulebook.id());
        self.rulebook.exposure().is_some()
            && plan.is_some_and(|(_, plan)| self.rulebook.plans()[plan].asks_exposure(call))
    }

    /// What the application asks for, in fen; None: the rulebook does not say, or it is not known.
    pub fn asked_fen(&self, inputs: &Inputs) -> Option<i64> {
        let mapping = self.rulebook.exposure()?;
        inputs.row(APPLICATION, &self.rulebook.given()[APPLICATION]).ok()?.int(mapping.amount)
    }

    /// The exposure that would come of an application.
    pub fn prospect<'a>(&'a self, inputs: &'a Inputs) -> Result<Prospect<'a>, Unexposed> {
        let rulebook = &*self.rulebook;
        let mapping = rulebook.exposure().ok_or(Unexposed::NoMapping)?;
        let first = |of: &str, origins: &[Origin]| first(rulebook, inputs, of, origins);
        let customer = first("customer", &mapping.customer)?;
        let mut attributes = Pairs::new();
        attributes.push(("product", &inputs.product));
        for (name, origins) in &mapping.attributes {
            attributes.push((name, first(name, origins)?));
        }
        Ok(Prospect::new(&inputs.member, customer, attributes))
    }

    /// The reservation that it comes to. `expires_us`: 0 is never.
    pub fn reserve(
        &self,
        inputs: &Inputs,
        exposure: &str,
        fen: i64,
        expires_us: i64,
    ) -> Result<Prepared, Unexposed> {
        Ok(self.prospect(inputs)?.reserve(exposure, fen, expires_us))
    }

    /// Writes down what was seen. What the ledger told before is forgotten.
    pub fn expose(&self, inputs: &mut Inputs, look: &mut Look) {
        let last = self.rulebook.given().last();
        if last.is_none_or(|relation: &Relation| relation.source != Source::Exposure) {
            return;
        }
        inputs.rows.pop();
        inputs.rows.push(look.row.finish());
        inputs.exposed = look.exposed.take_if(|e| !e.counters.is_empty() || !e.short.is_empty());
    }

    /// The same of how the counters stand, as the ledger told; None: it is not known.
    pub fn expose_told(&self, inputs: &mut Inputs, look: &mut Look, counters: Option<&[CounterUse]>) {
        match counters {
            Some(counters) => look.note(counters, self.asked_fen(inputs)),
            None => look.unknown(),
        }
        self.expose(inputs, look);
    }
}

/// The first of some columns that is known.
fn first<'a>(
    rulebook: &'a Rulebook,
    inputs: &'a Inputs,
    of: &str,
    origins: &[Origin],
) -> Result<&'a str, Unexposed> {
    for origin in origins {
        match *origin {
            Origin::None => return Ok(NONE),
            Origin::Column { relation, column } => {
                let row = inputs.row(relation, &rulebook.given()[relation])?;
                if let Some(text) = row.text(column) {
                    return Ok(text);
                }
            }
        }
    }
    Err(Unexposed::Unknown(of.into()))
}

impl Mapping {
    /// When a reservation that is made now expires.
    pub fn expires_us(&self, now_us: i64) -> i64 {
        now_us.saturating_add(self.reserve_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(n: usize, used_fen: i64) -> Short {
        let limit = format!("l{n}");
        let counter =
            CounterUse { limit, used_fen, hard_fen: 100, warning_fen: 100, ..CounterUse::default() };
        Short { counter: Some(counter), fen: used_fen }
    }

    /// The tightest first, in the order of the rulebook where they are alike; no more than a reader can take.
    #[test]
    fn counters_without_room_are_told_in_order_and_bounded() {
        let all = (0..TOLD_MAX + 5).map(|n| short(n, [50, 99, 70][n % 3]));
        let exposed = Exposed::breached(all);
        let reasons = exposed.reasons(&SchemeSet::default(), None);
        assert_eq!(reasons.len(), TOLD_MAX);
        let ids: Vec<&str> = reasons.iter().map(|reason| reason.id.as_str()).collect();
        assert_eq!(ids[..8], ["l1", "l4", "l7", "l10", "l13", "l16", "l19", "l2"]);
        assert!(reasons.iter().all(|reason| reason.effect == Effect::Decline));
        let more = |reason: &Reason| reason.values.iter().find(|v| v.name == "more_counters").cloned();
        assert_eq!(more(&reasons[TOLD_MAX - 1]).map(|more| more.value), Some(Value::Int64(5)));
        assert!(reasons[..TOLD_MAX - 1].iter().all(|reason| more(reason).is_none()));
        // Of fewer there are no more.
        let few = Exposed::breached((0..TOLD_MAX).map(|n| short(n, 100)));
        assert!(few.more == 0 && few.reasons(&SchemeSet::default(), None).iter().all(|r| more(r).is_none()));
    }
}
