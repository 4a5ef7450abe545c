//! What is counted of operations on the ledger, and how it stands.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use tonic::Code;

use super::refusal::Refusal;
use crate::{
    exposure::{self as ledger, Core},
    metrics::Times,
};

/// Kinds of operations that callers ask for, in the order of their counters.
pub const KINDS: [&str; 5] = ["Reserve", "Commit", "Repay", "Release", "FileLarge"];

/// How operations end. [`Code::Ok`]: done.
pub const CODES: [Code; 9] = [
    Code::Ok,
    Code::InvalidArgument,
    Code::FailedPrecondition,
    Code::NotFound,
    Code::AlreadyExists,
    Code::ResourceExhausted,
    Code::DeadlineExceeded,
    Code::Unavailable,
    Code::Internal,
];

/// Counters of the service.
#[derive(Default)]
pub struct Metrics {
    operations: [[AtomicU64; 17]; KINDS.len()],
    /// From an operation's arrival to its answer.
    pub times: Times,
    /// By limit.
    breaches: Mutex<BTreeMap<String, u64>>,
    /// As the ledger stood when it was last looked at.
    pub standing: ArcSwapOption<Standing>,
    /// Schemes that were adopted while serving.
    pub adoptions: AtomicU64,
    /// Customers that were put into another group, or none.
    pub regrouped: AtomicU64,
    /// Events of large exposures that were told, and that are to be; and they could not be, the last time.
    pub events_told: AtomicU64,
    pub events_waiting: AtomicU64,
    pub events_failing: AtomicBool,
    /// Something of it could not be done, the last time.
    pub failing: AtomicBool,
}

/// How a ledger stands.
pub struct Standing {
    pub sequence: u64,
    pub exposures: u64,
    pub counters: u64,
    pub above_warning: u64,
    pub above_hard: u64,
    /// The rulebook whose schemes are in force: the first that had them.
    pub schemes: String,
    pub limits: Vec<String>,
}

impl Standing {
    pub fn of(core: &Core) -> Self {
        let (above_warning, above_hard) = core.above_lines();
        Self {
            sequence: core.sequence(),
            exposures: core.exposures().into(),
            counters: core.counters().into(),
            above_warning,
            above_hard,
            schemes: core.schemes().version.clone(),
            limits: core.schemes().schemes.iter().map(|scheme| scheme.id.clone()).collect(),
        }
    }
}

impl Metrics {
    pub fn operation<T>(&self, kind: usize, ended: &Result<T, Refusal>) {
        let code = ended.as_ref().map_or_else(Refusal::code, |_| Code::Ok);
        self.operations[kind][code as usize].fetch_add(1, Ordering::Relaxed);
        if let Err(Refusal::Refused(ledger::Refusal::Breached(breaches))) = ended {
            let mut all = self.breaches.lock().expect("not poisoned");
            for breach in breaches {
                *all.entry(breach.counter.limit.clone()).or_default() += 1;
            }
        }
    }

    pub fn operations(&self, kind: usize, code: Code) -> u64 {
        self.operations[kind][code as usize].load(Ordering::Relaxed)
    }

    /// How often each limit had no room: of those in force all.
    pub fn breaches(&self) -> BTreeMap<String, u64> {
        let mut all = self.breaches.lock().expect("not poisoned").clone();
        if let Some(standing) = &*self.standing.load() {
            standing.limits.iter().for_each(|limit| _ = all.entry(limit.clone()).or_default());
        }
        all
    }
}
