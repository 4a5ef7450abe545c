//! From findings to the decision: the worst outcome, every reason, and the values granted.

use std::collections::BTreeSet;

use tarim_datamart::Value;
use tarim_models::scorecard::ReasonText;

use super::{
    Facts, Finding, Logic,
    answer::{Out, What},
    rate::ppm,
    show::{Show, render},
};
use crate::{
    outcome::{Call, Decision, Effect, Outcome, Reason, Score, Stage},
    rulebook::Plan,
};

/// A decision without its words: what was found stands beside it, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// By stage; those that were not asked for approve.
    pub stages: [Outcome; 5],
    pub limit_fen: Option<i64>,
    pub rate_ppm: Option<i64>,
    /// The product is stopped, which is the first stage's reason to decline.
    stopped: Option<Stage>,
    /// Of limit and rate: it is unknown, and no reason says why.
    untold: [bool; 2],
}

/// What a limit and a rate step left, if the plan has run them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Granted {
    pub limit: Option<Out>,
    pub rate: Option<Out>,
}

/// Judges what steps found. `findings` are of the steps that [`Plan::runs`] names for the call, in any order;
/// those of other stages are dropped, the rest is put in the order in which it is told.
pub fn judge(plan: &Plan, call: Call, findings: &mut Vec<Finding>, granted: Granted) -> Verdict {
    let stage = |f: &Finding| plan.steps[f.step].stage;
    findings.retain(|f| call.includes(stage(f)));
    // Steps stand in the order in which they run; reasons are told by stage, then in the rulebook's order.
    findings.sort_by_key(|f| (stage(f), plan.steps[f.step].rank));
    let mut stages = [Outcome::Approve; 5];
    for f in findings.iter() {
        let worst = &mut stages[stage(f) as usize];
        *worst = (*worst).max(f.effect.outcome());
    }
    let stopped = plan.stopped.then(|| Stage::ALL.into_iter().find(|s| call.includes(*s))).flatten();
    if let Some(stage) = stopped {
        stages[stage as usize] = Outcome::Decline;
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

/// Puts a verdict and its findings into words; `facts` are what they were made from.
pub fn tell(
    plan: &Plan,
    call: Call,
    verdict: &Verdict,
    findings: &[Finding],
    facts: &impl Facts,
) -> Decision {
    let mut reasons = Vec::with_capacity(findings.len() + 1);
    reasons.extend(verdict.stopped.map(stopped));
    reasons.extend(findings.iter().map(|f| reason(plan, f, facts)));
    for (stage, untold) in [Stage::Limit, Stage::Rate].into_iter().zip(verdict.untold) {
        if untold {
            reasons.push(not_granted(stage));
        }
    }
    let stages = Stage::ALL.into_iter().zip(verdict.stages).filter(|(s, _)| call.includes(*s)).collect();
    Decision {
        outcome: verdict.outcome,
        stages,
        score: score(plan, call, facts),
        limit_fen: verdict.limit_fen,
        rate_ppm: verdict.rate_ppm,
        reasons,
    }
}

fn score(plan: &Plan, call: Call, facts: &impl Facts) -> Option<Score> {
    let relation = plan.score.filter(|_| call.includes(Stage::Score))?;
    match [0, 1, 2].map(|column| facts.column(relation, column).0) {
        [Value::Float64(points), Value::Float64(pd), Value::Utf8(grade)] => Some(Score { points, pd, grade }),
        _ => None,
    }
}

/// Puts words to a finding.
fn reason(plan: &Plan, finding: &Finding, facts: &impl Facts) -> Reason {
    let step = &plan.steps[finding.step];
    let told = Told::of(&step.step.logic, finding);
    Reason {
        id: told.id,
        stage: step.stage,
        effect: finding.effect,
        zh: told.zh,
        en: told.en,
        unknown: told.unknown,
        values: render(told.show, finding.step, facts),
        points_lost: match finding.what {
            What::Lost { points, .. } => Some(points),
            _ => None,
        },
    }
}

/// The words of a finding.
struct Told<'a> {
    id: String,
    zh: String,
    en: String,
    unknown: bool,
    show: &'a [Show],
}

impl<'a> Told<'a> {
    fn new(id: &str, zh: String, en: String, unknown: bool, show: &'a [Show]) -> Self {
        Self { id: id.to_owned(), zh, en, unknown, show }
    }

    fn of(logic: &'a Logic, finding: &Finding) -> Self {
        match (logic, finding.what) {
            (Logic::Rules(set), What::RuleFired(i)) => {
                let rule = &set.rules[i];
                Self::new(&rule.id, rule.zh.clone(), rule.en.clone(), false, &rule.show)
            }
            (Logic::Rules(set), What::RuleUnknown(i)) => {
                let rule = &set.rules[i];
                let (zh, en) = (format!("无法判断：{}", rule.zh), format!("cannot be told: {}", rule.en));
                Self::new(&rule.id, zh, en, true, &rule.show)
            }
            (Logic::Table(t), What::NoRow) => {
                let (zh, en) = (format!("{}：没有适用的行", t.zh), format!("{}: no row applies", t.en));
                Self::new(&t.id, zh, en, false, &t.show)
            }
            (Logic::Table(t), _) => {
                let (zh, en) = (format!("{}：所需信息缺失", t.zh), format!("{}: not enough is known", t.en));
                Self::new(&t.id, zh, en, true, &t.show)
            }
            (Logic::Score(score), What::Lost { characteristic, bin, .. }) => {
                let c = &score.card.characteristics()[characteristic];
                let own = || ReasonText {
                    id: format!("{}.{}", score.card.id, c.name),
                    zh: c.zh.clone(),
                    en: c.en.clone(),
                };
                let text = c.bins()[bin].reason.clone().unwrap_or_else(own);
                Self::new(&text.id, text.zh, text.en, false, &score.show[characteristic])
            }
            (Logic::Score(score), What::NoBin(i)) => {
                let c = &score.card.characteristics()[i];
                let id = format!("{}.{}", score.card.id, c.name);
                let (zh, en) = (format!("{}：无法评分", c.zh), format!("{}: cannot be scored", c.en));
                Self::new(&id, zh, en, true, &score.show[i])
            }
            (Logic::Limit(limit), What::BelowMin) => {
                let (zh, en) = ("可授额度低于产品最低额度", "the limit falls below the product's smallest");
                Self::new("limit", zh.into(), en.into(), false, &limit.show)
            }
            (Logic::Limit(limit), _) => Self::new(
                "limit",
                "无法计算额度".into(),
                "the limit cannot be computed".into(),
                true,
                &limit.show,
            ),
            (Logic::Rate(rate), _) => Self::new(
                "rate",
                "无法计算利率".into(),
                "the rate cannot be computed".into(),
                true,
                &rate.show,
            ),
            (Logic::Rules(_) | Logic::Score(_), what) => unreachable!("{what:?} is not of this step"),
        }
    }
}

/// Every id that a reason from these steps can have.
pub fn reason_ids<'a>(steps: impl IntoIterator<Item = &'a Logic>) -> BTreeSet<String> {
    let mut ids = BTreeSet::from([STOPPED.to_owned(), "limit".into(), "rate".into()]);
    for logic in steps {
        match logic {
            Logic::Rules(set) => ids.extend(set.rules.iter().map(|r| r.id.clone())),
            Logic::Table(table) => {
                ids.insert(table.id.clone());
            }
            Logic::Score(score) => {
                for c in score.card.characteristics() {
                    ids.insert(format!("{}.{}", score.card.id, c.name));
                    ids.extend(c.bins().iter().filter_map(|b| b.reason.as_ref()).map(|r| r.id.clone()));
                }
            }
            Logic::Limit(_) | Logic::Rate(_) => {}
        }
    }
    ids
}

/// Reason of a product that is no longer sold.
const STOPPED: &str = "product_stopped";

fn stopped(stage: Stage) -> Reason {
    Reason {
        id: STOPPED.into(),
        stage,
        effect: Effect::Decline,
        zh: "产品已停办".into(),
        en: "the product is stopped".into(),
        unknown: false,
        values: Vec::new(),
        points_lost: None,
    }
}

fn not_granted(stage: Stage) -> Reason {
    let (id, zh, en) = match stage {
        Stage::Limit => ("limit", "额度未知", "no limit is known"),
        _ => ("rate", "利率未知", "no rate is known"),
    };
    Reason {
        id: id.into(),
        stage,
        effect: Effect::Refer,
        zh: zh.into(),
        en: en.into(),
        unknown: true,
        values: Vec::new(),
        points_lost: None,
    }
}
