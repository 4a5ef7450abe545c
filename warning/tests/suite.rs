//! All integration tests of this crate in one executable: linked once, not once for each file, each of which
//! would carry DataFusion again. `cargo test --test suite NAME` runs the tests of `NAME.rs`.

mod backfill;
mod broken;
mod cases;
mod contagion;
mod crossings;
mod deliveries;
mod delivery_laws;
mod determinism;
mod fuzz;
mod known;
mod known_no_alloc;
mod limits;
mod members;
mod patterns;
mod places;
mod replay;
mod rulebook;
mod scenarios;
mod service;
mod support;
mod swap;
