//! Windows over events: what is known of a customer as the stream goes on.
//!
//! ```text
//!  features/streams/*.toml ──► StreamSet: windows, each of a kind of events           (read, kind)
//!                                  │
//!                  distinct (events, filter, value, pane length) ──► Plan: cells      (plan)
//!                                  │
//!   event ─► row program ─► values ─► panes of the customer's state ─► window values  (state, panes)
//!                                  │
//!   events as a table ──► DataFusion ──────────────────────────────► the same values  (batch)
//! ```
//!
//! # Meaning
//!
//! Time is cut into panes of an hour, a day or a month (UTC), on the grid of event time. At any time a window of *n*
//! panes tells of the events of the present pane and the *n* − 1 before it. *Present* is the customer's own: the
//! latest event time that the customer has had. So a window's value depends on the customer's events and
//! their order alone, not on who else is in the stream, nor on how it is cut into partitions.
//!
//! An event that comes late changes the pane that it belongs to, as long as that is in some window. What is later
//! still changes nothing; the pipeline sees to it before (`allowed_lateness`).
//!
//! Sums are exact integers and rounded once, so no order of events gives other last bits.

mod batch;
mod grain;
mod kind;
mod migrate;
mod panes;
mod plan;
mod read;
mod set;
mod state;

pub use batch::{BatchError, POSITION, windows_of};
pub use grain::{Grain, Moment};
pub use kind::{EventKind, TABLE_PREFIX};
pub use migrate::{Kept, Migration};
pub use panes::{Readings, Seen, TooMuch};
pub use plan::{Plan, Said, TooLarge};
pub use read::{DISTINCT_MAX, Measure};
pub use set::{EVENT, StreamSet, WINDOW, Window};
pub use state::Sections;
