//! Reserving without the disk.

use super::NAME;
use crate::goals::{
    Goal, Line, Quantity, Setting, Wanted,
    peer::{build_ours, measured, number},
};

pub struct ExposureReserve;

impl Goal for ExposureReserve {
    fn name(&self) -> &'static str {
        "exposure_reserve"
    }

    fn about(&self) -> &'static str {
        "reserves in memory on one core, each touching 12 counters"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let executable = build_ours(setting, NAME)?;
        let (exposures, more) = (setting.size(1_000_000, 10_000), setting.size(1_000_000, 10_000));
        let told = measured(&executable, &["reserve", &exposures.to_string(), &more.to_string()])?;
        let time = |name: &str| Ok::<_, anyhow::Error>(Quantity::Time(number(&told, name)?));
        Ok(vec![
            Line::new(
                format!("counter updates, in a ledger of {exposures} exposures and more"),
                Quantity::Rate(number(&told, "updates_per_s")?),
                Wanted::AtLeast(Quantity::Rate(1e6)),
            ),
            Line::new("a reserve, p50", time("p50_ns")?, Wanted::Told),
            Line::new("a reserve, p99", time("p99_ns")?, Wanted::AtMost(Quantity::Time(20e3))),
            Line::new("a reserve, p99.99", time("p9999_ns")?, Wanted::Told),
        ])
    }
}
