//! The memory that a file is read into.

use std::{
    fs::File,
    io::{self, Read},
    ops::Deref,
    path::Path,
};

use memmap2::MmapMut;

/// The contents of a file, in anonymous memory of large pages where the machine has them.
///
/// A look-up among millions of rows goes to a place in memory that nobody foresees, and with pages of 4 KiB the processor
/// has to look up where each page is as well, which costs as much again. (Not a map of the file: its pages are small, and
/// whoever changes the file would change what was checked.)
pub(super) struct Memory {
    map: MmapMut,
    /// Of the file; no map is empty.
    len: usize,
}

impl Memory {
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut map = MmapMut::map_anon(len.max(1))?;
        // Where there are none, small pages are as right, and slower.
        #[cfg(target_os = "linux")]
        if let Err(e) = map.advise(memmap2::Advice::HugePage) {
            tracing::debug!("no large pages for {}: {e}", path.display());
        }
        file.read_exact(&mut map[..len])?;
        Ok(Self { map, len })
    }
}

impl Deref for Memory {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}
