//! The ledger as the service has it: callers on any thread, one thread that owns the core and its log.
//!
//! ```text
//!  caller ─► submit ─┐                       ┌─ apply ─┐     ┌─ one write, one sync ─┐
//!  caller ─► submit ─┼─► queue, bounded ───► │         │ ──► │  of all that was      │ ─► answers
//!  caller ─► ask ────┤      full: Busy       └─────────┘     └─ done meanwhile       ┘    and what is asked, of what is durable
//!  caller ─► peek ───┘                          └─► what is in memory, at once
//!  caller ─► glance ──────────────────────────────► the same, if nothing is being changed, on the caller's own thread
//!                                               between groups: what expired, some of a re-count, keys that nobody needs,
//!                                               a copy for the snapshot thread
//! ```
//!
//! - **What was answered is there.** An answer is given after the sync. If a write fails, everything waiting is told so and
//!   nothing more is taken.
//! - **Its folder** has `<first>.segment` files, the log from the first operation on, `<number>.snapshot` files, and a note of the
//!   decision journal ([`JournalNote`]). Segments
//!   whose records are all in the oldest snapshot that is kept may be moved to an archive: opening does not read them.
//!   [`Ledger::as_of`] needs them back for a time before that snapshot.

use std::{
    fs::File,
    path::Path,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
        mpsc::{self, TrySendError},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    core::Core,
    error::LedgerError,
    machine::{self, Machine},
    note::{self, JournalNote},
    operation::{Answer, Operation, Prepared, Refusal},
    scheme::SchemeSet,
    writer::{Done, Order, Writer},
};
use crate::journal::{Disk, Folder, JournalError, Stats};

/// Microseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// 400 days: whoever repeats what it asked a year ago still learns what became of it.
pub const KEYS_KEPT: Duration = Duration::from_hours(400 * 24);

/// How a ledger is kept.
#[derive(Clone)]
pub struct Config {
    /// What time it is.
    pub clock: Clock,
    /// Most operations that wait, those too that the disk is being waited for.
    pub queue: usize,
    /// A segment that has reached this length is followed by another.
    pub segment_bytes: u64,
    /// A snapshot is written after so many operations. 0: only when it is asked for.
    pub snapshot_every: u64,
    /// So many snapshots are kept.
    pub snapshots: usize,
    /// For so long, of the ledger's time, it is known what was done to an exposure that was closed; then it is gone. None: for ever.
    pub keys_kept: Option<Duration>,
}

impl Config {
    /// As the service keeps it.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            queue: 4096,
            segment_bytes: 64 << 20,
            snapshot_every: 1_000_000,
            snapshots: 3,
            keys_kept: Some(KEYS_KEPT),
        }
    }
}

/// A ledger that is open. One per folder.
pub struct Ledger {
    orders: mpsc::SyncSender<Order>,
    core: Arc<RwLock<Core>>,
    clock: Clock,
    /// The latest time of a glance.
    glanced_us: AtomicI64,
    disk: Arc<dyn Disk>,
    open: Arc<AtomicBool>,
    stats: Arc<Stats>,
    queue: u64,
    writer: Mutex<Option<JoinHandle<Result<(), LedgerError>>>>,
    /// Held as long as the ledger is open.
    _lock: Option<File>,
}

impl Ledger {
    /// Opens the ledger of a folder, which is created if it is not there. The first thing that a new one needs is
    /// [`Ledger::adopt`].
    pub fn open(folder: &Path, config: Config) -> Result<Self, LedgerError> {
        std::fs::create_dir_all(folder).map_err(LedgerError::io("create", folder.into()))?;
        let file = folder.join("lock");
        let lock = File::create(&file).map_err(LedgerError::io("create", file.clone()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(JournalError::InUse { folder: folder.into() }.into());
            }
            Err(std::fs::TryLockError::Error(e)) => return Err(LedgerError::io("lock", file)(e)),
        }
        let mut ledger = Self::open_on(Arc::new(Folder::new(folder)), config)?;
        ledger._lock = Some(lock);
        Ok(ledger)
    }

    /// As [`Ledger::open`], on any disk. Whoever calls sees to it that nobody else writes there.
    pub fn open_on(disk: Arc<dyn Disk>, config: Config) -> Result<Self, LedgerError> {
        let machine = Machine::open(disk.clone(), config.segment_bytes)?;
        let (orders, taken) = mpsc::sync_channel(config.queue.max(1));
        let open = Arc::new(AtomicBool::new(true));
        let stats = Arc::new(Stats::new());
        let queue = config.queue.max(1) as u64;
        let clock = config.clock.clone();
        let writer = Writer::new(machine, config, open.clone(), stats.clone());
        let mut writer = writer.map_err(LedgerError::io("start the writer of", disk.path("")))?;
        let core = writer.shared();
        let thread = std::thread::Builder::new().name("exposure".into());
        let writer = thread
            .spawn(move || writer.run(&taken))
            .map_err(LedgerError::io("start the writer of", disk.path("")))?;
        let (writer, glanced_us) = (Mutex::new(Some(writer)), AtomicI64::new(i64::MIN));
        Ok(Self { orders, core, clock, glanced_us, disk, open, stats, queue, writer, _lock: None })
    }

    /// Hands an operation over and returns at once. `done` is told once it is durable, or why it was not done. Refused
    /// at once with [`LedgerError::Busy`] if too much waits. (When the ledger is being closed `done` may be dropped uncalled.)
    pub fn submit(
        &self,
        prepared: Prepared,
        done: impl FnOnce(Result<Answer, LedgerError>) + Send + 'static,
    ) {
        let invalid = |what: &str| Err(LedgerError::Refused(Refusal::Invalid(what.into())));
        if !machine::fits(&prepared) {
            return done(invalid("it is too long"));
        }
        match prepared.operation() {
            Operation::Adopt(adopt) => match adopt.schemes.clone() {
                Some(schemes) => self.send(Order::Adopt(Arc::new(schemes), Box::new(done))),
                // No schemes are not schemes without limits.
                None => done(invalid("there are no schemes to adopt")),
            },
            _ => self.send(Order::Do(Box::new(prepared), Box::new(done))),
        }
    }

    /// As [`Ledger::submit`], and waits: not for an async thread.
    pub fn call(&self, operation: Operation) -> Result<Answer, LedgerError> {
        wait(|done| self.submit(Prepared::new(operation), done))
    }

    /// Counts by other schemes: beside, while it goes on, and then at once. Waits for it. Told are counters over their
    /// hard line: nothing more is taken of them until they are below.
    pub fn adopt(&self, schemes: Arc<SchemeSet>) -> Result<Answer, LedgerError> {
        wait(|done| self.send(Order::Adopt(schemes, Box::new(done))))
    }

    /// Writes a snapshot while it goes on. Waits for it; gives the number of the last operation in it.
    pub fn snapshot(&self) -> Result<u64, LedgerError> {
        wait(|done| self.send(Order::Snapshot(Box::new(done))))
    }

    /// Looks at the ledger: everything there is durable. Keep it short, operations wait meanwhile; for more take a
    /// [`Ledger::view`]. Waits for the disk if something is on its way there.
    pub fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Core) -> T + Send + 'static,
    ) -> Result<T, LedgerError> {
        wait(|done| self.send(Order::Ask(Box::new(move |core| done(core.map(look))))))
    }

    /// As [`Ledger::ask`], and returns at once.
    pub fn look(&self, look: impl FnOnce(Result<&Core, LedgerError>) + Send + 'static) {
        self.send(Order::Ask(Box::new(look)));
    }

    /// Looks at what is in memory, between two groups, and returns at once: no disk is waited for, and some of what is seen may not be
    /// durable yet. For who looks before a reservation, not for who reports (see `writer`). Keep it short.
    pub fn peek(&self, look: impl FnOnce(Result<&Core, LedgerError>) + Send + 'static) {
        self.send(Order::Peek(Box::new(look)));
    }

    /// Looks at what is in memory, on the caller's own thread, and is told what time it is. As [`Ledger::peek`], but that it is in
    /// no queue: what another caller has handed over may not be seen yet. None: the ledger is closed, or something is being
    /// changed, or has expired and must be; then peek.
    pub fn glance<T>(&self, look: impl FnOnce(&Core, i64) -> T) -> Option<T> {
        if !self.is_open() {
            return None;
        }
        let core = self.core.try_read().ok()?;
        // Time does not go back, whatever the clock does.
        let now_us = (self.clock)().max(core.now_us());
        let now_us = self.glanced_us.fetch_max(now_us, Ordering::Relaxed).max(now_us);
        (!core.is_due(now_us)).then(|| look(&core, now_us))
    }

    /// As if something were being changed for as long as what is given is held.
    #[cfg(test)]
    pub fn hold(&self) -> impl Drop + '_ {
        self.core.write().expect("its thread runs")
    }

    /// What is counted of its writing.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The ledger as it is now. It stands still: read as long as you like.
    pub fn view(&self) -> Result<Core, LedgerError> {
        self.ask(Core::clone)
    }

    /// The ledger as it was. Reads the disk; as [`Ledger::ask`] it waits for it if something is on its way there.
    pub fn as_of(&self, at_us: i64) -> Result<Core, LedgerError> {
        // What is written and not synced can be read, too.
        let durable = self.ask(Core::sequence)?;
        machine::as_of(&self.disk, at_us, durable)
    }

    /// What is remembered of the decision journal. Reads the disk.
    pub fn journal_note(&self) -> Result<JournalNote, LedgerError> {
        note::read(&*self.disk)
    }

    /// Remembers it, durable on return. What was noted later stays.
    pub fn note_journal(&self, note: JournalNote) -> Result<(), LedgerError> {
        note::write(&*self.disk, note)
    }

    /// Does it still take operations? Not after a failed write, and not after [`Ledger::close`].
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Does what waits, and stops. Gives the reason if it had failed. Later calls do nothing.
    pub fn close(&self) -> Result<(), LedgerError> {
        let Some(writer) = self.writer.lock().expect("not poisoned").take() else { return Ok(()) };
        self.open.store(false, Ordering::Release);
        // If nobody takes it the writer has ended by itself; joining tells how.
        let _ = self.orders.send(Order::Close);
        writer.join().unwrap_or_else(|_| Err(LedgerError::Closed("its thread panicked".into())))
    }

    fn send(&self, order: Order) {
        let records = usize::from(matches!(order, Order::Do(..)));
        if records > 0 && self.stats.queued() > self.queue {
            return order.refuse(LedgerError::Busy);
        }
        self.stats.submitted(records);
        let (order, why) = match self.orders.try_send(order) {
            Ok(()) => return,
            Err(TrySendError::Full(order)) => (order, LedgerError::Busy),
            Err(TrySendError::Disconnected(order)) => {
                (order, LedgerError::Closed("the service is shutting down".into()))
            }
        };
        self.stats.withdrawn(records);
        order.refuse(why);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Err(e) = self.close() {
            tracing::error!("the exposure ledger did not close in order: {e}");
        }
    }
}

/// The ledger in a folder as it was at a time; a server may be writing to it, and what it has just written may not be durable yet.
/// Changes nothing.
pub fn as_of(folder: &Path, at_us: i64) -> Result<Core, LedgerError> {
    // Of a disk that cannot be read, reading tells.
    if std::fs::metadata(folder).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        return Err(LedgerError::Absent(folder.into()));
    }
    let disk: Arc<dyn Disk> = Arc::new(Folder::new(folder));
    machine::as_of(&disk, at_us, u64::MAX)
}

fn wait<T: Send + 'static>(order: impl FnOnce(Done<T>)) -> Result<T, LedgerError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    order(Box::new(move |result| _ = sender.send(result)));
    receiver.recv().unwrap_or_else(|_| Err(LedgerError::Closed("its thread has ended".into())))
}
