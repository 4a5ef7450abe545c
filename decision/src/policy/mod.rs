//! What decides: steps over questions and answers.
//!
//! A [`Plan`](crate::rulebook::Plan) of a member and a product is a list of steps, each after the steps
//! whose results it names:
//!
//! ```text
//!   application ┐                       ┌► grade_margin ──► rate
//!   customer    ├► scorecard ──► grade ─┤       (tables)
//!   list        ┘                       └► base_limit ────► limit
//!        └──► rules of admission, fraud, score, limit, rate: no step reads them
//! ```
//!
//! A step asks its expressions through [`Answers`]: "condition k is true, false or unknown; number j is
//! …". Online a row program replies, in batch a column that DataFusion computed, and this module does not
//! know which: so nothing of a policy is written twice. A step leaves the values of its own relation
//! (`base_limit.base_fen`) for later steps, and findings, of which [`judge`] makes a verdict and [`tell`] the words.
//!
//! Everything fails closed. Unknown is never "did not fire": each rule, table, scorecard, limit and rate
//! says what unknown means for it, `refer` when it says nothing, and [`judge`] will not approve an
//! application whose limit or rate is not known.

pub mod answer;
mod judge;
pub mod limit;
pub mod rate;
pub mod rules;
pub mod score;
pub mod show;
pub mod table;
mod tell;
mod words;

use std::sync::Arc;

use tarim_features::expr::Answers;

pub use self::{
    answer::{Finding, Out, What, Work},
    judge::{Granted, Verdict, judge},
    show::{Facts, Show, Source},
    tell::{score, tell},
    words::{
        CAPPED, Line, NO_ROOM, ROOM_UNKNOWN, STOPPED, Told, Words, lines, possible, reason_ids, reasons,
        shown, told,
    },
};

/// What a step does with its answers.
#[derive(Clone, Debug)]
pub enum Logic {
    Rules(rules::RuleSet),
    Table(Arc<table::Table>),
    Score(Arc<score::Score>),
    Limit(limit::Limit),
    Rate(rate::Rate),
}

impl Logic {
    /// Whether it found something because of how the counters of the exposure stand.
    pub fn is_of_exposure(&self, what: What) -> bool {
        match (self, what) {
            (Logic::Rules(set), What::RuleFired(i)) => set.rules[i].of_exposure,
            (Logic::Limit(_), What::NoRoom) => true,
            _ => false,
        }
    }

    /// Runs the step of index `step`. Its result is [left](Work::left) behind those of others, one value for each column
    /// of its relation (none for rules); its findings are added to `work.findings`. (Each kind is a function of its own: as one,
    /// every step would save and restore what the largest of them works with.)
    #[inline]
    pub fn run(&self, step: usize, answers: &impl Answers, work: &mut Work) {
        work.step = step;
        work.began = work.out.len();
        match self {
            Logic::Rules(rules) => rules.run(answers, work),
            Logic::Table(table) => table.run(answers, work),
            Logic::Score(score) => score.run(answers, work),
            Logic::Limit(limit) => limit.run(answers, work),
            Logic::Rate(rate) => rate.run(answers, work),
        }
    }
}
