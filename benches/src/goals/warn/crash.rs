//! Killed again and again: whoever reads committed alerts sees what an undisturbed run gives, each once.

use std::{path::Path, process::Command};

use anyhow::{Context, bail};

use crate::goals::{Goal, Line, Quantity, Setting, Wanted};

pub struct WarnCrash;

/// What the test says before it judges: `crash: kills=50 broker=5 records=7994 lost=0 twice=0 other=0`.
const TOLD: &str = "crash: ";

impl Goal for WarnCrash {
    fn name(&self) -> &'static str {
        "warn_crash"
    }

    fn about(&self) -> &'static str {
        "the pipeline on Kafka killed (-9) fifty times over one history, and the broker five times, beside an undisturbed run"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let kills = setting.size(50, 10);
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // The test that CI runs; it says what it counted before it judges, so that a failure is told too.
        let output = Command::new(root.join(".ci/kafka"))
            .args(["run", "--"])
            .arg(cargo)
            .args(["test", "--quiet", "--test", "suite", "warn_kafka::", "--", "--nocapture"])
            .arg("alerts_are_exactly_once")
            .env("TARIM_KILLS", kills.to_string())
            .current_dir(&root)
            .output()
            .context("Kafka is missing")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(told) = text.lines().find_map(|line| line.split_once(TOLD)) else {
            bail!("the crash test counted nothing: {}", String::from_utf8_lossy(&output.stderr));
        };
        let number = |name: &str| -> anyhow::Result<f64> {
            let words = told.1.split_whitespace().filter_map(|word| word.split_once('='));
            let found = words.filter(|(key, _)| *key == name).map(|(_, n)| n).next();
            Ok(found.with_context(|| format!("the crash test does not tell {name}"))?.parse()?)
        };
        let count = |name: &str| Ok::<_, anyhow::Error>(Quantity::Count(number(name)?));
        let none = || Wanted::AtMost(Quantity::Count(0.0));
        // It holds more than it counts: that events spread once, and each to its partition.
        let counted = number("lost")? + number("twice")? + number("other")?;
        if counted == 0.0 && !output.status.success() {
            bail!("the crash test failed: {text}{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(vec![
            Line::new("processes killed", count("kills")?, Wanted::AtLeast(Quantity::Count(kills as f64))),
            Line::new("brokers killed", count("broker")?, Wanted::AtLeast(Quantity::Count(1.0))),
            Line::new("alerts and dead letters of an undisturbed run", count("records")?, Wanted::Told),
            Line::new("of these lost", count("lost")?, none()),
            Line::new("found twice", count("twice")?, none()),
            Line::new("found that the undisturbed run does not give", count("other")?, none()),
        ])
    }
}
