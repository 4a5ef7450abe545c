use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::*;

const KINDS: [Kind; 6] = [
    Kind::Sum,
    Kind::Avg,
    Kind::Var { sample: true },
    Kind::Var { sample: false },
    Kind::Stddev { sample: true },
    Kind::Stddev { sample: false },
];

fn moments(values: &[f64], kind: Kind) -> Moments {
    let mut moments = Moments::default();
    values.iter().for_each(|x| moments.add(*x, kind));
    moments
}

fn result(values: &[f64], kind: Kind) -> Option<f64> {
    moments(values, kind).result(kind)
}

/// Values of very different sizes, many of which cancel.
fn awkward(random: &mut ChaCha8Rng) -> Vec<f64> {
    let n = random.random_range(0..40);
    let mut values = Vec::with_capacity(n);
    for _ in 0..n {
        let x = match random.random_range(0..12) {
            0 => 0.0,
            1 => -0.0,
            2 => f64::NAN,
            3 => f64::from_bits(random.random_range(0..1 << 52)),
            4 => values.last().map_or(1.0, |x: &f64| -x),
            _ => (random.random::<f64>() - 0.5) * 10f64.powi(random.random_range(-120..120)),
        };
        values.push(x);
    }
    values
}

#[test]
fn a_sum_is_the_true_sum_rounded_once() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..20_000 {
        // Multiples of 2^-40 below 2^60: their sum is exact in 128 bits, and `as` rounds it once.
        let n = random.random_range(0..30);
        let bits: Vec<i64> = (0..n).map(|_| random.random::<i64>() >> random.random_range(10..63)).collect();
        let scales: Vec<u32> = (0..n).map(|_| random.random_range(0..46)).collect();
        let exact: i128 = bits.iter().zip(&scales).map(|(b, s)| i128::from(*b) << s).sum();
        let unit = 2f64.powi(-40);
        let values: Vec<f64> =
            bits.iter().zip(&scales).map(|(b, s)| *b as f64 * 2f64.powi(*s as i32) * unit).collect();
        // `b as f64` is exact only for 53 bits, and so is the comparison.
        if bits.iter().any(|b| (*b as f64) as i128 != i128::from(*b)) {
            continue;
        }
        let expected = (n > 0).then_some(exact as f64 * unit);
        assert_eq!(result(&values, Kind::Sum).map(f64::to_bits), expected.map(f64::to_bits), "{values:?}");
    }
}

#[test]
fn no_order_and_no_partition_changes_a_bit() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..5_000 {
        let mut values = awkward(&mut random);
        if random.random_bool(0.1) {
            values.push(f64::INFINITY);
        }
        let before = KINDS.map(|k| result(&values, k).map(f64::to_bits));
        values.shuffle(&mut random);
        let split = random.random_range(0..=values.len());
        let after = KINDS.map(|kind| {
            // As DataFusion does it: two partial states, written as columns and merged.
            let parts = [&values[..split], &values[split..]].map(|v| moments(v, kind));
            let states = Groups { kind, groups: Vec::new() }.columns(&parts);
            let mut merged = Groups { kind, groups: Vec::new() };
            merged.merge_batch(&states, &[0, 0], 1).unwrap();
            merged.groups[0].result(kind).map(f64::to_bits)
        });
        assert_eq!(before, after, "{values:?}");
    }
}

#[test]
fn known_results() {
    let sum = |values: &[f64]| result(values, Kind::Sum);
    assert_eq!(sum(&[]), None);
    assert_eq!(sum(&[f64::NAN]), None);
    assert_eq!(sum(&[-0.0]).map(f64::to_bits), Some(0));
    assert_eq!(sum(&[0.1; 10]), Some(1.0));
    assert_eq!(sum(&[1e16, 1.0, -1e16]), Some(1.0));
    assert_eq!(sum(&[f64::INFINITY, 1.0]), Some(f64::INFINITY));
    assert_eq!(sum(&[f64::INFINITY, f64::NEG_INFINITY]), None);
    assert_eq!(sum(&[9e299; 1000]), Some(9e302));
    assert_eq!(result(&[1.0, 2.0, 4.0], Kind::Avg), Some(7.0 / 3.0));
    // Half a last place: what lies beyond decides.
    assert_eq!(sum(&[1.0, f64::EPSILON / 2.0]), Some(1.0));
    assert_eq!(sum(&[1.0, f64::EPSILON / 2.0, 1e-300]), Some(1.0 + f64::EPSILON));
}

#[test]
fn variances_keep_their_digits() {
    let sample = Kind::Var { sample: true };
    let population = Kind::Stddev { sample: false };
    assert_eq!(result(&[5.0], sample), None);
    assert_eq!(result(&[5.0], population), Some(0.0));
    assert_eq!(result(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0], population), Some(2.0));
    // One in a million million apart: the naive formula gives nonsense here.
    let shifted = [4.0, 7.0, 13.0, 16.0].map(|x| x + 1e12);
    assert_eq!(result(&shifted, sample), Some(30.0));
    assert_eq!(result(&[0.1; 7], sample), Some(0.0));
}
