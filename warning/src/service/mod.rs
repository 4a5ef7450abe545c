//! The warning service: what became of warnings, over gRPC; each change is on disk before it is answered.
//!
//! ```text
//!  tonic ── Rpc ─┬─ changes ──► Ledger ──► answered when durable
//!           │    └─ lists, single warnings, what stands ──► its readers
//!         slots (bounded), health, reflection
//! ```
//!
//! - **The member first**: every request names one, and everything is looked up within it.
//! - **Idempotent** by (member, request id), also after a restart.
//! - **Bounded**: a call finds a free slot or is refused with RESOURCE_EXHAUSTED at once; connections leave files for the
//!   ledger.
//! - **Shutdown** finishes what was accepted.
//! - **Not in the open**: another address than loopback needs TLS.
//! - **Watched**: calls by code, and what the ledger is at, for Prometheus ([`Running::registry`]).

mod calls;
mod exposition;
mod incoming;
mod pages;
mod refusal;
mod rpc;
mod server;
pub mod wire;

pub use self::{
    refusal::Refusal,
    server::{Config, Running, SERVICE, ServeError, Tls, serve},
};
pub use crate::clock::Clock;
