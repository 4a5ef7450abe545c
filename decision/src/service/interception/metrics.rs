//! What is counted at control points, and the time that calls take. Rules are counted with those of decisions.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    metrics::Times,
    outcome::{Clearance, Stage},
};

/// A call at a control point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointCall {
    Intercept,
    Override,
}

impl PointCall {
    /// In the order of their counters.
    pub const ALL: [Self; 2] = [Self::Intercept, Self::Override];

    /// By its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intercept => "Intercept",
            Self::Override => "Override",
        }
    }
}

/// Counters of control points.
#[derive(Default)]
pub struct Metrics {
    intercepted: [[AtomicU64; Clearance::ALL.len()]; Stage::POINTS.len()],
    overridden: [AtomicU64; Stage::POINTS.len()],
    times: [Times; PointCall::ALL.len()],
}

impl Metrics {
    /// From a call's arrival to its answer, whatever that is.
    pub fn times(&self, call: PointCall) -> &Times {
        &self.times[call as usize]
    }

    /// An interception is durable.
    pub fn intercepted(&self, point: Stage, clearance: Clearance) {
        self.of(point, clearance).fetch_add(1, Ordering::Relaxed);
    }

    /// Overrides are durable.
    pub fn overridden(&self, point: Stage, reasons: u64) {
        self.overridden[place(point)].fetch_add(reasons, Ordering::Relaxed);
    }

    pub fn interceptions(&self, point: Stage, clearance: Clearance) -> u64 {
        self.of(point, clearance).load(Ordering::Relaxed)
    }

    pub fn overrides(&self, point: Stage) -> u64 {
        self.overridden[place(point)].load(Ordering::Relaxed)
    }

    fn of(&self, point: Stage, clearance: Clearance) -> &AtomicU64 {
        &self.intercepted[place(point)][clearance as usize]
    }
}

/// Of a control point among them.
fn place(point: Stage) -> usize {
    point as usize - Stage::ALL.len()
}
