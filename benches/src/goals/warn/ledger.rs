//! The ledger of warnings with ten million alerts.

use super::NAME;
use crate::goals::{
    Goal, Line, Quantity, Setting, Wanted,
    peer::{build_ours, measured, number},
};

pub struct WarnLedger;

impl Goal for WarnLedger {
    fn name(&self) -> &'static str {
        "warn_ledger"
    }

    fn about(&self) -> &'static str {
        "10,000,000 alerts in the ledger of warnings: memory, taking them, opening it"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let executable = build_ours(setting, NAME)?;
        let folder = setting.folder("warn_ledger")?;
        // Of ten alerts of the demo's bank about seven open a warning.
        let alerts = setting.size(10_000_000, 20_000);
        let repeated = alerts * 3 / 10;
        let opened = alerts - repeated;
        let measure = |name: &str, opened: u64, repeated: u64, push: &[&str]| -> anyhow::Result<_> {
            let path = folder.join(name);
            std::fs::create_dir_all(&path)?;
            let path = path.to_string_lossy().into_owned();
            let (opened, repeated) = (opened.to_string(), repeated.to_string());
            let filled =
                measured(&executable, &[&["ledger-fill", &path, &opened, &repeated], push].concat())?;
            let found = measured(&executable, &[&["ledger-open", &path], push].concat())?;
            // Gigabytes: not to be kept until the last goal is measured.
            std::fs::remove_dir_all(&path)?;
            Ok((filled, found))
        };
        let (filled, found) = measure("pushed", opened, repeated, &["--push"])?;
        let some = alerts / 10;
        let each = |more: f64, less: f64| Quantity::Bytes((more - less) / some as f64);
        let warnings = number(&measure("opened", some, 0, &[])?.1, "resident_bytes")?;
        let repeats = number(&measure("repeated", some, some, &[])?.1, "resident_bytes")?;
        let pushes = number(&measure("each_pushed", some, 0, &["--push"])?.1, "resident_bytes")?;
        let seconds = |told, name: &str| Ok::<_, anyhow::Error>(Quantity::Time(1e9 * number(told, name)?));
        let bytes = number(&found, "resident_bytes")?;
        let told = |what: String, ours| Line::new(what, ours, Wanted::Told);
        Ok(vec![
            told(format!("memory of {alerts} alerts, all pushed"), Quantity::Bytes(bytes)),
            told("… of each".into(), Quantity::Bytes(bytes / alerts as f64)),
            told("memory of a warning that stands".into(), each(warnings, 0.0)),
            told("… of a repeat".into(), each(repeats, warnings)),
            told("… of a push, and of who was told".into(), each(pushes, warnings)),
            told(format!("opening {alerts} alerts, by the snapshot"), seconds(&found, "open_s")?),
            told("taking alerts".into(), Quantity::Rate(number(&filled, "per_s")?)),
            told("closing, with the snapshot".into(), seconds(&filled, "close_s")?),
            told(
                "the log, of each alert".into(),
                Quantity::Bytes(number(&filled, "log_bytes")? / alerts as f64),
            ),
        ])
    }
}
