//! What came back.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};
use tonic::Code;

use super::Plan;

/// What a load came to. Only what was sent after the warm-up counts. A refusal is quick and costs the server little: it is
/// counted apart, and is neither throughput nor latency.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Requests that got their decision before the end.
    pub answered: u64,
    /// Requests that were in flight at the end, and got their decision then: they have a latency, but are no throughput.
    pub late: u64,
    /// Requests that got no decision, by the code of gRPC.
    pub refused: BTreeMap<String, u64>,
    /// The same by code and what was said.
    pub said: BTreeMap<String, u64>,
    /// How long was counted.
    pub elapsed: Duration,
    /// Nanoseconds from when a request was due (open loop) or sent (closed loop) to its decision. Of a batch, those of the batch,
    /// if any of it was decided.
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
        let (refused, said) = (BTreeMap::new(), BTreeMap::new());
        Self { answered: 0, late: 0, refused, said, elapsed: Duration::ZERO, latency }
    }
}

impl Measured {
    /// Counts `n` decisions in one message.
    pub(super) fn answer(&mut self, n: usize, took: Duration, in_time: bool) {
        if n > 0 {
            *if in_time { &mut self.answered } else { &mut self.late } += n as u64;
            self.latency.saturating_record(took.as_nanos() as u64);
        }
    }

    /// Counts a request that got no decision.
    pub(super) fn refuse(&mut self, code: Code, why: &str) {
        let code = format!("{code:?}");
        let said = format!("{code}: {why}");
        // A message may name the request; a few kinds are enough to know what is wrong.
        let few = self.said.len() < 16 || self.said.contains_key(&said);
        *self.said.entry(if few { said } else { "other".into() }).or_default() += 1;
        *self.refused.entry(code).or_default() += 1;
    }

    /// Requests that got no decision.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Requests that anything was said to.
    pub fn heard(&self) -> u64 {
        self.answered + self.late + self.refusals()
    }

    /// Decisions a second.
    pub fn throughput(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// Latency at a quantile, in nanoseconds. NaN if nothing was decided.
    pub fn at(&self, quantile: f64) -> f64 {
        if self.latency.is_empty() { f64::NAN } else { self.latency.value_at_quantile(quantile) as f64 }
    }

    pub fn json(&self, plan: &Plan) -> Json {
        let latency: serde_json::Map<String, Json> =
            QUANTILES.iter().map(|(name, q)| (format!("{name}_us"), json!(self.at(*q) / 1e3))).collect();
        json!({
            "mode": plan.mode.to_string(),
            "pace": plan.pace.to_string(),
            "seconds": self.elapsed.as_secs_f64(),
            "answered": self.answered,
            "late": self.late,
            "refused": self.refused,
            "refused_share": self.refusals() as f64 / self.heard() as f64,
            "said": self.said,
            "per_second": self.throughput(),
            "latency": latency,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_neither_throughput_nor_latency() {
        let mut measured = Measured { elapsed: Duration::from_secs(2), ..Measured::default() };
        for _ in 0..1000 {
            measured.refuse(Code::ResourceExhausted, "too many calls");
        }
        measured.refuse(Code::InvalidArgument, "no such product");
        // A batch of which everything was refused.
        measured.answer(0, Duration::from_nanos(1), true);
        assert_eq!((measured.throughput(), measured.refusals(), measured.heard()), (0.0, 1001, 1001));
        assert!(measured.at(0.5).is_nan() && measured.at(1.0).is_nan());

        measured.answer(6, Duration::from_millis(10), true);
        measured.answer(3, Duration::from_millis(20), false);
        assert_eq!((measured.answered, measured.late, measured.heard()), (6, 3, 1010));
        assert_eq!(measured.throughput(), 3.0);
        assert!(measured.at(0.5) >= 9.9e6, "{}", measured.at(0.5));
        let refused =
            BTreeMap::from([("InvalidArgument".to_owned(), 1), ("ResourceExhausted".to_owned(), 1000)]);
        assert_eq!(measured.refused, refused);
        assert_eq!(measured.said["ResourceExhausted: too many calls"], 1000);
    }

    /// What is said may name each request; all are counted by code all the same.
    #[test]
    fn all_are_counted_whatever_is_said() {
        let mut measured = Measured::default();
        for i in 0..100 {
            measured.refuse(Code::NotFound, &format!("request {i}"));
        }
        assert_eq!(
            (measured.said.len(), measured.said["other"], measured.refused["NotFound"]),
            (17, 84, 100)
        );
    }
}
