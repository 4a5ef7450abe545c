//! All integration tests of this crate in one executable: linked once, not once for each file, each of which
//! would carry DataFusion again. `cargo test --test suite NAME` runs the tests of `NAME.rs`.

mod broken;
mod edges;
mod expr_cases;
mod expr_common;
mod expr_keys;
mod expr_no_alloc;
mod expr_parity;
mod expr_puts;
mod expr_shapes;
mod materialise;
mod plans;
mod point_in_time;
mod store_no_alloc;
mod stream_parity;
mod support;
mod warnings_no_alloc;
