//! From what was gathered to the exposure that would come of it, and from the ledger's answer to the row `exposure`.
//!
//! ```text
//!  gather ─► Inputs ─► Engine::reserve ─► Prepared ─► Core::outlook (the ledger's thread)
//!              ▲                                          │ counters, or nothing
//!              └───────────── Engine::expose ◄────────────┘        then: judge
//! ```

use tarim_datamart::Value;
use tarim_features::row::RowError;

use super::{Engine, Inputs};
use crate::{
    exposure::{
        Attribute, CounterUse, Operation, Prepared, Reserve,
        scheme::{NONE, SchemeSet},
        standing::{Standing, name, pack_unknown},
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
    /// Counters without room for what was to be reserved: nothing was.
    #[prost(message, repeated, tag = "2")]
    pub breaches: Vec<Short>,
    /// What was reserved.
    #[prost(message, optional, tag = "3")]
    pub taken: Option<Reservation>,
}

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
    /// What is told of it: each counter without room; else each that comes above its warning line by what is reserved or, if nothing
    /// is, by the limit that is assigned.
    pub(super) fn reasons(&self, limits: &SchemeSet, limit_fen: Option<i64>) -> Vec<Reason> {
        if !self.breaches.is_empty() {
            let told = self.breaches.iter().filter_map(|short| Some((short.counter.as_ref()?, short.fen)));
            return told.map(|(counter, fen)| breached(limits, counter, fen)).collect();
        }
        let Some(fen) = self.taken.as_ref().map(|taken| taken.fen).or(limit_fen) else { return Vec::new() };
        let above = self.counters.iter().filter(|c| c.used_fen.saturating_add(fen) > c.warning_fen);
        above.map(|counter| warned(limits, counter, fen)).collect()
    }
}

fn breached(limits: &SchemeSet, counter: &CounterUse, short: i64) -> Reason {
    let words = ["：超过控制线", ": above the hard line"];
    let values = [("cap_fen", counter.hard_fen), ("used_fen", counter.used_fen), ("shortfall_fen", short)];
    reason(limits, counter, Effect::Decline, words, &values)
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
    let value = |name: &str, value: Value| NamedValue { name: name.into(), value, stale: false };
    let amounts = amounts.iter().map(|(name, fen)| value(name, Value::Int64(*fen)));
    Reason {
        id: counter.limit.clone(),
        stage: Stage::Limit,
        effect,
        zh: format!("{own_zh}{zh}"),
        en: format!("{own_en}{en}"),
        unknown: false,
        values: std::iter::once(value("counter", Value::Utf8(name(counter)))).chain(amounts).collect(),
        points_lost: None,
        override_roles: Vec::new(),
    }
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

    /// The reservation that the exposure of an application comes to. `expires_us`: 0 is never.
    pub fn reserve(
        &self,
        inputs: &Inputs,
        exposure: &str,
        fen: i64,
        expires_us: i64,
    ) -> Result<Prepared, Unexposed> {
        let rulebook = &*self.rulebook;
        let mapping = rulebook.exposure().ok_or(Unexposed::NoMapping)?;
        let first = |of: &str, origins: &[Origin]| first(rulebook, inputs, of, origins);
        let customer = first("customer", &mapping.customer)?;
        let mut attributes = vec![Attribute::new("product", &*inputs.product)];
        for (name, origins) in &mapping.attributes {
            attributes.push(Attribute::new(name, first(name, origins)?));
        }
        let (member, exposure) = (inputs.member.clone(), exposure.to_owned());
        let reserve = Reserve { member, exposure, customer, attributes, fen, expires_us };
        Ok(Prepared::new(Operation::Reserve(reserve)))
    }

    /// Writes down how the counters stand, as the ledger told; None: it is not known. What the ledger told before is forgotten.
    pub fn expose(&self, inputs: &mut Inputs, counters: Option<&[CounterUse]>) {
        let last = self.rulebook.given().last().filter(|r: &&Relation| r.source == Source::Exposure);
        let Some(relation) = last else { return };
        let standing = counters.map(|counters| Standing::of(counters, self.asked_fen(inputs)));
        let packer = inputs.tools.packer(&relation.layout);
        let packed = match &standing {
            Some(standing) => standing.pack(packer),
            None => pack_unknown(packer),
        };
        packed.expect("the relation has the layout of how counters stand");
        // Those that no limit within the room brings above their warning line are not kept.
        let headroom = standing.as_ref().map_or(0, |standing| standing.headroom_fen.max(0));
        let near = |c: &&CounterUse| c.used_fen.saturating_add(headroom) > c.warning_fen;
        let near: Vec<CounterUse> = counters.unwrap_or_default().iter().filter(near).cloned().collect();
        inputs.exposed =
            (!near.is_empty()).then(|| Box::new(Exposed { counters: near, ..Exposed::default() }));
        inputs.rows.pop();
        inputs.rows.push(packer.finish());
    }
}

/// The first of some columns that is known.
fn first(rulebook: &Rulebook, inputs: &Inputs, of: &str, origins: &[Origin]) -> Result<String, Unexposed> {
    for origin in origins {
        match *origin {
            Origin::None => return Ok(NONE.into()),
            Origin::Column { relation, column } => {
                let row = inputs.row(relation, &rulebook.given()[relation])?;
                if let Some(text) = row.text(column) {
                    return Ok(text.to_owned());
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
