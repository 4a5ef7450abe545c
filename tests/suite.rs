//! All integration tests of this crate in one executable: linked once, not once for each file, each of which
//! would carry DataFusion again. `cargo test --test suite NAME` runs the tests of `NAME.rs`.

mod backtest;
mod bench;
mod exposed;
mod generations;
mod homes;
mod installation;
mod kill;
mod reserved;
mod rulebook;
mod serve;
mod warn_desk;
mod warn_kafka;
mod warn_members_kafka;
mod warn_metrics_kafka;
mod warn_serve;
mod warn_service_kafka;
mod warned;
