//! The bytes of a segment: a header, then frames.
//!
//! ```text
//! header  magic 8 | first sequence u64 | salt u32 | crc u32
//! frame   length u32 | crc u32 | sequence u64 | durable u64 | payload
//! ```
//!
//! Behind the last frame the file ends, or zeros follow: room that was made for more. No frame
//! is all zeros.
//!
//! Numbers are little-endian. `crc` is CRC-32 of everything else in the header or frame; a frame's
//! starts from the segment's random salt, so that neither an old frame in a recycled block nor bytes
//! that a caller put into an application can pass for a frame of this segment.
//!
//! `durable` is the last sequence that was known to be on disk when the frame was written. It is what
//! tells a torn tail from corruption: the frames of one write may reach the disk in any order, so after
//! a power cut a later frame can be whole while an earlier one is not. But a frame that says
//! "sequence 7 is durable" was written after the sync of 7: if 7 cannot be read, something that was
//! answered is lost, and that must be heard.
//!
//! A frame without payload is a *mark*. It takes no sequence number (it carries the next one); a
//! journal that is closed in order ends in one, which says that everything before it is durable.

/// First bytes of every segment.
const MAGIC: &[u8; 8] = b"TARIMJ\0\x01";
/// Length of a segment's header.
pub const HEADER: usize = 24;
/// Length of a frame without its payload.
pub const FRAME: usize = 24;
/// Longest payload. A longer one in a file is corruption, and is not allocated.
pub const PAYLOAD_MAX: usize = 16 << 20;

/// Header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Sequence of the first record.
    pub first: u64,
    /// Where the frames' checksums start from.
    pub salt: u32,
}

impl Header {
    /// The header's bytes.
    pub fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.first.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..20]);
        bytes[20..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header, or says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes = bytes.get(..HEADER).ok_or("the header is cut off")?;
        if &bytes[..8] != MAGIC {
            return Err("this is not a journal segment of this version");
        }
        if crc32fast::hash(&bytes[..20]) != u32_at(bytes, 20) {
            return Err("the header does not match its checksum");
        }
        Ok(Self { first: u64_at(bytes, 8), salt: u32_at(bytes, 16) })
    }
}

/// One frame, borrowed from the segment's bytes.
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
        if bytes.len() < FRAME {
            return Err("the record is cut off");
        }
        let length = u32_at(bytes, 0) as usize;
        if length > PAYLOAD_MAX {
            return Err("the record's length makes no sense");
        }
        let bytes = bytes.get(..FRAME + length).ok_or("the record is cut off")?;
        if checksum(salt, bytes) != u32_at(bytes, 4) {
            return Err("the record does not match its checksum");
        }
        Ok(Self { sequence: u64_at(bytes, 8), durable: u64_at(bytes, 16), payload: &bytes[FRAME..] })
    }

    /// Length of the frame in bytes.
    pub fn size(&self) -> usize {
        FRAME + self.payload.len()
    }

    /// Is it a mark, not a record?
    pub fn is_mark(&self) -> bool {
        self.payload.is_empty()
    }
}

/// A frame anywhere in `bytes` which was written after record `sequence` had become durable: its offset.
///
/// Looked for at every byte, since what precedes it cannot be read.
pub fn later_frame(salt: u32, bytes: &[u8], sequence: u64) -> Option<usize> {
    // A segment cannot hold more records than it has bytes: a cheap test before the checksum.
    let plausible = sequence..=sequence.saturating_add(bytes.len() as u64);
    (0..bytes.len().saturating_sub(FRAME - 1)).find(|offset| {
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
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_noticed() {
        let header = Header { first: 7, salt: 99 }.encode();
        let mut frame = Vec::new();
        Frame { sequence: 7, durable: 6, payload: b"a decision" }.encode(99, &mut frame);
        assert_eq!(Header::decode(&header), Ok(Header { first: 7, salt: 99 }));
        assert_eq!(Frame::decode(99, &frame).map(|f| f.payload), Ok(b"a decision".as_slice()));
        assert!(Frame::decode(98, &frame).is_err(), "of another segment");
        for bit in 0..header.len() * 8 {
            let mut broken = header;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&broken).is_err(), "bit {bit} of the header");
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
        assert_eq!(later_frame(1, &bytes, 8), Some(31));
        assert_eq!(later_frame(1, &bytes, 9), None, "it does not say that 9 was durable");
        assert_eq!(later_frame(2, &bytes, 8), None, "of another segment");
    }
}
