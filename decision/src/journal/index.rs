//! Where the decision of a (member, request id) lies, in 16 bytes each; and the entries of each subject.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard},
};

use hashbrown::HashTable;
use smallvec::SmallVec;

/// Where a record lies. Ordered as the journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    segment: u32,
    offset: u32,
}

impl Place {
    /// Segments are counted in order of the journal, from 0; `offset` is in bytes.
    pub(super) fn new(segment: usize, offset: u64) -> Self {
        Self {
            segment: u32::try_from(segment).expect("fewer segments than that"),
            offset: u32::try_from(offset).expect("segments are shorter than 4 GiB"),
        }
    }

    pub(super) fn segment(self) -> usize {
        self.segment as usize
    }

    pub(super) fn offset(self) -> u64 {
        self.offset.into()
    }
}

/// Places by the hash of their key. The key itself is read from the journal: whoever looks it up
/// compares. Hashed with a seed of this process, so that no caller can make keys that collide.
pub struct Index {
    seed: RandomState,
    /// Many small tables, since a table that grows is moved while others wait.
    shards: [Mutex<HashTable<(u64, Place)>>; SHARDS],
    /// Of each subject all places, in the order of the journal. There may be any number: one has no place in a table that takes
    /// its keys to be different, where each would be sought behind all others.
    subjects: [Mutex<HashMap<u64, Places>>; SHARDS],
}

const SHARDS: usize = 64;

type Places = SmallVec<[Place; 2]>;

impl Index {
    /// An empty one.
    pub fn new() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { seed: RandomState::new(), shards, subjects: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Hash of a key.
    pub fn hash(&self, member: &str, request_id: &str) -> u64 {
        self.seed.hash_one((member, request_id))
    }

    /// Hash of what passes a control point: another kind of key.
    pub fn subject_hash(&self, member: &str, point: i32, subject: &str) -> u64 {
        self.seed.hash_one((member, point, subject))
    }

    /// Adds a place.
    pub fn insert(&self, hash: u64, place: Place) {
        self.shard(hash).insert_unique(hash, (hash, place), |entry| entry.0);
    }

    /// Adds a place of a subject: behind all that it has.
    pub fn insert_of_subject(&self, hash: u64, place: Place) {
        self.subject(hash).entry(hash).or_default().push(place);
    }

    /// How many places a subject has.
    pub fn count_of_subject(&self, hash: u64) -> usize {
        self.subject(hash).get(&hash).map_or(0, |places| places.len())
    }

    /// A place of a subject, in the order of the journal.
    pub fn place_of_subject(&self, hash: u64, nth: usize) -> Option<Place> {
        self.subject(hash).get(&hash)?.get(nth).copied()
    }

    /// Is there a place of this hash?
    pub fn holds(&self, hash: u64) -> bool {
        self.shard(hash).find(hash, |entry| entry.0 == hash).is_some()
    }

    /// Places whose key may be the one of this hash; nearly always none or one.
    pub fn places(&self, hash: u64) -> Vec<Place> {
        self.shard(hash).iter_hash(hash).filter(|entry| entry.0 == hash).map(|entry| entry.1).collect()
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, HashTable<(u64, Place)>> {
        // The table takes the highest and the lowest bits for itself.
        self.shards[(hash >> 32) as usize % SHARDS].lock().expect("not poisoned")
    }

    fn subject(&self, hash: u64) -> MutexGuard<'_, HashMap<u64, Places>> {
        self.subjects[hash as usize % SHARDS].lock().expect("not poisoned")
    }
}
