//! Exposure limits that are never oversold: schemes, the ledger, its log.
//!
//! ```text
//!  rulebook/limits ──► SchemeSet ─ adopt ─┐                                       (scheme/)
//!                                         ▼
//!  Operation ──► Ledger: queue ──► thread: Core::apply ──► thread: log, one sync ──► Answer | Refusal
//!                (ledger)        (writer)  (core/)         (syncer, machine, and the journal's log)
//!                                              └─ copy ──► snapshot, queries, as of a time
//! ```
//!
//! - **In**: [`Operation`]s by any thread, each with a key. **Out**: an [`Answer`] once it is durable, or a [`Refusal`] that
//!   names every counter without room. All counters that an exposure touches are taken from together, or none.
//! - **Reserve** (application, contract) → **commit** (disbursement, whole or in parts) → **repay**, **release**, or expiry.
//!   A counter's use is what is reserved and what is out.
//! - **Once**: the same key and content give the same answer; other content is an error. What was refused is not
//!   remembered: it took nothing, and there may be room later. What was done to an exposure that was closed 400 days ago is not
//!   remembered either, and then whatever is asked of it is refused as gone.
//! - **Money** is an integer of fen. A sum cannot overflow unseen: the total of a ledger is checked, and everything else
//!   is a part of it.
//! - **Expiry** is an operation in the log like any other; the core has no clock.
//! - **For policies** it is told how the counters of an application stand ([`standing`]): the relation `exposure`.
//! - To add an operation: a message in `operation`, an arm in `core/apply`, an arm in the model of `tests/`.

mod core;
mod error;
mod events;
mod groups;
mod ledger;
mod machine;
mod note;
mod operation;
mod prospect;
pub mod scheme;
mod snapshot;
mod spare;
pub mod standing;
mod syncer;
#[cfg(test)]
mod tests;
mod writer;

pub use self::{
    core::{Core, ExposureState, Filter, Large, LargeChange, LargeEvent, Sight},
    error::LedgerError,
    events::{large_event, large_event_json},
    groups::regroupings,
    ledger::{Clock, Config, KEYS_KEPT, Ledger, as_of},
    note::JournalNote,
    operation::{
        ATTRIBUTES_MAX, Adopt, Answer, Attribute, Breach, Commit, CounterUse, FEN_MAX, FileLarge, NAME_MAX,
        Operation, Prepared, Refusal, Regroup, Release, Repay, Reserve, TICK_MAX, Tick,
    },
    prospect::{Pairs, Prospect},
    spare::Spare,
};
