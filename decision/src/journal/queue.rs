//! What waits to be written, and when it is.
//!
//! ```text
//!  dozing ──first record: woken──► write it at once ──► alert ──nothing came for a while──► dozing
//!                                        ▲                │
//!                                        └────────────────┘ a thread has nothing to do · enough bytes · long enough
//! ```
//!
//! (A writer that has something to do at rest is told instead of dozing, and is alert again afterwards.)
//!
//! A sync costs the processor about as much as a decision does, so records had better share it; but nobody should wait
//! for company that does not come. So a group gathers only as long as all threads that decide are busy: once one of them
//! has nothing to do ([`Queue::urge`]) there is time for a sync, and perhaps that thread waits for it.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::writer::Write;

/// A group is written once it has this many bytes: more would share little more of a sync.
const ENOUGH_BYTES: usize = 128 << 10;

/// No group has more, but for its last order.
const GROUP_BYTES: usize = 8 << 20;

/// Longest that an alert writer waits: for a group to gather, or for the first record of one.
const GATHER_MAX: Duration = Duration::from_millis(1);

/// What a writer was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Orders that are to be written together.
    Group,
    /// The same, or none: the queue is closed, and no more will come.
    Last,
    /// Nothing came for a while.
    Nothing,
}

/// Orders in the order in which they came.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    /// Somebody says when a thread has nothing to do; else every record is written as soon as it can be.
    urged_by_somebody: AtomicBool,
}

#[derive(Default)]
struct State {
    writes: VecDeque<Write>,
    bytes: usize,
    /// Nothing more is taken.
    closed: bool,
    /// The writer waits for the first record.
    dozing: bool,
    /// A thread has nothing to do.
    urged: bool,
    /// The writer was woken, and has taken nothing since.
    woken: bool,
}

impl State {
    /// Whether the writer has to be woken: once for a group. A wake is a call to the system, whether or not anybody sleeps.
    fn wakes(&mut self, due: bool) -> bool {
        due && !std::mem::replace(&mut self.woken, true)
    }
}

impl Queue {
    /// Hands an order over; gives it back if the queue is closed.
    pub fn push(&self, write: Write) -> Result<(), Write> {
        let mut state = self.state();
        if state.closed {
            return Err(write);
        }
        state.bytes += write.bytes();
        state.writes.push_back(write);
        let at_once = !self.urged_by_somebody.load(Ordering::Relaxed);
        let due = state.dozing || state.bytes >= ENOUGH_BYTES || at_once;
        self.wake_if(state, due);
        Ok(())
    }

    /// From now on somebody calls [`Queue::urge`].
    pub fn will_be_urged(&self) {
        self.urged_by_somebody.store(true, Ordering::Relaxed);
    }

    /// A thread that decides has nothing to do.
    pub fn urge(&self) {
        let mut state = self.state();
        let due = !state.writes.is_empty() && !state.urged;
        state.urged |= due;
        self.wake_if(state, due);
    }

    /// Only when the state is free: else the writer would wake, wait for it, and have to be woken again.
    fn wake_if(&self, mut state: MutexGuard<'_, State>, due: bool) {
        let wakes = state.wakes(due);
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
    }

    /// Takes nothing more. What waits is still written.
    pub fn close(&self) {
        self.state().closed = true;
        self.wake.notify_one();
    }

    /// Nobody takes anything more: what waits is dropped.
    pub fn abandon(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.writes.clear();
    }

    /// Waits for a group, and puts it into `group`, which is empty. With `rests_after`, not for ever: only until nothing came
    /// for so long.
    pub fn take(&self, group: &mut Vec<Write>, rests_after: Option<Duration>) -> Taken {
        let gathers = self.urged_by_somebody.load(Ordering::Relaxed);
        let mut state = self.state();
        // After a group another one is likely.
        let mut alert = gathers;
        loop {
            let now = state.urged || !alert || state.bytes >= ENOUGH_BYTES;
            if state.closed || (now && !state.writes.is_empty()) {
                break;
            }
            if alert {
                let waited = self.wake.wait_timeout(state, GATHER_MAX);
                let (back, time) = waited.expect("not poisoned");
                state = back;
                alert = !time.timed_out();
            } else {
                state.dozing = true;
                let mut rested = false;
                state = match rests_after {
                    None => self.wake.wait(state).expect("not poisoned"),
                    Some(quiet) => {
                        let (back, time) = self.wake.wait_timeout(state, quiet).expect("not poisoned");
                        rested = time.timed_out();
                        back
                    }
                };
                state.dozing = false;
                if rested && state.writes.is_empty() && !state.closed {
                    return Taken::Nothing;
                }
            }
        }
        (state.urged, state.woken) = (false, false);
        let mut bytes = 0;
        while bytes < GROUP_BYTES
            && let Some(write) = state.writes.pop_front()
        {
            bytes += write.bytes();
            group.push(write);
        }
        state.bytes -= bytes;
        match state.closed && state.writes.is_empty() {
            true => Taken::Last,
            false => Taken::Group,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use smallvec::smallvec;

    use super::*;
    use crate::journal::Record;

    fn write(bytes: usize) -> Write {
        let record = Record::new(7, Bytes::from(vec![1; bytes])).expect("short enough");
        Write { records: smallvec![record], done: Box::new(|_| {}) }
    }

    fn push(queue: &Queue, bytes: usize) {
        assert!(queue.push(write(bytes)).is_ok(), "it is open");
    }

    /// Bytes of the orders of a group, and whether more may follow.
    fn taken(queue: &Queue) -> (Vec<usize>, Taken) {
        let mut group = Vec::new();
        let taken = queue.take(&mut group, None);
        (group.iter().map(Write::bytes).collect(), taken)
    }

    #[test]
    fn what_waits_is_one_group_whoever_says_so() {
        for urged in [false, true] {
            let queue = Queue::default();
            if urged {
                queue.will_be_urged();
            }
            push(&queue, 1);
            push(&queue, 2);
            // Without it an alert writer waits a little.
            queue.urge();
            assert_eq!(taken(&queue), (vec![1, 2], Taken::Group));
            // Nobody says anything, and it is written all the same.
            push(&queue, 3);
            assert_eq!(taken(&queue), (vec![3], Taken::Group));
            push(&queue, ENOUGH_BYTES);
            assert_eq!(taken(&queue), (vec![ENOUGH_BYTES], Taken::Group));
        }
    }

    #[test]
    fn a_group_has_a_bound() {
        let queue = Queue::default();
        for _ in 0..3 {
            push(&queue, GROUP_BYTES / 2);
        }
        assert_eq!(taken(&queue), (vec![GROUP_BYTES / 2; 2], Taken::Group));
        assert_eq!(taken(&queue), (vec![GROUP_BYTES / 2], Taken::Group));
    }

    #[test]
    fn what_waits_when_it_closes_is_taken_and_nothing_else() {
        let queue = Queue::default();
        for _ in 0..3 {
            push(&queue, GROUP_BYTES / 2);
        }
        queue.close();
        assert!(queue.push(write(1)).is_err());
        assert_eq!(taken(&queue), (vec![GROUP_BYTES / 2; 2], Taken::Group));
        assert_eq!(taken(&queue), (vec![GROUP_BYTES / 2], Taken::Last));
        assert_eq!(taken(&queue), (vec![], Taken::Last));
    }

    #[test]
    fn what_is_abandoned_is_dropped() {
        let queue = Queue::default();
        let (told, heard) = std::sync::mpsc::channel::<()>();
        let Write { records, .. } = write(1);
        let done = Box::new(move |_| drop(told));
        assert!(queue.push(Write { records, done }).is_ok());
        queue.abandon();
        assert!(heard.recv().is_err(), "dropped uncalled");
        assert!(queue.push(write(1)).is_err());
    }

    #[test]
    fn who_rests_is_told_that_nothing_came() {
        for urged in [false, true] {
            let queue = Queue::default();
            if urged {
                queue.will_be_urged();
            }
            let mut group = Vec::new();
            assert_eq!(queue.take(&mut group, Some(Duration::ZERO)), Taken::Nothing);
            push(&queue, 1);
            assert_eq!(queue.take(&mut group, Some(Duration::ZERO)), Taken::Group);
            assert_eq!(group.drain(..).count(), 1);
            queue.close();
            assert_eq!(queue.take(&mut group, Some(Duration::ZERO)), Taken::Last);
        }
    }

    #[test]
    fn a_group_wakes_the_writer_once() {
        let queue = Queue::default();
        queue.will_be_urged();
        let woken = |queue: &Queue| queue.state().woken;
        push(&queue, 1);
        assert!(!woken(&queue), "it gathers");
        queue.urge();
        assert!(woken(&queue));
        assert!(!queue.state().wakes(true), "it is awake");
        assert_eq!(taken(&queue), (vec![1], Taken::Group));
        queue.urge();
        assert!(!woken(&queue), "there is nothing to write");
        push(&queue, ENOUGH_BYTES);
        assert!(woken(&queue));
        assert_eq!(taken(&queue), (vec![ENOUGH_BYTES], Taken::Group));
        assert!(queue.state().wakes(true), "of the next group nobody has told it");
    }

    #[test]
    fn a_dozing_writer_is_woken_by_the_first_record() {
        let queue = Queue::default();
        queue.will_be_urged();
        std::thread::scope(|threads| {
            let writer = threads.spawn(|| taken(&queue));
            while !queue.state().dozing {
                std::thread::yield_now();
            }
            push(&queue, 1);
            assert_eq!(writer.join().expect("no panic"), (vec![1], Taken::Group));
        });
    }
}
