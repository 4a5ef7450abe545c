//! What is told of the ledger to Prometheus. Members, customers and exposures are never labels; ids of limits are.

use std::{fmt, sync::atomic::Ordering};

use prometheus_client::{encoding::NoLabelSet, metrics::MetricType, registry::Unit};

use super::{
    Desk,
    metrics::{CODES, KINDS},
};
use crate::{
    metrics::Totals,
    service::exposition::{Tell, counter, histogram},
};

impl Desk {
    /// Nothing is told where there is no ledger, but for operations that were refused because of that.
    pub fn expose(&self, tell: &mut Tell<'_>) -> fmt::Result {
        self.operations(tell)?;
        self.standing(tell)?;
        self.writing(tell)
    }

    fn operations(&self, tell: &mut Tell<'_>) -> fmt::Result {
        let help =
            "Operations on exposures that callers asked for, by how they ended; Ok: done, or done before.";
        let mut family = tell.family("tarim_exposure_operations", help, None, MetricType::Counter)?;
        for (kind, name) in KINDS.into_iter().enumerate() {
            for code in CODES {
                let labels = [("kind", name.to_owned()), ("code", format!("{code:?}"))];
                counter(&mut family, &labels, self.metrics.operations(kind, code))?;
            }
        }
        let help = "Time of an operation on exposures, from its arrival to its answer.";
        let mut family =
            tell.family("tarim_exposure_operation", help, Some(Unit::Seconds), MetricType::Histogram)?;
        histogram(&mut family, &Totals::of([&self.metrics.times], 1e-9))?;
        let help = "Operations that a limit had no room for, by limit.";
        let mut family = tell.family("tarim_exposure_breaches", help, None, MetricType::Counter)?;
        for (limit, count) in self.metrics.breaches() {
            counter(&mut family, &[("limit", limit)], count)?;
        }
        Ok(())
    }

    fn standing(&self, tell: &mut Tell<'_>) -> fmt::Result {
        let help = "1 while the ledger is not kept as the rulebook and the datamart say; the log has why.";
        let failing = self.metrics.failing.load(Ordering::Relaxed);
        tell.gauge("tarim_exposure_failing", help, None, f64::from(u8::from(failing)))?;
        for (name, help, count) in [
            (
                "tarim_exposure_adoptions",
                "Limits of a rulebook that were taken over.",
                &self.metrics.adoptions,
            ),
            (
                "tarim_exposure_regrouped",
                "Customers that came into another group, or none.",
                &self.metrics.regrouped,
            ),
            (
                "tarim_exposure_events_told",
                "Events of large exposures that were told to others, since the start.",
                &self.metrics.events_told,
            ),
        ] {
            let mut family = tell.family(name, help, None, MetricType::Counter)?;
            family.encode_counter::<NoLabelSet, _, u64>(&count.load(Ordering::Relaxed), None)?;
        }
        let help = "Events of large exposures that are to be told to others.";
        let waiting = self.metrics.events_waiting.load(Ordering::Relaxed);
        tell.gauge("tarim_exposure_events_waiting", help, None, waiting as f64)?;
        let help = "1 while events of large exposures cannot be told to others; the log has why.";
        let failing = self.metrics.events_failing.load(Ordering::Relaxed);
        tell.gauge("tarim_exposure_events_failing", help, None, f64::from(u8::from(failing)))?;
        let Some(standing) = self.metrics.standing.load_full() else { return Ok(()) };
        let help = "The rulebook whose limits are in force: the first that had them.";
        tell.info("tarim_exposure_limits", help, &standing.schemes)?;
        for (name, help, value) in [
            ("tarim_exposure_sequence", "Number of the last operation.", standing.sequence),
            ("tarim_exposures", "Exposures in the ledger, closed ones too.", standing.exposures),
            ("tarim_exposure_counters", "Counters of limits.", standing.counters),
        ] {
            tell.gauge(name, help, None, value as f64)?;
        }
        let help = "Counters above a line, of limits in force.";
        let mut family = tell.family("tarim_exposure_counters_above", help, None, MetricType::Gauge)?;
        for (line, value) in [("warning", standing.above_warning), ("hard", standing.above_hard)] {
            family.encode_family(&[("line", line)])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn writing(&self, tell: &mut Tell<'_>) -> fmt::Result {
        let Some(ledger) = self.opened() else { return Ok(()) };
        let stats = ledger.stats();
        let help = "1 while the ledger takes operations.";
        tell.gauge("tarim_exposure_open", help, None, f64::from(u8::from(ledger.is_open())))?;
        let help = "Operations that wait to be durable.";
        tell.gauge("tarim_exposure_queue", help, None, stats.queued() as f64)?;
        let help = "For how long the group that is being written has been so; 0 when none is.";
        tell.gauge("tarim_exposure_lag", help, Some(Unit::Seconds), stats.lag().as_secs_f64())?;
        let help = "Operations that were written and synced together.";
        let mut family = tell.family("tarim_exposure_group_operations", help, None, MetricType::Histogram)?;
        histogram(&mut family, &Totals::of([&stats.groups], 1.0))?;
        let help = "Time to do, write and sync one group.";
        let mut family =
            tell.family("tarim_exposure_sync", help, Some(Unit::Seconds), MetricType::Histogram)?;
        histogram(&mut family, &Totals::of([&stats.commits], 1e-9))
    }
}
