//! What the service is at, as text that Prometheus reads: every metric's name, help and labels stand here and in [`super::calls`].
//!
//! Labels are calls, codes, states and levels. Members, customers and account managers are never labels. Counters begin with
//! the process.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};
use tarim_features::warnings::LEVELS;

use crate::{clock::Clock, feed::Fed, ledger::Ledger, lifecycle::State};

/// The ledger, and the edges that feed it.
pub struct Exposition {
    pub ledger: Arc<Ledger>,
    /// None: alerts came from a file, and nothing goes out.
    pub fed: Option<Arc<Fed>>,
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
}

/// A number of the edges.
type Number = fn(&Fed) -> &AtomicU64;

const FED: [(&str, &str, Number); 4] = [
    ("tarim_desk_alerts", "Records of alerts that were read, durably.", |fed| &fed.taken),
    ("tarim_desk_rejected_records", "Records that are no alerts, and were left out.", |fed| &fed.rejected),
    ("tarim_desk_changes_sent", "Changes that are on their topic.", |fed| &fed.sent),
    ("tarim_desk_pushes_sent", "Pushes that are on their topic.", |fed| &fed.pushed),
];

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(fed) = &self.fed {
            for (name, help, number) in FED {
                let told = number(fed).load(Ordering::Relaxed);
                let mut counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
                counter.encode_counter::<NoLabelSet, _, u64>(&told, None)?;
            }
        }
        let help = "Whether the ledger takes anything: not after a write that failed.";
        let mut gauge = encoder.encode_descriptor("tarim_desk_ledger_open", help, None, MetricType::Gauge)?;
        gauge.encode_gauge(&u64::from(self.ledger.is_open()))?;
        let help = "Time since all alerts that there were had been read; infinite before that.";
        let seconds = Some(&Unit::Seconds);
        let mut gauge =
            encoder.encode_descriptor("tarim_desk_heard_age", help, seconds, MetricType::Gauge)?;
        // Those of a file are all that there are, for good.
        let since =
            |at: i64| self.fed.as_ref().map_or(0, |_| Clock::System.now_us().saturating_sub(at).max(0));
        let age_us = self.ledger.heard_at_us().map(since);
        gauge.encode_gauge(&age_us.map_or(f64::INFINITY, |us| us as f64 * 1e-6))?;
        self.standing(&mut encoder)
    }
}

impl Exposition {
    fn standing(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Warnings that stand: open, acknowledged or escalated.";
        let mut family =
            encoder.encode_descriptor("tarim_desk_standing_warnings", help, None, MetricType::Gauge)?;
        let counts = self.ledger.open_warnings().counts();
        // Also those of which there is none.
        for (state, counts) in State::ALL.iter().zip(counts).filter(|(state, _)| state.stands()) {
            for ((level, _), count) in LEVELS.iter().zip(counts) {
                family.encode_family(&[("state", state.name()), ("level", level)])?.encode_gauge(&count)?;
            }
        }
        Ok(())
    }
}
