//! Interception over gRPC: control points, and officers who override what they say.
//!
//! ```text
//!  tonic ── Rpc ── slot ─ key known? ─ claim key ─ subject's turn ─┬─ intercept: gather ─ judge ─┐
//!                             └─ its answer                         └─ override: latest? allowed? ─┴─ journal ═ answer
//! ```
//!
//! - **One at a time**: interceptions and overrides of one subject at one point follow each other, so which of them is the
//!   latest is the same on disk as in every answer. Different subjects do not wait for each other.
//! - **No state but the journal**: what stands is the latest record of the subject, also after a restart.
//! - **Kept as decisions are**: the same journal, slots, deadlines, repeats; see [`super::desk`].

mod desk;
mod exposition;
mod metrics;
mod rpc;

pub use self::metrics::Metrics;

/// Name of the service, for health checks.
pub const SERVICE: &str = "tarim.decision.v1.InterceptionService";
