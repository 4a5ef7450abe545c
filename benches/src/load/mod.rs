//! The load generator: requests at a fixed rate, or as many as there are answers.
//!
//! ```text
//!  Requests ── nth ──► encoded bytes ──► Client (unary, batch, stream) ──► answers, counted
//!                           ▲                                                  │
//!      open: a pacer says when each is due        closed: the answer before it ┘
//!                                                 latency ──► histogram
//! ```
//!
//! - **Open loop**: requests are due at fixed times whatever the server does, and latency counts from when a
//!   request was *due*. A server that stalls for a second is charged for everybody who would have come in that
//!   second; a closed loop would have asked once and waited, and never have noticed.
//! - **Closed loop**: so many in flight, always; for throughput.
//! - **Decisions only**: what is refused, by whatever code, is counted apart: it is quick, and no work done.
//! - **Cheap to send**: requests are encoded beforehand and answers are looked into, not decoded whole: a client
//!   on the server's machine must not eat what it measures.

mod client;
mod measured;
mod plan;
mod requests;
mod run;

pub use self::{
    client::Client,
    measured::{Measured, QUANTILES},
    plan::{Mode, Pace, Plan},
    requests::Requests,
    run::run,
};
