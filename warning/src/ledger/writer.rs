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
    Inbox, LedgerError, News, OpenWarnings, Opening, Position,
    bodies::Records as _,
    books::{Books, Done, Taken},
    log::{GROUP_BYTES, Log},
    outbox::{Change, Outbox},
    snapshot::{Copied, Keeper},
    view::View,
};
use crate::{
    delivery::{Managers, Push},
    lifecycle::{Changed, NewAlert, NewChange, Refused},
};

/// What the writer's thread and the others look at.
pub struct Shared {
    pub view: View,
    pub open_warnings: OpenWarnings,
    pub news: News,
    pub outbox: Outbox<Change>,
    pub inbox: Inbox,
    pub pushes: Outbox<Arc<Push>>,
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
    Pushed(u64),
    /// Time has passed.
    Tick {
        done: Box<dyn FnOnce(Result<(), Failure>) + Send>,
    },
    Managers(Managers),
    Close,
}

/// Tells whoever asked, once it is known whether the group is durable.
type Tell = Box<dyn FnOnce(&Ended)>;

/// So often it is looked for pushes that are too old for an inbox.
const LOOK_US: i64 = 60_000_000;

/// Writes group by group until told to close (or until nobody is left to tell it).
///
/// After an error it goes on taking orders, and refuses each: what is in memory is ahead of the disk then, and readers are
/// not shown it.
pub fn run(
    mut log: Log,
    mut books: Books,
    mut keeper: Keeper,
    opening: &Opening,
    shared: &Shared,
    orders: &mpsc::Receiver<Order>,
) -> Ended {
    let mut state: Ended = Ok(());
    let mut inbox_from_us = i64::MIN;
    loop {
        let mut group = Done::default();
        let mut tell: Vec<Tell> = Vec::new();
        let mut next = orders.recv().ok();
        let more = loop {
            match next {
                Some(Order::Close) | None => break false,
                Some(order) if state.is_ok() => {
                    tell.extend(apply(order, &mut group, &mut books, opening.clock.now_us(), &mut log));
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
                Ok(()) => {
                    books.lifecycle.write().settle();
                    shared.publish(group);
                    let from_us = opening.inbox_from_us();
                    if from_us >= inbox_from_us.saturating_add(LOOK_US) {
                        shared.inbox.forget(from_us);
                        inbox_from_us = from_us;
                    }
                    keeper.look(&log, || shared.copy(&books));
                }
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
            shared.pushes.close();
            state?;
            log.mark().map_err(Arc::new)?;
            keeper.end(&log, || shared.copy(&books));
            return Ok(());
        }
    }
}

fn apply(order: Order, group: &mut Done, books: &mut Books, now_us: i64, log: &mut Log) -> Option<Tell> {
    // What was due before something else happens comes before it.
    if matches!(order, Order::Alerts { .. } | Order::Change { .. } | Order::Tick { .. }) {
        group.due(books, now_us, |record| log.gather(record));
    }
    match order {
        Order::Alerts { alerts, at, done } => {
            let taken = group.alerts(books, &alerts, at, now_us, log);
            Some(Box::new(move |durable| done(durable.clone().map(|()| taken))))
        }
        Order::Change { change, done } => {
            // An answer can rest on what is not durable yet, so also a refusal waits for it.
            let changed = group.change(books, &change, |record| log.gather(record));
            Some(Box::new(move |durable| done(durable.clone().map(|()| changed))))
        }
        Order::Sent(through) => {
            group.sent(through, |record| log.gather(record));
            None
        }
        Order::Pushed(through) => {
            group.pushed(through, |record| log.gather(record));
            None
        }
        Order::Tick { done } => Some(Box::new(move |durable| done(durable.clone()))),
        Order::Managers(managers) => {
            if let Some(stage) = &mut books.stage {
                stage.set_managers(managers);
            }
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
        Order::Tick { done } => Some(Box::new(move |ended| done(Err(why(ended))))),
        Order::Sent(_) | Order::Pushed(_) | Order::Managers(_) | Order::Close => None,
    }
}

/// Said to whoever comes too late.
pub fn closed() -> Failure {
    Arc::new(LedgerError::Closed("the service is shutting down".into()))
}

impl Shared {
    /// All that there is, when all of it is durable.
    fn copy(&self, books: &Books) -> Copied {
        Copied {
            lifecycle: books.lifecycle.read().copy(),
            delivery: books.delivery.clone(),
            outbox: self.outbox.copy(),
            pushes: self.pushes.copy(),
            inbox: self.inbox.copy(),
            positions: self.positions.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Shows readers what a group did.
    fn publish(&self, group: Done) {
        let Done { versions, changes, pushes, positions, sent, pushed } = group;
        self.open_warnings.publish(versions.iter());
        self.news.note(versions.iter());
        let mut read = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        read.extend(positions.into_iter().map(|p| ((p.topic, p.partition), p.next)));
        drop(read);
        self.outbox.put(changes);
        if let Some(through) = sent {
            self.outbox.sent(through);
        }
        self.inbox.put(&pushes);
        self.pushes.put(pushes);
        if let Some(through) = pushed {
            self.pushes.sent(through);
        }
    }
}
