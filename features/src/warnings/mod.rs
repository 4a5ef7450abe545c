//! What stands against a customer: how the warning side tells the decision side, neither knowing the other.
//!
//! ```text
//!  ledger's file ─► follower ─┐                                     ┌─► row `warning` of a decision
//!                             ├─► Warnings: (member, customer) ─────┤      (a copy; nobody waits)
//!  Kafka ─────────► reader ───┘    Standing, as of a time           └─► metrics: age, customers
//! ```
//!
//! - **In**: a [`Feed`] has one writer, which says what stands and up to which time it knows everything. **Out**: [`Warnings::of`].
//! - **Unknown is not "none"**: as long as the whole is not there, or nothing was heard for too long, there is no answer. A customer
//!   without any warning has an answer: none.
//! - Readers take no lock and allocate nothing ([`Table`]).

mod feed;
mod standing;
mod table;

pub use self::{
    feed::{Feed, Warnings},
    standing::{LEVELS, Level, Standing, layout},
    table::{Edit, Table},
};
