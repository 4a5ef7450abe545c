//! A generation by its version, be it the current one or not: what a log names is read, not what happens to be newest.
//!
//! ```text
//!  log: … "from here on generation 12-3f9a02bc" …
//!                    │
//!  KeptGenerations ──┴─► manifest of that number and checksum ─► rows of the entities that are asked for
//!                         (parts that are in memory already are shared)
//! ```
//!
//! Only the entities that somebody reads are loaded: a worker that asks for one feature of customers need not hold devices and
//! lists too.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
};

use super::{
    EntityAbout, Part, StoreError,
    file::KeyedFile,
    held,
    key::FirstPart,
    manifest::{self, Pointer},
    snapshot::{check_rows, part_of},
};
use crate::{row::Dictionary, view::FeatureSet};

type Rows = KeyedFile<EntityAbout>;

/// The generations of an embedded store, by their versions.
pub struct KeptGenerations {
    folder: PathBuf,
    /// Parts that somebody still reads.
    parts: Mutex<Vec<(Part, Weak<Rows>)>>,
}

/// Rows of some entities, of one generation. Immutable.
pub struct KeptRows {
    version: String,
    /// By index of the entity; None: nobody asked for it.
    entities: Vec<Option<(Part, Arc<Rows>)>>,
}

impl KeptGenerations {
    /// Of the store in a folder. Nothing is read yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), parts: Mutex::default() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Version of the current generation.
    pub fn current(&self) -> Result<String, StoreError> {
        let pointer = Pointer::read(&self.folder)?;
        let pointer = pointer.ok_or_else(|| StoreError::Empty { path: self.folder.clone() })?;
        Ok(pointer.version())
    }

    /// The version of a generation that is named by its number alone, such as 12; what is a version already stays as it is.
    pub fn version(&self, named: &str) -> Result<String, StoreError> {
        let Ok(number) = named.parse() else { return Ok(named.to_owned()) };
        manifest::of_number(&self.folder, number)
    }

    /// Loads the rows of some entities, by their indexes, of the generation of a version. They must have been materialised by
    /// these definitions.
    pub fn open(
        &self,
        version: &str,
        features: &FeatureSet,
        entities: &[usize],
    ) -> Result<Arc<KeptRows>, StoreError> {
        let (generation, _) = manifest::of_version(&self.folder, version)?;
        // Whoever comes second waits for the first one's, rather than reading it too.
        let mut known = self.parts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.retain(|(_, file)| file.strong_count() > 0);
        let mut loaded: Vec<Option<(Part, Arc<Rows>)>> = features.entities().iter().map(|_| None).collect();
        for &index in entities {
            let entity = &features.entities()[index];
            let part = part_of(&generation, entity)?;
            let path = self.folder.join(&part.file);
            let shared = known.iter().find(|(other, _)| other == part).and_then(|(_, file)| file.upgrade());
            let file = match shared {
                Some(file) => file,
                None => {
                    let file = Arc::new(Rows::open(&path, &part.written)?);
                    known.push((part.clone(), Arc::downgrade(&file)));
                    file
                }
            };
            check_rows(&path, &file, entity)?;
            loaded[index] = Some((part.clone(), file));
        }
        Ok(Arc::new(KeptRows { version: version.to_owned(), entities: loaded }))
    }

    /// Keeps a generation in the store when newer ones are published; of all that are held, the last `last`.
    pub fn hold(&self, version: &str, last: usize) -> Result<(), StoreError> {
        held::hold(&self.folder, version, last)
    }
}

impl KeptRows {
    /// The generation's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether an entity was asked for.
    pub fn has(&self, entity: usize) -> bool {
        self.entities.get(entity).is_some_and(Option::is_some)
    }

    /// When what its rows say was known, the latest of all: microseconds since 1970-01-01T00:00:00Z.
    pub fn as_of_us(&self) -> Option<i64> {
        self.entities.iter().flatten().map(|(part, _)| part.as_of_us).max()
    }

    /// Strings of an entity's rows.
    ///
    /// # Panics
    /// If the entity was not asked for.
    pub fn dictionary(&self, entity: usize) -> &Dictionary {
        self.rows(entity).dictionary()
    }

    /// The packed row of an entity, in its layout; None: unknown to this member. Allocates nothing.
    ///
    /// # Panics
    /// If the entity was not asked for.
    #[inline]
    pub fn get(&self, entity: usize, member: &str, key: &str) -> Option<&[u8]> {
        self.rows(entity).get(&FirstPart::new(member), [key])
    }

    #[inline]
    fn rows(&self, entity: usize) -> &Rows {
        &self.entities[entity].as_ref().expect("the entity was asked for").1
    }
}

impl std::fmt::Debug for KeptRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptRows").field("version", &self.version).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for KeptGenerations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptGenerations").field("folder", &self.folder).finish_non_exhaustive()
    }
}
