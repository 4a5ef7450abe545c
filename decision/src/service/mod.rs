//! The decision service: gRPC in, decisions out, each on disk before it is answered.
//!
//! ```text
//!  transport ─ tonic ── Rpc ── Desk ── Engine (rulebook + features, swapped as one) ── Journal
//!     deadline, slot ──┘         └── Pending (repeats in flight)                          └── index (repeats)
//!     health, reflection                     metrics ──► Exposition ──► Prometheus
//! ```
//!
//! - **Idempotent**: (member, request id) is decided once. A repeat, also one in flight or after a restart,
//!   gets the first answer; the same id with other content is ALREADY_EXISTS.
//! - **Bounded**: a request finds a free slot or is refused with RESOURCE_EXHAUSTED at once. A stream has a
//!   window of its own and is slowed down by flow control instead.
//! - **Deadlines**: nothing is decided past its deadline ([`deadline`]). What has gone to the journal is decided.
//! - **Swapped while running**: a watcher looks for a new rulebook or generation every second, or at once
//!   when told ([`Running::reload`]).
//! - **Shutdown**: finishes what it accepted; a stream is told to go elsewhere once everything it sent so
//!   far is answered.
//! - **Watched**: counters on the way of every request, told on a listener of its own ([`exposition`]); a line in
//!   the log for every request that is refused, with its id (at level debug where too many came or nothing is decided); but what
//!   tonic itself cannot read is told to its caller alone.
//! - **Interceptions** go the same way, and so do overrides, each of a subject in its turn ([`interception`]).
//! - **Exposure limits** are a service of their own beside it ([`exposure`]); where the rulebook says what an application's exposure
//!   is, decisions ask it, and reserve in the same call ([`exposing`]).
//! - **Few layers**: single decisions go past those that every other call of tonic's needs ([`unary`]).
//! - **Few calls to the system**: a connection is one task, whose answers leave together ([`transport`]), on a thread
//!   that does not change ([`threads`]); the journal writes for all that wait.
//! - **Not in the open**: another address than loopback needs TLS.

mod clock;
mod deadline;
mod desk;
mod exporter;
mod exposing;
mod exposition;
mod exposure;
mod interception;
mod metrics;
mod pending;
mod refusal;
mod rpc;
mod rule_hits;
mod server;
mod serving;
#[cfg(test)]
mod tests;
mod threads;
mod transport;
mod unary;
mod watcher;

use self::deadline::Deadline;
pub use self::{
    clock::Clock,
    exporter::Exporter,
    exposure::{EventSink, ExposureError, ExposureSource, GroupSource, OpenLedger, Outbox},
    refusal::Refusal,
    server::{Config, Running, ServeError, serve},
    serving::{LoadError, OpenStore, Serving, Sources},
    threads::Threads,
    transport::{Tls, TlsError},
};
