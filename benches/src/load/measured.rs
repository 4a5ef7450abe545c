//! What came back.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};

use super::Plan;

/// What a load came to. Only what was sent after the warm-up counts.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Answers, refusals included.
    pub answered: u64,
    /// Of those, how many were no decisions, by what was said.
    pub refused: BTreeMap<String, u64>,
    /// How long was counted.
    pub elapsed: Duration,
    /// Nanoseconds from when a request was due (open loop) or sent (closed loop) to its answer.
    pub latency: Histogram<u64>,
}

/// Longest latency that is told apart, in nanoseconds: ten minutes.
const LONGEST: u64 = 600_000_000_000;

/// Which quantiles are told.
pub const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

impl Default for Measured {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds in order, three digits");
        Self { answered: 0, refused: BTreeMap::new(), elapsed: Duration::ZERO, latency }
    }
}

impl Measured {
    /// Counts `n` answers to one message.
    pub(super) fn answer(&mut self, n: usize, took: Duration) {
        self.answered += n as u64;
        self.latency.saturating_record(took.as_nanos() as u64);
    }

    /// Counts `n` answers of which none is a decision.
    pub(super) fn refuse(&mut self, n: usize, why: String) {
        // A message may name the request; a few kinds are enough to know what is wrong.
        let why =
            if self.refused.len() < 16 || self.refused.contains_key(&why) { why } else { "other".into() };
        *self.refused.entry(why).or_default() += n as u64;
    }

    /// Answers a second.
    pub fn throughput(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// Latency at a quantile, in nanoseconds.
    pub fn at(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64
    }

    pub fn json(&self, plan: &Plan) -> Json {
        let latency: serde_json::Map<String, Json> =
            QUANTILES.iter().map(|(name, q)| (format!("{name}_us"), json!(self.at(*q) / 1e3))).collect();
        json!({
            "mode": plan.mode.to_string(),
            "pace": plan.pace.to_string(),
            "seconds": self.elapsed.as_secs_f64(),
            "answered": self.answered,
            "refused": self.refused,
            "per_second": self.throughput(),
            "latency": latency,
        })
    }
}
