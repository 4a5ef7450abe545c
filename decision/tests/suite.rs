//! All integration tests of this crate in one executable: linked once, not once for each file, each of which
//! would carry DataFusion again. `cargo test --test suite NAME` runs the tests of `NAME.rs`.

mod broken;
mod fail_closed;
mod members;
mod published;
mod recorded;
mod rulebook;
mod wire;
