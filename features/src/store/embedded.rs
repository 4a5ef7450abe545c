//! The embedded store: generations in a folder, the current one in memory.
//!
//! ```text
//! store/CURRENT                     "generation-00000012.json <BLAKE3>"
//! store/generation-00000012.json    the parts of a generation, with their checksums
//! store/entity-customer-00000012.part   rows       (see `file`)
//! store/lists-00000011.part         entries; generation 12 kept those of 11
//! ```
//!
//! To publish: write the parts, force them to disk, give them their names; the same with the manifest;
//! then replace `CURRENT` by a rename. Until that rename the old generation is the current one, and after
//! any crash at any step a whole generation is. The last few generations are kept, to roll back to; so are those that
//! somebody holds ([`held`](super::held)).

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;

use super::{
    FileWriter, Listed, OnlineStore, Snapshot, StoreError, Written, held, listing,
    manifest::{self, Generation, Part, Pointer},
};
use crate::view::FeatureSet;

/// Generations that stay in the folder, the current one included.
const KEPT: usize = 3;

/// A store in a folder of this machine.
pub struct EmbeddedStore {
    folder: PathBuf,
    features: Arc<FeatureSet>,
    snapshot: ArcSwap<Snapshot>,
    /// One reload at a time; readers do not come here.
    reloading: Mutex<()>,
}

impl EmbeddedStore {
    /// Loads the current generation into memory. It must have been materialised by these definitions.
    pub fn open(folder: &Path, features: Arc<FeatureSet>) -> Result<Self, StoreError> {
        let snapshot = load(folder, &features, None)?;
        let snapshot = snapshot.ok_or_else(|| StoreError::Empty { path: folder.into() })?;
        let (snapshot, reloading) = (ArcSwap::from_pointee(snapshot), Mutex::new(()));
        Ok(Self { folder: folder.into(), features, snapshot, reloading })
    }

    /// The definitions that its rows were computed by.
    pub fn features(&self) -> &Arc<FeatureSet> {
        &self.features
    }

    /// Numbers of the generations that can be rolled back to, oldest first, and the current one's.
    pub fn generations(folder: &Path) -> Result<(Vec<u64>, Option<u64>), StoreError> {
        let current = Pointer::read(folder)?.map(|p| p.number);
        if current.is_none() {
            return Ok((Vec::new(), None));
        }
        Ok((manifest::numbers(folder)?, current))
    }

    /// What there is of each generation that can be rolled back to, oldest first; none where nothing was ever published.
    pub fn list(folder: &Path) -> Result<Vec<Listed>, StoreError> {
        listing::list(folder)
    }

    /// The number of a kept generation that is named by it, or by its version: `12`, or `12-3f9a02bc`.
    pub fn number_of(folder: &Path, name: &str) -> Result<u64, StoreError> {
        name.parse().or_else(|_| Ok(manifest::of_version(folder, name)?.0.number))
    }

    /// Makes a kept generation the current one again. Servers follow at their next reload.
    pub fn roll_back(folder: &Path, number: u64) -> Result<(), StoreError> {
        // To lock a store makes its folder.
        if !folder.is_dir() {
            return Err(StoreError::Empty { path: folder.into() });
        }
        let _lock = lock(folder)?;
        // Whatever CURRENT says, which may be damaged: this mends it.
        let kept = manifest::numbers(folder)?;
        if !kept.contains(&number) {
            let kept = kept.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            let kept = if kept.is_empty() { "none".to_owned() } else { kept };
            return Err(StoreError::NoGeneration { generation: number, kept });
        }
        let (_, pointer) = manifest::read_manifest(folder, number)?;
        manifest::point(folder, &pointer)
    }
}

impl OnlineStore for EmbeddedStore {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    fn reload(&self) -> Result<bool, StoreError> {
        let _one = self.reloading.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let former = self.snapshot();
        let Some(snapshot) = load(&self.folder, &self.features, Some(&former))? else { return Ok(false) };
        self.snapshot.store(Arc::new(snapshot));
        Ok(true)
    }
}

/// Loads the current generation; None if there is none, or it is that of `former`.
fn load(
    folder: &Path,
    features: &FeatureSet,
    former: Option<&Snapshot>,
) -> Result<Option<Snapshot>, StoreError> {
    loop {
        let Some(pointer) = Pointer::read(folder)? else { return Ok(None) };
        if former.is_some_and(|f| *f.pointer() == pointer) {
            return Ok(None);
        }
        let result = Snapshot::load(folder, pointer.clone(), features, former);
        // While a large generation was read, newer ones may have been published and its files removed.
        if result.is_err() && Pointer::read(folder)?.as_ref() != Some(&pointer) {
            continue;
        }
        return result.map(Some);
    }
}

/// A generation that is being written. Dropped before [`Publication::commit`], it leaves drafts that the
/// next publication removes.
pub struct Publication {
    folder: PathBuf,
    /// Held until dropped; the operating system lets go of it when the process dies.
    _lock: File,
    former: Option<Generation>,
    number: u64,
    parts: Vec<(Option<String>, Part)>,
}

/// The steps of a commit, in order: a crash may fall between any two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Parts,
    Manifest,
    Point,
    Prune,
}

impl Step {
    pub const ALL: [Step; 4] = [Step::Parts, Step::Manifest, Step::Point, Step::Prune];
}

impl Publication {
    /// Begins the next generation; the folder is made if need be. One process at a time may publish. Where the current one is
    /// damaged, there is no former: whoever writes everything anew needs none, and others are told what is missing.
    pub fn begin(folder: &Path) -> Result<Self, StoreError> {
        let _lock = lock(folder)?;
        let former = match Pointer::read(folder).and_then(|p| p.map(|p| p.generation(folder)).transpose()) {
            Err(e @ StoreError::Damaged { .. }) => {
                tracing::warn!("nothing is taken over from the current generation: {e}");
                None
            }
            former => former?,
        };
        let last = manifest::numbers(folder)?.last().copied().unwrap_or(0);
        Ok(Self { folder: folder.into(), _lock, former, number: last + 1, parts: Vec::new() })
    }

    /// The generation that this one follows: parts that are not written again are taken from it.
    pub fn former(&self) -> Option<&Generation> {
        self.former.as_ref()
    }

    /// Forgets the former parts of entities that `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        if let Some(former) = &mut self.former {
            former.entities.retain(|name, _| keep(name));
        }
    }

    /// Where the rows of an entity, or with None the lists, are to be written.
    pub fn writer(&self, entity: Option<&str>) -> Result<FileWriter, StoreError> {
        let path = self.folder.join(self.file_name(entity));
        let key_parts = if entity.is_some() { 2 } else { 3 };
        FileWriter::create(&manifest::temporary(&path), key_parts)
    }

    /// Takes up what a finished writer wrote; it replaces what was put there before.
    pub fn put(&mut self, entity: Option<&str>, as_of_us: i64, definition: String, written: Written) {
        let file = self.file_name(entity);
        self.parts.retain(|(name, _)| name.as_deref() != entity);
        self.parts.push((entity.map(str::to_owned), Part { file, as_of_us, definition, written }));
    }

    /// Makes the generation the current one and returns its version.
    pub fn commit(self) -> Result<String, StoreError> {
        self.run(&Step::ALL)
    }

    /// Runs some steps of a commit; tests stop in the middle.
    pub(super) fn run(self, steps: &[Step]) -> Result<String, StoreError> {
        let missing = || StoreError::Missing { what: "the lists".into() };
        let mut entities = self.former.as_ref().map(|f| f.entities.clone()).unwrap_or_default();
        let mut lists = self.former.as_ref().map(|f| f.lists.clone());
        for (entity, part) in &self.parts {
            match entity {
                Some(entity) => drop(entities.insert(entity.clone(), part.clone())),
                None => lists = Some(part.clone()),
            }
        }
        let generation = Generation { number: self.number, entities, lists: lists.ok_or_else(missing)? };
        let mut version = String::new();
        for step in steps {
            match step {
                Step::Parts => {
                    for (_, part) in &self.parts {
                        let path = self.folder.join(&part.file);
                        manifest::settle(&manifest::temporary(&path), &path)?;
                    }
                }
                Step::Manifest => {
                    version = manifest::write_manifest(&self.folder, &generation)?.version();
                }
                Step::Point => {
                    let (_, pointer) = manifest::read_manifest(&self.folder, self.number)?;
                    manifest::point(&self.folder, &pointer)?;
                }
                // The generation is current already: what cannot be removed now is removed next time.
                Step::Prune => {
                    if let Err(e) = prune(&self.folder) {
                        tracing::warn!("old generations were not removed: {e}");
                    }
                }
            }
        }
        Ok(version)
    }

    fn file_name(&self, entity: Option<&str>) -> String {
        match entity {
            Some(entity) => format!("entity-{entity}-{:08}.part", self.number),
            None => format!("lists-{:08}.part", self.number),
        }
    }
}

/// The right to publish, for this process alone.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    std::fs::create_dir_all(folder).map_err(|e| StoreError::io("create", folder, e))?;
    let path = folder.join("LOCK");
    let io = |e| StoreError::io("lock", &path, e);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Busy { path: folder.into() }),
        Err(TryLockError::Error(e)) => Err(io(e)),
    }
}

/// Removes old generations, and drafts and parts that no kept generation uses. Files that are not the
/// store's are left alone.
fn prune(folder: &Path) -> Result<(), StoreError> {
    let Some(current) = Pointer::read(folder)? else { return Ok(()) };
    let numbers = manifest::numbers(folder)?;
    let (old, young) = numbers.split_at(numbers.len().saturating_sub(KEPT));
    let held = held::numbers(folder)?;
    let mut used = Vec::new();
    let stays = |n: &&u64| **n == current.number || held.contains(n);
    for &number in young.iter().chain(old.iter().filter(stays)) {
        used.push(manifest::manifest_name(number));
        match manifest::read_manifest(folder, number) {
            Ok((generation, _)) => used.extend(generation.parts().map(|p| p.file.clone())),
            // Nobody can ask for what it named.
            Err(StoreError::Damaged { .. }) => {}
            // Perhaps it can be read next time.
            Err(e) => return Err(e),
        }
    }
    for name in manifest::names(folder)? {
        let ours = [".part", ".tmp"].iter().any(|end| name.ends_with(end)) || name.starts_with("generation-");
        if ours && !used.contains(&name) {
            let path = folder.join(&name);
            std::fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        }
    }
    Ok(())
}
