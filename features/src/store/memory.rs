//! The memory that a file is read into.

use std::{
    fs::File,
    io::{self, Read},
    ops::Deref,
    path::Path,
};

use crate::pages::Pages;

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
        file.read_exact(&mut pages[..len])?;
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
