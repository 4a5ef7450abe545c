//! From findings to the verdict: the worst outcome, and what is granted.

use super::{Finding, answer::Out, rate::ppm};
use crate::{
    outcome::{Call, Effect, Outcome, Stage},
    rulebook::Plan,
};

/// A decision without its words: what was found stands beside it, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// By stage and control point; those that were not asked for approve.
    pub stages: [Outcome; Stage::COUNT],
    pub limit_fen: Option<i64>,
    pub rate_ppm: Option<i64>,
    /// The product is stopped, which is a reason of the first stage, or of the control point.
    pub(super) stopped: Option<(Stage, Effect)>,
    /// Of limit and rate: it is unknown, and no reason says why.
    pub(super) untold: [bool; 2],
}

impl Verdict {
    /// What it did that the product is stopped; None: it is not.
    pub fn stopped(&self) -> Option<Effect> {
        self.stopped.map(|(_, effect)| effect)
    }

    /// The same where exposure limits turned out to have no room: nothing is granted.
    pub fn breached(mut self) -> Self {
        self.stages[Stage::Limit as usize] = Outcome::Decline;
        Self { outcome: Outcome::Decline, limit_fen: None, rate_ppm: None, ..self }
    }

    /// The stages that were asked for, in order.
    pub fn stages(&self, call: Call) -> impl Iterator<Item = (Stage, Outcome)> {
        Stage::ALL.into_iter().zip(self.stages).filter(move |(stage, _)| call.includes(*stage))
    }
}

/// What a limit and a rate step left, if the plan has run them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Granted {
    pub limit: Option<Out>,
    pub rate: Option<Out>,
}

/// What it means that the product is stopped. A contract that was signed binds the lender: money that is owed by it may go
/// out, and whoever pays it out is told.
fn if_stopped(stage: Stage) -> Effect {
    match stage {
        Stage::Application | Stage::Contract => Effect::Block,
        Stage::Disbursement => Effect::Warn,
        _ => Effect::Decline,
    }
}

/// Judges what steps found. `findings` are of the steps that [`Plan::runs`] names for the call, in any order;
/// those of other stages are dropped, the rest is put in the order in which it is told.
pub fn judge(plan: &Plan, call: Call, findings: &mut Vec<Finding>, granted: Granted) -> Verdict {
    let mut stages = [Outcome::Approve; Stage::COUNT];
    // Steps stand in the order in which they run, which mostly is that of the telling already.
    let (mut last, mut in_order) = (0, true);
    findings.retain(|f| {
        let step = &plan.steps[f.step];
        let asked = call.includes(step.stage);
        if asked {
            let worst = &mut stages[step.stage as usize];
            *worst = (*worst).max(f.effect.outcome());
            in_order &= step.told >= last;
            last = step.told;
        }
        asked
    });
    if !in_order {
        findings.sort_by_key(|f| plan.steps[f.step].told);
    }
    let stopped = plan.stopped.then(|| Stage::every().find(|s| call.includes(*s))).flatten();
    let stopped = stopped.map(|stage| (stage, if_stopped(stage)));
    if let Some((stage, effect)) = stopped {
        let worst = &mut stages[stage as usize];
        *worst = (*worst).max(effect.outcome());
    }
    let limit_fen = match granted.limit {
        Some(Out::Int64(fen)) if call.includes(Stage::Limit) => Some(fen),
        _ => None,
    };
    let rate_ppm = match granted.rate {
        Some(Out::Float64(bp)) if call.includes(Stage::Rate) => ppm(bp),
        _ => None,
    };
    // A limit or rate that is unknown has referred or declined already: this holds the line should a
    // formula ever come to nothing without saying so.
    let untold =
        [(Stage::Limit, limit_fen.is_some()), (Stage::Rate, rate_ppm.is_some())].map(|(stage, known)| {
            let untold = call.includes(stage) && !known && stages[stage as usize] < Outcome::Refer;
            if untold {
                stages[stage as usize] = Outcome::Refer;
            }
            untold
        });
    let outcome = stages.into_iter().max().unwrap_or(Outcome::Approve);
    let granted = outcome != Outcome::Decline;
    Verdict {
        outcome,
        stages,
        limit_fen: limit_fen.filter(|_| granted),
        rate_ppm: rate_ppm.filter(|_| granted),
        stopped,
        untold,
    }
}
