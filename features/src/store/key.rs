//! The key of a record.

use twox_hash::XxHash3_64;

/// A key as it stands in a record: of each part its length (u16) and its bytes. Two keys of as many parts are the same if
/// their bytes are, and none begins with another.
pub(super) struct Key {
    /// The bytes, unless they are more.
    short: [u8; SHORT],
    /// The bytes of a key that is longer than any of a bank.
    long: Vec<u8>,
    len: usize,
    hash: u64,
}

/// So many bytes need no memory of their own.
const SHORT: usize = 128;

impl Key {
    /// None if a part exceeds 65,535 bytes, which no record's does.
    #[inline]
    pub fn of(parts: &[&str]) -> Option<Self> {
        let len = parts.iter().map(|part| 2 + part.len()).sum();
        let mut key = Self { short: [0; SHORT], long: Vec::new(), len, hash: 0 };
        if len > SHORT {
            key.long.resize(len, 0);
        }
        let bytes = if len > SHORT { &mut key.long[..] } else { &mut key.short[..len] };
        let mut rest = bytes;
        for part in parts {
            let (head, tail) = rest.split_at_mut(2 + part.len());
            head[..2].copy_from_slice(&u16::try_from(part.len()).ok()?.to_le_bytes());
            head[2..].copy_from_slice(part.as_bytes());
            rest = tail;
        }
        key.hash = XxHash3_64::oneshot(key.bytes());
        Some(key)
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        if self.len > SHORT { &self.long } else { &self.short[..self.len] }
    }

    /// XXH3 (64 bits, seed 0) of the bytes: the same on every machine and in every version.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(parts: &[&str]) -> u64 {
        Key::of(parts).expect("short parts").hash()
    }

    #[test]
    fn the_hash_is_the_same_on_every_machine() {
        // Files are copied between machines and read by later versions.
        assert_eq!(hash(&["001", "C1"]), 2_793_264_956_471_703_298);
        assert_ne!(hash(&["001", "C1"]), hash(&["001C", "1"]));
    }

    #[test]
    fn the_bytes_are_those_of_a_record_however_long() {
        for len in [0, 1, 120, 121, 122, 123, 65_535] {
            let part = "x".repeat(len);
            let key = Key::of(&["001", &part]).expect("no part is too long");
            let expected = [b"\x03\x00001", &(len as u16).to_le_bytes()[..], part.as_bytes()].concat();
            assert_eq!(key.bytes(), expected);
        }
        assert!(Key::of(&["001", &"x".repeat(65_536)]).is_none());
    }
}
