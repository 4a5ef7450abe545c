//! What is counted at control points. Rules are counted with those of decisions.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::outcome::{Clearance, Stage};

/// Counters of control points.
#[derive(Default)]
pub struct Metrics {
    intercepted: [[AtomicU64; Clearance::ALL.len()]; Stage::POINTS.len()],
    /// By point and rule. Rules are those of rulebooks: their number is bounded.
    overridden: Mutex<BTreeMap<(Stage, String), u64>>,
}

impl Metrics {
    /// An interception is durable.
    pub fn intercepted(&self, point: Stage, clearance: Clearance) {
        self.of(point, clearance).fetch_add(1, Ordering::Relaxed);
    }

    /// Overrides are durable.
    pub fn overridden(&self, point: Option<Stage>, rules: Vec<String>) {
        let mut all = self.overridden.lock().expect("not poisoned");
        for rule in rules {
            point.into_iter().for_each(|point| *all.entry((point, rule.clone())).or_default() += 1);
        }
    }

    pub fn interceptions(&self, point: Stage, clearance: Clearance) -> u64 {
        self.of(point, clearance).load(Ordering::Relaxed)
    }

    pub fn overrides(&self) -> BTreeMap<(Stage, String), u64> {
        self.overridden.lock().expect("not poisoned").clone()
    }

    fn of(&self, point: Stage, clearance: Clearance) -> &AtomicU64 {
        &self.intercepted[point as usize - Stage::ALL.len()][clearance as usize]
    }
}
