//! Durable reserves beside PostgreSQL doing the same on the same disk; and how many of them share a sync, since the disk is the limit
//! of both.

use super::{NAME, postgres};
use crate::goals::{
    Goal, Line, Quantity, Setting, Wanted,
    peer::{build_ours, measured, number},
};

pub struct ExposureDurable;

const CALLERS: usize = 64;

impl Goal for ExposureDurable {
    fn name(&self) -> &'static str {
        "exposure_durable"
    }

    fn about(&self) -> &'static str {
        "durable reserves that touch 12 counters, 64 callers, beside PostgreSQL"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let executable = build_ours(setting, NAME)?;
        let seconds = setting.size(20, 2);
        let folder = setting.folder("exposure_durable")?;
        let path = folder.to_string_lossy().into_owned();
        let ours = measured(&executable, &["durable", &path, &CALLERS.to_string(), &seconds.to_string()])?;
        std::fs::remove_dir_all(&folder)?;
        let theirs = postgres::reserves(&setting.folder("exposure_postgres")?, CALLERS, seconds)?;
        let rate = Quantity::Rate(number(&ours, "per_s")?);
        let time = |name: &str| Ok::<_, anyhow::Error>(Quantity::Time(number(&ours, name)?));
        Ok(vec![
            Line::new("durable reserves of 12 counters, 64 callers", rate, Wanted::Faster(20.0))
                .beside("PostgreSQL, one statement a call", Quantity::Rate(theirs.per_s)),
            Line::new("one of them, p50", time("p50_ns")?, Wanted::Told)
                .beside("mean", Quantity::Time(theirs.mean_ns)),
            Line::new("one of them, p99", time("p99_ns")?, Wanted::Told),
            Line::new(
                "reserves that share a sync",
                Quantity::Count(number(&ours, "per_sync")?),
                Wanted::Told,
            )
            .beside("PostgreSQL", Quantity::Count(theirs.per_sync)),
            Line::new("a write and sync of them", time("sync_ns")?, Wanted::Told)
                .beside("PostgreSQL's sync", Quantity::Time(theirs.sync_ns)),
            Line::new("appending 8 KiB and syncing, alone", time("bare_sync_ns")?, Wanted::Told),
        ])
    }
}
