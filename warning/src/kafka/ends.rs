//! When all partitions are at their end, together.
//!
//! What is still to be taken of one partition may spread into another. So none is done before all are: each says when it rests,
//! with all its transactions committed, and whoever has put something into another's partition says how far that one has to go
//! before it rests again.
//!
//! ```text
//!  0: takes, commits ─► "1 has to take up to 512" ─► rests
//!  1: rests at 500 ────► rests no more … takes 512, commits ─► rests ─► all rest: done
//! ```

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// What all partitions of a process know of each other.
#[derive(Debug)]
pub struct Ends {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// By number.
    partitions: HashMap<i32, End>,
    done: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// Whoever had the partition before is fenced off, and what it left open is aborted.
    joined: bool,
    /// It rests, and this is its next event.
    rests: Option<i64>,
    /// It has to take all before.
    wanted: i64,
}

impl Ends {
    pub fn new(partitions: &[i32]) -> Self {
        let partitions = partitions.iter().map(|p| (*p, End::default())).collect();
        Self { state: Mutex::new(State { partitions, done: false }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A partition is at work, and its former owner no more. Waits until all are: what another's former owner left open hides
    /// what is behind it, and this would look like the end.
    pub fn join(&self, partition: i32, stop: &AtomicBool) {
        self.of(partition, |end| *end = End { joined: true, rests: None, ..*end });
        while !stop.load(Ordering::Relaxed) && !self.lock().partitions.values().all(|end| end.joined) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// A partition takes another event.
    pub fn goes_on(&self, partition: i32) {
        self.of(partition, |end| end.rests = None);
    }

    /// A partition has to take all before an offset; of one of another process there is nothing to be known.
    pub fn wants(&self, partition: i32, before: i64) {
        self.of(partition, |end| {
            end.wanted = end.wanted.max(before);
            end.rests = end.rests.filter(|next| *next >= end.wanted);
        });
    }

    /// A partition is at its end, everything is committed, and this is its next event. Returns whether all are.
    pub fn rests(&self, partition: i32, next: i64) -> bool {
        self.of(partition, |end| end.rests = Some(next).filter(|next| *next >= end.wanted));
        let mut state = self.lock();
        state.done |= state.partitions.values().all(|end| end.rests.is_some());
        state.done
    }

    fn of(&self, partition: i32, change: impl FnOnce(&mut End)) {
        if let Some(end) = self.lock().partitions.get_mut(&partition) {
            change(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_done_before_all_are() {
        let (ends, stop) = (Ends::new(&[0, 1]), AtomicBool::new(true));
        ends.join(0, &stop);
        ends.join(1, &stop);
        assert!(!ends.rests(1, 5));
        // Partition 0 has put an event into 1, at offset 7, before it rests itself.
        ends.wants(1, 8);
        assert!(!ends.rests(0, 3));
        assert!(!ends.rests(1, 5), "it has not taken what is to come");
        ends.goes_on(1);
        assert!(!ends.rests(0, 3));
        assert!(ends.rests(1, 8));
        assert!(ends.rests(0, 3), "what is done stays done");
    }

    #[test]
    fn whoever_begins_anew_rests_no_more() {
        let (ends, stop) = (Ends::new(&[0, 1]), AtomicBool::new(true));
        assert!(!ends.rests(0, 3));
        ends.join(0, &stop);
        assert!(!ends.rests(1, 8));
        ends.wants(2, 8);
        assert!(ends.rests(0, 3));
    }
}
