//! What came of a backtest as a whole.

use std::collections::BTreeMap;

use super::Decided;
use crate::outcome::{Effect, Outcome};

/// Counts over all applications.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub applications: u64,
    /// The member has no plan for the product.
    pub without_plan: u64,
    /// Decided otherwise by the online engine.
    pub differing: u64,
    /// By member and product.
    pub groups: BTreeMap<(String, String), Group>,
    /// By id and effect.
    pub reasons: BTreeMap<(String, Effect), ReasonCount>,
}

/// One member and product.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub approved: u64,
    pub referred: u64,
    pub declined: u64,
    /// Of what was approved: sums, in fen and in millionths a year.
    limit_fen: i128,
    rate_ppm: i128,
}

/// How often a reason was given.
#[derive(Clone, Debug, Default)]
pub struct ReasonCount {
    pub zh: String,
    pub en: String,
    pub count: u64,
    /// How many of them because something was unknown.
    pub unknown: u64,
}

impl Group {
    pub fn decided(&self) -> u64 {
        self.approved + self.referred + self.declined
    }

    /// Share of the decided that were approved, 0 to 1.
    pub fn approval_rate(&self) -> Option<f64> {
        (self.decided() > 0).then(|| self.approved as f64 / self.decided() as f64)
    }

    /// Mean limit of what was approved, in fen.
    pub fn mean_limit_fen(&self) -> Option<f64> {
        (self.approved > 0).then(|| self.limit_fen as f64 / self.approved as f64)
    }

    /// Mean annual rate of what was approved, in millionths.
    pub fn mean_rate_ppm(&self) -> Option<f64> {
        (self.approved > 0).then(|| self.rate_ppm as f64 / self.approved as f64)
    }

    fn add(&mut self, other: &Group) {
        self.approved += other.approved;
        self.referred += other.referred;
        self.declined += other.declined;
        self.limit_fen += other.limit_fen;
        self.rate_ppm += other.rate_ppm;
    }
}

impl Tally {
    /// Counts one application.
    pub fn add(&mut self, decided: &Decided) {
        self.applications += 1;
        self.differing += u64::from(decided.online.is_some());
        let Ok(decision) = &decided.decision else {
            self.without_plan += 1;
            return;
        };
        let group = self.groups.entry((decided.member.clone(), decided.product.clone())).or_default();
        match decision.outcome {
            Outcome::Approve => {
                group.approved += 1;
                group.limit_fen += i128::from(decision.limit_fen.unwrap_or(0));
                group.rate_ppm += i128::from(decision.rate_ppm.unwrap_or(0));
            }
            Outcome::Refer => group.referred += 1,
            Outcome::Decline => group.declined += 1,
        }
        for reason in &decision.reasons {
            let count = self.reasons.entry((reason.id.clone(), reason.effect)).or_default();
            // The words of one that fired are plainer than of one that could not be told.
            if count.count == count.unknown {
                count.zh.clone_from(&reason.zh);
                count.en.clone_from(&reason.en);
            }
            count.count += 1;
            count.unknown += u64::from(reason.unknown);
        }
    }

    /// All groups together.
    pub fn total(&self) -> Group {
        let mut total = Group::default();
        self.groups.values().for_each(|g| total.add(g));
        total
    }

    /// The reasons that were given most, at most so many.
    pub fn top_reasons(&self, most: usize) -> Vec<(&str, Effect, &ReasonCount)> {
        let mut all: Vec<_> = self.reasons.iter().map(|((id, e), c)| (id.as_str(), *e, c)).collect();
        all.sort_by_key(|(id, _, c)| (std::cmp::Reverse(c.count), *id));
        all.truncate(most);
        all
    }
}
