//! Starting with ten million customers.

use tarim_benches::fixture::warn::WarnBook;

use super::NAME;
use crate::goals::{
    Goal, Line, Quantity, Setting, Wanted,
    peer::{build_ours, measured, number},
};

pub struct WarnRestart;

/// Seconds to the first alert that are wanted, and bytes of all states.
const WANTED_S: f64 = 10.0;
const WANTED_BYTES: f64 = 8.0 * 1024.0 * 1024.0 * 1024.0;

impl Goal for WarnRestart {
    fn name(&self) -> &'static str {
        "warn_restart"
    }

    fn about(&self) -> &'static str {
        "10,000,000 customers with 20 windows: from the snapshot to the first alert, and memory"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let executable = build_ours(setting, NAME)?;
        let folder = setting.folder("warn_restart")?;
        let customers = setting.size(10_000_000, 100_000);
        WarnBook { windows: 20, rules: 100, customers }.write(&folder.join("rulebook"))?;
        let folder = folder.to_string_lossy().into_owned();
        let written = measured(&executable, &["state-write", &folder, &customers.to_string()])?;
        let loaded = measured(&executable, &["state-load", &folder])?;
        let state = number(&written, "state_bytes")?;
        Ok(vec![
            Line::new(
                format!("from the snapshot of {customers} customers to the first alert"),
                Quantity::Time(1e9 * number(&loaded, "first_alert_s")?),
                Wanted::AtMost(Quantity::Time(1e9 * WANTED_S)),
            ),
            Line::new(
                format!("state of {customers} customers, 20 windows, 4 events each"),
                Quantity::Bytes(state),
                Wanted::AtMost(Quantity::Bytes(WANTED_BYTES)),
            ),
            Line::new("a snapshot of it", Quantity::Bytes(number(&written, "bytes")?), Wanted::Told),
        ])
    }
}
