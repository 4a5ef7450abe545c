//! Rules of one stage: all of them are looked at, because the customer and the regulator are owed every
//! reason.

use tarim_datamart::Place;
use tarim_features::expr::Answers;

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
    pub then: Effect,
    /// What it means that `when` is unknown; None: nothing.
    pub if_unknown: Option<Effect>,
    pub show: Vec<Show>,
}

/// The rules of one stage, in the order of the rulebook. Each fires when the expression of its own index
/// is TRUE.
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub rules: Vec<Rule>,
}

impl RuleSet {
    /// Most rules are FALSE of most applications: only the others are looked at.
    pub(super) fn run(&self, answers: &impl Answers, work: &mut Work) {
        let mut found = std::mem::take(&mut work.found);
        answers.not_false(0..self.rules.len() as u32, &mut found);
        for id in &found {
            let i = id.0 as usize;
            let rule = &self.rules[i];
            match answers.truth(*id) {
                Some(_) => work.find(What::RuleFired(i), rule.then),
                None => {
                    if let Some(effect) = rule.if_unknown {
                        work.find(What::RuleUnknown(i), effect);
                    }
                }
            }
        }
        work.found = found;
    }
}
