//! What runs, as text that Prometheus reads: every metric's name, help and labels stand here.
//!
//! Labels have few values: calls, outcomes, codes, and the ids of one rulebook's rules. Members, customers and
//! requests are never labels; the log tells of single requests.

use std::{fmt, sync::Arc, sync::atomic::Ordering};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::{Registry, Unit},
};
use tarim_features::warnings::Warnings;
use tokio::sync::Semaphore;

use super::{
    Refusal, exposure,
    metrics::{CALLS, LAPS, OUTCOMES},
    rpc::Rpc,
    server::Config,
    watcher::Reloads,
};
use crate::metrics::Totals;

/// Everything that is told of a running service.
pub struct Exposition {
    rpc: Rpc,
    max_in_flight: usize,
    max_streams: usize,
    reloads: Arc<Reloads>,
    warnings: Option<Warnings>,
    exposures: exposure::Desk,
}

impl Exposition {
    pub fn new(
        config: &Config,
        rpc: Rpc,
        reloads: Arc<Reloads>,
        warnings: Option<Warnings>,
        exposures: exposure::Desk,
    ) -> Self {
        let Config { max_in_flight, max_streams, .. } = *config;
        Self { rpc, max_in_flight, max_streams, reloads, warnings, exposures }
    }

    /// What can be asked for its text.
    pub fn registry(self) -> Registry {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        registry
    }
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut tell = Tell(encoder);
        self.requests(&mut tell)?;
        self.rules(&mut tell)?;
        self.journal(&mut tell)?;
        self.serving(&mut tell)?;
        self.warnings(&mut tell)?;
        self.rpc.desk.intercepted.expose(&mut tell)?;
        self.exposures.expose(&mut tell)?;
        if let Some(bytes) = resident() {
            tell.gauge("process_resident_memory", "Memory of the process.", Some(Unit::Bytes), bytes as f64)?;
        }
        Ok(())
    }
}

impl Exposition {
    fn requests(&self, tell: &mut Tell<'_>) -> fmt::Result {
        let metrics = &self.rpc.desk.metrics;
        let help = "Time of a request in each stage of its way (decode: of single calls alone); total is from its arrival, decoded, to \
                    its answer.";
        let mut stages = tell.family("tarim_stage", help, Some(Unit::Seconds), MetricType::Histogram)?;
        for (lap, name) in LAPS {
            let totals = Totals::of(metrics.all().map(|counters| counters.lap(lap)), 1e-9);
            histogram(&mut stages.encode_family(&[("stage", name)])?, &totals)?;
        }
        let help = "Decisions that were made and are durable.";
        let mut decisions = tell.family("tarim_decisions", help, None, MetricType::Counter)?;
        for (call, name) in CALLS {
            for outcome in OUTCOMES {
                let count = metrics.all().map(|c| c.decisions(call, outcome).load(Ordering::Relaxed)).sum();
                let outcome = outcome.to_string();
                counter(&mut decisions, &[("call", name), ("outcome", &outcome)], count)?;
            }
        }
        let help = "Requests that had the answer of an earlier one.";
        let mut repeats = tell.family("tarim_repeats", help, None, MetricType::Counter)?;
        let count: u64 = metrics.all().map(|counters| counters.repeats()).sum();
        repeats.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        let help = "Requests that were refused, by gRPC code.";
        let mut refusals = tell.family("tarim_refusals", help, None, MetricType::Counter)?;
        for code in Refusal::CODES {
            let count = metrics.all().map(|counters| counters.refusals(code)).sum();
            counter(&mut refusals, &[("code", format!("{code:?}"))], count)?;
        }
        let kinds = [
            ("requests", &self.rpc.slots, self.max_in_flight),
            ("streams", &self.rpc.streams, self.max_streams),
        ];
        let help = "Requests, and streams and batches, in flight.";
        let mut family = tell.family("tarim_in_flight", help, None, MetricType::Gauge)?;
        for (kind, slots, max) in kinds {
            family.encode_family(&[("kind", kind)])?.encode_gauge(&in_flight(slots, max))?;
        }
        let help = "As many may be in flight; one more is refused.";
        let mut family = tell.family("tarim_in_flight_max", help, None, MetricType::Gauge)?;
        for (kind, _, max) in kinds {
            family.encode_family(&[("kind", kind)])?.encode_gauge(&(max as u64))?;
        }
        Ok(())
    }

    fn rules(&self, tell: &mut Tell<'_>) -> fmt::Result {
        let help = "Reasons that were found, by the rule that gave them and what it did to the outcome: of decisions, of interceptions, and \
                    of what then came too late to become one.";
        let mut hits = tell.family("tarim_rule_hits", help, None, MetricType::Counter)?;
        for ((rule, effect), count) in self.rpc.desk.serving.load().hits.totals() {
            counter(&mut hits, &[("rule", rule), ("effect", &effect.to_string())], count)?;
        }
        Ok(())
    }

    fn journal(&self, tell: &mut Tell<'_>) -> fmt::Result {
        let journal = &self.rpc.desk.journal;
        let stats = journal.stats();
        tell.gauge(
            "tarim_journal_queue_records",
            "Decisions that wait to be durable.",
            None,
            stats.queued() as f64,
        )?;
        let help = "For how long the group that is being written has been so; 0 when none is.";
        tell.gauge("tarim_journal_lag", help, Some(Unit::Seconds), stats.lag().as_secs_f64())?;
        let help = "Decisions that were written and synced together.";
        let mut groups = tell.family("tarim_journal_group_records", help, None, MetricType::Histogram)?;
        histogram(&mut groups, &Totals::of([&stats.groups], 1.0))?;
        let help = "Time to write and sync one group.";
        let mut commits =
            tell.family("tarim_journal_commit", help, Some(Unit::Seconds), MetricType::Histogram)?;
        histogram(&mut commits, &Totals::of([&stats.commits], 1e-9))?;
        let help = "What was written to the journal.";
        let mut bytes = tell.family("tarim_journal_written", help, Some(Unit::Bytes), MetricType::Counter)?;
        bytes.encode_counter::<NoLabelSet, _, u64>(&stats.bytes.load(Ordering::Relaxed), None)?;
        let help = "1 while the journal takes decisions; at 0 nothing is decided.";
        tell.gauge("tarim_journal_open", help, None, f64::from(u8::from(journal.is_open())))
    }

    fn serving(&self, tell: &mut Tell<'_>) -> fmt::Result {
        let serving = self.rpc.desk.serving.load();
        let (rulebook, snapshot) = (serving.engine.rulebook(), serving.engine.snapshot());
        let version = env!("CARGO_PKG_VERSION");
        tell.info("tarim_build", "The program.", version)?;
        tell.info("tarim_rulebook", "The rulebook that decides.", rulebook.version())?;
        tell.info("tarim_features", "The generation of features that is read.", snapshot.version())?;
        // The oldest part: what a decision reads is at least as new.
        if let Some(as_of_us) = snapshot.generation().parts().map(|part| part.as_of_us).min() {
            let age_us = self.rpc.desk.clock.now_us().saturating_sub(as_of_us);
            let help = "Time since the features that are read were computed as of.";
            tell.gauge("tarim_features_age", help, Some(Unit::Seconds), age_us as f64 * 1e-6)?;
        }
        let help = "Rulebooks and generations that were swapped in while running.";
        let mut swaps = tell.family("tarim_swaps", help, None, MetricType::Counter)?;
        swaps.encode_counter::<NoLabelSet, _, u64>(&self.reloads.swaps.load(Ordering::Relaxed), None)?;
        let help = "1 while what is published cannot be served, and the former goes on.";
        let failing = f64::from(u8::from(self.reloads.failing.load(Ordering::Relaxed)));
        tell.gauge("tarim_reload_failing", help, None, failing)
    }

    /// Without a source of warnings nothing is known of them, which is a fault only if policies ask.
    fn warnings(&self, tell: &mut Tell<'_>) -> fmt::Result {
        let asked = self.rpc.desk.serving.load().engine.rulebook().plans().iter().any(|plan| plan.warnings);
        let help = "1 if there is a source of what stands against customers.";
        tell.gauge("tarim_warnings_source", help, None, f64::from(u8::from(self.warnings.is_some())))?;
        if self.warnings.is_some() || asked {
            let help = "1 while it is known what stands against customers; else policies see NULL.";
            let known = self.warnings.as_ref().is_some_and(Warnings::is_known);
            tell.gauge("tarim_warnings_known", help, None, f64::from(u8::from(known)))?;
        }
        let Some(warnings) = &self.warnings else { return Ok(()) };
        let help = "Time since the moment up to which all warnings are known; infinite if there was none.";
        let age = warnings.age().map_or(f64::INFINITY, |age| age.as_secs_f64());
        tell.gauge("tarim_warnings_age", help, Some(Unit::Seconds), age)?;
        let help = "Customers with warnings that stand.";
        tell.gauge("tarim_warnings_customers", help, None, warnings.customers() as f64)?;
        let help = "Records of the source of warnings that were read.";
        let mut read = tell.family("tarim_warnings_read", help, None, MetricType::Counter)?;
        read.encode_counter::<NoLabelSet, _, u64>(&warnings.read(), None)
    }
}

/// Writes metrics.
pub struct Tell<'a>(DescriptorEncoder<'a>);

impl Tell<'_> {
    pub fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        // The encoder borrows the unit for as long as the name.
        let unit = match unit {
            None => None,
            Some(Unit::Seconds) => Some(&Unit::Seconds),
            Some(_) => Some(&Unit::Bytes),
        };
        self.0.encode_descriptor(name, help, unit, kind)
    }

    pub fn gauge(&mut self, name: &str, help: &str, unit: Option<Unit>, value: f64) -> fmt::Result {
        self.family(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
    }

    pub fn info(&mut self, name: &str, help: &str, version: &str) -> fmt::Result {
        self.family(name, help, None, MetricType::Info)?.encode_info(&[("version", version)])
    }
}

pub fn counter(family: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, count: u64) -> fmt::Result {
    family.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

pub fn histogram(encoder: &mut MetricEncoder<'_>, totals: &Totals) -> fmt::Result {
    encoder.encode_histogram::<NoLabelSet>(totals.sum, totals.count, &totals.buckets, None)
}

fn in_flight(slots: &Semaphore, max: usize) -> u64 {
    max.saturating_sub(slots.available_permits()) as u64
}

/// Resident memory in bytes, where the system tells it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
