//! Opening a ledger of ten million exposures.

use super::NAME;
use crate::goals::{
    Goal, Line, Quantity, Setting, Wanted,
    peer::{build_ours, measured, number},
};

pub struct ExposureReopen;

impl Goal for ExposureReopen {
    fn name(&self) -> &'static str {
        "exposure_reopen"
    }

    fn about(&self) -> &'static str {
        "10,000,000 exposures, half of them drawn: from the snapshot to the first reserve, and memory"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let executable = build_ours(setting, NAME)?;
        let folder = setting.folder("exposure_reopen")?;
        let exposures = setting.size(10_000_000, 50_000);
        let path = folder.to_string_lossy().into_owned();
        let written = measured(&executable, &["write", &path, &exposures.to_string()])?;
        let opened = measured(&executable, &["open", &path])?;
        // Gigabytes: not to be kept until the last goal is measured.
        std::fs::remove_dir_all(&folder)?;
        let seconds = |told, name: &str| Ok::<_, anyhow::Error>(Quantity::Time(1e9 * number(told, name)?));
        Ok(vec![
            Line::new(
                format!("opening {exposures} exposures from a snapshot, and a first reserve"),
                seconds(&opened, "first_s")?,
                Wanted::AtMost(Quantity::Time(5e9)),
            ),
            Line::new("memory then", Quantity::Bytes(number(&opened, "resident_bytes")?), Wanted::Told),
            Line::new("the snapshot", Quantity::Bytes(number(&written, "snapshot_bytes")?), Wanted::Told),
            Line::new("writing it beside", seconds(&written, "snapshot_s")?, Wanted::Told),
            Line::new(
                "a copy to read from, while operations wait",
                seconds(&written, "view_s")?,
                Wanted::Told,
            ),
        ])
    }
}
