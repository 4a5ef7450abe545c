//! What is durable here and not yet on its topic: changes of warnings, and pushes.

use std::{
    collections::VecDeque,
    io::{self, Read},
    ops::Deref,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::lifecycle::{Warning, bytes::In};

/// Something to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsent<T> {
    /// Its number among all of its kind in the ledger, from 1.
    pub sequence: u64,
    pub what: T,
}

/// A change of a warning.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The warning just after it.
    pub warning: Arc<Warning>,
    /// 0: it was opened; else its number in the history, from 1.
    pub step: usize,
}

impl<T> Deref for Unsent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.what
    }
}

/// What is to be told, in its order.
pub struct Outbox<T> {
    queue: Mutex<Queue<T>>,
    more: Condvar,
}

struct Queue<T> {
    unsent: VecDeque<Unsent<T>>,
    /// Sequence of the last there was.
    last: u64,
    closed: bool,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        let queue = Queue { unsent: VecDeque::new(), last: 0, closed: false };
        Self { queue: Mutex::new(queue), more: Condvar::new() }
    }
}

impl<T: Clone> Outbox<T> {
    pub(super) fn put(&self, new: impl IntoIterator<Item = T>) {
        let mut queue = self.queue();
        for what in new {
            queue.last += 1;
            let sequence = queue.last;
            queue.unsent.push_back(Unsent { sequence, what });
        }
        self.more.notify_all();
    }

    /// Everything up to this one is sent.
    pub(super) fn sent(&self, through: u64) {
        let mut queue = self.queue();
        while queue.unsent.front().is_some_and(|unsent| unsent.sequence <= through) {
            queue.unsent.pop_front();
        }
    }

    /// Nothing comes any more: whoever waits is woken.
    pub(super) fn close(&self) {
        self.queue().closed = true;
        self.more.notify_all();
    }

    /// Those after number `after`, at most `max`; waits so long for the first. None: there are none, and will be none.
    pub fn after(&self, after: u64, max: usize, wait: Duration) -> Option<Vec<Unsent<T>>> {
        // Not by the last there was: where all were sent before it was opened, whoever asks has seen none of them.
        let none = |queue: &mut Queue<T>| {
            !queue.closed && queue.unsent.back().is_none_or(|unsent| unsent.sequence <= after)
        };
        let waited = self.more.wait_timeout_while(self.queue(), wait, none);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let first = queue.unsent.partition_point(|unsent| unsent.sequence <= after);
        let found: Vec<_> = queue.unsent.range(first..).take(max).cloned().collect();
        if found.is_empty() && queue.closed { None } else { Some(found) }
    }

    /// Sequence of the last there was, and what is to be sent.
    pub(super) fn copy(&self) -> (u64, Vec<Unsent<T>>) {
        let queue = self.queue();
        (queue.last, queue.unsent.iter().cloned().collect())
    }

    /// What was written of one: the sequence of the last, and what is to be sent, each as `read` reads it.
    pub(super) fn read<R: Read>(
        from: &mut In<R>,
        mut read: impl FnMut(&mut In<R>) -> io::Result<T>,
    ) -> io::Result<Self> {
        let last = from.u64()?;
        let mut unsent = VecDeque::new();
        from.all(|from| {
            unsent.push_back(Unsent { sequence: 0, what: read(from)? });
            Ok(())
        })?;
        // They are the last ones.
        for (unsent, sequence) in unsent.iter_mut().rev().zip((1..=last).rev()) {
            unsent.sequence = sequence;
        }
        let queue = Queue { unsent, last, closed: false };
        Ok(Self { queue: Mutex::new(queue), more: Condvar::new() })
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    /// With the bug that this is for, whoever asks gets nothing at once, again and again.
    #[test]
    fn whoever_has_seen_none_waits_where_all_are_sent() {
        let outbox = Outbox::default();
        outbox.put(["a", "b"]);
        outbox.sent(2);
        let (asks, asked) = mpsc::channel();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                asks.send(()).unwrap();
                outbox.after(0, 10, Duration::from_secs(600))
            });
            asked.recv().unwrap();
            outbox.put(["c"]);
            assert_eq!(waiting.join().unwrap(), Some(vec![Unsent { sequence: 3, what: "c" }]));
        });
        assert_eq!(outbox.after(3, 10, Duration::ZERO), Some(vec![]));
        outbox.close();
        assert_eq!(outbox.after(3, 10, Duration::from_secs(600)), None);
    }
}
