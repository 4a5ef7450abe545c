//! Where the ledger's alerts come from, and where its changes go.
//!
//! ```text
//!  file of alerts ───────────────────────────────┐
//!  topics of alerts ─► consumer (committed only) ─┴─► Ledger ─► Outbox ─► producer ─► topic of changes
//!                         ▲                             │                    │
//!                         └── goes on from the offsets ─┴── notes: sent ◄────┘
//!                             in the ledger
//! ```
//!
//! Pushes go to their own topic as changes do.
//! A third edge tells what stands against customers ([`crate::standing`]).
//!
//! - **In**: how far a topic was read stands in the record of what was read, so nothing is lost or applied twice, whatever
//!   crashes. What comes again all the same (a file that is read at every start) is known by its alert_id.
//! - **Out**: a change, or a push, goes out once it is durable, at least once, in order; whoever reads can tell a repeat by its
//!   change_id or push_id.

mod alerts;
mod changes;
mod delivered;
mod file;
mod json;
mod kafka;
mod pushes;
mod reach;
mod tell;

pub use self::{
    changes::change_json,
    file::{FileError, alert_of, take_file},
    json::alert_of_json,
    kafka::{Fed, FeedError, Feeding, Settings, start},
};
pub(crate) use self::{delivered::Delivered, kafka::Edge};
