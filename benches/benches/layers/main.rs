//! Criterion benches, layer by layer: what a decision is made of, each part alone.
//!
//! ```text
//!   cargo bench -p tarim-benches                      all
//!   cargo bench -p tarim-benches -- expression        those whose name has this in it
//! ```
//!
//! They are for whoever changes a layer and wants to see by how much. What is *promised* of speed is measured
//! beside peers, by the goals runner.

mod decision;
mod expression;
mod journal;
mod rows;
mod wire;

criterion::criterion_group!(
    layers,
    expression::benches,
    rows::benches,
    decision::benches,
    wire::benches,
    journal::benches
);
criterion::criterion_main!(layers);

/// A folder for a fixture; removed when it is dropped.
fn folder() -> tempfile::TempDir {
    // In the target folder: a temporary folder in memory would not show what a disk costs.
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder can be written to")
}
