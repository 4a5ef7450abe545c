//! Scorecards: points for each characteristic of an applicant, a grade and a probability of default.
//!
//! ```text
//!   input ──► key ──► bin ──► points ─┐
//!   input ──► key ──► bin ──► points ─┼─► base + Σ points ──► grade (master scale)
//!   input ──► key ──► none ─► unknown ┘                  └──► odds  ──► PD
//! ```
//!
//! A characteristic without a bin for its value makes the whole score unknown: a score that leaves
//! something out is not this score. What unknown means is the scorecard's `if_unknown`.

mod lookup;
mod read;

use std::hint::select_unpredictable;

use tarim_datamart::Place;
use tarim_features::expr::{Answers, ExprId};

use self::lookup::Lookup;
pub use self::read::{BinCheck, ScorecardText};
use crate::{cell::Ranges, domain::Domain};

/// A scorecard whose inputs are expressions 0, 1, 2, … of one set, in the order of its characteristics.
#[derive(Clone, Debug)]
pub struct Scorecard {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub place: Place,
    pub if_unknown: IfUnknown,
    base_points: f64,
    scale: Scale,
    characteristics: Vec<Characteristic>,
    /// Of each characteristic, its bins.
    lookups: Vec<Lookup>,
    grades: Vec<Grade>,
}

/// What a score means when it cannot be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfUnknown {
    #[default]
    Refer,
    Decline,
}

/// Whom a scorecard looks at, and so who runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Somebody who applies: it is a step of a policy.
    #[default]
    Application,
    /// Somebody who has a loan: warning rules watch it as events come.
    Behaviour,
}

/// Points and the odds of good to bad that they stand for.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    points: f64,
    /// Good:bad odds at `points`.
    odds: f64,
    /// Points that double the odds.
    double: f64,
}

impl Scale {
    /// Probability of default of a score, 0 to 1: 1 / (1 + odds), where the odds double every `double` points.
    pub fn pd(&self, points: f64) -> f64 {
        let odds = self.odds * ((points - self.points) / self.double).exp2();
        1.0 / (1.0 + odds)
    }
}

/// One thing that is looked at.
#[derive(Clone, Debug)]
pub struct Characteristic {
    pub name: String,
    pub zh: String,
    pub en: String,
    domain: Domain,
    bins: Vec<Bin>,
}

/// One bin of a characteristic.
#[derive(Clone, Debug)]
pub struct Bin {
    holds: Holds,
    pub points: f64,
    /// Why these points fall below the best, if the author gave a reason of their own.
    pub reason: Option<ReasonText>,
    pub place: Place,
}

/// An adverse-action reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonText {
    pub id: String,
    pub zh: String,
    pub en: String,
}

/// Which values a bin is for.
#[derive(Clone, Debug)]
enum Holds {
    Keys(Ranges),
    /// The unknown value.
    Missing,
    /// Every known value that no other bin is for.
    Other,
}

/// One grade of the master scale.
#[derive(Clone, Debug)]
pub struct Grade {
    pub name: String,
    /// Least points that earn it; negative infinity for the last.
    points_min: f64,
}

/// A characteristic that lost points against its best bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    pub characteristic: usize,
    pub bin: usize,
    /// More than zero.
    pub points: f64,
}

impl Scorecard {
    pub fn characteristics(&self) -> &[Characteristic] {
        &self.characteristics
    }

    /// Best first.
    pub fn grades(&self) -> &[Grade] {
        &self.grades
    }

    /// The bin of each characteristic, None where there is none for its value. `bins` is overwritten.
    pub fn bins(&self, answers: &impl Answers, bins: &mut Vec<Option<usize>>) {
        bins.clear();
        let found = self.characteristics.iter().zip(&self.lookups).enumerate();
        bins.extend(found.map(|(i, (c, lookup))| lookup.bin(c.domain.ask(answers, ExprId(i as u32)))));
    }

    /// Total points of these bins, rounded to the millionth; None if one is missing.
    pub fn points(&self, bins: &[Option<usize>]) -> Option<f64> {
        self.unrounded_points(bins).map(to_the_millionth)
    }

    /// The same as they are summed up: so earlier releases told them, and whoever makes a decision of theirs again does.
    pub fn unrounded_points(&self, bins: &[Option<usize>]) -> Option<f64> {
        let mut points = self.base_points;
        for (lookup, bin) in self.lookups.iter().zip(bins) {
            points += lookup.points[(*bin)?];
        }
        Some(points)
    }

    /// Probability of default at these points.
    pub fn pd(&self, points: f64) -> f64 {
        self.scale.pd(points)
    }

    /// Index of the grade that these points earn.
    pub fn grade(&self, points: f64) -> usize {
        // The reader makes sure that the last grade takes everything.
        self.grades.iter().position(|g| points >= g.points_min).unwrap_or(self.grades.len() - 1)
    }

    /// The characteristics that lost points, at most so many, most lost first; equal losses in the
    /// scorecard's order.
    pub fn losses<const MOST: usize>(&self, bins: &[Option<usize>]) -> [Option<Loss>; MOST] {
        // Each goes before the first that lost less, and all from there on move back: without a branch, for none could be
        // foreseen. Points are compared by their bits, which are in the order of the points where none is negative.
        let mut worst = [(0u64, 0usize); MOST];
        for (characteristic, (lookup, bin)) in self.lookups.iter().zip(bins).enumerate() {
            let points = bin.map_or(0.0, |bin| lookup.lost[bin]).to_bits();
            let (mut lost, mut by) = (points, characteristic);
            for place in &mut worst {
                let stays = place.0 >= points;
                let here = (place.0.max(lost), select_unpredictable(stays, place.1, by));
                (lost, by) = (place.0.min(lost), select_unpredictable(stays, by, place.1));
                *place = here;
            }
        }
        worst.map(|(points, characteristic)| {
            let (points, bin) = (f64::from_bits(points), bins.get(characteristic).copied().flatten()?);
            (points > 0.0).then_some(Loss { characteristic, bin, points })
        })
    }
}

/// The float that stands for a sum of decimals. Added up in binary they give a little more or less than on paper,
/// in each order other bits: 60.4, 89.8 and 89.8 on a base of 400 would miss a grade that begins at 640.
fn to_the_millionth(points: f64) -> f64 {
    // The 0 that is added makes 0 of -0.
    (points * 1e6).round() / 1e6 + 0.0
}

impl Characteristic {
    /// What its input can be.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// The bin that holds this key: the first that does, as written. A run finds it by its [`Lookup`].
    fn bin(&self, key: Option<i64>) -> Option<usize> {
        let other = || self.bins.iter().position(|b| matches!(b.holds, Holds::Other));
        match key {
            None => self.bins.iter().position(|b| matches!(b.holds, Holds::Missing)),
            Some(key) => self
                .bins
                .iter()
                .position(|b| matches!(&b.holds, Holds::Keys(ranges) if ranges.contains(key)))
                .or_else(other),
        }
    }
}

#[cfg(test)]
mod tests;
