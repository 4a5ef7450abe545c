//! Measuring: the goals runner, criterion benches, the load generator.
//!
//! ```text
//!  fixture/  rulebooks and banks made for measuring ──┬──► goals (the binary): ours against a peer, side by side
//!     │      requests at a rate, or as fast as can be ◄── load/    │ ratio, wanted, met
//!     ▼                                                  │         ▼
//!  benches/layers: each layer alone, by criterion   tarim bench   a table, target/goals.json
//! ```
//!
//! - **A ratio in one run.** Machines differ and are noisy; what counts is ours beside a peer, measured in
//!   alternating rounds of one process run, by the median of rounds.
//! - **The same work.** Before anything is timed, both must give the same answers to the same thousands of
//!   inputs: a peer that computes something else is no peer.
//! - **Nothing is learnt by heart.** Inputs vary (from a fixed seed), or branch predictors would learn them.
//! - **Nothing is left behind.** Servers and fixtures end with the runner, also by ctrl-c ([`ending`]).
//! - `server/` is the service and its echo as a program of its own, which the goal `grpc` builds and starts.
//! - To add a goal, add a file to `goals/` and a line to its list. Peers whose dependencies are heavy live in
//!   `peers/`, a workspace of its own, which the runner builds.

pub mod ending;
pub mod fixture;
pub mod load;
