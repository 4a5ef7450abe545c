//! Where the record of a key is: a perfect hash, by which each of a file's keys has a slot of its own.
//!
//! ```text
//!   hash ──► bucket: its low 32 bits, as a share of all ──► pilot u16 ──┐
//!     └─────────────────────────────────────────────────────────────────┴──► slot: hash and pilot, stirred, as a share of all
//! ```
//!
//! A file never changes, so its keys are known when it is written. They fall into buckets of three on average; bucket by
//! bucket, the largest first, pilots are tried until one leads all keys of the bucket to slots that nobody has. Nothing of
//! the keys is kept: the pilots of ten million of them take 7 MB and stay in the cache of the processor, where a table of
//! keys and offsets would be 180 MB of memory to wait for. (After Pibiri and Trani, "PTHash", SIGIR 2021.)
//!
//! A key that is not in the file has a slot too, in which another one is, or none: who looks there compares keys.

use std::collections::BTreeSet;

use crate::pages::Pages;

/// Most buckets that a hash can choose from.
const BUCKETS_MAX: u64 = 1 << 32;

/// Pilots that are tried. With slots left over as below, most buckets need some tens, the last ones a few thousand: only for
/// keys that have the same hash all are tried in vain.
const PILOTS: u32 = 1 << 16;

/// So many times as many slots as records, in hundredths: the fewer are left over, the longer it takes to find the last ones.
const SLOTS_PERCENT: u64 = 101;

/// What hash and pilot are stirred with: odd, and without a pattern (of the golden ratio, and of a search by others for what
/// mixes well).
const STIR: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];

fn buckets_for(records: u64) -> u64 {
    records / 3 + 1
}

fn slots_for(records: u64) -> u64 {
    records / 100 * SLOTS_PERCENT + records % 100 + 1
}

/// The number of a hash's bucket, of so many: its lowest 32 bits, as a share of all that they can be.
#[inline]
fn bucket_of(hash: u64, buckets: u64) -> u64 {
    ((hash & (BUCKETS_MAX - 1)) * buckets) >> 32
}

/// The number of the slot to which a pilot leads a hash, of so many.
#[inline]
fn slot_of(hash: u64, pilot: u16, slots: u64) -> u64 {
    let stirred = (hash ^ u64::from(pilot).wrapping_mul(STIR[0])).wrapping_mul(STIR[1]);
    ((u128::from(stirred) * u128::from(slots)) >> 64) as u64
}

/// A perfect hash of the keys of one file.
pub struct PerfectHash {
    /// A pilot u16 of each bucket.
    pilots: Pages,
    buckets: u64,
    slots: u64,
    /// Numbers of the buckets for which no pilot was found, in order: hardly ever any.
    unplaced: Box<[u32]>,
}

impl PerfectHash {
    /// Of so many records, from [what was built](Built::to_bytes) for them. None: it was built for other ones.
    pub fn of(records: u64, bytes: &[u8]) -> Option<std::io::Result<Self>> {
        let buckets = Some(buckets_for(records)).filter(|buckets| *buckets <= BUCKETS_MAX)?;
        let (pilots, unplaced) = bytes.split_at_checked(usize::try_from(buckets).ok()?.checked_mul(2)?)?;
        let (unplaced, []) = unplaced.as_chunks() else { return None };
        let unplaced = unplaced.iter().map(|number| u32::from_le_bytes(*number)).collect();
        Some(Pages::new(pilots.len()).map(|mut pages| {
            pages[..pilots.len()].copy_from_slice(pilots);
            Self { pilots: pages, buckets, slots: slots_for(records), unplaced }
        }))
    }

    /// The number of slots.
    pub fn slots(&self) -> u64 {
        self.slots
    }

    /// The slot of a key, by its hash.
    #[inline]
    pub fn slot(&self, hash: u64) -> u64 {
        let (pilots, _) = self.pilots.as_chunks();
        let pilot = pilots.get(bucket_of(hash, self.buckets) as usize).copied().unwrap_or_default();
        slot_of(hash, u16::from_le_bytes(pilot), self.slots)
    }

    /// Whether a key that is in the file has its slot to itself.
    pub fn is_placed(&self, hash: u64) -> bool {
        let number = bucket_of(hash, self.buckets) as u32;
        self.unplaced.is_empty() || self.unplaced.binary_search(&number).is_err()
    }
}

/// A perfect hash as it is built.
pub struct Built {
    pilots: Vec<u16>,
    unplaced: Vec<u32>,
    /// How many keys are in those buckets.
    pub keys_unplaced: u64,
}

impl Built {
    /// As it is written into a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let pilots = self.pilots.iter().flat_map(|pilot| pilot.to_le_bytes());
        pilots.chain(self.unplaced.iter().flat_map(|number| number.to_le_bytes())).collect()
    }
}

/// Finds a pilot for each bucket of keys, which are given by their hashes, and put in another order.
pub fn build(hashes: &mut [u64]) -> Built {
    build_of(hashes, PILOTS)
}

/// The same, with so many pilots to try.
pub(super) fn build_of(hashes: &mut [u64], most: u32) -> Built {
    let records = hashes.len() as u64;
    let (buckets, slots) = (buckets_for(records), slots_for(records));
    assert!(buckets <= BUCKETS_MAX, "a file has fewer than 12 billion records");
    hashes.sort_unstable_by_key(|hash| hash.rotate_left(32));
    let in_buckets = || hashes.chunk_by(|a, b| bucket_of(*a, buckets) == bucket_of(*b, buckets));
    let sizes: BTreeSet<usize> = in_buckets().map(<[u64]>::len).collect();
    let mut built = Built { pilots: vec![0; buckets as usize], unplaced: Vec::new(), keys_unplaced: 0 };
    let mut taken = Taken(vec![0; slots.div_ceil(64) as usize]);
    for size in sizes.into_iter().rev() {
        for bucket in in_buckets().filter(|bucket| bucket.len() == size) {
            let number = bucket_of(bucket[0], buckets);
            let mut pilots = (0..=u16::MAX).take(most as usize);
            match pilots.find(|pilot| taken.take(bucket.iter().map(|hash| slot_of(*hash, *pilot, slots)))) {
                Some(pilot) => built.pilots[number as usize] = pilot,
                None => {
                    built.unplaced.push(number as u32);
                    built.keys_unplaced += size as u64;
                }
            }
        }
    }
    built.unplaced.sort_unstable();
    built
}

/// Which slots are taken: a bit of each.
struct Taken(Vec<u64>);

impl Taken {
    /// Takes some slots, if all of them are free and no two the same.
    fn take(&mut self, slots: impl Iterator<Item = u64> + Clone) -> bool {
        for (i, slot) in slots.clone().enumerate() {
            let (word, bit) = (&mut self.0[slot as usize / 64], 1 << (slot % 64));
            if *word & bit != 0 {
                slots.take(i).for_each(|slot| self.0[slot as usize / 64] &= !(1 << (slot % 64)));
                return false;
            }
            *word |= bit;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// What was built, as it is read back.
    fn read(records: usize, built: &Built) -> PerfectHash {
        PerfectHash::of(records as u64, &built.to_bytes()).expect("it was built for as many").expect("memory")
    }

    #[test]
    fn every_key_has_a_slot_of_its_own() {
        let mut random = ChaCha8Rng::seed_from_u64(6);
        for records in (0..40).chain([99, 100, 101, 1000, 40_000]) {
            let mut hashes: Vec<u64> = (0..records).map(|_| random.random()).collect();
            let built = build(&mut hashes);
            assert_eq!((built.unplaced.len(), built.keys_unplaced), (0, 0));
            let hash = read(records, &built);
            let slots: HashSet<u64> = hashes.iter().map(|key| hash.slot(*key)).collect();
            assert_eq!(slots.len(), records);
            assert!(slots.iter().all(|slot| *slot < hash.slots()), "of {}", hash.slots());
            assert!(hash.slots() <= records as u64 * 102 / 100 + 2, "{}", hash.slots());
            assert!(hashes.iter().all(|key| hash.is_placed(*key)));
            // Who is not among them has a slot all the same.
            assert!(hash.slot(random.random()) < hash.slots());
        }
    }

    #[test]
    fn keys_for_which_there_is_no_pilot_are_told() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut hashes: Vec<u64> = (0..1000).map(|_| random.random()).collect();
        // No pilot tells these two apart.
        hashes[999] = hashes[0];
        let twice = hashes[0];
        let built = build(&mut hashes);
        let hash = read(1000, &built);
        assert!(!hash.is_placed(twice));
        let bucket = bucket_of(twice, hash.buckets);
        let beside = hashes.iter().filter(|key| bucket_of(**key, hash.buckets) == bucket).count();
        assert_eq!(built.keys_unplaced, beside as u64);
        // With few pilots to try there are many; all others still have slots of their own.
        let built = build_of(&mut hashes, 2);
        let hash = read(1000, &built);
        let placed: Vec<u64> = hashes.iter().copied().filter(|key| hash.is_placed(*key)).collect();
        assert!((100..900).contains(&placed.len()), "{}", placed.len());
        assert_eq!(placed.len() as u64, 1000 - built.keys_unplaced);
        assert_eq!(placed.iter().map(|key| hash.slot(*key)).collect::<HashSet<_>>().len(), placed.len());
    }

    #[test]
    fn what_was_built_for_others_is_refused() {
        let bytes =
            build(&mut (0..100).map(|i| u64::from(i as u32) << 32 | i).collect::<Vec<u64>>()).to_bytes();
        assert!(PerfectHash::of(100, &bytes).is_some());
        for (records, bytes) in [(200, &bytes[..]), (100, &bytes[1..]), (0, &bytes[1..]), (u64::MAX, &bytes)]
        {
            assert!(PerfectHash::of(records, bytes).is_none(), "{records}");
        }
    }

    #[test]
    fn a_file_reads_the_same_on_every_machine() {
        let hash = read(1000, &build(&mut (0..1000u64).map(|i| i.wrapping_mul(STIR[0])).collect::<Vec<_>>()));
        let slots = [1, 2, 500, 999].map(|i: u64| hash.slot(i.wrapping_mul(STIR[0])));
        assert_eq!(slots, [516, 122, 473, 168]);
    }
}
