//! The scorecard of a plan as a step: points, grade and PD for later steps, and what lost points.

use tarim_features::expr::Answers;
use tarim_models::scorecard::{IfUnknown, Scorecard};

use super::{
    answer::{Out, What, Work},
    show::Show,
};
use crate::outcome::Effect;

/// So many characteristics are given as reasons why the score is not higher.
const REASONS: usize = 4;

/// Columns of the relation that a scorecard leaves, in order.
pub const COLUMNS: [&str; 3] = ["points", "pd", "grade"];

/// A scorecard, ready to run. Its inputs are expressions 0, 1, 2, … of the step.
#[derive(Clone, Debug)]
pub struct Score {
    pub card: Scorecard,
    /// Of each grade, its code in the rulebook's dictionary.
    pub grade_codes: Vec<u32>,
    /// Of each characteristic, what its input reads.
    pub show: Vec<Vec<Show>>,
}

impl Score {
    /// What it does that a characteristic has no bin for its value.
    pub fn if_no_bin(&self) -> Effect {
        match self.card.if_unknown {
            IfUnknown::Refer => Effect::Refer,
            IfUnknown::Decline => Effect::Decline,
        }
    }

    #[inline(never)]
    pub(super) fn run(&self, answers: &impl Answers, work: &mut Work) {
        let mut bins = std::mem::take(&mut work.bins);
        self.card.bins(answers, &mut bins);
        for loss in self.card.losses::<REASONS>(&bins).into_iter().flatten() {
            let what = What::Lost { characteristic: loss.characteristic, bin: loss.bin, points: loss.points };
            work.find(what, Effect::Score);
        }
        let points = match work.unrounded_points {
            false => self.card.points(&bins),
            true => self.card.unrounded_points(&bins),
        };
        match points {
            Some(points) => work.out.extend([
                Out::Float64(points),
                Out::Float64(self.card.pd(points)),
                Out::Text(self.grade_codes[self.card.grade(points)]),
            ]),
            None => {
                for (i, _) in bins.iter().enumerate().filter(|(_, bin)| bin.is_none()) {
                    work.find(What::NoBin(i), self.if_no_bin());
                }
                work.out.extend([Out::Null; 3]);
            }
        }
        work.bins = bins;
    }
}
