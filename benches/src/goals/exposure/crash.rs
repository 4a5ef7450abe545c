//! Crashes from a seed: nothing that was answered is lost, nothing done twice, nothing oversold.

use std::{path::Path, process::Command};

use anyhow::{Context, bail};

use crate::goals::{Goal, Line, Quantity, Setting, Wanted};

pub struct ExposureCrash;

/// What the test says when it has found nothing: `crashes 2204 violations 0`.
const TOLD: &str = "crashes ";

impl Goal for ExposureCrash {
    fn name(&self) -> &'static str {
        "exposure_crash"
    }

    fn about(&self) -> &'static str {
        "power cuts, full disks and failed syncs at random writes of many ledgers, each opened again and compared"
    }

    fn run(&self, _: &Setting) -> anyhow::Result<Vec<Line>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // The test that CI runs, as CI runs it: it ends with the first violation.
        let output = Command::new(cargo)
            .args(["test", "--quiet", "-p", "tarim", "-p", "tarim-decision", "--lib", "--"])
            .args(["--nocapture", "exposure::tests::crash::a_ledger_survives_any_sequence_of_faults"])
            .current_dir(root)
            .output()
            .context("cargo cannot be run")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let told = text.lines().find_map(|line| line.split_once(TOLD));
        let Some((_, told)) = told.filter(|_| output.status.success()) else {
            bail!("the crash test found something: {}", String::from_utf8_lossy(&output.stderr));
        };
        let mut numbers = told.split_whitespace().filter_map(|word| word.parse().ok());
        let mut next = || numbers.next().map(Quantity::Count).context("the crash test tells two numbers");
        Ok(vec![
            Line::new("crashes", next()?, Wanted::AtLeast(Quantity::Count(2000.0))),
            Line::new("violations", next()?, Wanted::AtMost(Quantity::Count(0.0))),
        ])
    }
}
