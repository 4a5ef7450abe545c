//! One version of everything online, in memory.

use std::{hint::black_box, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{
    ListAnswer, StoreError,
    file::KeyedFile,
    key::FirstPart,
    lists::ListsAbout,
    manifest::{Generation, Part, Pointer},
};
use crate::{entity::Entity, row::Dictionary, view::FeatureSet};

/// What the part of an entity says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityAbout {
    pub entity: String,
    /// Fingerprint of the row layout, in hexadecimal.
    pub layout: String,
}

impl EntityAbout {
    /// Of rows in the layout of this entity.
    pub fn of(entity: &Entity) -> Self {
        Self { entity: entity.name.clone(), layout: hex(&entity.layout.fingerprint()) }
    }
}

/// A row of each entity; None: unknown.
pub type Rows<'s> = SmallVec<[Option<&'s [u8]>; 8]>;

/// All entities and lists at one version. Immutable; what one decision reads comes from one snapshot.
pub struct Snapshot {
    pointer: Pointer,
    version: String,
    generation: Generation,
    entities: Vec<Arc<KeyedFile<EntityAbout>>>,
    lists: Arc<KeyedFile<ListsAbout>>,
    /// Name and "was it loaded" of each list of the rulebook, in its order.
    asked: Vec<(String, bool)>,
}

impl Snapshot {
    /// Loads what `pointer` points to; parts that `former` has already loaded are shared with it.
    pub(super) fn load(
        folder: &Path,
        pointer: Pointer,
        features: &FeatureSet,
        former: Option<&Snapshot>,
    ) -> Result<Self, StoreError> {
        let generation = pointer.generation(folder)?;
        check(&generation, features)?;
        let mut entities = Vec::with_capacity(features.entities().len());
        for (i, entity) in features.entities().iter().enumerate() {
            let part = &generation.entities[&entity.name];
            let shared = former
                .filter(|f| f.generation.entities.get(&entity.name) == Some(part))
                .map(|f| f.entities[i].clone());
            let file = match shared {
                Some(file) => file,
                None => Arc::new(KeyedFile::<EntityAbout>::open(&folder.join(&part.file), &part.written)?),
            };
            check_rows(&folder.join(&part.file), &file, entity)?;
            entities.push(file);
        }
        let part = &generation.lists;
        let lists = match former.filter(|f| f.generation.lists == *part) {
            Some(former) => former.lists.clone(),
            None => Arc::new(KeyedFile::<ListsAbout>::open(&folder.join(&part.file), &part.written)?),
        };
        let asked = features.lists().iter().map(|list| {
            let about = lists.about().lists.iter().find(|l| l.name == list.name);
            let what = || format!("it lacks the list {:?}", list.name);
            let about = about.ok_or_else(|| StoreError::damaged(&folder.join(&part.file), what()))?;
            Ok((list.name.clone(), about.loaded))
        });
        let asked = asked.collect::<Result<_, StoreError>>()?;
        Ok(Self { version: pointer.version(), pointer, generation, entities, lists, asked })
    }

    /// Names these very contents: the generation's number and the beginning of its checksum.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The manifest: parts, their sizes and as-of times.
    pub fn generation(&self) -> &Generation {
        &self.generation
    }

    /// Part of the entity of that index.
    pub fn part(&self, entity: usize) -> &Part {
        &self.generation.entities[&self.entities[entity].about().entity]
    }

    /// Strings of an entity's rows. `entity` is its index in [`FeatureSet::entities`].
    pub fn dictionary(&self, entity: usize) -> &Dictionary {
        self.entities[entity].dictionary()
    }

    /// The rows of one member.
    #[inline]
    pub fn of_member<'m>(&self, member: &'m str) -> MemberRows<'_, 'm> {
        MemberRows { entities: &self.entities, member: FirstPart::new(member) }
    }

    /// The packed row of an entity, in the layout of [`crate::entity::Entity::layout`]; None: unknown to
    /// this member. Allocates nothing.
    #[inline(always)]
    pub fn get(&self, entity: usize, member: &str, key: &str) -> Option<&[u8]> {
        self.entities[entity].get(&FirstPart::new(member), [key])
    }

    /// Whether `value` is on a list of the member at a time (microseconds since 1970-01-01T00:00:00Z).
    /// `list` is its index in [`FeatureSet::lists`]. Allocates nothing.
    pub fn list_hit(&self, list: usize, member: &str, value: &str, at_us: i64) -> ListAnswer<'_> {
        let (name, loaded) = &self.asked[list];
        self.lists.ask(name, *loaded, member, value, at_us)
    }

    pub(super) fn pointer(&self) -> &Pointer {
        &self.pointer
    }
}

/// The rows that a member has in a [`Snapshot`].
#[derive(Clone, Copy)]
pub struct MemberRows<'s, 'm> {
    entities: &'s [Arc<KeyedFile<EntityAbout>>],
    member: FirstPart<'m>,
}

impl<'s> MemberRows<'s, '_> {
    /// As [`Snapshot::get`]. The member is hashed once for all look-ups.
    #[inline(always)]
    pub fn get(&self, entity: usize, key: &str) -> Option<&'s [u8]> {
        self.entities[entity].get(&self.member, [key])
    }

    /// As [`MemberRows::get`], one of each entity: `keys` are in the order of the entities, None where there is none to
    /// look up.
    ///
    /// Nearly all of the time that a look-up takes is waiting for memory. So all records are asked for before any is looked
    /// at: they are waited for together.
    pub fn get_each(&self, keys: &[Option<&str>]) -> Rows<'s> {
        let files = || self.entities.iter().zip(keys);
        let hash = |key: &Option<&str>| key.map(|key| self.member.hash(&[key]));
        let hashes: SmallVec<[Option<u64>; 8]> = keys.iter().map(hash).collect();
        let expect = |(file, hash): (&Arc<KeyedFile<_>>, &Option<u64>)| hash.map(|hash| file.expect(hash));
        let expected: SmallVec<[Option<usize>; 8]> = self.entities.iter().zip(&hashes).map(expect).collect();
        let ends = files().zip(&expected).map(|((file, _), at)| at.map_or(0, |at| file.ends(at)));
        black_box(ends.fold(0, |all, end| all ^ end));
        let rows =
            files().zip(&hashes).map(|((file, key), hash)| file.find((*hash)?, &self.member, [(*key)?]));
        rows.collect()
    }
}

/// Checks that a generation was made by the rulebook's definitions.
fn check(generation: &Generation, features: &FeatureSet) -> Result<(), StoreError> {
    for entity in features.entities() {
        part_of(generation, entity)?;
    }
    if generation.lists.definition != features.lists_definition() {
        let what = "the lists".into();
        return Err(StoreError::OtherDefinition { generation: generation.number, what });
    }
    Ok(())
}

/// The part of an entity, which was made by the rulebook's definition of it.
pub(super) fn part_of<'g>(generation: &'g Generation, entity: &Entity) -> Result<&'g Part, StoreError> {
    let what = format!("entity {:?}", entity.name);
    match generation.entities.get(&entity.name) {
        None => Err(StoreError::Missing { what }),
        Some(part) if part.definition != entity.definition() => {
            Err(StoreError::OtherDefinition { generation: generation.number, what })
        }
        Some(part) => Ok(part),
    }
}

/// Checks that the rows of a file are in the layout of an entity.
pub(super) fn check_rows(
    path: &Path,
    file: &KeyedFile<EntityAbout>,
    entity: &Entity,
) -> Result<(), StoreError> {
    let about = file.about();
    if *about != EntityAbout::of(entity) {
        let what = format!("it holds {:?} in another layout than the manifest says", about.entity);
        return Err(StoreError::damaged(path, what));
    }
    let codes = entity.layout.codes();
    if !file.dictionary().iter().take(codes.len()).eq(codes.iter()) {
        let what = "its dictionary does not begin with the codes of its features";
        return Err(StoreError::damaged(path, what));
    }
    Ok(())
}

/// Hexadecimal, for checksums in manifests.
fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}
