//! The online engine: one application in, one decision out.
//!
//! ```text
//!   Application ── gather ──► Inputs ── decide ──► Decision
//!     checked by the standard,  │  rows of application,   each step: row program, then its logic;
//!     personal fields           │  entities and lists,    its result is packed as a row for the
//!     tokenised                 ▼  at one time            steps after it
//!                          encode / decode (journal, replay)
//! ```
//!
//! An [`Engine`] is an immutable pair of a compiled rulebook and a snapshot of the store; the service
//! swaps it whole when either changes. [`decide_recorded`] makes a decision again from inputs that were
//! written down, without a store.

mod build;
mod course;
mod encode;
mod gather;
mod inputs;
mod intake;

use std::sync::Arc;

use tarim_datamart::{Tokeniser, Value};
use tarim_features::{
    expr::Bound,
    row::{Dictionary, RowError},
    store::Snapshot,
};

pub(crate) use self::intake::{Intake, Origin};
pub use self::{
    build::InputsBuilder,
    course::DecisionScratch,
    encode::DecodeError,
    gather::FieldError,
    inputs::{Inputs, ListHit},
};
use crate::{
    outcome::{Call, Decision},
    rulebook::{NoPlan, Rulebook, Source},
};
use inputs::no_texts;

/// One request as the caller sent it, decoded from the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Application {
    pub member: String,
    pub product: String,
    /// Fields of the standard `applications`, by name.
    pub fields: Vec<(String, Value)>,
}

/// Why inputs cannot be decided on. None of it comes from what a caller sent: that is told when inputs
/// are gathered.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error(transparent)]
    NoPlan(#[from] NoPlan),
    #[error("the row of `{relation}` cannot be read: {source}")]
    Row { relation: String, source: RowError },
}

/// A compiled rulebook and a snapshot of the store, bound together.
pub struct Engine {
    rulebook: Arc<Rulebook>,
    snapshot: Arc<Snapshot>,
    tokeniser: Arc<Tokeniser>,
    intake: Intake,
    /// Programs of the rulebook's steps with their constants as codes of the snapshot's dictionaries.
    bound: Vec<Bound>,
}

impl Engine {
    /// Binds a rulebook to a snapshot that was made for its features.
    pub fn new(rulebook: Arc<Rulebook>, snapshot: Arc<Snapshot>, tokeniser: Arc<Tokeniser>) -> Self {
        let intake = Intake::new(&rulebook);
        let bound = bind(&rulebook, Some(&snapshot));
        Self { rulebook, snapshot, tokeniser, intake, bound }
    }

    pub fn rulebook(&self) -> &Arc<Rulebook> {
        &self.rulebook
    }

    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Decides. Allocates only what the decision itself is made of.
    pub fn decide(
        &self,
        inputs: &Inputs,
        call: Call,
        scratch: &mut DecisionScratch,
    ) -> Result<Decision, DecideError> {
        match &inputs.snapshot {
            Some(snapshot) if Arc::ptr_eq(snapshot, &self.snapshot) => {
                course::run(&self.rulebook, &self.bound, inputs, call, scratch)
            }
            // Gathered from another snapshot, or read back: codes mean something else there.
            other => {
                course::run(&self.rulebook, &bind(&self.rulebook, other.as_deref()), inputs, call, scratch)
            }
        }
    }
}

/// Makes a decision again from inputs that were written down.
pub fn decide_recorded(rulebook: &Rulebook, inputs: &Inputs, call: Call) -> Result<Decision, DecideError> {
    Replayer::new(rulebook).decide(inputs, call)
}

/// Decides on inputs that carry their own texts, many with one rulebook: replay, tests, verification.
pub struct Replayer<'a> {
    rulebook: &'a Rulebook,
    bound: Vec<Bound>,
    scratch: DecisionScratch,
}

impl<'a> Replayer<'a> {
    pub fn new(rulebook: &'a Rulebook) -> Self {
        Self { rulebook, bound: bind(rulebook, None), scratch: DecisionScratch::default() }
    }

    pub fn decide(&mut self, inputs: &Inputs, call: Call) -> Result<Decision, DecideError> {
        course::run(self.rulebook, &self.bound, inputs, call, &mut self.scratch)
    }
}

/// Looks the constants of all programs up in the dictionaries of the rows that they will read.
fn bind(rulebook: &Rulebook, snapshot: Option<&Snapshot>) -> Vec<Bound> {
    let dictionaries: Vec<&Dictionary> = rulebook
        .relations()
        .iter()
        .map(|r| match (r.source, snapshot) {
            (Source::Entity(entity), Some(snapshot)) => snapshot.dictionary(entity),
            (source, _) if source.is_input() => no_texts(),
            _ => &**rulebook.texts(),
        })
        .collect();
    rulebook.steps().iter().map(|s| s.exprs.program().bind(&dictionaries)).collect()
}
