//! Exposure limits over gRPC: the ledger, for callers in other processes.
//!
//! ```text
//!  tonic ── Rpc ─┬─ operations ─ slot ─ deadline ─► Ledger ──► answered when durable      (rpc, desk)
//!                └─ queries ── a copy that stands still ── stream, or the past from the disk
//!  Keeper ── opens it ── schemes of a new rulebook: adopted beside ── groups of the datamart    (keeper, groups)
//!         ├─ Outbox ── events of large exposures ── a topic or a file, for the warning pipeline      (outbox)
//!         └─ health, and how many counters stand above their lines ──► Prometheus          (metrics, exposition)
//! ```
//!
//! - **In the way of a decision**: nothing of it, unless the rulebook says with `[exposure]` what an application's exposure is; then
//!   decisions look at it ([`looks`]), and may reserve ([`super::exposing`]). A rulebook without `limits/` has no ledger, and every call is
//!   told so.
//! - **A ledger that was opened stays**: if a later rulebook has no limits any more, the last ones go on. What is out does
//!   not vanish by that, and unknown is never room.
//! - **A rulebook with the same limits** changes nothing: schemes are compared without the rulebook's version.

mod desk;
mod exposition;
mod groups;
mod keeper;
pub(super) mod looks;
mod metrics;
mod outbox;
mod outlook;
pub(super) mod recover;
mod refusal;
mod rpc;
mod source;
mod wire;

pub(super) use self::{desk::Desk, keeper::Keeper, refusal::Refusal, rpc::Rpc};
pub use self::{
    outbox::{EventSink, Outbox},
    source::{ExposureError, ExposureSource, GroupSource, OpenLedger},
};

/// Name of the service, for health checks.
pub const SERVICE: &str = "tarim.exposure.v1.ExposureService";
