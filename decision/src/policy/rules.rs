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
    /// It asks how the counters of the exposure stand.
    pub of_exposure: bool,
    /// Officers of these roles may override it, at a control point.
    pub override_roles: Vec<String>,
}

/// The rules of one stage, in the order of the rulebook. Each fires when the expression of its own index
/// is TRUE.
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub rules: Vec<Rule>,
    /// Of each rule what it does when it fires, and when it is unknown: all that a run looks at.
    effects: Box<[(Effect, Option<Effect>)]>,
}

impl RuleSet {
    pub fn new(rules: Vec<Rule>) -> Self {
        let effects = rules.iter().map(|r| (r.then, r.if_unknown)).collect();
        Self { rules, effects }
    }

    /// Most rules are FALSE of most applications: only the others are looked at.
    #[inline(never)]
    pub(super) fn run(&self, answers: &impl Answers, work: &mut Work) {
        answers.each_not_false(0..self.effects.len() as u32, |id, truth| {
            let i = id.0 as usize;
            let (fired, unknown) = self.effects[i];
            match (truth, unknown) {
                (Some(_), _) => work.find(What::RuleFired(i), fired),
                (None, Some(effect)) => work.find(What::RuleUnknown(i), effect),
                (None, None) => {}
            }
        });
    }
}
