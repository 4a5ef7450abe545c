//! The memory that a file is read into.

use std::{
    fs::File,
    io::{self, Read},
    ops::Deref,
    path::Path,
};

use crate::pages::Pages;

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

/// The contents of a file. (Not a map of the file: its pages are small, and whoever changes the file would change what was
/// checked.)
pub(super) struct Memory {
    pages: Pages,
    /// Of the file; no pages are empty.
    len: usize,
}

impl Memory {
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut pages = Pages::new(len)?;
        for (i, piece) in pages[..len].chunks_mut(PIECE).enumerate() {
            file.read_exact(piece)?;
            // Nobody reads it again.
            let_go(&file, (i * PIECE) as u64, piece.len() as u64);
        }
        Ok(Self { pages, len })
    }

    /// The pages of a file that is not empty: its bytes, and no others.
    pub fn into_pages(self) -> Pages {
        self.pages
    }
}

impl Deref for Memory {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.pages[..self.len]
    }
}
