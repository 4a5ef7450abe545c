//! Fields of protobuf messages that lie in one piece of memory. Nothing here says what is wrong: whoever is told None reads once
//! more, by prost.

use prost::encoding;

/// What is left to be read.
pub struct Piece<'a>(pub &'a [u8]);

impl<'a> Piece<'a> {
    /// The next byte, such as the key of a field whose number is below 16. None: nothing is left.
    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    pub fn varint(&mut self) -> Option<u64> {
        match self.0.first()? {
            // Nearly all are that short.
            byte @ ..0x80 => {
                self.0 = &self.0[1..];
                Some((*byte).into())
            }
            _ => encoding::decode_varint(&mut self.0).ok(),
        }
    }

    pub fn double(&mut self) -> Option<f64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*bytes))
    }

    /// A text, bytes, or a message: its length, and as many bytes.
    pub fn delimited(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}
