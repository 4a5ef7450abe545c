//! A file that appears whole or not at all.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A file that is being written, beside its place: under the same name with `.part` behind it. Once it is kept it takes its
/// place; until then, and after any failure or crash, what was there before still is. Dropped unkept, it is removed.
///
/// What is no regular file (a pipe, a device) cannot be replaced, and is written to as it is.
#[derive(Debug)]
pub struct WholeFile {
    file: File,
    place: PathBuf,
    /// None: it stands in its place already.
    part: Option<PathBuf>,
}

impl WholeFile {
    /// Begins a file that is to stand at `path`. An error where another process is at work on the same one, or where what is
    /// there may not be written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        // A link stays one: what it leads to is replaced.
        let place = match path.canonicalize() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => path.to_path_buf(),
            found => found?,
        };
        let former = match OpenOptions::new().write(true).open(&place) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            found => Some(found?),
        };
        let permissions = match former {
            None => None,
            Some(file) => {
                let metadata = file.metadata()?;
                if !metadata.is_file() {
                    return Ok(Self { file, place, part: None });
                }
                Some(metadata.permissions())
            }
        };
        let part = place.with_added_extension("part");
        let file = claim(&part)?;
        let file = Self { file, place, part: Some(part) };
        if let Some(permissions) = permissions {
            file.file.set_permissions(permissions)?;
        }
        Ok(file)
    }

    /// Where it stands for now.
    pub fn path(&self) -> &Path {
        self.part.as_deref().unwrap_or(&self.place)
    }

    /// What has been written is on the disk. For several files that belong together: sync all, then keep all.
    pub fn sync(&self) -> io::Result<()> {
        // Of what is no file nothing is kept on a disk.
        self.part.as_ref().map_or(Ok(()), |_| self.file.sync_all())
    }

    /// It is whole: it takes its place, durably.
    pub fn keep(mut self) -> io::Result<()> {
        self.sync()?;
        let Some(part) = &self.part else { return Ok(()) };
        fs::rename(part, &self.place)?;
        self.part = None;
        let folder = self.place.parent().filter(|folder| *folder != Path::new(""));
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // One that stays is in nobody's way: whoever writes the file next begins it anew.
            let _ = fs::remove_file(part);
        }
    }
}

/// An empty file that no other process writes to: the lock is held as long as the file is open. One that a process left
/// behind when it died is taken over.
fn claim(part: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(part)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = "another process is writing it; wait for that, or name another file";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
            }
            Err(TryLockError::Error(e)) => return Err(e),
        }
        // Whoever had it may have kept or removed it before it was locked here.
        let ours = file.metadata()?;
        if fs::metadata(part).is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            file.set_len(0)?;
            return Ok(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    use super::*;

    /// Names in a folder.
    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_not_kept_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ndjson");
        let begun = |text: &[u8]| {
            let mut file = WholeFile::create(&path).unwrap();
            file.write_all(text).unwrap();
            file
        };
        drop(begun(b"never"));
        assert_eq!(names(folder.path()), [""; 0]);
        begun(b"first").keep().unwrap();
        let file = begun(b"second");
        assert_eq!(
            (fs::read(file.path()).unwrap(), fs::read(&path).unwrap()),
            (b"second".into(), b"first".into())
        );
        drop(file);
        assert_eq!(
            (fs::read(&path).unwrap(), names(folder.path())),
            (b"first".into(), vec!["a.ndjson".into()])
        );
        begun(b"third").keep().unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), names(folder.path())),
            (b"third".into(), vec!["a.ndjson".into()])
        );
    }

    #[test]
    fn two_do_not_write_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ndjson");
        let file = WholeFile::create(&path).unwrap();
        let refused = WholeFile::create(&path).unwrap_err();
        assert!(refused.to_string().starts_with("another process is writing it"), "{refused}");
        // Whoever was refused has taken nothing away.
        assert_eq!(names(folder.path()), ["a.ndjson.part"]);
        file.keep().unwrap();
        WholeFile::create(&path).unwrap().keep().unwrap();
    }

    #[test]
    fn what_a_dead_process_left_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.ndjson.part"), "longer than what comes").unwrap();
        let mut file = WholeFile::create(&folder.path().join("a.ndjson")).unwrap();
        file.write_all(b"short").unwrap();
        file.keep().unwrap();
        assert_eq!(fs::read(folder.path().join("a.ndjson")).unwrap(), b"short");
    }

    #[test]
    fn links_permissions_and_devices_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.ndjson"), folder.path().join("link.ndjson"));
        fs::write(&real, "before").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&real, &link).unwrap();
        let mut file = WholeFile::create(&link).unwrap();
        file.write_all(b"after").unwrap();
        file.keep().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"after");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);

        let null = Path::new("/dev/null");
        let mut file = WholeFile::create(null).unwrap();
        file.write_all(b"nobody reads it").unwrap();
        file.keep().unwrap();
        assert!(fs::metadata(null).unwrap().file_type().is_char_device());
        assert!(WholeFile::create(folder.path()).is_err(), "a folder is no file");
    }
}
