//! All integration tests of this crate in one executable: linked once, not once for each file, each of which
//! would carry DataFusion again. `cargo test --test suite NAME` runs the tests of `NAME.rs`.

mod checks;
mod common;
mod crashes;
mod date_trunc;
mod dates;
mod formats;
mod gate;
mod loads;
mod mart;
mod standards;
