//! Counters of what runs, cheap enough for the path of a request.
//!
//! ```text
//!  thread 1 ──► its own counters ─┐
//!  thread 2 ──► its own counters ─┼─► added up when somebody asks
//!  thread 3 ──► its own counters ─┘
//! ```
//!
//! Counting is one uncontended atomic addition: no lock, no allocation, no name that is looked up. What is
//! counted and how it is told belongs to whoever counts: the service and the journal.

mod histogram;
mod sharded;

pub use self::{
    histogram::{Histogram, Sizes, Times, Totals},
    sharded::Sharded,
};
