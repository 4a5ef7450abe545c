//! The course of one decision: the parts of its program and the logic of its steps, in turn.

use std::{borrow::Cow, ops::Range};

use smallvec::SmallVec;
use tarim_datamart::{Value, ValueRef};
use tarim_features::{
    expr::{Answers, Bound, ExprId, Scratch},
    row::Row,
};

use super::{DecideError, Inputs};
use crate::{
    outcome::{Call, Decision, Effect, Reason, Reservation, Score, Stage},
    policy::{Facts, Finding, Granted, Line, Out, Verdict, Work, judge, lines, score, tell},
    rulebook::{Course, Plan, Rulebook},
};

/// Rows of the relations that are given; a rulebook with more has them on the heap.
type Rows<'a> = SmallVec<[Row<'a>; 16]>;

/// What a decision is worked out in, reused from one to the next by its thread.
#[derive(Default)]
pub struct DecisionScratch {
    registers: Scratch,
    work: Work,
    /// Of each relation that a step fills, where in the work it is.
    results: Vec<Range<u32>>,
    /// The rulebook that all this is for; 0: none.
    rulebook: u64,
}

impl DecisionScratch {
    fn prepare(&mut self, rulebook: &Rulebook) {
        if self.rulebook != rulebook.id() {
            self.results = vec![0..0; rulebook.relations().len()];
            self.rulebook = rulebook.id();
        }
        self.results.fill(0..0);
        self.work.clear();
    }
}

/// A decision that was made, and all that is needed to tell it.
pub struct Judged<'a> {
    rulebook: &'a Rulebook,
    plan: &'a Plan,
    call: Call,
    course: &'a Course,
    inputs: &'a Inputs,
    verdict: Verdict,
    work: &'a Work,
    registers: &'a Scratch,
    results: &'a [Range<u32>],
}

impl Judged<'_> {
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// What was found, in the order in which it is told.
    pub fn findings(&self) -> &[Finding] {
        &self.work.findings
    }

    pub fn plan(&self) -> &Plan {
        self.plan
    }

    pub fn call(&self) -> Call {
        self.call
    }

    /// Every reason, in order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        lines(&self.verdict, self.findings())
    }

    /// What it was made from, opened once: reasons show dozens of values of the same few rows.
    pub fn facts(&self) -> JudgedFacts<'_> {
        let mut rows = Rows::new();
        add_rows(self.rulebook, self.inputs, &mut rows).expect("what was judged by could be read");
        JudgedFacts { judged: self, rows }
    }

    /// Reasons that exposure limits give; they stand behind all others.
    pub fn exposure_reasons(&self) -> Vec<Reason> {
        let Some(exposed) = &self.inputs.exposed else { return Vec::new() };
        let limits = self.rulebook.limits();
        let mut all =
            self.out_of_room().map_or_else(Vec::new, |(stage, effect)| exposed.short(limits, stage, effect));
        if self.call.includes(Stage::Limit) {
            all.extend(exposed.reasons(limits, self.verdict.limit_fen));
        }
        all
    }

    /// Where a decision was declined, or a control point said something, because of how counters stand: the stage in which the
    /// counters without room are told, and what their reasons do. At a control point a rule has the effect, and who may
    /// override it; its counters are told with it, and never ask for an override of their own.
    fn out_of_room(&self) -> Option<(Stage, Effect)> {
        let of_exposure = |f: &&Finding| self.plan.steps[f.step].step.logic.is_of_exposure(f.what);
        self.findings().iter().filter(of_exposure).find_map(|finding| {
            let stage = self.plan.steps[finding.step].stage;
            match finding.effect {
                _ if stage.is_point() => Some((stage, Effect::Warn)),
                Effect::Decline => Some((stage, Effect::Decline)),
                _ => None,
            }
        })
    }

    /// Room that was taken.
    pub fn reservation(&self) -> Option<&Reservation> {
        self.inputs.exposed.as_ref()?.taken.as_ref()
    }

    /// Puts it into words.
    pub fn tell(&self) -> Decision {
        let mut decision = tell(self.plan, self.call, &self.verdict, self.findings(), &self.facts());
        decision.reasons.extend(self.exposure_reasons());
        decision.reservation = self.reservation().cloned();
        decision
    }
}

/// Runs the steps that a call needs and judges what they find. Allocates nothing once the scratch is warm,
/// unless the rulebook is given over 16 relations or hundreds of its rules fire.
pub(super) fn run<'a>(
    rulebook: &'a Rulebook,
    bound: impl FnOnce(&Course) -> Cow<'a, Bound>,
    inputs: &'a Inputs,
    call: Call,
    scratch: &'a mut DecisionScratch,
) -> Result<Judged<'a>, DecideError> {
    let plan = match inputs.plan {
        Some((of, plan)) if of == rulebook.id() => &rulebook.plans()[plan],
        _ => rulebook.plan(&inputs.member, &inputs.product)?,
    };
    debug_assert_eq!(
        (&plan.member, &plan.product),
        (&inputs.member, &inputs.product),
        "the plan is of what was asked"
    );
    let course = plan.courses.of(call);
    scratch.prepare(rulebook);
    let DecisionScratch { registers, work, results, .. } = scratch;
    work.unrounded_points = inputs.unrounded_points;
    let mut rows = Rows::new();
    add_rows(rulebook, inputs, &mut rows)?;
    let bound = bound(course);
    let mut evaluation = course.program.start(&bound, &rows, rulebook.texts(), registers);
    for (part, step) in course.steps.iter().enumerate() {
        evaluation.run(part);
        step.logic.run(step.step, &evaluation.answers(part), work);
        if let Some(result) = &step.result {
            for (inlet, out) in result.inlets.iter().zip(work.left()) {
                if let Some(inlet) = inlet {
                    evaluation.put(*inlet, out.given());
                }
            }
            results[result.relation] = work.began as u32..work.out.len() as u32;
        }
    }
    // A result of a step that was not run is nothing.
    let result = |relation: Option<usize>| left(work, &results[relation?]).first().copied();
    let granted = Granted { limit: result(plan.limit), rate: result(plan.rate) };
    let mut verdict = judge(plan, call, &mut work.findings, granted);
    if inputs.exposed.as_ref().is_some_and(|e| !e.breaches.is_empty()) {
        verdict = verdict.breached();
    }
    Ok(Judged { rulebook, plan, call, course, inputs, verdict, work, registers, results })
}

/// What a step left.
fn left<'w>(work: &'w Work, at: &Range<u32>) -> &'w [Out] {
    &work.out[at.start as usize..at.end as usize]
}

/// Adds a row of each relation that is given. (They are many bytes: they are written where they stay.)
#[inline]
fn add_rows<'a>(rulebook: &'a Rulebook, inputs: &'a Inputs, rows: &mut Rows<'a>) -> Result<(), DecideError> {
    let given = rulebook.given();
    let mut packed = inputs.rows.iter();
    rows.reserve(given.len());
    for relation in given {
        // A row that is missing is an empty one, which no layout fits.
        match inputs.row_of(relation, packed.next().unwrap_or_default()) {
            Ok(row) => rows.push(row),
            Err(source) => return Err(DecideError::Row { relation: relation.name.clone(), source }),
        }
    }
    Ok(())
}

/// What a decision was made from: rows that were given, results of steps, expressions.
pub struct JudgedFacts<'a> {
    judged: &'a Judged<'a>,
    rows: Rows<'a>,
}

impl JudgedFacts<'_> {
    pub fn plan(&self) -> &Plan {
        self.judged.plan
    }

    /// The score, if it was asked for and is known.
    pub fn score(&self) -> Option<Score> {
        score(self.judged.plan, self.judged.call, self)
    }
}

impl Facts for JudgedFacts<'_> {
    fn column(&self, relation: usize, column: usize) -> (ValueRef<'_>, bool) {
        if let Some(row) = self.rows.get(relation) {
            return (row.get_ref(column), row.is_stale(column));
        }
        let Judged { rulebook, work, results, .. } = self.judged;
        // A result of a step that was not run is NULL.
        let out = left(work, &results[relation]).get(column).copied().unwrap_or_default();
        (out.value(rulebook.texts()), false)
    }

    fn expr(&self, step: usize, id: ExprId) -> Value {
        let Judged { course, registers, .. } = self.judged;
        let part = course.steps.iter().position(|s| s.step == step);
        let part = part.expect("a finding is of a step that ran");
        registers.answers(&course.program, part).value(id)
    }
}
