//! Generations that stay in the folder because somebody may ask for them again.
//!
//! A pipeline reads the generation that its log names. After a crash it takes the log again from its last snapshot on, and with it
//! the generations that were in force since. So whoever puts a generation into a log holds it: an empty file
//! `held-00000012` beside the others. The last few that are held stay; who holds more, lets go of the oldest.

use std::{fs::File, path::Path};

use super::{StoreError, embedded::lock, manifest};

const PREFIX: &str = "held-";

/// Numbers of the generations that are held, in order.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u64>, StoreError> {
    let names = manifest::names(folder)?;
    let mut numbers: Vec<u64> =
        names.iter().filter_map(|name| name.strip_prefix(PREFIX)?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Holds a generation, and lets go of all but the last `last` that are held. They are removed with the next publication.
pub(super) fn hold(folder: &Path, version: &str, last: usize) -> Result<(), StoreError> {
    // Or a publication could remove it meanwhile.
    let _lock = lock(folder)?;
    let (generation, _) = manifest::of_version(folder, version)?;
    let path = folder.join(format!("{PREFIX}{:08}", generation.number));
    let written = File::create(&path).and_then(|file| file.sync_all());
    written.map_err(|e| StoreError::io("write", &path, e))?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| StoreError::io("sync", folder, e))?;
    let held = numbers(folder)?;
    let others = held.iter().filter(|number| **number != generation.number);
    let let_go = held.len().saturating_sub(last.max(1));
    for number in others.take(let_go) {
        let path = folder.join(format!("{PREFIX}{number:08}"));
        std::fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
    }
    Ok(())
}
