//! What is told of control points to Prometheus.

use std::fmt;

use prometheus_client::metrics::MetricType;

use super::Metrics;
use crate::{
    outcome::{Clearance, Stage},
    service::exposition::{Tell, counter},
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
        Ok(())
    }
}
