//! The credit limit: a formula, capped, rounded down, and refused when it is too small.
//!
//! Where exposures are limited, a limit is never more than the room that they leave. Unknown room is no room: it refers. (Nobody
//! asks for it in a backtest: then the formula stands alone.)

use tarim_datamart::{Place, Type};
use tarim_features::expr::{Answers, ExprId};

use super::{
    answer::{Out, What, Work, number},
    show::Show,
};
use crate::outcome::Effect;

/// Above this a Float64 no longer holds every fen; an amount there is taken for unknown.
const MOST_FEN: f64 = 9_007_199_254_740_992.0;

/// Expressions of a limit, by their place in the step's set.
pub mod expr {
    use tarim_features::expr::ExprId;
    pub const FEN: ExprId = ExprId(0);
    pub const MIN: ExprId = ExprId(1);
    pub const MAX: ExprId = ExprId(2);
    /// Whether it is known how much room exposure limits leave, and how much.
    pub const ROOM_KNOWN: ExprId = ExprId(3);
    pub const ROOM: ExprId = ExprId(4);
}

/// A limit formula, ready to run.
#[derive(Clone, Debug)]
pub struct Limit {
    pub place: Place,
    /// Types of the first three expressions.
    pub types: [Type; 3],
    /// The limit is a whole number of these, in fen; at least 1.
    pub step_fen: i64,
    pub if_below_min: Effect,
    pub if_unknown: Effect,
    pub show: Vec<Show>,
    /// What is shown where the room decides; None: exposures are not limited.
    pub room: Option<Vec<Show>>,
}

/// The room that exposure limits leave.
enum Room {
    /// Nothing is limited, or nobody asked.
    Unlimited,
    Unknown,
    Fen(i64),
}

impl Limit {
    /// Leaves `fen`: NULL when unknown, 0 when it is below the smallest.
    #[inline(never)]
    pub(super) fn run(&self, answers: &impl Answers, work: &mut Work) {
        let ask = |id: ExprId| number(answers, id, self.types[id.0 as usize]);
        let fen = match (ask(expr::FEN), ask(expr::MIN), ask(expr::MAX)) {
            (Some(fen), Some(min), Some(max)) => round(fen.min(max), self.step_fen).map(|fen| (fen, min)),
            _ => None,
        };
        match fen {
            None => {
                work.find(What::Unknown, self.if_unknown);
                work.out.push(Out::Null);
            }
            Some((fen, min)) if (fen as f64) < min || fen < 0 => {
                work.find(What::BelowMin, self.if_below_min);
                work.out.push(Out::Int64(0));
            }
            Some((fen, min)) => {
                let fen = self.within(self.room(answers), fen, min, work);
                work.out.push(fen);
            }
        }
    }

    fn room(&self, answers: &impl Answers) -> Room {
        if self.room.is_none() {
            return Room::Unlimited;
        }
        match (answers.truth(expr::ROOM_KNOWN), answers.int(expr::ROOM)) {
            (None, None) => Room::Unlimited,
            (Some(true), Some(fen)) => Room::Fen(fen),
            _ => Room::Unknown,
        }
    }

    /// No more than there is room for.
    fn within(&self, room: Room, fen: i64, min: f64, work: &mut Work) -> Out {
        match room {
            Room::Unlimited => Out::Int64(fen),
            Room::Unknown => {
                work.find(What::RoomUnknown, Effect::Refer);
                Out::Null
            }
            Room::Fen(room) if room >= fen => Out::Int64(fen),
            Room::Fen(room) => {
                let left = room.max(0).div_euclid(self.step_fen) * self.step_fen;
                if left == 0 || (left as f64) < min {
                    work.find(What::NoRoom, Effect::Decline);
                    return Out::Int64(0);
                }
                work.find(What::Capped, Effect::Warn);
                Out::Int64(left)
            }
        }
    }
}

/// To the nearest fen (half away from zero), then down to a whole number of steps. Without the first
/// rounding, 3,000,000 computed as 2,999,999.9999999995 would lose a step. None: too large to be exact.
fn round(fen: f64, step: i64) -> Option<i64> {
    let whole = fen.round();
    (whole.abs() <= MOST_FEN).then(|| (whole as i64).div_euclid(step) * step)
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn limits_are_rounded_to_fen_and_then_down() {
        for (fen, step, want) in [
            (2_999_999.999_999_999_5, 100_000, Some(3_000_000)),
            (2_999_999.4, 100_000, Some(2_900_000)),
            (0.5, 1, Some(1)),
            (-0.4, 100, Some(0)),
            (-1.0, 100, Some(-100)),
            (f64::INFINITY, 1, None),
            (1e17, 1, None),
            (9_007_199_254_740_992.0, 1, Some(1 << 53)),
        ] {
            assert_eq!(round(fen, step), want, "{fen} by {step}");
        }
    }
}
