//! Decisions: policies compiled from a rulebook, the five calls, the journal, the gRPC service, backtests.
//!
//! ```text
//!  rulebook (text) ── Rulebook::read ──► checked, compiled: a Plan per member × product        (rulebook/)
//!                                               │
//!                                 steps: rules, tables, scorecard, limit, rate                 (policy/)
//!                                               │ ask `Answers`; cannot tell which engine replies
//!               ┌───────────────────────────────┴──────────────────────────────┐
//!  online: Engine::gather ─► Inputs ─► row programs             batch: point-in-time columns ─► DataFusion
//!               │            (engine/)                                         │          (batch/)
//!  gRPC ◄── service ──► journal: on disk before it is answered            decisions of a whole table
//! ```
//!
//! - **In**: a rulebook, requests, a snapshot of the online store, or a datamart. **Out**: [`outcome::Decision`]s,
//!   journaled or in a table.
//! - Nothing of a policy is written twice: a step's logic is one piece of code, whoever answers its expressions.
//! - Fail closed: what cannot be told is what `if_unknown` says, and `refer` when it says nothing.
//! - To add a kind of step, add it to `policy/` and to the compiler in `rulebook/`; both drivers run it then.
//! - [`exposure`] keeps what is out, and sees to it that no limit is oversold.
//! - [`interception`] is a plan's rules of one control point, and what officers may override.
//! - [`testing`] runs a rulebook's own cases.

pub mod batch;
pub mod convert;
pub mod engine;
pub mod exposure;
pub mod interception;
pub mod journal;
pub mod metrics;
pub mod outcome;
pub mod policy;
pub mod rulebook;
pub mod service;
pub mod testing;
pub mod wire;
