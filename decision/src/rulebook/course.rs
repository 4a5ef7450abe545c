//! A course: the steps of a plan that one call needs, compiled to one program.
//!
//! ```text
//!   plan:    base_limit ─ scorecard ─ rules of admission … ─ limit ─ rate
//!   course of `AssignLimit`:  part 0 ─ base_limit ─ part 1 ─ scorecard ─ part 2 ─ limit
//! ```
//!
//! Every step's expressions are a part of the program, so what several steps ask is computed once; a step's
//! result goes to the registers from which later parts read it. Nothing of a course is looked up by name.

use std::sync::Arc;

use tarim_features::expr::{Inlet, Program, Scope, Shapes, fuse};

use super::{plan::PlanStep, relation::Relation};
use crate::{
    outcome::{Call, Stage},
    policy::Logic,
};

/// The steps that a call needs, ready to run. Plans with the same steps share it.
#[derive(Debug)]
pub struct Course {
    /// Index among the rulebook's distinct courses.
    pub index: usize,
    /// Part k is of step k.
    pub program: Program,
    pub steps: Vec<CourseStep>,
}

/// A step of a course.
#[derive(Debug)]
pub struct CourseStep {
    /// Index in the plan.
    pub step: usize,
    pub logic: Arc<Logic>,
    pub result: Option<ResultOf>,
}

/// Where a step's result goes.
#[derive(Debug)]
pub struct ResultOf {
    pub relation: usize,
    /// Of each column, where the program takes it; None: no later part reads it.
    pub inlets: Vec<Option<Inlet>>,
}

/// A plan's courses, one a call.
#[derive(Clone, Debug)]
pub struct Courses {
    all: Arc<Course>,
    /// By stage and control point.
    stages: [Arc<Course>; Stage::COUNT],
}

impl Courses {
    /// `compile` gives the course of a call.
    pub fn new(mut compile: impl FnMut(Call) -> Arc<Course>) -> Self {
        let all = compile(Call::All);
        let [admission, fraud, score, limit, rate] = Stage::ALL.map(|stage| compile(Call::One(stage)));
        let [application, contract, disbursement] = Stage::POINTS.map(|point| compile(Call::One(point)));
        let stages = [admission, fraud, score, limit, rate, application, contract, disbursement];
        Self { all, stages }
    }

    pub fn of(&self, call: Call) -> &Arc<Course> {
        match call {
            Call::All => &self.all,
            Call::One(stage) => &self.stages[stage as usize],
        }
    }
}

impl Course {
    /// Compiles the steps that are in the order of their plan. What its program has in common with others is in `shapes`.
    pub fn compile(
        scope: &Scope,
        relations: &[Relation],
        index: usize,
        steps: &[(usize, &PlanStep)],
        shapes: &mut Shapes,
    ) -> Self {
        let given = relations.iter().take_while(|r| r.source.is_input()).count();
        let program = fuse(scope, given, steps.iter().map(|(_, s)| (&s.step.exprs, s.relation)));
        let program = program.sharing(shapes);
        let result = |relation: usize| {
            let columns = 0..relations[relation].layout.columns().len();
            ResultOf { relation, inlets: columns.map(|c| program.inlet(relation, c)).collect() }
        };
        let steps = steps
            .iter()
            .map(|(step, s)| CourseStep {
                step: *step,
                logic: s.step.logic.clone(),
                result: s.relation.map(result),
            })
            .collect();
        Self { index, program, steps }
    }
}
