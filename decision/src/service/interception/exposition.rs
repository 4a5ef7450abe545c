//! What is told of control points to Prometheus.

use std::fmt;

use prometheus_client::{metrics::MetricType, registry::Unit};

use super::{Metrics, metrics::PointCall};
use crate::{
    metrics::Totals,
    outcome::{Clearance, Stage},
    service::exposition::{Tell, counter, histogram},
};

impl Metrics {
    pub fn expose(&self, tell: &mut Tell<'_>) -> fmt::Result {
        let help = "Interceptions that were made and are durable, by control point and verdict.";
        let mut family = tell.family("tarim_interceptions", help, None, MetricType::Counter)?;
        for point in Stage::POINTS {
            for clearance in Clearance::ALL {
                let labels = [("point", point.to_string()), ("verdict", clearance.to_string())];
                counter(&mut family, &labels, self.interceptions(point, clearance))?;
            }
        }
        let help = "Blocking reasons that officers overrode, by control point.";
        let mut family = tell.family("tarim_overrides", help, None, MetricType::Counter)?;
        for point in Stage::POINTS {
            counter(&mut family, &[("point", point.to_string())], self.overrides(point))?;
        }
        let help = "Time of a call at a control point, from its arrival to its answer.";
        let mut family = tell.family("tarim_point_call", help, Some(Unit::Seconds), MetricType::Histogram)?;
        for call in PointCall::ALL {
            let totals = Totals::of([self.times(call)], 1e-9);
            histogram(&mut family.encode_family(&[("call", call.name())])?, &totals)?;
        }
        Ok(())
    }
}
