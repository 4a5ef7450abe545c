//! Reproducible randomness: one ChaCha stream per (seed, topic, member, number).

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream is drawn for. Topics do not disturb each other: a new draw in one of them changes
/// nothing in the rest of the bank.
#[derive(Clone, Copy, Debug)]
pub enum Topic {
    Block = 1,
    Person,
    Company,
    Home,
    Identity,
    Income,
    Credit,
    Bureau,
    Ledger,
    Contact,
    Lists,
    Application,
    Outcome,
    Tax,
    Dirt,
    Turn,
    Pattern,
    Delay,
    Servicing,
    Collateral,
    Legal,
    Registration,
}

/// One stream of draws.
#[derive(Clone)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of one (topic, member, number) under a seed.
    pub fn new(seed: u64, topic: Topic, member: usize, number: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream((topic as u64) << 56 | (member as u64) << 40 | number);
        Self(rng)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform whole number in [low, high].
    pub fn int(&mut self, low: i64, high: i64) -> i64 {
        debug_assert!(low <= high);
        low + (self.unit() * (high - low + 1) as f64) as i64
    }

    /// Uniform whole number in [low, high].
    pub fn small(&mut self, low: i32, high: i32) -> i32 {
        self.int(low.into(), high.into()) as i32
    }

    /// One of them, each as likely as the next.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.int(0, of.len() as i64 - 1) as usize]
    }

    /// One of them, by weight.
    pub fn weighted<'a, T>(&mut self, of: &'a [(f64, T)]) -> &'a T {
        let mut left = self.unit() * of.iter().map(|(w, _)| w).sum::<f64>();
        for (weight, item) in of {
            if left < *weight {
                return item;
            }
            left -= weight;
        }
        &of[of.len() - 1].1
    }

    /// Close to standard normal: twelve uniforms less six (Irwin–Hall), within ±6. No logarithm, so
    /// the same on every platform.
    pub fn normal(&mut self) -> f64 {
        let mut sum = 0u64;
        for _ in 0..3 {
            let bits = self.0.next_u64();
            sum += (0..4).map(|i| bits >> (16 * i) & 0xffff).sum::<u64>();
        }
        (sum as f64 + 6.0) / 65_536.0 - 6.0
    }

    /// Poisson with this mean (Knuth's product of uniforms); means here are below 50.
    pub fn poisson(&mut self, mean: f64) -> i64 {
        let floor = (-mean.min(50.0)).exp();
        let mut product = self.unit();
        let mut count = 0;
        while product > floor {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

/// Logistic function: log odds to probability.
pub fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let mut dice = Dice::new(1, Topic::Person, 0, 0);
        let n = 20_000;
        let normal: Vec<f64> = (0..n).map(|_| dice.normal()).collect();
        let mean = normal.iter().sum::<f64>() / f64::from(n);
        let variance = normal.iter().map(|x| x * x).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        let poisson = (0..n).map(|_| dice.poisson(2.5)).sum::<i64>() as f64 / f64::from(n);
        assert!((poisson - 2.5).abs() < 0.05, "{poisson}");
    }

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |topic, number| Dice::new(7, topic, 1, number).int(0, i64::MAX >> 12);
        assert_eq!(draw(Topic::Person, 3), draw(Topic::Person, 3));
        assert_ne!(draw(Topic::Person, 3), draw(Topic::Person, 4));
        assert_ne!(draw(Topic::Person, 3), draw(Topic::Company, 3));
    }
}
