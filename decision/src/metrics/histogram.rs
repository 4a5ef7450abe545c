//! Histograms with fixed buckets, each twice as wide as the one before.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Buckets with a bound; one more takes what is above.
const BOUNDED: usize = 26;

/// Counts values up to `UNIT`, up to twice that, and so on.
pub struct Histogram<const UNIT: u64> {
    buckets: [AtomicU64; BOUNDED + 1],
    sum: AtomicU64,
}

/// Of times in nanoseconds: from 250 ns to 8 s.
pub type Times = Histogram<250>;

/// Of counts: from 1 to 33 million.
pub type Sizes = Histogram<1>;

impl<const UNIT: u64> Default for Histogram<UNIT> {
    fn default() -> Self {
        Self { buckets: array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

impl<const UNIT: u64> Histogram<UNIT> {
    /// Counts a value `times` over.
    pub fn record(&self, value: u64, times: u64) {
        self.buckets[Self::bucket(value)].fetch_add(times, Ordering::Relaxed);
        self.sum.fetch_add(value.saturating_mul(times), Ordering::Relaxed);
    }

    /// The bucket of a value: the first whose bound is not below it.
    fn bucket(value: u64) -> usize {
        let units = value.div_ceil(UNIT);
        let doublings = u64::BITS - units.saturating_sub(1).leading_zeros();
        (doublings as usize).min(BOUNDED)
    }
}

impl Times {
    /// Counts a time.
    pub fn time(&self, time: Duration) {
        self.record(nanos(time), 1);
    }

    /// Counts a time that so many waited.
    pub fn times(&self, time: Duration, waited: usize) {
        self.record(nanos(time), waited as u64);
    }
}

/// Up to 584 years.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Several histograms, added up.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// Of each bucket its upper bound and how many values are in it; the last has no bound.
    pub buckets: Vec<(f64, u64)>,
    pub count: u64,
    pub sum: f64,
}

impl Totals {
    /// Adds up. `scale` is what 1 is called outside: 1e-9 tells nanoseconds in seconds.
    pub fn of<'a, const UNIT: u64>(
        histograms: impl IntoIterator<Item = &'a Histogram<UNIT>>,
        scale: f64,
    ) -> Self {
        let mut counts = [0; BOUNDED + 1];
        let mut sum: u64 = 0;
        for histogram in histograms {
            for (count, bucket) in counts.iter_mut().zip(&histogram.buckets) {
                *count += bucket.load(Ordering::Relaxed);
            }
            sum = sum.saturating_add(histogram.sum.load(Ordering::Relaxed));
        }
        let bound = |i: usize| match i {
            BOUNDED => f64::INFINITY,
            i => (UNIT << i) as f64 * scale,
        };
        Self {
            buckets: counts.iter().enumerate().map(|(i, count)| (bound(i), *count)).collect(),
            count: counts.iter().sum(),
            sum: sum as f64 * scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_that_can_hold_it() {
        for value in (0..2000).chain([1 << 33, (1 << 33) + 1, u64::MAX - 1, u64::MAX]) {
            let histogram = Times::default();
            histogram.record(value, 3);
            let totals = Totals::of([&histogram], 1.0);
            let at = totals.buckets.iter().position(|bucket| bucket.1 == 3).expect("it is counted");
            assert!(value as f64 <= totals.buckets[at].0, "{value}");
            assert!(at == 0 || value as f64 > totals.buckets[at - 1].0, "{value}");
        }
    }

    #[test]
    fn histograms_add_up() {
        let histograms = [Sizes::default(), Sizes::default()];
        for value in 1..=100 {
            histograms[value as usize % 2].record(value, 2);
        }
        let totals = Totals::of(&histograms, 0.5);
        assert_eq!((totals.count, totals.sum), (200, 5050.0));
        assert_eq!(totals.buckets[..4], [(0.5, 2), (1.0, 2), (2.0, 4), (4.0, 8)]);
    }
}
