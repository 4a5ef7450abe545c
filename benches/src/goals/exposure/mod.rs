//! The exposure ledger.

mod crash;
mod durable;
mod look;
mod postgres;
mod reopen;
mod reserve;

pub use self::{
    crash::ExposureCrash, durable::ExposureDurable, look::ExposureLook, reopen::ExposureReopen,
    reserve::ExposureReserve,
};

/// The executable that is measured, with the allocator that `tarim` has. This one's counts.
const NAME: &str = "tarim-benches-exposure";
