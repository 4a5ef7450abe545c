//! Looking a key up: bucket, record, row.
//!
//! ```text
//!   hash ──► bucket of the index (one line) ──► offset ──┬─► head of the record (one line): key, length
//!                                                        └─► its end, read at the same time
//! ```
//!
//! Nearly all of the time that a look-up takes is waiting for memory, twice: for the bucket, then for the record, of which the
//! line that its row ends in is asked for together with that of its head.

use std::{hint::black_box, ops::Range};

use super::{
    index::{BUCKET_LEN, BUCKETS_MAX, Bucket, Slot, next_bucket, own_bucket},
    key::strip,
    memory::Memory,
};
use crate::pages::Pages;

/// A key has no more parts.
pub(super) const MOST_PARTS: usize = 3;
/// Bytes that follow the beginning of any record, if only of the index: its lengths, and more, so that a short first part
/// needs no further look at where they end.
const HEAD: usize = 32;
/// Bytes of a line of the cache.
pub(super) const LINE: usize = 64;

/// Bytes that a record begins with: the lengths of its payload and of the parts of its key.
pub(super) const fn head_len(parts: usize) -> usize {
    4 + 2 * parts
}

/// Records in memory, and their index.
pub(super) struct Records {
    bytes: Pages,
    /// The first bucket, in buckets from the beginning of `bytes`.
    first: usize,
    buckets: u64,
    /// From the beginning of a record to its last byte, on average: where to expect its end.
    last: usize,
}

impl Records {
    /// Of a file whose index is at `index`. None: no index can be there.
    pub fn new(bytes: Memory, index: Range<usize>, record_len: usize) -> Option<Self> {
        let buckets = (index.len() / BUCKET_LEN) as u64;
        let whole = [index.start, index.len()].iter().all(|n| n.is_multiple_of(BUCKET_LEN))
            && index.end <= bytes.len();
        (whole && (1..=BUCKETS_MAX).contains(&buckets)).then(|| Self {
            bytes: bytes.into_pages(),
            first: index.start / BUCKET_LEN,
            buckets,
            last: record_len.clamp(1, index.end) - 1,
        })
    }

    /// More records than this are not in it: some bucket has room.
    pub fn room(&self) -> u64 {
        self.buckets * (BUCKET_LEN as u64 / 8 - 1) - 1
    }

    #[inline]
    fn bucket(&self, number: u64) -> Bucket<'_> {
        Bucket::of(&self.bytes.as_chunks().0[self.first + number as usize])
    }

    /// The bucket that a key of this hash is in, if it has room.
    #[inline]
    fn own(&self, hash: u64) -> Bucket<'_> {
        self.bucket(own_bucket(hash, self.buckets))
    }

    /// The slot that a key of this hash has, if it is in its own bucket: reading it fetches it from memory.
    #[inline]
    pub fn first_slot(&self, hash: u64) -> Option<Slot> {
        self.own(hash).first_alike(hash)
    }

    /// A byte of each line that the beginning and the end of a slot's record are expected in: reading them fetches them
    /// from memory, at one time.
    #[inline]
    pub fn ends(&self, slot: Slot) -> u8 {
        self.byte(slot.offset()) ^ self.end(slot)
    }

    #[inline]
    fn end(&self, slot: Slot) -> u8 {
        self.byte(slot.offset() + self.last)
    }

    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The payload of a key, by its hash.
    #[inline(always)]
    pub fn find<const N: usize>(&self, hash: u64, key: [&str; N]) -> Option<&[u8]> {
        // Nearly always it is the first that looks like it: nothing else is in the way of the look-ups that follow.
        let bucket = self.own(hash);
        if let Some(slot) = bucket.first_alike(hash) {
            black_box(self.end(slot));
            if let Some(payload) = self.record(slot, key) {
                return Some(payload);
            }
        } else if bucket.lacks(hash) {
            return None;
        }
        self.find_on(hash, key)
    }

    /// The same, wherever it is.
    #[cold]
    #[inline(never)]
    fn find_on<const N: usize>(&self, hash: u64, key: [&str; N]) -> Option<&[u8]> {
        let mut number = own_bucket(hash, self.buckets);
        loop {
            let bucket = self.bucket(number);
            if let Some(payload) = bucket.alike(hash).find_map(|slot| self.record(slot, key)) {
                return Some(payload);
            }
            if bucket.has_room() {
                return None;
            }
            number = next_bucket(number, self.buckets);
        }
    }

    /// The payload of a slot's record if its key is `key`. (A call would cost as much again.)
    #[inline(always)]
    fn record<const N: usize>(&self, slot: Slot, key: [&str; N]) -> Option<&[u8]> {
        const { assert!(N <= MOST_PARTS) };
        let record = self.bytes.get(slot.offset()..)?;
        let head: &[u8; HEAD] = record.first_chunk()?;
        let len_at = |i: usize| usize::from(u16::from_le_bytes([head[4 + 2 * i], head[5 + 2 * i]]));
        if (0..N).any(|i| len_at(i) != key[i].len()) {
            return None;
        }
        let mut rest = &record[head_len(N)..];
        for part in key {
            rest = strip(rest, part)?;
        }
        rest.get(..u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize)
    }
}
