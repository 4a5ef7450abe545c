//! The exposure ledger.

mod crash;
mod durable;
mod postgres;
mod reopen;
mod reserve;

use std::{path::Path, process::Command};

use anyhow::{Context, bail};
use serde_json::Value as Json;

pub use self::{
    crash::ExposureCrash, durable::ExposureDurable, reopen::ExposureReopen, reserve::ExposureReserve,
};

/// The executable that is measured, with the allocator that `tarim` has. This one's counts.
const NAME: &str = "tarim-benches-exposure";

/// Runs the executable; gives what it printed.
fn measured(executable: &Path, arguments: &[&str]) -> anyhow::Result<Json> {
    let output = Command::new(executable).args(arguments).output().context("cannot run it")?;
    if !output.status.success() {
        bail!("{NAME} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{NAME} prints a line of JSON"))
}

/// A number of what was printed.
fn number(told: &Json, name: &str) -> anyhow::Result<f64> {
    told[name].as_f64().with_context(|| format!("{NAME} does not tell {name}"))
}
