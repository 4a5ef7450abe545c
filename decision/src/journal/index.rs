//! Where the decision of a (member, request id) lies, in 16 bytes each.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Mutex,
};

use hashbrown::HashTable;

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
    shards: [Mutex<HashTable<(u64, Place)>>; 64],
}

impl Index {
    /// An empty one.
    pub fn new() -> Self {
        Self { seed: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
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

    /// Is there no place at all?
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().expect("not poisoned").is_empty())
    }

    /// Is there a place of this hash?
    pub fn holds(&self, hash: u64) -> bool {
        self.shard(hash).find(hash, |entry| entry.0 == hash).is_some()
    }

    /// Places whose key may be the one of this hash; nearly always none or one.
    pub fn places(&self, hash: u64) -> Vec<Place> {
        self.shard(hash).iter_hash(hash).filter(|entry| entry.0 == hash).map(|entry| entry.1).collect()
    }

    fn shard(&self, hash: u64) -> std::sync::MutexGuard<'_, HashTable<(u64, Place)>> {
        // The table takes the highest and the lowest bits for itself.
        self.shards[(hash >> 32) as usize % 64].lock().expect("not poisoned")
    }
}
