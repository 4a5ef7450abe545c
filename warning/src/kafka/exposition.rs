//! What runs, as text that Prometheus reads: every metric's name, help and labels stand here.
//!
//! Labels are partitions, levels, and the ids of rules. Members and customers are never labels. Counters begin with the
//! process, and what they count is committed.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
    registry::{Registry, Unit},
};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{EdgeError, Settings, quiet::Quiet, watched::Watched};

/// Longest that the broker is asked where all partitions end: whoever scrapes waits for it, and gives up in the end.
const ASK: Duration = Duration::from_secs(2);

/// Everything that is told of a running pipeline.
pub struct Exposition {
    partitions: Vec<(i32, Arc<Watched>)>,
    /// Asks where partitions end.
    asks: BaseConsumer<Quiet>,
    events: String,
}

impl Exposition {
    pub fn new(settings: &Settings, partitions: Vec<(i32, Arc<Watched>)>) -> Result<Self, EdgeError> {
        Ok(Self { partitions, asks: settings.consumer()?, events: settings.events.clone() })
    }

    /// What can be asked for its text.
    pub fn registry(self) -> Registry {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        registry
    }

    /// How many events of a partition are not committed yet; None: the broker does not say in time.
    fn lag(&self, partition: i32, watched: &Watched, within: Duration) -> Option<u64> {
        // Before a partition is asked, so that it cannot be ahead of its end.
        let offset = watched.offset.load(Ordering::Acquire);
        let (_, end) = self.asks.fetch_watermarks(&self.events, partition, within).ok()?;
        Some(end.saturating_sub(offset).max(0) as u64)
    }
}

/// What is answered of some things, which are asked for one after the other. All together take no longer than `within`, and each
/// no longer than its share of what is left: of one that nobody answers for the others are told all the same.
fn answers<'a, T, A>(
    of: &'a [T],
    within: Duration,
    mut ask: impl FnMut(&'a T, Duration) -> Option<A>,
) -> Vec<(&'a T, A)> {
    let begun = Instant::now();
    let answer = |(asked, thing)| {
        let left = within.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())?;
        Some((thing, ask(thing, left / (of.len() - asked) as u32)?))
    };
    of.iter().enumerate().filter_map(answer).collect()
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
}

/// A number of a partition.
type Number = fn(&Watched) -> u64;

const COUNTERS: [(&str, &str, Number); 13] = [
    ("tarim_warn_events", "Events that were taken, their alerts committed.", |w| {
        w.events.load(Ordering::Relaxed)
    }),
    (
        "tarim_warn_silent_events",
        "Events that were taken again after a start, their alerts out already.",
        |w| w.silent.load(Ordering::Relaxed),
    ),
    ("tarim_warn_alerts", "Alerts.", |w| w.alerts.load(Ordering::Relaxed)),
    ("tarim_warn_dead_letters", "Records that could not be taken.", |w| w.dead.load(Ordering::Relaxed)),
    ("tarim_warn_unreadable_records", "Dead letters that are no events at all.", |w| {
        w.unreadable.load(Ordering::Relaxed)
    }),
    ("tarim_warn_invalid_events", "Dead letters that break the standards.", |w| {
        w.invalid.load(Ordering::Relaxed)
    }),
    ("tarim_warn_late_events", "Dead letters that came after the allowed lateness.", |w| {
        w.late.load(Ordering::Relaxed)
    }),
    (
        "tarim_warn_misplaced_events",
        "Dead letters that stood in another partition than their customer's.",
        |w| w.misplaced.load(Ordering::Relaxed),
    ),
    (
        "tarim_warn_displaced_patterns",
        "Patterns that had begun and were forgotten to make room for newer ones.",
        |w| w.displaced.load(Ordering::Relaxed),
    ),
    ("tarim_warn_spread_events", "Events that alerts have spread to neighbours.", |w| {
        w.spread.load(Ordering::Relaxed)
    }),
    ("tarim_warn_cut_alerts", "Alerts with more neighbours than the rulebook lets through.", |w| {
        w.cut.load(Ordering::Relaxed)
    }),
    ("tarim_warn_transactions", "Transactions that were committed.", |w| {
        w.transactions.load(Ordering::Relaxed)
    }),
    ("tarim_warn_restarts", "Times that a partition began anew from its last snapshot.", |w| {
        w.restarts.load(Ordering::Relaxed)
    }),
];

const GAUGES: [(&str, &str, Number); 2] = [
    ("tarim_warn_customers", "Customers with a state.", |w| w.customers.load(Ordering::Relaxed)),
    ("tarim_warn_refill_records", "Records of history that are still to be read for a new rulebook.", |w| {
        let (to, read) = (w.to_refill.load(Ordering::Relaxed), w.refilled.load(Ordering::Relaxed));
        to.saturating_sub(read)
    }),
];

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, count) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (partition, watched) in &self.partitions {
                let labels = [("partition", partition.to_string())];
                let count = count(watched);
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        let help = "Time of all commits, from the last event of a transaction on.";
        let seconds = Some(&Unit::Seconds);
        let mut family =
            encoder.encode_descriptor("tarim_warn_committing", help, seconds, MetricType::Counter)?;
        for (partition, watched) in &self.partitions {
            let labels = [("partition", partition.to_string())];
            let spent = watched.committing_ns.load(Ordering::Relaxed) as f64 * 1e-9;
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&spent, None)?;
        }
        for (name, help, count) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (partition, watched) in &self.partitions {
                let labels = [("partition", partition.to_string())];
                family.encode_family(&labels)?.encode_gauge(&count(watched))?;
            }
        }
        self.reach(&mut encoder)?;
        self.rules(&mut encoder)?;
        self.versions(&mut encoder)
    }
}

impl Exposition {
    /// How far the pipeline is behind what there is.
    fn reach(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Events that are there and not committed yet; absent while the broker does not answer.";
        let mut family = encoder.encode_descriptor("tarim_warn_lag_events", help, None, MetricType::Gauge)?;
        let lag = |(partition, watched): &(i32, Arc<Watched>), within| self.lag(*partition, watched, within);
        for ((partition, _), lag) in answers(&self.partitions, ASK, lag) {
            family.encode_family(&[("partition", partition.to_string())])?.encode_gauge(&lag)?;
        }
        let help = "Time since the latest event that is committed; infinite before the first.";
        let seconds = Some(&Unit::Seconds);
        let mut family =
            encoder.encode_descriptor("tarim_warn_event_age", help, seconds, MetricType::Gauge)?;
        let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
        for (partition, watched) in &self.partitions {
            let age = match watched.event_us.load(Ordering::Relaxed) {
                0 => f64::INFINITY,
                at => now_us.saturating_sub(at) as f64 * 1e-6,
            };
            family.encode_family(&[("partition", partition.to_string())])?.encode_gauge(&age)?;
        }
        Ok(())
    }

    fn rules(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut all = std::collections::BTreeMap::<_, u64>::new();
        for (_, watched) in &self.partitions {
            let named = watched.named();
            for ((rule, level), count) in &named.raised {
                *all.entry((rule.clone(), *level)).or_default() += count;
            }
        }
        let help = "Alerts by rule and level; of rules that hold, also none.";
        let mut family =
            encoder.encode_descriptor("tarim_warn_rule_alerts", help, None, MetricType::Counter)?;
        for ((rule, level), count) in all {
            let level = level.as_str_name().trim_start_matches("LEVEL_").to_lowercase();
            let labels = [("rule", rule), ("level", level)];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    /// Of each partition: a swap reaches one after the other.
    fn versions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "What holds in a partition: the rulebook, and the generation of features that rules read.";
        let mut family = encoder.encode_descriptor("tarim_warn_version", help, None, MetricType::Gauge)?;
        for (partition, watched) in &self.partitions {
            let named = watched.named();
            let labels = [
                ("partition", partition.to_string()),
                ("rulebook", named.rulebook.clone()),
                ("features", named.features.clone()),
            ];
            family.encode_family(&labels)?.encode_gauge(&1u64)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_answered_hides_no_other() {
        let mut asked = Vec::new();
        let found = answers(&[0_u32, 1, 2, 3], Duration::from_secs(60), |partition, share| {
            asked.push((*partition, share));
            (*partition != 1).then_some(10 * *partition)
        });
        assert_eq!(found, [(&0, 0), (&2, 20), (&3, 30)]);
        // Each has its share of what is left, so together they take no longer than one might.
        for ((partition, share), most) in asked.iter().zip([15, 20, 30, 60]) {
            assert!(*share <= Duration::from_secs(most), "{partition}: {share:?}");
        }
        assert_eq!(asked.len(), 4);
    }

    #[test]
    fn nobody_is_asked_when_the_time_is_over() {
        assert!(answers(&[0_u32], Duration::ZERO, |partition, _| Some(*partition)).is_empty());
    }
}
