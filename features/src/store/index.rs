//! Where the record of a key is: a hash index whose buckets are lines of the cache.
//!
//! ```text
//! bucket = tags: a byte of each of 7 keys (0: none), and a 0 | 7 slots u64
//! slot   = top 24 bits of the key's hash | 40 bits of the record's offset
//! ```
//!
//! A key is in its own bucket, or, if that is full, in the next one that is not. All tags of a bucket are compared at once:
//! a look-up waits for one line of memory, and takes no branch on what is in it that is not nearly always the same. (A
//! branch that was not foreseen is taken back when memory has answered at last, and with it all look-ups that were begun
//! behind it.) So half of all slots stay free, whatever the number of keys: one key in eighty is not in its own bucket. Of
//! slots of which two thirds are taken, it would be one in twenty.

/// Bytes of a bucket.
pub const BUCKET_LEN: usize = 64;
/// Keys that a bucket holds.
const SLOTS: usize = 7;

/// Most buckets that a hash can choose from.
pub const BUCKETS_MAX: u64 = 1 << 32;

/// Bits of a slot that hold an offset.
const OFFSET_BITS: u32 = 40;
/// The largest offset that a slot can hold.
pub const OFFSET_MAX: u64 = (1 << OFFSET_BITS) - 1;

/// Lowest bit of the byte of each key.
const LOW: u64 = 0x0001_0101_0101_0101;
const HIGH: u64 = LOW << 7;

/// The number of a hash's own bucket, of so many: its lowest 32 bits, as a share of all that they can be.
#[inline]
pub fn own_bucket(hash: u64, buckets: u64) -> u64 {
    ((hash & (BUCKETS_MAX - 1)) * buckets) >> 32
}

/// The number of the bucket after one of so many.
#[inline]
pub fn next_bucket(number: u64, buckets: u64) -> u64 {
    if number + 1 == buckets { 0 } else { number + 1 }
}

/// What a bucket says of a key first. Its bits are neither those that choose the bucket nor those in the slot.
#[inline]
fn tag(hash: u64) -> u64 {
    (hash >> 32 & 0xff).max(1)
}

/// Where the records of a hash may be.
#[derive(Clone, Copy)]
pub struct Slot(u64);

impl Slot {
    #[inline]
    pub fn offset(self) -> usize {
        (self.0 & OFFSET_MAX) as usize
    }
}

/// One bucket of an index.
pub struct Bucket<'a>(&'a [u8; BUCKET_LEN]);

impl<'a> Bucket<'a> {
    #[inline]
    pub fn of(line: &'a [u8; BUCKET_LEN]) -> Self {
        Self(line)
    }

    #[inline]
    fn word(&self, i: usize) -> u64 {
        u64::from_le_bytes(self.0.as_chunks::<8>().0[i % (BUCKET_LEN / 8)])
    }

    /// The slots of the tags that are that of the hash, a bit of the highest of each byte. (And of one above it,
    /// perhaps: the hash in the slot tells.)
    #[inline]
    fn tagged(&self, hash: u64) -> u64 {
        // A byte is 0 where the tags are equal, and then the highest bit of it is left.
        let unlike = self.word(0) ^ (tag(hash) * LOW);
        unlike.wrapping_sub(LOW) & !unlike & HIGH
    }

    /// The slot of the first of them, if its key may have the hash.
    #[inline]
    fn slot(&self, tagged: u64, hash: u64) -> Option<Slot> {
        let slot = self.word(tagged.trailing_zeros() as usize / 8 + 1);
        ((slot ^ hash) >> OFFSET_BITS == 0).then_some(Slot(slot))
    }

    /// The slots whose keys may have this hash: nearly always none or one.
    #[inline]
    pub fn alike(&self, hash: u64) -> impl Iterator<Item = Slot> {
        let mut tagged = self.tagged(hash);
        std::iter::from_fn(move || {
            while tagged != 0 {
                let slot = self.slot(tagged, hash);
                tagged &= tagged - 1;
                if slot.is_some() {
                    return slot;
                }
            }
            None
        })
    }

    /// The first slot by its tag, if its key may have this hash: nearly always it is the only one.
    #[inline]
    pub fn first_alike(&self, hash: u64) -> Option<Slot> {
        let tagged = self.tagged(hash);
        if tagged == 0 { None } else { self.slot(tagged, hash) }
    }

    /// No key of this hash is in it, nor in the next one.
    #[inline]
    pub fn lacks(&self, hash: u64) -> bool {
        self.tagged(hash) == 0 && self.has_room()
    }

    /// No key is in it that would be in the next one if this were full.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.word(0) >> (8 * (SLOTS - 1)) == 0
    }
}

/// An index as it is built.
pub struct Built {
    /// The words of its buckets.
    pub words: Vec<u64>,
    /// Offsets of two records whose keys look the same.
    pub alike: Vec<(u64, u64)>,
}

/// Indexes records by hash and offset; at most half of the slots are taken.
pub fn build(records: &[(u64, u64)]) -> Built {
    let buckets = (records.len() * 2 / SLOTS + 1) as u64;
    assert!(buckets <= BUCKETS_MAX, "a file has fewer than 15 billion records");
    let mut words = vec![0u64; buckets as usize * BUCKET_LEN / 8];
    let mut alike = Vec::new();
    for &(hash, offset) in records {
        debug_assert!(offset <= OFFSET_MAX);
        let slot = hash >> OFFSET_BITS << OFFSET_BITS | offset;
        let mut number = own_bucket(hash, buckets);
        'place: loop {
            let (tags, slots) =
                words[number as usize * 8..][..8].split_first_mut().expect("a bucket has 8 words");
            for (i, place) in slots.iter_mut().enumerate() {
                let at = 8 * i;
                if *tags >> at & 0xff == 0 {
                    *tags |= tag(hash) << at;
                    *place = slot;
                    break 'place;
                }
                if *place >> OFFSET_BITS == slot >> OFFSET_BITS {
                    alike.push((*place & OFFSET_MAX, offset));
                }
            }
            number = next_bucket(number, buckets);
        }
    }
    Built { words, alike }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Every offset whose hash looks like this one.
    fn offsets(words: &[u64], hash: u64) -> Vec<usize> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let buckets = (bytes.len() / BUCKET_LEN) as u64;
        let mut number = own_bucket(hash, buckets);
        let mut found = Vec::new();
        loop {
            let bucket = Bucket::of(&bytes.as_chunks().0[number as usize]);
            found.extend(bucket.alike(hash).map(Slot::offset));
            if bucket.has_room() {
                return found;
            }
            number = next_bucket(number, buckets);
        }
    }

    #[test]
    fn hashes_are_spread_over_all_buckets() {
        assert_eq!([0, u64::MAX].map(|hash| own_bucket(hash, 3)), [0, 2]);
        assert_eq!([0, u64::MAX].map(|hash| own_bucket(hash, BUCKETS_MAX)), [0, BUCKETS_MAX - 1]);
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let records: Vec<(u64, u64)> = (0..70_000).map(|offset| (random.random(), offset)).collect();
        let Built { words, .. } = build(&records);
        let buckets = (words.len() * 8 / BUCKET_LEN) as u64;
        assert_eq!(buckets, 20_001);
        let in_own = |&&(hash, offset): &&(u64, u64)| {
            let own = &words[own_bucket(hash, buckets) as usize * 8..][1..8];
            own.iter().any(|slot| slot & OFFSET_MAX == offset && slot >> OFFSET_BITS == hash >> OFFSET_BITS)
        };
        // Of keys that are spread as dice would, 98.8 % are in their own bucket.
        let share = records.iter().filter(in_own).count() as f64 / records.len() as f64;
        assert!((0.985..0.991).contains(&share), "{share}");
    }

    #[test]
    fn every_record_is_found_however_alike_hashes_are() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for round in 0..400 {
            // Few bits differ: tags 0, 1 and 255, full buckets, and the same hash twice.
            let mask = [u64::MAX, 0xff_0000_0003, 0x1_0000_0000, 0xffff_0100_0000_0001][round % 4];
            let hashes: Vec<u64> =
                (0..random.random_range(0..60)).map(|_| random.random::<u64>() & mask).collect();
            let records: Vec<(u64, u64)> = hashes.iter().copied().zip(OFFSET_MAX - 60..).collect();
            let Built { words, alike } = build(&records);
            for (hash, offset) in &records {
                assert!(offsets(&words, *hash).contains(&(*offset as usize)), "{hash:x} of {hashes:x?}");
            }
            for (i, (hash, offset)) in records.iter().enumerate() {
                for (other, before) in &records[..i] {
                    assert!(hash != other || alike.contains(&(*before, *offset)), "{hash:x} came twice");
                }
            }
            let absent = random.random::<u64>() | 1 << 63;
            assert!(offsets(&words, absent).is_empty() || hashes.iter().any(|h| h >> 40 == absent >> 40));
        }
    }
}
