//! What the journal and the exposure ledger ask of a disk: few enough operations that a test can fail each of them.
//!
//! The real one is a folder. The tests have one in memory that loses power at any byte (`power.rs`).

use std::{
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// A folder of files.
pub trait Disk: Send + Sync + 'static {
    /// Names of all files, in no order.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates a file that does not exist. It may be gone after a crash until [`Disk::sync`].
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name, which no file has. After a crash it may have either, until [`Disk::sync`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes what was created and removed durable.
    fn sync(&self) -> io::Result<()>;
    /// Bytes that files are best written in; a power of two.
    fn page(&self) -> usize;
    /// How a person finds a file of this disk.
    fn path(&self, name: &str) -> PathBuf;
}

/// One file of a [`Disk`].
pub trait DiskFile: Send + Sync {
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Fills `bytes` from `offset`; a file that ends before is an error.
    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes at `offset`, which is not behind the end of the file: over what is there, and on. Not durable until
    /// [`DiskFile::sync`].
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// As [`DiskFile::write`], whole pages ([`Disk::page`]) from memory that begins with one.
    ///
    /// What is written over with the same bytes is safe: if the power goes, a sector has either its old or its new contents.
    /// (The system's own cache relies on the same when a file grows within a page.)
    fn write_pages(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Fills the file with zeros from `from`, its end, to `to`. Not durable until [`DiskFile::sync`].
    fn fill(&self, from: u64, to: u64) -> io::Result<()>;
    /// Cuts the file to `size` bytes. Not durable until [`DiskFile::sync`].
    fn cut(&self, size: u64) -> io::Result<()>;
    /// Makes what was written and cut durable.
    fn sync(&self) -> io::Result<()>;
}

/// A folder of the file system.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A folder that exists.
    pub fn new(path: &Path) -> Self {
        Self(path.into())
    }
}

impl Disk for Folder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        // Reading must work where writing is not permitted: `tarim replay` on a copy.
        let path = self.0.join(name);
        let file = OpenOptions::new().read(true).write(true).open(&path).or_else(|_| File::open(&path))?;
        Ok(Arc::new(FolderFile { file, path, direct: OnceLock::new() }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.0.join(name);
        Ok(Arc::new(FolderFile { file: File::create_new(&path)?, path, direct: OnceLock::new() }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    fn page(&self) -> usize {
        PAGE
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// A file of a [`Folder`]. Whole pages go past the system's cache: what is written once and hardly ever read would take
/// memory there from what is, and copying it costs the processor more than all else that is done to write it.
struct FolderFile {
    file: File,
    path: PathBuf,
    /// Writes past the cache; None: this file system does not.
    direct: OnceLock<Option<File>>,
}

impl FolderFile {
    fn direct(&self) -> Option<&File> {
        let open = || OpenOptions::new().write(true).custom_flags(DIRECT).open(&self.path);
        self.direct.get_or_init(|| open().ok()).as_ref()
    }
}

impl DiskFile for FolderFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn write_pages(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        debug_assert!(bytes.len().is_multiple_of(PAGE) && offset.is_multiple_of(PAGE as u64));
        if let Some(direct) = self.direct() {
            match direct.write_all_at(bytes, offset) {
                // It wants larger pages.
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => {}
                written => return written,
            }
        }
        self.write(bytes, offset)
    }

    fn fill(&self, from: u64, to: u64) -> io::Result<()> {
        let page = PAGE as u64;
        let pages = from.next_multiple_of(page).min(to)..(to / page * page).max(from);
        pieces(from..pages.start, |zeros, at| self.write(zeros, at))?;
        pieces(pages.clone(), |zeros, at| self.write_pages(zeros, at))?;
        pieces(pages.end..to, |zeros, at| self.write(zeros, at))
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// What the system keeps files in, and what disks write at least.
const PAGE: usize = 4096;

#[cfg(target_os = "linux")]
const DIRECT: i32 = libc::O_DIRECT;
#[cfg(not(target_os = "linux"))]
const DIRECT: i32 = 0;

#[repr(align(4096))]
struct Zeros([u8; 1 << 20]);

static ZEROS: Zeros = Zeros([0; 1 << 20]);

/// Zeros for a range, piece by piece.
fn pieces(range: Range<u64>, write: impl Fn(&[u8], u64) -> io::Result<()>) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let piece = ZEROS.0.len().min((range.end - at) as usize);
        write(&ZEROS.0[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}
