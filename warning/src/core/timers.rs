//! What waits for time to go by.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// Something to look at once the stream's time is past a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// Microseconds.
    pub deadline_us: i64,
    /// Slot of the customer.
    pub customer: u32,
    pub pattern: u32,
}

/// Timers by deadline. Those of the present hour are in order; those of later ones only lie by the hour, so that to set one
/// costs little, and to cancel one nothing: whoever is woken looks whether there still is a reason.
#[derive(Debug, Default)]
pub struct Timers {
    near: BinaryHeap<Reverse<Timer>>,
    far: BTreeMap<i64, Vec<Timer>>,
    /// Hours up to this one are near.
    hour: i64,
}

const HOUR_US: i64 = 3_600_000_000;

impl Timers {
    pub fn set(&mut self, timer: Timer) {
        let hour = timer.deadline_us.div_euclid(HOUR_US);
        if hour <= self.hour {
            self.near.push(Reverse(timer));
        } else {
            self.far.entry(hour).or_default().push(timer);
        }
    }

    /// The next timer whose deadline is before `clock_us`, in order of deadline, customer and pattern. Of equal ones there
    /// is one: patterns that are renewed set theirs anew each time, and would have ever more of them.
    pub fn next_before(&mut self, clock_us: i64) -> Option<Timer> {
        let hour = clock_us.div_euclid(HOUR_US);
        while let Some(first) = self.far.first_entry().filter(|first| *first.key() <= hour) {
            self.near.extend(first.remove().into_iter().map(Reverse));
        }
        self.hour = self.hour.max(hour);
        let Reverse(timer) = *self.near.peek().filter(|Reverse(timer)| timer.deadline_us < clock_us)?;
        while self.near.peek() == Some(&Reverse(timer)) {
            self.near.pop();
        }
        Some(timer)
    }

    pub fn len(&self) -> usize {
        self.near.len() + self.far.values().map(Vec::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Against a sorted list.
    #[test]
    fn timers_go_off_in_order() {
        for seed in 0..30 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (mut timers, mut plain) = (Timers::default(), Vec::new());
            let mut clock = 0;
            for _ in 0..300 {
                for _ in 0..rng.random_range(0..4) {
                    let timer = Timer {
                        deadline_us: clock + rng.random_range(-HOUR_US..200 * HOUR_US),
                        customer: rng.random_range(0..9),
                        pattern: 0,
                    };
                    timers.set(timer);
                    plain.push(timer);
                    if rng.random_bool(0.1) {
                        timers.set(timer);
                    }
                }
                clock += rng.random_range(0..3 * HOUR_US);
                plain.sort();
                let due = plain.partition_point(|t| t.deadline_us < clock);
                let wanted: Vec<Timer> = plain.drain(..due).collect();
                let ours: Vec<Timer> = std::iter::from_fn(|| timers.next_before(clock)).collect();
                assert_eq!(ours, wanted, "seed {seed}");
                assert!(timers.len() >= plain.len());
            }
        }
    }
}
