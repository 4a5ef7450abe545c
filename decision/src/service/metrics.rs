//! What the service counts of its requests.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tonic::Code;

use crate::{
    metrics::{Sharded, Times},
    outcome::{Call, Outcome, Stage},
};

/// The calls, in the order of their counters, by their names on the wire.
pub const CALLS: [(Call, &str); 6] = [
    (Call::One(Stage::Admission), "CheckAdmission"),
    (Call::One(Stage::Fraud), "DetectFraud"),
    (Call::One(Stage::Score), "ScoreApplication"),
    (Call::One(Stage::Limit), "AssignLimit"),
    (Call::One(Stage::Rate), "QuoteRate"),
    (Call::All, "Decide"),
];

/// Outcomes in the order of their counters.
pub const OUTCOMES: [Outcome; 3] = [Outcome::Approve, Outcome::Refer, Outcome::Decline];

/// Part of the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lap {
    /// Of a single request: from its bytes to the request.
    Decode,
    /// From its arrival, decoded, to the rows that it is decided by.
    Gather,
    /// At the ledger, how counters of exposures stand, where anybody asks.
    Look,
    /// Until room is taken at the ledger, or refused.
    Reserve,
    Decide,
    /// Inputs and decision to bytes.
    Encode,
    /// From the journal's queue to the disk.
    Journal,
    /// From its arrival, decoded, to its answer, whatever that is.
    Total,
}

/// Laps in the order of their counters, by the names that they are told by.
pub const LAPS: [(Lap, &str); 8] = [
    (Lap::Decode, "decode"),
    (Lap::Gather, "gather"),
    (Lap::Look, "look"),
    (Lap::Reserve, "reserve"),
    (Lap::Decide, "decide"),
    (Lap::Encode, "encode"),
    (Lap::Journal, "journal"),
    (Lap::Total, "total"),
];

/// Codes of gRPC.
const CODES: usize = 17;

/// Counters of requests.
pub struct Metrics(Sharded<Counters>);

/// Those of one thread.
#[derive(Default)]
pub struct Counters {
    laps: [Times; LAPS.len()],
    decisions: [[AtomicU64; OUTCOMES.len()]; CALLS.len()],
    refusals: [AtomicU64; CODES],
    repeats: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self(Sharded::new(Counters::default))
    }
}

impl Metrics {
    /// The counters of this thread.
    pub fn mine(&self) -> &Counters {
        self.0.mine()
    }

    /// Those of every thread.
    pub fn all(&self) -> impl Iterator<Item = &Counters> {
        self.0.all()
    }
}

impl Counters {
    pub fn lap(&self, lap: Lap) -> &Times {
        &self.laps[lap as usize]
    }

    /// A decision is durable.
    pub fn decided(&self, call: Call, outcome: Outcome) {
        self.decisions(call, outcome).fetch_add(1, Ordering::Relaxed);
    }

    pub fn decisions(&self, call: Call, outcome: Outcome) -> &AtomicU64 {
        let call = match call {
            Call::One(stage) if stage.is_point() => unreachable!("interceptions are counted by themselves"),
            Call::One(stage) => stage as usize,
            Call::All => CALLS.len() - 1,
        };
        &self.decisions[call][outcome as usize]
    }

    /// A request was refused.
    pub fn refused(&self, code: Code) {
        self.refusals[code as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often requests were refused with a code.
    pub fn refusals(&self, code: Code) -> u64 {
        self.refusals[code as usize].load(Ordering::Relaxed)
    }

    /// A request had the answer of an earlier one.
    pub fn repeated(&self) {
        self.repeats.fetch_add(1, Ordering::Relaxed);
    }

    pub fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }
}

/// Takes the laps of one request.
pub struct Stopwatch<'a> {
    counters: &'a Counters,
    since: Instant,
}

impl<'a> Stopwatch<'a> {
    pub fn since(since: Instant, counters: &'a Counters) -> Self {
        Self { counters, since }
    }

    /// A lap ends here, and the next begins.
    pub fn lap(&mut self, lap: Lap) {
        self.lap_until(lap, Instant::now());
    }

    /// A lap ended at a time, and the next began.
    pub fn lap_until(&mut self, lap: Lap, now: Instant) {
        let time: Duration = now.duration_since(self.since);
        self.counters.lap(lap).time(time);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Refusal;

    #[test]
    fn every_call_lap_and_outcome_has_its_own_place() {
        let counters = Counters::default();
        for (n, (call, _)) in CALLS.into_iter().enumerate() {
            for (m, outcome) in OUTCOMES.into_iter().enumerate() {
                assert_eq!(counters.decisions(call, outcome).fetch_add(1, Ordering::Relaxed), 0, "{n} {m}");
            }
        }
        assert!(LAPS.iter().enumerate().all(|(i, (lap, _))| *lap as usize == i));
        for code in Refusal::CODES {
            counters.refused(code);
            assert_eq!(counters.refusals(code), 1, "{code:?}");
        }
    }
}
