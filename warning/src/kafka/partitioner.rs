//! Which partition a customer's events are in, as producers choose it by the record's key.
//!
//! What the pipeline itself puts into the log must go where whoever sends events would put it: else a customer would have two
//! states, each of which knows half of it.

use std::str::FromStr;

/// How producers choose a partition by the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partitioner {
    /// The Java client's, and `tarim warn send`'s: murmur2.
    #[default]
    Murmur2,
    /// librdkafka's own (`consistent`, `consistent_random`): CRC-32.
    Crc32,
}

impl Partitioner {
    /// The partition of a key, of so many.
    pub fn partition(self, key: &[u8], partitions: i32) -> i32 {
        let partitions = partitions.max(1) as u32;
        let hash = match self {
            // The Java client takes away the sign, by its bit.
            Partitioner::Murmur2 => murmur2(key) & 0x7fff_ffff,
            Partitioner::Crc32 => crc32fast::hash(key),
        };
        (hash % partitions) as i32
    }
}

impl FromStr for Partitioner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "murmur2" => Ok(Partitioner::Murmur2),
            "crc32" => Ok(Partitioner::Crc32),
            _ => Err("write murmur2 (the Java client, tarim warn send) or crc32 (librdkafka's own)".into()),
        }
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
                found[partitioner.partition(format!("001/c{customer:07}").as_bytes(), 7) as usize] += 1;
            }
            assert!(found.iter().all(|n| (50..150).contains(n)), "{partitioner:?}: {found:?}");
        }
    }
}
