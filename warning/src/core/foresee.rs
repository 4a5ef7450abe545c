//! Bringing near what will be needed.
//!
//! A customer's state lies somewhere in gigabytes: three reads that depend on each other, each of which waits for the memory. But
//! customers do not depend on each other. So before a few dozen records are taken, their states are looked at in three short loops, in
//! which the processor waits for many at once.

use std::hint::black_box;

use super::{customers::hash, worker::Worker};
use crate::event::{Format, ids};

/// Records that are looked at together; more would push each other out of the cache.
pub const FORESEEN: usize = 32;

impl Worker {
    /// Tells that these records will be taken soon. It changes nothing but how long that takes.
    pub fn foresee<'p>(&mut self, records: impl Iterator<Item = (Format, &'p [u8])>) {
        let mut hashes = [None; FORESEEN];
        for (of, (format, payload)) in hashes.iter_mut().zip(records) {
            *of = ids(format, payload).map(|(member, customer)| hash(member, customer));
        }
        black_box(self.state.customers.touch(&hashes));
    }
}
