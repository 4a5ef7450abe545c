//! The bins of a characteristic as a run needs them: found by key without trying each, points in an array.

use super::{Characteristic, Holds};
use crate::intervals::Intervals;

#[derive(Clone, Debug)]
pub(super) struct Lookup {
    intervals: Intervals,
    /// Of each interval of keys, the bin.
    bins: Box<[Option<usize>]>,
    /// The bin of an unknown value.
    missing: Option<usize>,
    /// Of each bin.
    pub points: Box<[f64]>,
    /// Of each bin, how many points it has less than the best: no number below 0, and not −0.
    pub lost: Box<[f64]>,
}

impl Lookup {
    pub fn of(c: &Characteristic) -> Self {
        let ranges = c.bins.iter().filter_map(|bin| match &bin.holds {
            Holds::Keys(ranges) => Some(ranges.as_slice()),
            Holds::Missing | Holds::Other => None,
        });
        let intervals = Intervals::cut(ranges.flatten());
        let best = c.bins.iter().map(|bin| bin.points).fold(f64::NEG_INFINITY, f64::max);
        Self {
            bins: intervals.firsts().map(|key| c.bin(Some(key))).collect(),
            intervals,
            missing: c.bin(None),
            points: c.bins.iter().map(|bin| bin.points).collect(),
            // −0 − 0 is −0, whose bits are not in their order.
            lost: c.bins.iter().map(|bin| best - bin.points + 0.0).collect(),
        }
    }

    /// What [`Characteristic::bin`] says.
    pub fn bin(&self, key: Option<i64>) -> Option<usize> {
        match key {
            Some(key) => self.bins[self.intervals.of(key)],
            None => self.missing,
        }
    }
}
