//! Changes that are durable here and not yet on the topic of changes.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::lifecycle::Warning;

/// A change to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsent {
    /// Its number among all changes of the ledger, from 1.
    pub sequence: u64,
    /// The warning just after it.
    pub warning: Arc<Warning>,
    /// 0: it was opened; else its number in the history, from 1.
    pub step: usize,
}

/// Changes in their order.
#[derive(Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    changes: VecDeque<Unsent>,
    /// Sequence of the last change there was.
    last: u64,
    closed: bool,
}

impl Outbox {
    pub(super) fn put(&self, changes: impl IntoIterator<Item = (Arc<Warning>, usize)>) {
        let mut queue = self.queue();
        for (warning, step) in changes {
            queue.last += 1;
            let sequence = queue.last;
            queue.changes.push_back(Unsent { sequence, warning, step });
        }
        self.more.notify_all();
    }

    /// Everything up to this one is sent.
    pub(super) fn sent(&self, through: u64) {
        let mut queue = self.queue();
        while queue.changes.front().is_some_and(|change| change.sequence <= through) {
            queue.changes.pop_front();
        }
    }

    /// Nothing comes any more: whoever waits is woken.
    pub(super) fn close(&self) {
        self.queue().closed = true;
        self.more.notify_all();
    }

    /// Changes after number `after`, at most `max`; waits so long for the first. None: there are none, and will be none.
    pub fn after(&self, after: u64, max: usize, wait: Duration) -> Option<Vec<Unsent>> {
        let none = |queue: &mut Queue| !queue.closed && queue.last <= after;
        let waited = self.more.wait_timeout_while(self.queue(), wait, none);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let first = queue.changes.partition_point(|change| change.sequence <= after);
        let found: Vec<_> = queue.changes.range(first..).take(max).cloned().collect();
        if found.is_empty() && queue.closed { None } else { Some(found) }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
