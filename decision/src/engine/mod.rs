//! The online engine: one application in, one decision out.
//!
//! ```text
//!   Application ── gather ──► Inputs ── judge ──► Judged ──┬─ tell ──► Decision, for people and tests
//!     checked by the standard,  │  rows of application,    │
//!     personal fields           │  entities, lists and     └─ crate::wire ──► bytes, for journal and answer
//!     tokenised                 ▼  warnings, at one time
//!                          encode / decode (journal, replay)
//! ```
//!
//! To judge is to run a plan's course ([`crate::rulebook::Course`]): a part of its program, then the logic of
//! the step, whose result the parts to come read, and so on. What a reason says is put into words only when it
//! is told.
//!
//! An [`Engine`] is an immutable pair of a compiled rulebook and a snapshot of the store; the service
//! swaps it whole when either changes. [`decide_recorded`] makes a decision again from inputs that were
//! written down, without a store.

mod build;
mod checks;
mod course;
mod encode;
mod exposed;
mod field_errors;
mod gather;
mod hits;
mod inputs;
mod intake;
mod look;

use std::{borrow::Cow, sync::Arc};

use tarim_datamart::{Tokeniser, Value};
use tarim_features::{
    expr::{Bound, Program},
    row::{Dictionary, RowError},
    store::Snapshot,
    warnings::Warnings,
};

pub(crate) use self::intake::{Intake, Origin};
pub use self::{
    build::InputsBuilder,
    course::{DecisionScratch, Judged, JudgedFacts},
    encode::DecodeError,
    exposed::{Exposed, Short, Unexposed},
    field_errors::{FieldError, FieldErrors},
    gather::Sent,
    inputs::Inputs,
    look::Look,
};
use crate::{
    outcome::{Call, Decision},
    rulebook::{Course, NoPlan, Relation, Rulebook, Source, WARNED},
};

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
    /// Of each entity and of each list, the application's column that it is looked up by.
    entity_keys: Vec<Option<usize>>,
    list_keys: Vec<Option<usize>>,
    /// The application's column that warnings are looked up by.
    warned: Option<usize>,
    /// None: nobody tells what stands against customers, and all of it is unknown.
    warnings: Option<Warnings>,
    /// Programs of the rulebook's courses with their constants as codes of the snapshot's dictionaries.
    bound: Vec<Bound>,
}

impl Engine {
    /// Binds a rulebook to a snapshot that was made for its features.
    pub fn new(rulebook: Arc<Rulebook>, snapshot: Arc<Snapshot>, tokeniser: Arc<Tokeniser>) -> Self {
        let intake = Intake::new(&rulebook);
        let bound = bind(&rulebook, Some(&snapshot));
        let features = rulebook.features();
        let entity_keys = features.entities().iter().map(|e| intake.column(&e.application)).collect();
        let list_keys = features.lists().iter().map(|l| intake.column(&l.field)).collect();
        let warned = intake.column(WARNED);
        let warnings = None;
        Self { rulebook, snapshot, tokeniser, intake, entity_keys, list_keys, warned, warnings, bound }
    }

    /// With what stands against customers, as it is at the time of each decision.
    pub fn with_warnings(self, warnings: Option<Warnings>) -> Self {
        Self { warnings, ..self }
    }

    pub fn rulebook(&self) -> &Arc<Rulebook> {
        &self.rulebook
    }

    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Decides, and puts the decision into words.
    pub fn decide(
        &self,
        inputs: &Inputs,
        call: Call,
        scratch: &mut DecisionScratch,
    ) -> Result<Decision, DecideError> {
        Ok(self.judge(inputs, call, scratch)?.tell())
    }

    /// Decides. Allocates nothing once the scratch is warm.
    pub fn judge<'a>(
        &'a self,
        inputs: &'a Inputs,
        call: Call,
        scratch: &'a mut DecisionScratch,
    ) -> Result<Judged<'a>, DecideError> {
        let bound = |course: &Course| match &inputs.snapshot {
            Some(snapshot) if Arc::ptr_eq(snapshot, &self.snapshot) => {
                Cow::Borrowed(&self.bound[course.index])
            }
            // Gathered from another snapshot, or read back: codes mean something else there.
            other => Cow::Owned(course.program.bind(&dictionaries(&self.rulebook, other.as_deref()))),
        };
        course::run(&self.rulebook, bound, inputs, call, scratch)
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
        Ok(self.judge(inputs, call)?.tell())
    }

    pub fn judge<'s>(&'s mut self, inputs: &'s Inputs, call: Call) -> Result<Judged<'s>, DecideError> {
        let bound = |course: &Course| Cow::Borrowed(&self.bound[course.index]);
        course::run(self.rulebook, bound, inputs, call, &mut self.scratch)
    }
}

/// Looks the constants of all programs up in the dictionaries of the rows that they will read.
fn bind(rulebook: &Rulebook, snapshot: Option<&Snapshot>) -> Vec<Bound> {
    let dictionaries = dictionaries(rulebook, snapshot);
    Program::bind_all(rulebook.courses().iter().map(|c| &c.program), &dictionaries)
}

/// The dictionary of each relation's rows.
fn dictionaries<'a>(rulebook: &'a Rulebook, snapshot: Option<&'a Snapshot>) -> Vec<&'a Dictionary> {
    let dictionary = |r: &'a Relation| match (r.source, snapshot) {
        (Source::Entity(entity), Some(snapshot)) => snapshot.dictionary(entity),
        (source, _) if source.is_input() => r.layout.codes(),
        _ => &**rulebook.texts(),
    };
    rulebook.relations().iter().map(dictionary).collect()
}
