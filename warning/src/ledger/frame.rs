//! The bytes of the ledger: a header, then frames.
//!
//! ```text
//! header  magic 8 | salt u32 | crc u32
//! frame   length u32 | crc u32 | sequence u64 | durable u64 | payload
//! ```
//!
//! As in the decision journal: numbers are little-endian; `crc` is CRC-32 of everything else, a frame's from the file's
//! random salt, so that no text that a caller wrote can pass for a frame. `durable` is the last sequence known to be on
//! disk when the frame was written: a frame that says "7 is durable" was written after the sync of 7, so if 7 cannot be
//! read it is no torn tail but a loss. A frame without payload is a *mark*, which takes no sequence: the end of a ledger that
//! was closed in order.

/// First bytes of the file.
const MAGIC: &[u8; 8] = b"TARIMW\0\x01";
/// Length of the header.
pub const HEADER: usize = 16;
/// Length of a frame without its payload.
pub const FRAME: usize = 24;
/// Longest payload. A longer one in a file is corruption, and is not allocated.
pub const PAYLOAD_MAX: usize = 16 << 20;

/// The header's bytes.
pub fn header(salt: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&salt.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The salt, or what is wrong with the header.
pub fn salt(bytes: &[u8; HEADER]) -> Result<u32, &'static str> {
    if &bytes[..8] != MAGIC {
        return Err("this is no ledger of this version");
    }
    if crc32fast::hash(&bytes[..12]) != u32_at(bytes, 12) {
        return Err("the header does not match its checksum");
    }
    Ok(u32_at(bytes, 8))
}

/// One frame, borrowed from the file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Sequence of the record; of a mark: of the next record.
    pub sequence: u64,
    /// Last sequence that was durable when this was written.
    pub durable: u64,
    /// The record; empty for a mark.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Appends the frame's bytes.
    pub fn encode(&self, salt: u32, out: &mut Vec<u8>) {
        debug_assert!(self.payload.len() <= PAYLOAD_MAX, "the caller checks");
        let start = out.len();
        out.extend((self.payload.len() as u32).to_le_bytes());
        out.extend([0; 4]);
        out.extend(self.sequence.to_le_bytes());
        out.extend(self.durable.to_le_bytes());
        out.extend(self.payload);
        let crc = checksum(salt, &out[start..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the frame at the start of `bytes`, or says what is wrong with it.
    pub fn decode(salt: u32, bytes: &'a [u8]) -> Result<Self, &'static str> {
        let length = Self::length(bytes)?;
        let bytes = bytes.get(..length).ok_or("the record is cut off")?;
        if checksum(salt, bytes) != u32_at(bytes, 4) {
            return Err("the record does not match its checksum");
        }
        Ok(Self { sequence: u64_at(bytes, 8), durable: u64_at(bytes, 16), payload: &bytes[FRAME..] })
    }

    /// Length of the frame that starts here, if its first bytes can be trusted.
    pub fn length(bytes: &[u8]) -> Result<usize, &'static str> {
        if bytes.len() < FRAME {
            return Err("the record is cut off");
        }
        match u32_at(bytes, 0) as usize {
            payload if payload <= PAYLOAD_MAX => Ok(FRAME + payload),
            _ => Err("the record's length makes no sense"),
        }
    }

    pub fn is_mark(&self) -> bool {
        self.payload.is_empty()
    }
}

/// A frame anywhere in the first `starts` of `bytes` which was written after record `sequence` had become durable: its
/// offset. `most` is how many records there can be.
///
/// Looked for at every byte, since what precedes it cannot be read.
pub fn later_frame(salt: u32, bytes: &[u8], starts: usize, sequence: u64, most: u64) -> Option<usize> {
    // A cheap test before the checksum.
    let plausible = sequence..=sequence.saturating_add(most);
    (0..starts.min(bytes.len().saturating_sub(FRAME - 1))).find(|offset| {
        let rest = &bytes[*offset..];
        plausible.contains(&u64_at(rest, 16))
            && plausible.contains(&u64_at(rest, 8))
            && Frame::decode(salt, rest).is_ok()
    })
}

/// CRC-32 of a frame without the four bytes that hold it.
fn checksum(salt: u32, frame: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(salt);
    crc.update(&frame[..4]);
    crc.update(&frame[8..]);
    crc.finalize()
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(*bytes[offset..].first_chunk().expect("four bytes"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(*bytes[offset..].first_chunk().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_noticed() {
        let head = header(99);
        let mut frame = Vec::new();
        Frame { sequence: 7, durable: 6, payload: b"an alert" }.encode(99, &mut frame);
        assert_eq!(salt(&head), Ok(99));
        assert_eq!(Frame::decode(99, &frame).map(|f| f.payload), Ok(b"an alert".as_slice()));
        assert!(Frame::decode(98, &frame).is_err(), "of another file");
        for bit in 0..head.len() * 8 {
            let mut broken = head;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(salt(&broken).is_err(), "bit {bit} of the header");
        }
        for bit in 0..frame.len() * 8 {
            let mut broken = frame.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(99, &broken).is_err(), "bit {bit} of the frame");
        }
    }

    #[test]
    fn a_later_frame_is_found_behind_rubbish() {
        let mut bytes = vec![0xa5; 31];
        Frame { sequence: 9, durable: 8, payload: b"x" }.encode(1, &mut bytes);
        assert_eq!(later_frame(1, &bytes, 99, 8, 99), Some(31));
        assert_eq!(later_frame(1, &bytes, 99, 9, 99), None, "it does not say that 9 was durable");
        assert_eq!(later_frame(2, &bytes, 99, 8, 99), None, "of another file");
    }
}
