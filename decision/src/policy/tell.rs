//! A verdict in words, as a value: for batches, tests and people. (The service writes bytes: `crate::wire`.)

use tarim_datamart::ValueRef;

use super::{
    Facts, Finding, Verdict,
    show::{Show, Source},
    words::{Told, reasons},
};
use crate::{
    outcome::{Call, Decision, NamedValue, Reason, Score, Stage},
    rulebook::Plan,
};

/// Puts a verdict and its findings into words; `facts` are what they were made from.
pub fn tell(
    plan: &Plan,
    call: Call,
    verdict: &Verdict,
    findings: &[Finding],
    facts: &impl Facts,
) -> Decision {
    Decision {
        outcome: verdict.outcome,
        stages: verdict.stages(call).collect(),
        score: score(plan, call, facts),
        limit_fen: verdict.limit_fen,
        rate_ppm: verdict.rate_ppm,
        reasons: reasons(plan, verdict, findings).map(|told| reason(&told, facts)).collect(),
        reservation: None,
    }
}

/// The score, if it was asked for and is known.
pub fn score(plan: &Plan, call: Call, facts: &impl Facts) -> Option<Score> {
    let relation = plan.score.filter(|_| call.includes(Stage::Score))?;
    match [0, 1, 2].map(|column| facts.column(relation, column).0) {
        [ValueRef::Float64(points), ValueRef::Float64(pd), ValueRef::Utf8(grade)] => {
            Some(Score { points, pd, grade: grade.to_owned() })
        }
        _ => None,
    }
}

fn reason(told: &Told<'_>, facts: &impl Facts) -> Reason {
    Reason {
        id: told.id.concat(),
        stage: told.stage,
        effect: told.effect,
        zh: told.zh.concat(),
        en: told.en.concat(),
        unknown: told.unknown,
        values: told.show.iter().map(|show| named(show, told.step, facts)).collect(),
        points_lost: told.points_lost,
        override_roles: told.override_roles.to_vec(),
    }
}

/// A value to show, under its name.
fn named(show: &Show, step: usize, facts: &impl Facts) -> NamedValue {
    let (value, stale) = match show.source {
        Source::Column { relation, column } => {
            let (value, stale) = facts.column(relation, column);
            (value.to_value(), stale)
        }
        Source::Expr(id) => (facts.expr(step, id), false),
    };
    NamedValue { name: show.name.clone(), value, stale }
}
