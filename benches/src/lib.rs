//! Criterion benches, the load generator and peers.
//!
//! Nothing is here yet.
