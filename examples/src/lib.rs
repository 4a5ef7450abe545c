//! The synthetic bank and the example rulebooks.
//!
//! `rulebook/` and `berka/rulebook/` (text, beside this crate) are the rulebooks. The code makes the
//! bank that the first one fits: a federation of rural lenders with customers, companies, accounts,
//! loans, repayments, transactions, bureau reports, guarantees, devices, lists, provident fund, payroll,
//! tax records, applications, and what became of them.
//!
//! ```text
//!            seed, sizes, as-of
//!                   │
//!               Plan::world            members, blocks of customers, who applies how often
//!                   │  per block
//!         Person, Company              who they are, and their hidden risk
//!                   │  per person
//!   ledger  credit  income  contact  application       what the bank gets to see of it
//!                   │
//!                 Bank                 one Sheet (file) per table; a known share of dirty rows; Events
//! ```
//!
//! - **Streaming.** One customer at a time, so that memory does not grow with the bank.
//! - **Reproducible.** Every draw comes from a ChaCha stream of (seed, topic, member, customer): the same
//!   options give the same bytes, and a customer can be made again where another one needs to know him.
//! - **Hidden risk.** Each customer and company has a hidden risk (standard normal, shifted by member).
//!   Defaults are drawn from it, and so is, with noise, most of what can be seen: overdue months,
//!   utilisation, enquiries, balances, gaps in pay. A scorecard over what is seen can therefore work, but
//!   never be perfect.
//! - **Planted.** Fraud rings, structuring, guarantee circles, patterns of the ledger and dirty rows are noted
//!   in `truth/planted.csv` and counted in `truth/summary.json`.
//! - **Events.** What happened stands in `events/events.ndjson` too, in the order in which the bank came to know
//!   it, as its systems would send it. Some of it comes late, and none of it is spoiled.
//! - **Requests.** The newest applications stand in `requests/requests.ndjson` too, as a lending system would
//!   send them.
//! - **Two times.** Every row carries the time at which the bank knew it, and no row that was known after
//!   the as-of day is written. The exception is `loan_outcomes`: what became of the applications a year
//!   later, for judging backtests. Its known-at keeps it out of every feature.

mod application;
mod bank;
mod block;
mod calendar;
mod codes;
mod company;
mod contact;
mod counterparty;
mod credit;
mod dice;
mod events;
mod forms;
mod identity;
mod income;
mod ledger;
mod pattern;
mod person;
mod planted;
mod public_record;
mod requests;
mod servicing;
mod sheet;
mod synth;
mod world;

pub use bank::SheetReport;
pub use chrono::NaiveDate;
pub use planted::Planted;
pub use synth::{Report, SynthError, synthesise};
pub use world::Plan;
