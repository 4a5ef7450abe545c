//! The ledger of warnings: what was taken and what was done, on disk before anyone is told.
//!
//! ```text
//!  alerts, with their offsets ─┐           ┌ one write, one sync ┐     ┌─► View          pages, single warnings
//!  changes that are asked for ─┼─► queue ─►│ Lifecycle, then Log │ ──► ├─► OpenWarnings  read without a lock
//!  what was sent, ticks ───────┘           └─────────────────────┘     ├─► News ─► topic of what stands
//!                                             └─ Stage, Delivery       ├─► Inbox         what was pushed, page by page
//!                                                                      └─► Outbox ─► topic of changes, topic of pushes
//! ```
//!
//! One thread applies what is queued, writes it, syncs once, shows it to readers and tells everyone: so what readers see, and
//! what was answered, is on disk. At open the log is read, behind its snapshot if there is one, and a torn tail cut off; anything
//! else that cannot be read is an error that names the byte ([`frame`] says how the two are told apart).
//!
//! - **Alerts once**: the offset up to which a topic was read stands in the record of its alerts; an alert that comes twice all
//!   the same is known by its id and not written again.
//! - **Changes and pushes at least once**: they are in their outbox until a record says that they are on their topic.
//! - **Pushes are decided once**: how an alert goes to its reader stands in the alert's record, and a digest or an escalation
//!   is a record of its own. So a restart neither loses nor doubles one. Alerts of before pushes were wanted have no such
//!   word, and are not pushed.
//!
//! In memory is what is looked up and counted, of all warnings, also those that are closed; and where in the log their alerts
//! stand ([`bodies`]). What an alert says is read from there when somebody asks. Pushes leave memory after a time.
//! A [snapshot](snapshot) of what is in memory is written now and then and at the end, so that opening reads the log from there.
//!
//! Another process can [`follow`] the file, without a server; [`Ledger::heard`] tells it that there is somebody who writes.

mod bodies;
pub(crate) mod books;
mod entry;
mod error;
mod fields;
mod follow;
mod frame;
mod heard;
mod inbox;
mod log;
mod news;
mod open;
mod open_warnings;
mod outbox;
mod snapshot;
#[cfg(test)]
mod tests;
mod view;
mod writer;

use std::{
    fs::File,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering, mpsc},
    thread::JoinHandle,
};

pub(crate) use self::bodies::InMemory;
pub use self::{
    bodies::Bodies,
    books::Taken,
    error::LedgerError,
    follow::{Following, follow},
    inbox::{Inbox, PushFilter, PushPage},
    news::News,
    open::{Opening, Position, Pushing},
    open_warnings::{OpenWarnings, Standing, Stands},
    outbox::{Change, Outbox, Unsent},
    view::{Filter, Page, View},
    writer::{ChangeAnswer, Ended, Failure},
};
use self::{
    books::Books,
    heard::Heard,
    log::Log,
    open::read,
    snapshot::Keeper,
    writer::{Order, Shared},
};
use crate::{
    delivery::{Managers, Push, Stage},
    lifecycle::{NewAlert, NewChange},
};

/// A ledger that is open. One per folder.
pub struct Ledger {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    writer: Mutex<Option<JoinHandle<Ended>>>,
    heard: Heard,
    /// Held as long as the ledger is open.
    _lock: File,
}

impl Ledger {
    /// Opens the ledger of a folder, which is created if it is not there. Nothing new is pushed.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        Self::open_with(folder, Opening::default())
    }

    /// As [`Ledger::open`], and alerts are pushed from now on. What was due meanwhile comes with the first order.
    pub fn open_pushing(folder: &Path, pushing: Pushing) -> Result<Self, LedgerError> {
        let clock = pushing.clock.clone();
        Self::open_with(folder, Opening { pushing: Some(pushing), clock, ..Opening::default() })
    }

    /// Opens the ledger of a folder, which is created if it is not there: reads its snapshot, and the
    /// records behind it.
    pub fn open_with(folder: &Path, opening: Opening) -> Result<Self, LedgerError> {
        std::fs::create_dir_all(folder).map_err(LedgerError::io("create", folder.into()))?;
        let file = folder.join("warnings.lock");
        let lock = File::create(&file).map_err(LedgerError::io("create", file.clone()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(LedgerError::InUse { folder: folder.into() });
            }
            Err(std::fs::TryLockError::Error(e)) => return Err(LedgerError::io("lock", file)(e)),
        }
        // Those who follow hear of nothing until all is read.
        let heard = Heard::open(folder).map_err(LedgerError::io("create a file in", folder.into()))?;
        let (log, books, shared, snapshot) = read(folder, &opening)?;
        let keeper = Keeper::new(&log, shared.view.file().clone(), &opening, snapshot);
        Self::start(log, books, shared, (heard, lock, keeper), opening)
    }

    fn start(
        log: Log,
        mut books: Books,
        shared: Shared,
        (heard, lock, keeper): (Heard, File, Keeper),
        mut opening: Opening,
    ) -> Result<Self, LedgerError> {
        if let Some(pushing) = opening.pushing.take() {
            opening.clock = pushing.clock;
            let Books { lifecycle, delivery, .. } = &books;
            let stage = Stage::new(pushing.policy, pushing.managers, delivery, &lifecycle.read());
            books.stage = Some(stage);
        }
        let failed = LedgerError::io("start the writer of", log.path().into());
        let (orders, taken) = mpsc::channel();
        let shared = Arc::new(shared);
        let with = shared.clone();
        let writer = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || writer::run(log, books, keeper, &opening, &with, &taken))
            .map_err(failed)?;
        Ok(Self { shared, orders, writer: Mutex::new(Some(writer)), heard, _lock: lock })
    }

    /// Hands alerts over, and how far their topic is read with them, and returns at once. `done` is called on the writer's
    /// thread once they are durable and readers see them, or never will be.
    pub fn take(
        &self,
        alerts: Vec<NewAlert>,
        at: Option<Position>,
        done: impl FnOnce(Result<Taken, Failure>) + Send + 'static,
    ) {
        let order = Order::Alerts { alerts, at, done: Box::new(done) };
        if let Err(mpsc::SendError(Order::Alerts { done, .. })) = self.orders.send(order) {
            done(Err(writer::closed()));
        }
    }

    /// As [`Ledger::take`], and waits: not for an async thread.
    pub fn take_now(&self, alerts: Vec<NewAlert>, at: Option<Position>) -> Result<Taken, Failure> {
        let (sender, receiver) = mpsc::sync_channel(1);
        // Whoever waits is there until it is told.
        self.take(alerts, at, move |taken| _ = sender.send(taken));
        receiver.recv().unwrap_or_else(|_| Err(writer::closed()))
    }

    /// Asks for a change, and returns at once. `done` is called on the writer's thread once the answer is durable.
    pub fn change(&self, change: NewChange, done: impl FnOnce(ChangeAnswer) + Send + 'static) {
        let order = Order::Change { change, done: Box::new(done) };
        if let Err(mpsc::SendError(Order::Change { done, .. })) = self.orders.send(order) {
            done(Err(writer::closed()));
        }
    }

    /// Notes that all changes up to this one are on their topic.
    pub fn sent(&self, through: u64) {
        // Of a ledger that is closed they are sent once more: that is allowed.
        let _ = self.orders.send(Order::Sent(through));
    }

    /// Notes that all pushes up to this one are on their topic.
    pub fn pushed(&self, through: u64) {
        let _ = self.orders.send(Order::Pushed(through));
    }

    /// Does what is due by the clock, and returns at once. `done` is called on the writer's thread once it is durable.
    pub fn tick(&self, done: impl FnOnce(Result<(), Failure>) + Send + 'static) {
        let order = Order::Tick { done: Box::new(done) };
        if let Err(mpsc::SendError(Order::Tick { done })) = self.orders.send(order) {
            done(Err(writer::closed()));
        }
    }

    /// As [`Ledger::tick`], and waits: not for an async thread.
    pub fn tick_now(&self) -> Result<(), Failure> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.tick(move |ticked| _ = sender.send(ticked));
        receiver.recv().unwrap_or_else(|_| Err(writer::closed()))
    }

    /// Other account managers, for alerts that are taken from now on.
    pub fn set_managers(&self, managers: Managers) {
        let _ = self.orders.send(Order::Managers(managers));
    }

    /// What was pushed, as it is on disk.
    pub fn inbox(&self) -> &Inbox {
        &self.shared.inbox
    }

    /// Pushes to be sent.
    pub fn pushes(&self) -> &Outbox<Arc<Push>> {
        &self.shared.pushes
    }

    /// Warnings as they are on disk.
    pub fn view(&self) -> &View {
        &self.shared.view
    }

    /// A reader of what stands against customers.
    pub fn open_warnings(&self) -> OpenWarnings {
        self.shared.open_warnings.clone()
    }

    /// Customers against whom something else stands than before.
    pub fn news(&self) -> &News {
        &self.shared.news
    }

    /// Changes to be sent.
    pub fn outbox(&self) -> &Outbox<Change> {
        &self.shared.outbox
    }

    /// First offset of a partition that has not been read; None: nothing was.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        let positions = self.shared.positions.lock().unwrap_or_else(PoisonError::into_inner);
        positions.get(&(topic.to_owned(), partition)).copied()
    }

    /// Says that all alerts which there were at a time (microseconds since 1970-01-01T00:00:00Z) have been taken. Whoever
    /// [follows](follow) the ledger takes it for dead when this is not said for long.
    pub fn heard(&self, at_us: i64) {
        if self.is_open() {
            self.heard.until(at_us);
        }
    }

    /// What [`Ledger::heard`] was told last; None: nothing.
    pub fn heard_at_us(&self) -> Option<i64> {
        self.heard.at_us()
    }

    /// Does it still take anything? Not after a failed write, and not after [`Ledger::close`].
    pub fn is_open(&self) -> bool {
        self.shared.open.load(Ordering::Acquire)
    }

    /// Writes what was handed over before, marks the end, and stops. Later calls do nothing.
    ///
    /// Gives the reason if the writer had failed.
    pub fn close(&self) -> Ended {
        let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        self.shared.open.store(false, Ordering::Release);
        // If nobody takes the order, the writer has ended by itself; joining tells how.
        let _ = self.orders.send(Order::Close);
        writer.join().unwrap_or_else(|_| Err(Arc::new(LedgerError::Closed("its writer panicked".into()))))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Err(e) = self.close() {
            tracing::error!("the ledger did not close in order: {e}");
        }
    }
}
