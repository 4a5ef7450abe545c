//! Which generations a store has: for people, who choose one to roll back to.

use std::{path::Path, time::SystemTime};

use super::{
    Generation, StoreError, held,
    manifest::{self, Pointer},
};

/// A generation in the folder of a store.
#[derive(Debug)]
pub struct Listed {
    pub number: u64,
    /// Its version and its parts; an error if its manifest is damaged.
    pub read: Result<(String, Generation), StoreError>,
    /// When it was published.
    pub published: SystemTime,
    pub is_current: bool,
    /// Somebody who put it into a log keeps it.
    pub is_held: bool,
}

/// All generations of a store, oldest first. None where nothing was ever published.
pub(super) fn list(folder: &Path) -> Result<Vec<Listed>, StoreError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let current = match Pointer::read(folder) {
        // The list is what a remedy is chosen from.
        Err(e @ StoreError::Damaged { .. }) => {
            tracing::warn!("no generation is current: {e}");
            None
        }
        current => current?.map(|pointer| pointer.number),
    };
    let held = held::numbers(folder)?;
    let about = |number| {
        let path = folder.join(manifest::manifest_name(number));
        let published = path.metadata().and_then(|about| about.modified());
        Ok(Listed {
            number,
            read: manifest::read_manifest(folder, number).map(|(all, pointer)| (pointer.version(), all)),
            published: published.map_err(|e| StoreError::io("look at", &path, e))?,
            is_current: current == Some(number),
            is_held: held.contains(&number),
        })
    };
    manifest::numbers(folder)?.into_iter().map(about).collect()
}
