//! Policies, the five calls, the journal, the gRPC service, backtests.

pub mod batch;
pub mod convert;
pub mod engine;
pub mod journal;
pub mod outcome;
pub mod policy;
pub mod rulebook;
pub mod service;
pub mod testing;
