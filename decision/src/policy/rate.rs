//! The annual rate: a base and margins, held between floor and cap.

use tarim_datamart::{Place, Type};
use tarim_features::expr::{Answers, ExprId};

use super::{
    answer::{Out, What, Work, number},
    show::Show,
};
use crate::outcome::Effect;

/// Expressions of a rate, by their place in the step's set; the margins follow.
pub mod expr {
    use tarim_features::expr::ExprId;
    pub const BASE: ExprId = ExprId(0);
    pub const FLOOR: ExprId = ExprId(1);
    pub const CAP: ExprId = ExprId(2);
    pub const MARGINS: u32 = 3;
}

/// A rate formula, ready to run.
#[derive(Clone, Debug)]
pub struct Rate {
    pub place: Place,
    /// Types of base, floor, cap and each margin.
    pub types: Vec<Type>,
    pub if_unknown: Effect,
    pub show: Vec<Show>,
}

impl Rate {
    /// Leaves `bp`, basis points a year, a whole number of hundredths; NULL when unknown.
    #[inline(never)]
    pub(super) fn run(&self, answers: &impl Answers, work: &mut Work) {
        match self.ppm(answers) {
            Some(ppm) => work.out.push(Out::Float64(ppm as f64 / 100.0)),
            None => {
                work.find(What::Unknown, self.if_unknown);
                work.out.push(Out::Null);
            }
        }
    }

    /// Millionths a year. Unknown if any part is, or if the floor lies above the cap.
    fn ppm(&self, answers: &impl Answers) -> Option<i64> {
        let ask = |id: ExprId| number(answers, id, self.types[id.0 as usize]);
        let (floor, cap) = (ask(expr::FLOOR)?, ask(expr::CAP)?);
        let mut bp = ask(expr::BASE)?;
        for id in expr::MARGINS..self.types.len() as u32 {
            bp += ask(ExprId(id))?;
        }
        // ∞ − ∞ among the margins is no rate.
        if bp.is_nan() || floor > cap {
            return None;
        }
        ppm(bp.clamp(floor, cap))
    }
}

/// Basis points to millionths, half away from zero; None beyond what any rate can be (10,000 % a year).
pub(crate) fn ppm(bp: f64) -> Option<i64> {
    let ppm = (bp * 100.0).round();
    (ppm.abs() <= 1e8).then_some(ppm as i64)
}

#[cfg(test)]
mod tests {
    use super::ppm;

    #[test]
    fn rates_are_rounded_half_away_from_zero() {
        for (bp, want) in [
            (461.0, Some(46_100)),
            (0.125, Some(13)),
            (-0.125, Some(-13)),
            (305.004, Some(30_500)),
            (f64::INFINITY, None),
            (f64::NEG_INFINITY, None),
        ] {
            assert_eq!(ppm(bp), want, "{bp}");
        }
    }
}
