//! Rules of one stage: all of them are looked at, because the customer and the regulator are owed every
//! reason.

use tarim_datamart::{Place, Value};
use tarim_features::expr::{Answers, ExprId};

use super::{
    answer::{What, Work},
    show::Show,
};
use crate::outcome::Effect;

/// A rule, ready to run.
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub place: Place,
    /// Fires when this is TRUE.
    pub when: ExprId,
    pub then: Effect,
    /// What it means that `when` is unknown; None: nothing.
    pub if_unknown: Option<Effect>,
    pub show: Vec<Show>,
}

/// The rules of one stage, in the order of the rulebook.
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub rules: Vec<Rule>,
}

impl RuleSet {
    pub(super) fn run(&self, answers: &impl Answers, work: &mut Work) {
        for (i, rule) in self.rules.iter().enumerate() {
            let (what, effect) = match answers.truth(rule.when) {
                Some(true) => (What::RuleFired(i), rule.then),
                Some(false) => continue,
                None => match rule.if_unknown {
                    Some(effect) => (What::RuleUnknown(i), effect),
                    None => continue,
                },
            };
            work.find(what, effect);
            let shown: Vec<Value> = rule.show.iter().filter_map(|s| s.take(answers)).collect();
            if let Some(finding) = work.findings.last_mut() {
                finding.shown = shown;
            }
        }
    }
}
