//! The thread that writes: it applies what is queued, syncs once, shows it to readers, and tells everyone.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use super::{
    LedgerError, News, OpenWarnings, Position,
    books::{Done, Taken},
    log::{GROUP_BYTES, Log},
    outbox::Outbox,
    view::View,
};
use crate::lifecycle::{Changed, Lifecycle, NewAlert, NewChange, Refused};

/// What the writer's thread and the others look at.
pub struct Shared {
    pub view: View,
    pub open_warnings: OpenWarnings,
    pub news: News,
    pub outbox: Outbox,
    /// First offset that has not been read, by topic and partition.
    pub positions: Mutex<HashMap<(String, i32), i64>>,
    /// False once nothing more is taken.
    pub open: AtomicBool,
}

/// Why a ledger takes nothing more.
pub type Failure = Arc<LedgerError>;

/// How the writer ended: in order, or with the error after which it took nothing more.
pub type Ended = Result<(), Failure>;

/// What became of a change that was asked for.
pub type ChangeAnswer = Result<Result<Changed, Refused>, Failure>;

/// What the writer is asked to do.
pub enum Order {
    Alerts {
        alerts: Vec<NewAlert>,
        at: Option<Position>,
        done: Box<dyn FnOnce(Result<Taken, Failure>) + Send>,
    },
    Change {
        change: NewChange,
        done: Box<dyn FnOnce(ChangeAnswer) + Send>,
    },
    Sent(u64),
    Close,
}

/// Tells whoever asked, once it is known whether the group is durable.
type Tell = Box<dyn FnOnce(&Ended)>;

/// Writes group by group until told to close (or until nobody is left to tell it).
///
/// After an error it goes on taking orders, and refuses each: what is in memory is ahead of the disk then, and readers are
/// not shown it.
pub fn run(mut log: Log, mut lifecycle: Lifecycle, shared: &Shared, orders: &mpsc::Receiver<Order>) -> Ended {
    let mut state: Ended = Ok(());
    loop {
        let mut group = Done::default();
        let mut tell: Vec<Tell> = Vec::new();
        let mut next = orders.recv().ok();
        let more = loop {
            match next {
                Some(Order::Close) | None => break false,
                Some(order) if state.is_ok() => {
                    tell.extend(apply(order, &mut group, &mut lifecycle, &mut log));
                }
                Some(order) => tell.extend(refuse(order)),
            }
            if log.gathered() >= GROUP_BYTES {
                break true;
            }
            match orders.try_recv() {
                Ok(order) => next = Some(order),
                Err(mpsc::TryRecvError::Empty) => break true,
                Err(mpsc::TryRecvError::Disconnected) => break false,
            }
        };
        if state.is_ok() {
            match log.commit() {
                Ok(()) => shared.publish(group),
                Err(e) => {
                    tracing::error!("the ledger takes nothing more: {e}");
                    shared.open.store(false, Ordering::Release);
                    state = Err(Arc::new(e));
                }
            }
        }
        tell.into_iter().for_each(|tell| tell(&state));
        if !more {
            shared.outbox.close();
            shared.news.close();
            state?;
            return log.mark().map_err(Arc::new);
        }
    }
}

fn apply(order: Order, group: &mut Done, lifecycle: &mut Lifecycle, log: &mut Log) -> Option<Tell> {
    match order {
        Order::Alerts { alerts, at, done } => {
            let taken = group.alerts(lifecycle, &alerts, at, |record| log.gather(record));
            Some(Box::new(move |durable| done(durable.clone().map(|()| taken))))
        }
        Order::Change { change, done } => {
            // An answer can rest on what is not durable yet, so also a refusal waits for it.
            let changed = group.change(lifecycle, &change, |record| log.gather(record));
            Some(Box::new(move |durable| done(durable.clone().map(|()| changed))))
        }
        Order::Sent(through) => {
            group.sent(through, |record| log.gather(record));
            None
        }
        Order::Close => None,
    }
}

fn refuse(order: Order) -> Option<Tell> {
    let why = |ended: &Ended| ended.clone().err().unwrap_or_else(closed);
    match order {
        Order::Alerts { done, .. } => Some(Box::new(move |ended| done(Err(why(ended))))),
        Order::Change { done, .. } => Some(Box::new(move |ended| done(Err(why(ended))))),
        Order::Sent(_) | Order::Close => None,
    }
}

/// Said to whoever comes too late.
pub fn closed() -> Failure {
    Arc::new(LedgerError::Closed("the service is shutting down".into()))
}

impl Shared {
    /// Shows readers what a group did.
    fn publish(&self, group: Done) {
        let Done { versions, changes, positions, sent } = group;
        self.view.publish(&versions);
        self.open_warnings.publish(versions.iter().map(|version| &version.warning));
        self.news.note(versions.iter().map(|version| &version.warning));
        let mut read = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        read.extend(positions.into_iter().map(|p| ((p.topic, p.partition), p.next)));
        drop(read);
        self.outbox.put(changes);
        if let Some(through) = sent {
            self.outbox.sent(through);
        }
    }
}
