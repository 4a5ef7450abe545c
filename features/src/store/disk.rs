//! A file that is read once, each piece of it.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
};

use super::StoreError;

/// Bytes that are read at a time.
const PIECE: usize = 16 << 20;

/// Tells the operating system that it need not keep a piece of a file in its cache. A file of gigabytes that it kept would
/// take the memory that large pages are made of, for this generation and the next.
pub(super) fn let_go(file: &File, at: u64, len: u64) {
    #[cfg(target_os = "linux")]
    if let Some(len) = std::num::NonZeroU64::new(len)
        && let Err(e) = rustix::fs::fadvise(file, at, Some(len), rustix::fs::Advice::DontNeed)
    {
        tracing::debug!("a file stays in the cache: {e}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, at, len);
}

/// A file to read from.
pub(super) struct Source<'p> {
    path: &'p Path,
    file: File,
    len: u64,
}

impl<'p> Source<'p> {
    pub fn open(path: &'p Path) -> Result<Self, StoreError> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (len, file) = opened.map_err(|e| StoreError::io("read", path, e))?;
        Ok(Self { path, file, len })
    }

    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// An error of the contents.
    pub fn damaged(&self, what: impl Into<String>) -> StoreError {
        StoreError::damaged(self.path, what)
    }

    /// Some bytes, which are in the file, and their BLAKE3.
    pub fn bytes(&mut self, range: Range<u64>) -> Result<(Vec<u8>, blake3::Hash), StoreError> {
        let mut bytes = Vec::new();
        let all = self.pieces(range, |read| {
            bytes.extend_from_slice(read);
            Ok(read.len())
        });
        all.map(|hash| (bytes, hash))
    }

    /// Reads a range of the file piece by piece; gives its BLAKE3. `take` is given what was read and not taken yet, and says how
    /// many bytes of it it takes: in the end, all of them.
    pub fn pieces(
        &mut self,
        range: Range<u64>,
        mut take: impl FnMut(&[u8]) -> Result<usize, String>,
    ) -> Result<blake3::Hash, StoreError> {
        let io = |e| StoreError::io("read", self.path, e);
        self.file.seek(SeekFrom::Start(range.start)).map_err(io)?;
        let mut hash = blake3::Hasher::new();
        let mut buffer = vec![0; PIECE.min((range.end - range.start) as usize)];
        let (mut at, mut held) = (range.start, 0);
        while at < range.end {
            if held == buffer.len() {
                // What is longer than a piece.
                buffer.resize(2 * held, 0);
            }
            let more = ((buffer.len() - held) as u64).min(range.end - at) as usize;
            let piece = &mut buffer[held..held + more];
            self.file.read_exact(piece).map_err(io)?;
            hash.update(piece);
            // Nobody reads it again.
            let_go(&self.file, at, more as u64);
            (at, held) = (at + more as u64, held + more);
            let taken = take(&buffer[..held]).map_err(|what| self.damaged(what))?;
            buffer.copy_within(taken..held, 0);
            held -= taken;
        }
        if held > 0 { Err(self.damaged("it ends in the middle of something")) } else { Ok(hash.finalize()) }
    }
}
