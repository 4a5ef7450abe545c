//! Timing two or more things side by side.
//!
//! The machine is noisy, and noise lasts longer than a pass over a few thousand inputs. So contestants take turns in
//! rounds, in an order that rotates; of each the median over all rounds counts. Whoever comes on finds the caches full
//! of the one before, which is nothing to measure: a turn is two passes, of which the second counts.

use std::time::{Duration, Instant};

/// Fewest rounds that a median is taken of.
const ROUNDS: usize = 11;

/// One pass of a contestant over its inputs: gives nanoseconds per operation.
pub type Pass<'a> = &'a mut dyn FnMut() -> anyhow::Result<f64>;

/// Median nanoseconds per operation of each contestant. Rounds go on for about `budget`.
pub fn rounds<const N: usize>(budget: Duration, passes: [Pass<'_>; N]) -> anyhow::Result<[f64; N]> {
    let mut taken: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    let start = Instant::now();
    let mut round = 0;
    while round < ROUNDS || start.elapsed() < budget {
        for turn in 0..N {
            let i = (round + turn) % N;
            passes[i]()?;
            taken[i].push(passes[i]()?);
        }
        round += 1;
    }
    Ok(taken.map(median))
}

/// Runs `work` on each input; gives nanoseconds per input.
pub fn timed<T>(inputs: &[T], mut work: impl FnMut(&T)) -> f64 {
    let start = Instant::now();
    for input in inputs {
        work(input);
    }
    start.elapsed().as_nanos() as f64 / inputs.len() as f64
}

/// The middle one; of an even number the mean of the two in the middle. NaN of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// The value below which this share of sorted values lies. NaN of none.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn quantiles_are_of_sorted_values() {
        let sorted = [1.0, 2.0, 3.0, 4.0];
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| quantile(&sorted, share)), [1.0, 3.0, 4.0, 4.0]);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn everybody_takes_a_turn_in_every_round() {
        let mut turns = [0; 2];
        let [first, second] = &mut turns;
        let counted = |turns: &mut i32| {
            *turns += 1;
            Ok(f64::from(*turns))
        };
        let medians = rounds(Duration::ZERO, [&mut || counted(first), &mut || counted(second)]);
        // Every other pass counts: 2, 4, … 22.
        assert_eq!(medians.expect("no contestant fails"), [12.0, 12.0]);
        assert_eq!(turns, [22, 22]);
    }
}
