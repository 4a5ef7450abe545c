//! Criterion benches, the load generator, peers
