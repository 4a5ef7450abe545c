//! Memory of large pages.

use std::{
    io,
    ops::{Deref, DerefMut},
};

use memmap2::MmapMut;

/// Anonymous memory, all zero, in large pages where the machine has them.
///
/// A look-up among millions of rows goes to a place in memory that nobody foresees, and with pages of 4 KiB the processor
/// has to look up where each page is as well, which costs as much again.
#[derive(Debug)]
pub struct Pages(MmapMut);

impl Pages {
    /// So many bytes, or one.
    pub fn new(len: usize) -> io::Result<Self> {
        let map = MmapMut::map_anon(len.max(1))?;
        // Where there are none, small pages are as right, and slower.
        #[cfg(target_os = "linux")]
        if let Err(e) = map.advise(memmap2::Advice::HugePage) {
            tracing::debug!("no large pages: {e}");
        }
        Ok(Self(map))
    }
}

impl Deref for Pages {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Pages {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
