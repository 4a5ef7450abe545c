//! What the disk takes for a group commit, without anything of ours.

use std::{
    fs::{self, File},
    io::{Seek, Write},
    path::Path,
    time::Instant,
};

use crate::measure::quantile;

/// Syncs that a quantile is taken of.
const SYNCS: usize = 1000;

/// Mean bytes that the journal of a folder takes for each decision.
pub fn bytes_per_record(journal: &Path) -> anyhow::Result<f64> {
    let (mut records, mut bytes) = (0, 0);
    tarim_decision::journal::read(journal, &mut |_, _, size| {
        records += 1;
        bytes += size;
        Ok(())
    })?;
    Ok(bytes as f64 / f64::from(records.max(1)))
}

/// 99th percentile of the nanoseconds to write a group and force it to disk. A group is what comes, at so many
/// records a second, while the one before it is written.
pub fn commit_ns(folder: &Path, record: f64, per_second: f64) -> anyhow::Result<f64> {
    let one = writes(folder, record as usize)?;
    let group = (per_second * quantile(&one, 0.5) / 1e9).max(1.0);
    let groups = writes(folder, (record * group) as usize)?;
    Ok(quantile(&groups, 0.99))
}

/// How long each of many writes of so many bytes took, one behind the other over what was made ahead, sorted.
fn writes(folder: &Path, bytes: usize) -> anyhow::Result<Vec<f64>> {
    let path = folder.join("writes");
    let mut file = File::create(&path)?;
    let mut group = vec![0; bytes];
    for _ in 0..SYNCS {
        file.write_all(&group)?;
    }
    file.sync_data()?;
    file.rewind()?;
    group.fill(0x5a);
    let mut taken = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let start = Instant::now();
        file.write_all(&group)?;
        file.sync_data()?;
        taken.push(start.elapsed().as_nanos() as f64);
    }
    fs::remove_file(path)?;
    taken.sort_by(f64::total_cmp);
    Ok(taken)
}
