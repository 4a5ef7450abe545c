//! Policies, the five calls, the journal, the gRPC service, backtests.

pub mod journal;
pub mod outcome;
