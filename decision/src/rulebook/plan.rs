//! A plan: the policy of one product at one member, compiled.

use std::sync::Arc;

use tarim_features::expr::ExprSet;

use super::course::Courses;
use crate::{
    outcome::{Call, Stage},
    policy::Logic,
    wire::Heads,
};

/// How one member decides one product: steps, each after those whose results it reads.
#[derive(Debug)]
pub struct Plan {
    pub member: String,
    pub product: String,
    /// The product is stopped: everything is declined.
    pub stopped: bool,
    /// What stands against the applicant is looked up: a step reads or shows it.
    pub warnings: bool,
    /// Stages for which it is asked how the counters of the applicant's exposure stand.
    pub exposures: StageSet,
    pub steps: Vec<PlanStep>,
    pub courses: Courses,
    /// Relations that the scorecard, the limit and the rate leave their results in.
    pub score: Option<usize>,
    pub limit: Option<usize>,
    pub rate: Option<usize>,
}

/// A step in its place.
#[derive(Debug)]
pub struct PlanStep {
    pub step: Arc<Step>,
    pub stage: Stage,
    /// Its place among the steps in the order in which reasons are told: by stage, then as the rulebook has them.
    pub told: usize,
    /// Relation that takes its result; rules leave none.
    pub relation: Option<usize>,
    /// Stages that need it: its own, unless it is a table of control points alone, and those of the steps that read or show its
    /// result.
    pub needed_by: StageSet,
}

/// Logic with its expressions. Plans that agree in everything a step depends on share it.
#[derive(Debug)]
pub struct Step {
    /// Index among the rulebook's distinct steps.
    pub index: usize,
    pub exprs: ExprSet,
    pub logic: Arc<Logic>,
    /// What its reasons begin with on the wire.
    pub heads: Heads,
}

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageSet(u8);

impl StageSet {
    /// All stages of a decision: those below the control points.
    const DECISION: u8 = (1 << Stage::Application as u8) - 1;

    pub fn of(stage: Stage) -> Self {
        Self(1 << stage as u8)
    }

    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn has(self, stage: Stage) -> bool {
        self.0 >> stage as u8 & 1 == 1
    }

    /// Has it a stage that a call asks for?
    pub fn meets(self, call: Call) -> bool {
        match call {
            Call::All => self.0 & Self::DECISION != 0,
            Call::One(stage) => self.has(stage),
        }
    }
}

impl Plan {
    /// Has it anything to say at a control point?
    pub fn intercepts(&self, point: Stage) -> bool {
        self.steps.iter().any(|s| s.stage == point)
    }

    /// Whether a call asks how the counters of the applicant's exposure stand.
    pub fn asks_exposure(&self, call: Call) -> bool {
        self.exposures.meets(call)
    }

    /// The steps that a call needs, in order, each with its index.
    pub fn runs(&self, call: Call) -> impl Iterator<Item = (usize, &PlanStep)> {
        runs(&self.steps, call)
    }
}

/// The steps that a call needs, in order, each with its index.
pub fn runs(steps: &[PlanStep], call: Call) -> impl Iterator<Item = (usize, &PlanStep)> {
    steps.iter().enumerate().filter(move |(_, s)| s.needed_by.meets(call))
}
