//! The server's side of the wire: what it reads and writes without the ordinary messages in between.
//!
//! ```text
//!  bytes ──► DecisionRequest: all its texts in one piece of memory
//!               │
//!            decide ──► encode once ──► bytes ─┬─► field `decision` of the journal's entry, on disk
//!                                              └─► the answer: the same bytes, and behind them its `decision_id`
//! ```
//!
//! Clients, replay and whoever looks into a decision use the ordinary messages of [`crate::decision::v1`]; both
//! are the same on the wire.

mod batch;
mod codec;
mod decision;
mod piece;
mod request;

#[allow(missing_docs, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/encoded/tarim.decision.v1.rs"));
}

pub use self::{
    batch::BatchDecideRequest,
    decision::Decision,
    generated::{
        BatchDecideResponse, JournalEntry, StreamedDecision, decision_service_server, streamed_decision,
    },
    request::{DecisionRequest, FieldValue},
};
