//! What the journal and the exposure ledger ask of a disk: few enough operations that a test can fail each of them.
//!
//! The real one is a folder. The tests have one in memory that loses power at any byte (`power.rs`).

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
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
    /// Does work that may take long while the caller goes on. Work that cannot be begun is dropped.
    fn beside(&self, work: Box<dyn FnOnce() + Send>);
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
        Ok(Arc::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File::create_new(self.0.join(name))?))
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

    fn beside(&self, work: Box<dyn FnOnce() + Send>) {
        let _ = std::thread::Builder::new().name("disk".into()).spawn(work);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl DiskFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
