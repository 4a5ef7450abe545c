//! What stands against customers, from the ledger to decision services on other machines: a compacted topic.
//!
//! ```text
//!  Ledger ─► News: who has changed ─► tell: what stands now ─► topic, key member/customer ─► hear ─► Feed
//!        └── heard: up to when ─────► a beat in each partition ─────────────────────────────►
//! ```
//!
//! The topic of changes does not do for this: it would have to be kept for ever and read from its beginning, and it says
//! nothing while nothing changes, so that silence could be peace or a dead sender. This one has the last word on each customer, and a
//! beat in each partition: everything that was known then stands before it.
//!
//! - **Whole**: whoever begins to tell has a new *epoch* (the time), tells every customer with warnings, and beats after that.
//!   A reader that has a beat of one epoch in every partition forgets customers of epochs before.
//! - **In order**: each record carries its epoch and number; one that is older than what the reader has of the customer is
//!   left out, also where the topic was given more partitions.
//! - **At least once**, and a repeat changes nothing.

mod hear;
mod record;
mod tell;
mod view;

pub use self::hear::{HearError, Hearing, Settings, hear};
pub(crate) use self::tell::run as tell;
