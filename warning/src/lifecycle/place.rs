//! Where an alert stands in the log.

/// Where the body of an alert stands: everything that it says. What is looked up and counted is kept, the body is read when
/// somebody asks.
///
/// It takes twelve bytes, for there are many: 43 bits of the offset, 21 of the length, and a checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Offset and length, the low half first.
    packed: [u32; 2],
    crc: u32,
}

const LENGTH_BITS: u32 = 21;

impl Place {
    /// A body that stands at an offset of the log. Logs of 8 TiB and bodies of 2 MiB there are none.
    pub fn new(offset: u64, body: &[u8]) -> Self {
        let length = body.len() as u64;
        assert!(length < 1 << LENGTH_BITS, "an alert is no longer than a megabyte");
        assert!(offset < 1 << (u64::BITS - LENGTH_BITS), "a log of 8 TiB");
        let packed = offset << LENGTH_BITS | length;
        Self { packed: [packed as u32, (packed >> 32) as u32], crc: crc32fast::hash(body) }
    }

    pub fn offset(self) -> u64 {
        self.packed() >> LENGTH_BITS
    }

    /// Length of the body, in bytes.
    pub fn length(self) -> usize {
        (self.packed() & ((1 << LENGTH_BITS) - 1)) as usize
    }

    /// Are these the bytes that were written there?
    pub fn holds(self, body: &[u8]) -> bool {
        body.len() == self.length() && crc32fast::hash(body) == self.crc
    }

    pub(super) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.packed().to_le_bytes());
        bytes[8..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; 12]) -> Self {
        let [low, high, crc] =
            [0, 4, 8].map(|at| u32::from_le_bytes(*bytes[at..].first_chunk().expect("four bytes of twelve")));
        Self { packed: [low, high], crc }
    }

    fn packed(self) -> u64 {
        u64::from(self.packed[0]) | u64::from(self.packed[1]) << 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_where_it_was_put() {
        for offset in [0, 1, u64::from(u32::MAX), 1 << 33, (1 << 43) - 1] {
            for length in [0, 1, 1 << 20] {
                let body = vec![7; length];
                let place = Place::new(offset, &body);
                assert_eq!((place.offset(), place.length(), place.holds(&body)), (offset, length, true));
                assert_eq!(Place::from_bytes(place.to_bytes()), place);
                assert!(!place.holds(&vec![8; length.max(1)]));
            }
        }
        assert_eq!(size_of::<Place>(), 12);
    }
}
