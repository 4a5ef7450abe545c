//! The ledger against a simple one, under many threads, and under power cuts.

mod core;
mod crash;
mod levels;
mod looks;
mod model;
mod threads;
mod world;
