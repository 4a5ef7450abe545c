//! What a rulebook says of control points: rules, product terms, and who may override.
//!
//! ```text
//!   interception/contract.toml    rules of the point ──┐
//!   products/*.toml [terms.*]     what a loan may be ──┼─► point rules ─► rules of the stage `contract`: steps of
//!   members/*/   [interception.*] stricter, per rule ──┘   (`expand`)     each plan, as any other rule
//!   interception/roles.toml       who may override
//! ```
//!
//! There is no second engine: a control point is a stage that comes after all stages of a decision, so its rules may read
//! what policies read, and scores, tables, limit and rate besides. A member that is stricter has a variant of the rule
//! of its own: the same id and condition, for that member alone.

mod expand;
mod read;
mod terms;

use tarim_datamart::{At, Place};

pub use self::{
    expand::expand,
    read::{read, read_tighter},
    terms::{Term, read_terms},
};
use super::policies::{For, Named};
use crate::outcome::{Effect, Stage};

/// `interception/` as it is written.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    pub rules: Vec<PointRule>,
    pub roles: Vec<Role>,
}

/// A role of officers: `[role.<name>]`.
#[derive(Clone, Debug)]
pub struct Role {
    pub name: String,
    pub zh: String,
    pub en: String,
    pub place: Place,
}

/// A rule of a control point.
#[derive(Clone, Debug)]
pub struct PointRule {
    pub id: At<String>,
    pub zh: String,
    pub en: String,
    pub point: Stage,
    pub when: At<String>,
    pub manner: Manner,
    pub products: For,
    /// Empty: all.
    pub members: Vec<At<String>>,
    /// None: the columns that `when` reads.
    pub show: Option<Vec<Named>>,
}

/// What a rule does, and who may undo it.
#[derive(Clone, Debug)]
pub struct Manner {
    pub then: Effect,
    pub if_unknown: Effect,
    /// Nobody, if there are none.
    pub roles: Vec<At<String>>,
}

impl Manner {
    /// Can it block at all?
    fn blocks(&self) -> bool {
        self.then == Effect::Block || self.if_unknown == Effect::Block
    }
}

/// A member's `[interception.<id>]`: how it is stricter.
#[derive(Clone, Debug)]
pub struct Tighter {
    pub id: At<String>,
    pub then: Option<At<Effect>>,
    pub if_unknown: Option<At<Effect>>,
    pub roles: Option<At<Vec<At<String>>>>,
}

/// What a rule of a control point does.
const EFFECTS: [(&str, Effect); 2] = [("warn", Effect::Warn), ("block", Effect::Block)];
