//! Early warning: events in, alerts out.
//!
//! ```text
//!  rulebook: warnings, streams ──► WarningBook                         (rulebook)
//!                                      │
//!  record ─► Reader ─► Event ─► Worker: windows, then the rules that   (event, core)
//!              │            ▲   listen; patterns and their timers
//!              │            └── features of the online store: of the generation that the log names   (known)
//!              └► dead letter          └─► Alert
//!
//!              ▲          └─► Contagion: events of neighbours, along the datamart's edges, back into the log   (contagion)
//!              └── edges: files (replay), Kafka
//!
//!  Alert ─► Ledger: warnings and what becomes of them, on disk ─► gRPC, topic of changes   (feed, ledger, service)
//!              │      ├── lifecycle: which states follow which
//!              │      └── delivery: who is told of it, and when ─► inboxes, topic of pushes
//!              └► OpenWarnings: what stands against a customer ─► its file is followed, or its topic heard, by whoever
//!                                                               decides                          (ledger, standing)
//! ```
//!
//! - **In**: records of a log: events, and ticks. **Out**: alerts and dead letters.
//! - [`core`] has no I/O and no clock: what a [`core::Worker`] puts out is a function of the records that it was given, in
//!   their order. So a crash is survived by giving them again, and history is replayed at full speed.
//! - [`lifecycle`] and [`delivery`] have no I/O either; [`ledger`] keeps them on disk and shows it to readers.
//! - To add an edge, read records in order, give each to the worker with its place in the log, and write what comes out.

pub mod alert;
pub mod clock;
pub mod contagion;
pub mod core;
pub mod delivery;
pub mod event;
pub mod feed;
pub mod kafka;
pub mod known;
pub mod ledger;
pub mod lifecycle;
pub mod partitioner;
pub mod replay;
pub mod rulebook;
pub mod service;
pub mod standing;
