//! The warning pipeline.

mod crash;
mod files;
mod found;
mod kafka;
mod ledger;
mod restart;

pub use self::{
    crash::WarnCrash, files::WarnFiles, found::WarnFound, kafka::WarnKafka, ledger::WarnLedger,
    restart::WarnRestart,
};

/// The executable that is measured, with the allocator that `tarim` has. This one's counts.
const NAME: &str = "tarim-benches-warn";
