//! A file's bytes as UTF-8, in blocks, with a count of what was no text.

use std::{
    fs::File,
    io::{self, Read},
};

use encoding_rs::{Decoder as EncodingDecoder, GB18030};

use crate::standards::Encoding;

/// Bytes read from the file at once.
const BLOCK: usize = 256 << 10;
/// What stands where bytes were no text.
pub(super) const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Reads a file and decodes it. Bytes that are no text become U+FFFD.
pub(super) struct Decoder {
    file: File,
    block: Vec<u8>,
    /// A character that the last block ended in the middle of.
    tail: Vec<u8>,
    gb18030: Option<EncodingDecoder>,
    at_start: bool,
    ended: bool,
    pub bytes_read: u64,
    /// Whether any bytes were no text.
    pub lossy: bool,
}

impl Decoder {
    pub fn new(file: File, encoding: Encoding) -> Self {
        let gb18030 = match encoding {
            Encoding::Utf8 => None,
            Encoding::Gb18030 => Some(GB18030.new_decoder_without_bom_handling()),
        };
        Self {
            file,
            block: vec![0; BLOCK],
            tail: Vec::new(),
            gb18030,
            at_start: true,
            ended: false,
            bytes_read: 0,
            lossy: false,
        }
    }

    /// Appends the next block to `out`; false at the end of the file.
    pub fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let count = loop {
            match self.file.read(&mut self.block) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.bytes_read += count as u64;
        self.ended = count == 0;
        match self.gb18030.take() {
            None => self.utf8(count, out),
            Some(mut decoder) => {
                self.gb18030(&mut decoder, count, out);
                self.gb18030 = Some(decoder);
            }
        }
        Ok(true)
    }

    fn utf8(&mut self, count: usize, out: &mut Vec<u8>) {
        let mut bytes = std::mem::take(&mut self.tail);
        bytes.extend_from_slice(&self.block[..count]);
        let mut rest = bytes.as_slice();
        if self.at_start && (bytes.len() >= 3 || self.ended) {
            self.at_start = false;
            rest = rest.strip_prefix("\u{feff}".as_bytes()).unwrap_or(rest);
        }
        loop {
            let Err(error) = std::str::from_utf8(rest) else {
                out.extend_from_slice(rest);
                return;
            };
            let (valid, broken) = rest.split_at(error.valid_up_to());
            out.extend_from_slice(valid);
            match error.error_len() {
                None if !self.ended => {
                    self.tail = broken.to_vec();
                    return;
                }
                length => {
                    self.lossy = true;
                    out.extend_from_slice(REPLACEMENT);
                    rest = &broken[length.unwrap_or(broken.len())..];
                }
            }
        }
    }

    fn gb18030(&mut self, decoder: &mut EncodingDecoder, count: usize, out: &mut Vec<u8>) {
        let input = &self.block[..count];
        let start = out.len();
        let room = decoder.max_utf8_buffer_length(count).unwrap_or(count * 3 + 16);
        out.resize(start + room, 0);
        let (_, _, written, replaced) = decoder.decode_to_utf8(input, &mut out[start..], self.ended);
        out.truncate(start + written);
        self.lossy |= replaced;
    }
}
