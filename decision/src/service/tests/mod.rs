//! The service, in process: every call, every error, and what happens at the edges.
//!
//! Nothing here waits for time to pass: the journal's disk holds its syncs until a test lets go, and
//! requests are polled by hand where it matters which came first.

mod bank;
mod calls;
mod edges;
mod exposing;
mod exposures;
mod first_words;
mod interceptions;
mod lanes;
mod no_alloc;
mod once;
mod swaps;
mod unary;
mod uploads;
mod watched;
