//! The ledger's thread: it takes what is queued, does it, hands it to whoever writes it ([`super::syncer`]), and between two groups
//! does what is due. It waits for the disk only where so many groups are on their way there that no more are taken.
//!
//! ```text
//!  do  ─► apply ──────────────────────────► syncer ═ durable ─► answer
//!  peek ─► the core in memory ─► answer        ║
//!  ask ─► a copy of the core ─────────────► syncer ═ durable ─► answer        (at once if all is durable)
//! ```
//!
//! - **Who asks** is told what is durable: people, and events that are put out. What they read no power cut takes back.
//! - **Who peeks**, or glances, is told what is in memory, at once: decisions. If the process dies before the sync, a decision was made and
//!   journaled with room, or want of room, that never came to be. That is harmless, since to look takes nothing and promises nothing:
//!   whatever was looked at may have changed a moment later anyway. The reservation (or draw) that follows is the check that
//!   counts, it is durable before it is answered, and it stands behind everything that was seen in the same log. A replay
//!   judges by what is in the journal, whatever became of the ledger.

use std::{
    sync::{
        Arc, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    core::Core,
    error::LedgerError,
    ledger::Config,
    machine::{Group, Machine, apply},
    operation::{Adopt, Answer, Operation, Prepared, Tick},
    scheme::SchemeSet,
    snapshot,
    syncer::Syncer,
};
use crate::journal::{Disk, Stats};

/// Is told what became of an operation, on the ledger's thread: it must not wait.
pub type Done<T> = Box<dyn FnOnce(Result<T, LedgerError>) + Send>;

/// Looks at the ledger, or is told why it cannot.
pub type Look = Box<dyn FnOnce(Result<&Core, LedgerError>) + Send>;

/// What the thread is asked.
pub enum Order {
    Do(Box<Prepared>, Done<Answer>),
    /// Looks at what is durable.
    Ask(Look),
    /// Looks at what is in memory.
    Peek(Look),
    Adopt(Arc<SchemeSet>, Done<Answer>),
    Snapshot(Done<u64>),
    Close,
}

impl Order {
    pub fn refuse(self, e: LedgerError) {
        match self {
            Order::Do(_, done) | Order::Adopt(_, done) => done(Err(e)),
            Order::Snapshot(done) => done(Err(e)),
            Order::Ask(look) | Order::Peek(look) => look(Err(e)),
            Order::Close => {}
        }
    }
}

/// Most operations of one group.
const GROUP_MAX: usize = 1024;
/// So many exposures are counted anew between two groups.
const COUNT: u32 = 2048;
const DAY_US: i64 = 24 * 3600 * 1_000_000;
/// The longest that the thread sleeps.
const NAP: Duration = Duration::from_secs(1);

/// When it goes, the ledger is closed.
struct Closes(Arc<AtomicBool>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The ledger's thread.
pub struct Writer {
    disk: Arc<dyn Disk>,
    /// Only this thread changes it. Others glance at it between two changes, which nobody waits for long.
    core: Arc<RwLock<Core>>,
    /// None: it was ended.
    syncer: Option<Syncer>,
    config: Config,
    open: Arc<AtomicBool>,
    stats: Arc<Stats>,
    adopting: Option<(Arc<SchemeSet>, Done<Answer>)>,
    snapshot: Option<JoinHandle<()>>,
    /// The last operation in a snapshot, or in one that is being written.
    snapshot_at: u64,
    /// Day on which it was last asked whether keys are to be dropped.
    asked: i64,
    /// It was told to end.
    closing: bool,
}

impl Writer {
    /// Starts the thread that writes, too.
    pub fn new(
        machine: Machine,
        config: Config,
        open: Arc<AtomicBool>,
        stats: Arc<Stats>,
    ) -> std::io::Result<Self> {
        let (disk, mut core, log) = machine.split();
        core.keep_keys(
            config.keys_kept.map_or(i64::MAX, |kept| kept.as_micros().try_into().unwrap_or(i64::MAX)),
        );
        let (snapshot_at, syncer) = (core.sequence(), Some(Syncer::start(log, stats.clone(), open.clone())?));
        let core = Arc::new(RwLock::new(core));
        let (adopting, snapshot, asked, closing) = (None, None, i64::MIN, false);
        Ok(Self { disk, core, syncer, config, open, stats, adopting, snapshot, snapshot_at, asked, closing })
    }

    /// What others glance at.
    pub fn shared(&self) -> Arc<RwLock<Core>> {
        self.core.clone()
    }

    fn core(&self) -> RwLockReadGuard<'_, Core> {
        self.core.read().expect("whoever changes it is this thread, and it runs")
    }

    fn change<T>(&self, change: impl FnOnce(&mut Core) -> T) -> T {
        change(&mut self.core.write().expect("whoever changes it is this thread, and it runs"))
    }

    pub fn run(&mut self, orders: &mpsc::Receiver<Order>) -> Result<(), LedgerError> {
        // However it ends, a panic too: nobody glances at what nothing changes any more.
        let _closes = Closes(self.open.clone());
        let ended = self.work(orders);
        // Whoever waits for the disk is told before those that come after.
        let written = self.syncer.take().map_or(Ok(()), Syncer::end);
        let ended = ended.and(written);
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
        if let Err(e) = &ended {
            // Whoever hands something over is told, until nobody can any more.
            let next = || if self.closing { orders.try_recv().ok() } else { orders.recv().ok() };
            let mut orders = std::iter::from_fn(next).take_while(|order| !matches!(order, Order::Close));
            orders.by_ref().for_each(|order| {
                self.stats.withdrawn(usize::from(matches!(order, Order::Do(..))));
                order.refuse(e.clone());
            });
        }
        if let Some(thread) = self.snapshot.take() {
            let _ = thread.join();
        }
        ended
    }

    fn work(&mut self, orders: &mpsc::Receiver<Order>) -> Result<(), LedgerError> {
        loop {
            let (mut group, mut peeks, mut others) = (Vec::new(), Vec::new(), Vec::new());
            let mut next = self.wait(orders);
            let more = loop {
                match next {
                    Ok(Order::Do(prepared, done)) => group.push((prepared, done)),
                    Ok(Order::Peek(look)) => peeks.push(look),
                    Ok(Order::Close) | Err(RecvTimeoutError::Disconnected) => break false,
                    Ok(other) => others.push(other),
                    Err(RecvTimeoutError::Timeout) => break true,
                }
                if group.len() + peeks.len() + others.len() >= GROUP_MAX {
                    break true;
                }
                next = orders.try_recv().map_err(|e| match e {
                    mpsc::TryRecvError::Empty => RecvTimeoutError::Timeout,
                    mpsc::TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                });
            };
            let written = self.write(group);
            self.closing |= !more;
            if let Err(e) = written {
                peeks.into_iter().for_each(|look| look(Err(e.clone())));
                others.into_iter().for_each(|other| other.refuse(e.clone()));
                return Err(e);
            }
            if !(peeks.is_empty() && others.is_empty()) {
                // Whoever looks sees the limits that are in force now, not those of the last operation.
                let now_us = (self.config.clock)();
                self.change(|core| core.tell_time(now_us));
            }
            peeks.into_iter().for_each(|look| look(Ok(&self.core())));
            for other in others {
                self.other(other)?;
            }
            self.count()?;
            self.drop_keys();
            self.snapshot_if_due();
            if !more {
                return Ok(());
            }
        }
    }

    fn syncer(&self) -> &Syncer {
        self.syncer.as_ref().expect("it is ended last")
    }

    fn wait(&self, orders: &mpsc::Receiver<Order>) -> Result<Order, RecvTimeoutError> {
        if self.adopting.is_some() || self.core().is_thinning() {
            return orders.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
        let now_us = (self.config.clock)();
        let due = self.core().next_expiry_us().map(|due| (due - now_us).max(0) as u64);
        orders.recv_timeout(due.map_or(NAP, |us| NAP.min(Duration::from_micros(us))))
    }

    /// Does a group, after what has expired.
    fn write(&mut self, group: Vec<(Box<Prepared>, Done<Answer>)>) -> Result<(), LedgerError> {
        let now_us = (self.config.clock)();
        let due = self.core().is_due(now_us);
        if !due && group.is_empty() {
            return self.syncer().check();
        }
        let tick = due.then(|| Prepared::new(Operation::Tick(Tick {})));
        let operations = tick.iter().chain(group.iter().map(|(prepared, _)| &**prepared));
        let done = self.change(|core| apply(core, operations, now_us));
        let asked = group.len();
        self.syncer().put(done, group.into_iter().map(|(_, done)| done).collect(), asked)
    }

    fn other(&mut self, order: Order) -> Result<(), LedgerError> {
        match order {
            Order::Ask(look) => return self.syncer().look(&self.core(), look),
            Order::Adopt(schemes, done) => {
                if let Some((_, done)) = self.adopting.take() {
                    done(Err(LedgerError::Closed("other schemes were adopted meanwhile".into())));
                }
                if **self.core().schemes() == *schemes {
                    // A service that starts says what it has always said.
                    let sequence = self.core().sequence();
                    let answer = Group::answered(Answer { sequence, ..Answer::default() });
                    return self.syncer().put(answer, vec![done], 0);
                }
                self.change(|core| core.begin_recount(schemes.clone()));
                self.adopting = Some((schemes, done));
            }
            Order::Snapshot(done) => self.snapshot(done),
            Order::Do(..) | Order::Peek(_) | Order::Close => unreachable!("they are not among the others"),
        }
        Ok(())
    }

    /// Counts some more, and adopts when all is counted.
    fn count(&mut self) -> Result<(), LedgerError> {
        if self.adopting.is_none() || !self.change(|core| core.advance_recount(COUNT)) {
            return Ok(());
        }
        let Some((schemes, done)) = self.adopting.take() else { return Ok(()) };
        let adopt = Prepared::new(Operation::Adopt(Adopt { schemes: Some((*schemes).clone()) }));
        let now_us = (self.config.clock)();
        let adopted = self.change(|core| apply(core, std::iter::once(&adopt), now_us));
        self.syncer().put(adopted, vec![done], 0)
    }

    /// Once a day it is asked whether there is enough of them; then some go between two groups.
    fn drop_keys(&mut self) {
        let day = self.core().now_us().div_euclid(DAY_US);
        if self.core().is_thinning() {
            self.change(Core::advance_thinning);
        } else if std::mem::replace(&mut self.asked, day) != day && self.core().has_keys_to_drop() {
            self.change(Core::begin_thinning);
        }
    }

    fn snapshot_if_due(&mut self) {
        let every = self.config.snapshot_every;
        if every > 0 && self.core().sequence() >= self.snapshot_at + every {
            self.snapshot(Box::new(|written| {
                if let Err(e) = written {
                    tracing::error!("no snapshot of the exposure ledger was written: {e}");
                }
            }));
        }
    }

    /// Hands a copy to a thread of its own; one at a time. It is written once what is in it is durable.
    fn snapshot(&mut self, done: Done<u64>) {
        if self.snapshot.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return done(Err(LedgerError::Busy));
        }
        let core = self.core().clone();
        self.snapshot_at = core.sequence();
        let (disk, keep) = (self.disk.clone(), self.config.snapshots);
        let durable = self.syncer().flush();
        let thread = std::thread::Builder::new().name("exposure-snapshot".into());
        let write = move || {
            let ended = || Err(LedgerError::Closed("the thread that writes has ended".into()));
            let durable = durable.recv().unwrap_or_else(|_| ended());
            let written = durable.and_then(|()| snapshot::write(&*disk, &core));
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
