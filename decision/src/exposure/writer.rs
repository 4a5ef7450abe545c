//! The ledger's thread: it takes what is queued, syncs once, and answers; and between two groups does what is due.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    core::Core,
    error::LedgerError,
    ledger::Config,
    machine::Machine,
    operation::{Adopt, Answer, Operation, Prepared, Tick},
    scheme::SchemeSet,
    snapshot,
};
use crate::journal::Stats;

/// Is told what became of an operation, on the ledger's thread: it must not wait.
pub type Done<T> = Box<dyn FnOnce(Result<T, LedgerError>) + Send>;

/// Looks at the ledger between two groups, or is told why it cannot.
pub type Look = Box<dyn FnOnce(Result<&Core, LedgerError>) + Send>;

/// What the thread is asked.
pub enum Order {
    Do(Box<Prepared>, Done<Answer>),
    Ask(Look),
    Adopt(Arc<SchemeSet>, Done<Answer>),
    Snapshot(Done<u64>),
    Close,
}

impl Order {
    pub fn refuse(self, e: LedgerError) {
        match self {
            Order::Do(_, done) | Order::Adopt(_, done) => done(Err(e)),
            Order::Snapshot(done) => done(Err(e)),
            Order::Ask(look) => look(Err(e)),
            Order::Close => {}
        }
    }
}

/// Most operations of one group.
const GROUP_MAX: usize = 1024;
/// So many exposures are counted anew between two groups.
const COUNT: u32 = 2048;
/// Longest that is waited for others to join a group.
const PAUSE_MAX: Duration = Duration::from_micros(250);
/// The longest that the thread sleeps.
const NAP: Duration = Duration::from_secs(1);

/// The ledger's thread.
pub struct Writer {
    machine: Machine,
    config: Config,
    open: Arc<AtomicBool>,
    /// It was told to stop.
    closing: bool,
    stats: Arc<Stats>,
    adopting: Option<(Arc<SchemeSet>, Done<Answer>)>,
    snapshot: Option<JoinHandle<()>>,
    /// The last operation in a snapshot, or in one that is being written.
    snapshot_at: u64,
    /// How long others are waited for to join a group.
    pause: Duration,
}

impl Writer {
    pub fn new(machine: Machine, config: Config, open: Arc<AtomicBool>, stats: Arc<Stats>) -> Self {
        let snapshot_at = machine.core().sequence();
        Self {
            machine,
            config,
            open,
            closing: false,
            stats,
            adopting: None,
            snapshot: None,
            snapshot_at,
            pause: Duration::ZERO,
        }
    }

    pub fn run(&mut self, orders: &mpsc::Receiver<Order>) -> Result<(), LedgerError> {
        let ended = self.work(orders);
        self.open.store(false, Ordering::Release);
        if let Err(e) = &ended {
            tracing::error!("the exposure ledger takes nothing more: {e}");
        }
        if let Some((_, done)) = self.adopting.take() {
            done(Err(ended
                .clone()
                .err()
                .unwrap_or_else(|| LedgerError::Closed("the service is shutting down".into()))));
        }
        // Where the last thing failed, whoever closes waits for the end.
        if let (Err(e), false) = (&ended, self.closing) {
            // Whoever hands something over is told, until nobody can any more.
            let mut orders = orders.iter().take_while(|order| !matches!(order, Order::Close));
            orders.by_ref().for_each(|order| order.refuse(e.clone()));
        }
        if let Some(thread) = self.snapshot.take() {
            let _ = thread.join();
        }
        ended
    }

    fn work(&mut self, orders: &mpsc::Receiver<Order>) -> Result<(), LedgerError> {
        loop {
            let mut group = Vec::new();
            let mut others = Vec::new();
            let mut next = self.wait(orders);
            if !self.pause.is_zero() && matches!(next, Ok(Order::Do(..))) {
                std::thread::sleep(self.pause);
            }
            let more = loop {
                match next {
                    Ok(Order::Do(prepared, done)) => group.push((prepared, done)),
                    Ok(Order::Close) | Err(RecvTimeoutError::Disconnected) => {
                        self.closing = true;
                        break false;
                    }
                    Ok(other) => others.push(other),
                    Err(RecvTimeoutError::Timeout) => break true,
                }
                if group.len() + others.len() >= GROUP_MAX {
                    break true;
                }
                next = orders.try_recv().map_err(|e| match e {
                    mpsc::TryRecvError::Empty => RecvTimeoutError::Timeout,
                    mpsc::TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                });
            };
            let (count, since) = (group.len(), Instant::now());
            let written = self.write(group);
            // As the journal does: where several share a sync more would, had it waited for them.
            self.pause = if count > 1 { since.elapsed().min(PAUSE_MAX) } else { Duration::ZERO };
            if let Err(e) = written {
                others.into_iter().for_each(|other| other.refuse(e.clone()));
                return Err(e);
            }
            others.into_iter().for_each(|other| self.other(other));
            self.count()?;
            self.snapshot_if_due();
            if !more {
                return self.machine.close();
            }
        }
    }

    fn wait(&self, orders: &mpsc::Receiver<Order>) -> Result<Order, RecvTimeoutError> {
        if self.adopting.is_some() {
            return orders.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
        let now_us = (self.config.clock)();
        let due = self.machine.core().next_expiry_us().map(|due| (due - now_us).max(0) as u64);
        orders.recv_timeout(due.map_or(NAP, |us| NAP.min(Duration::from_micros(us))))
    }

    /// Does a group, after what has expired.
    fn write(&mut self, group: Vec<(Box<Prepared>, Done<Answer>)>) -> Result<(), LedgerError> {
        let now_us = (self.config.clock)();
        let due = self.machine.core().is_due(now_us);
        if !due && group.is_empty() {
            return Ok(());
        }
        let tick = due.then(|| Prepared::new(Operation::Tick(Tick {})));
        let operations = tick.iter().chain(group.iter().map(|(prepared, _)| &**prepared));
        let since = self.stats.writing();
        let written = self.machine.commit(operations, now_us);
        self.stats.written(since, group.len(), written.is_ok().then_some(0));
        match written {
            Ok(answers) => {
                let answers = answers.into_iter().skip(usize::from(due));
                for ((_, done), answer) in group.into_iter().zip(answers) {
                    done(answer.map_err(LedgerError::Refused));
                }
                Ok(())
            }
            Err(e) => {
                group.into_iter().for_each(|(_, done)| done(Err(e.clone())));
                Err(e)
            }
        }
    }

    fn other(&mut self, order: Order) {
        match order {
            Order::Ask(look) => look(Ok(self.machine.core())),
            Order::Adopt(schemes, done) => {
                if let Some((_, done)) = self.adopting.take() {
                    done(Err(LedgerError::Closed("other schemes were adopted meanwhile".into())));
                }
                if **self.machine.core().schemes() == *schemes {
                    // A service that starts says what it has always said.
                    let sequence = self.machine.core().sequence();
                    return done(Ok(Answer { sequence, ..Answer::default() }));
                }
                self.machine.core_mut().begin_recount(schemes.clone());
                self.adopting = Some((schemes, done));
            }
            Order::Snapshot(done) => self.snapshot(done),
            Order::Do(..) | Order::Close => unreachable!("they are not among the others"),
        }
    }

    /// Counts some more, and adopts when all is counted.
    fn count(&mut self) -> Result<(), LedgerError> {
        if self.adopting.is_none() || !self.machine.core_mut().advance_recount(COUNT) {
            return Ok(());
        }
        let Some((schemes, done)) = self.adopting.take() else { return Ok(()) };
        let adopt = Prepared::new(Operation::Adopt(Adopt { schemes: Some((*schemes).clone()) }));
        match self.machine.commit(std::iter::once(&adopt), (self.config.clock)()) {
            Ok(mut answers) => {
                done(answers.remove(0).map_err(LedgerError::Refused));
                Ok(())
            }
            Err(e) => {
                done(Err(e.clone()));
                Err(e)
            }
        }
    }

    fn snapshot_if_due(&mut self) {
        let every = self.config.snapshot_every;
        if every > 0 && self.machine.core().sequence() >= self.snapshot_at + every {
            self.snapshot(Box::new(|written| {
                if let Err(e) = written {
                    tracing::error!("no snapshot of the exposure ledger was written: {e}");
                }
            }));
        }
    }

    /// Hands a copy to a thread of its own; one at a time.
    fn snapshot(&mut self, done: Done<u64>) {
        if self.snapshot.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return done(Err(LedgerError::Busy));
        }
        self.snapshot_at = self.machine.core().sequence();
        let (core, disk, keep) =
            (self.machine.core().clone(), self.machine.disk().clone(), self.config.snapshots);
        let thread = std::thread::Builder::new().name("exposure-snapshot".into());
        let write = move || {
            let written = snapshot::write(&*disk, &core);
            drop(core);
            done(written.and_then(|number| snapshot::thin(&*disk, keep).map(|()| number)));
        };
        match thread.spawn(write) {
            Ok(thread) => self.snapshot = Some(thread),
            // `done` went with it: whoever waits is told that nobody answers.
            Err(e) => tracing::error!("cannot start the thread that writes a snapshot: {e}"),
        }
    }
}
