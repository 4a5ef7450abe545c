//! Bringing near what will be needed.
//!
//! A customer's state lies somewhere in gigabytes: three reads that depend on each other, each of which waits for the memory. But
//! customers do not depend on each other. So before a few dozen records are taken, their states are looked at in three short loops, in
//! which the processor waits for many at once.

use std::hint::black_box;

use super::{customers::Customers, worker::Worker};
use crate::event::{Format, ids};

/// Records that are looked at together; more would push each other out of the cache.
pub const FORESEEN: usize = 32;

impl Worker {
    /// Tells that these records will be taken soon. It changes nothing but how long that takes.
    pub fn foresee<'p>(&mut self, records: impl Iterator<Item = (Format, &'p [u8])>) {
        let customers = self.state_mut().customers();
        let mut slots = [None; FORESEEN];
        for (slot, (format, payload)) in slots.iter_mut().zip(records) {
            *slot = ids(format, payload).and_then(|(member, customer)| customers.likely(member, customer));
        }
        customers.touch(&slots);
    }
}

impl Customers {
    /// Reads the beginnings of states.
    fn touch(&self, slots: &[Option<u32>]) {
        let states = slots.iter().flatten().map(|slot| self.state(*slot).1);
        // Lines of 64 bytes: the head says where sections are, and what is before and behind is read too.
        let first = |state: &[u8]| {
            let line = |at: usize| u32::from(state.get(at).copied().unwrap_or_default());
            (0..8).map(|i| line(64 * i)).sum::<u32>()
        };
        black_box(states.map(first).sum::<u32>());
    }
}
