//! Which partition a customer's events are in, as producers choose it by the record's key.
//!
//! What the pipeline itself puts into the log must go where whoever sends events would put it: else a customer would have two
//! states, each of which knows half of it.

use std::{fmt, str::FromStr};

/// How producers choose a partition by the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partitioner {
    /// The Java client's, and `tarim warn send`'s: murmur2.
    #[default]
    Murmur2,
    /// librdkafka's own (`consistent`, `consistent_random`): CRC-32.
    Crc32,
    /// In a way of their own, which always has the same partition for a customer: nobody else can tell which.
    Any,
}

impl Partitioner {
    /// The partition of a key, of so many; None: that cannot be told.
    pub fn partition(self, key: &[u8], partitions: i32) -> Option<i32> {
        let partitions = partitions.max(1) as u32;
        let hash = match self {
            // The Java client takes away the sign, by its bit.
            Partitioner::Murmur2 => murmur2(key) & 0x7fff_ffff,
            Partitioner::Crc32 => crc32fast::hash(key),
            Partitioner::Any => return None,
        };
        Some((hash % partitions) as i32)
    }
}

impl FromStr for Partitioner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "murmur2" => Ok(Partitioner::Murmur2),
            "crc32" => Ok(Partitioner::Crc32),
            "any" => Ok(Partitioner::Any),
            _ => Err("write murmur2 (the Java client, tarim warn send), crc32 (librdkafka's own), or any (a way of its own)".into()),
        }
    }
}

impl fmt::Display for Partitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Partitioner::Murmur2 => "murmur2",
            Partitioner::Crc32 => "crc32",
            Partitioner::Any => "any",
        })
    }
}

/// Where events must stand: each customer's in the partition of the key `member/customer_id`.
///
/// One that stands elsewhere is a dead letter, rather than counted and taken. It was sent by another key (a change-data capture
/// takes a table's primary key if nobody says otherwise), so the customer's events are all over the partitions, and each has a
/// state that knows some of them: sums would be too small, absences would be told of who is there, and nobody would see it.
/// As dead letters they lose nothing, and can be sent again by the right key.
#[derive(Debug)]
pub struct Places {
    partitioner: Partitioner,
    partitions: i32,
    /// Used again and again.
    key: Vec<u8>,
}

impl Places {
    pub fn new(partitioner: Partitioner, partitions: i32) -> Self {
        Self { partitioner, partitions, key: Vec::new() }
    }

    /// Why an event of a customer is not to be taken of a partition; None: it stands where it must.
    pub fn misplaced(&mut self, member: &str, customer: &str, partition: i32) -> Option<String> {
        let Self { partitioner, partitions, key } = self;
        key.clear();
        for part in [member, "/", customer] {
            key.extend_from_slice(part.as_bytes());
        }
        let place = partitioner.partition(key, *partitions).filter(|place| *place != partition)?;
        Some(format!(
            "customer_id: of {partitions} partitions the customer's events belong into {place}, and this one came in {partition}: \
             the record's key must be `{member}/{customer}` as plain text, and its partition chosen by {partitioner} (--partitioner). \
             Debezium: write that text into a column, name it in message.key.columns, and take it out with ExtractField$Key and a \
             StringConverter"
        ))
    }
}

/// MurmurHash2 of 32 bits (A. Appleby), with the seed that Kafka's clients have.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("four bytes")).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the Java client's own tests want (`org.apache.kafka.common.utils.UtilsTest.testMurmur2`).
    #[test]
    fn murmur2_is_the_java_clients() {
        for (key, wanted) in [
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, wanted, "{key}");
        }
    }

    #[test]
    fn a_partition_is_one_of_those_that_there_are() {
        for partitioner in [Partitioner::Murmur2, Partitioner::Crc32] {
            let mut found = [0; 7];
            for customer in 0..700 {
                let partition = partitioner.partition(format!("001/c{customer:07}").as_bytes(), 7);
                found[partition.unwrap() as usize] += 1;
            }
            assert!(found.iter().all(|n| (50..150).contains(n)), "{partitioner:?}: {found:?}");
        }
    }
    #[test]
    fn an_event_in_another_partition_is_told_its_key() {
        for partitioner in [Partitioner::Murmur2, Partitioner::Crc32] {
            let mut places = Places::new(partitioner, 5);
            let place = partitioner.partition(b"001/c1", 5).unwrap();
            for partition in 0..5 {
                let why = places.misplaced("001", "c1", partition);
                assert_eq!(why.is_none(), partition == place, "{partitioner}: {why:?}");
                let told =
                    |why: String| why.contains("`001/c1`") && why.contains(&format!("belong into {place}"));
                assert!(why.is_none_or(told));
            }
        }
        let mut anywhere = Places::new(Partitioner::Any, 5);
        assert!((0..5).all(|partition| anywhere.misplaced("001", "c1", partition).is_none()));
    }
}
