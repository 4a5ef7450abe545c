//! Copies of a folder of text, and what was done to one since.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// Copies a folder, so that a newcomer edits a rulebook of their own.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Files that one of two folders has and the other has not, or not the same, relative to them and sorted. A hidden file does not
/// count, for an editor keeps it beside another; the files of a hidden folder do (`.git` may be the work of days), and are told
/// as that folder.
pub fn differences(one: &Path, other: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = BTreeSet::new();
    for root in [one, other] {
        collect(root, Path::new(""), &mut files)?;
    }
    let mut different = BTreeSet::new();
    for file in files {
        if contents(&one.join(&file))? != contents(&other.join(&file))? {
            different.insert(told(&file));
        }
    }
    Ok(different.into_iter().collect())
}

/// The outermost hidden folder that a file is in, or else the file.
fn told(file: &Path) -> PathBuf {
    let mut parts = file.components();
    let hidden = parts.any(|part| is_hidden(part.as_os_str()));
    let behind = if hidden { parts.as_path() } else { Path::new("") };
    file.ancestors().nth(behind.components().count()).unwrap_or(file).to_path_buf()
}

fn is_hidden(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with('.')
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else if !is_hidden(&entry.file_name()) {
            files.insert(path);
        }
    }
    Ok(())
}

/// None: there is no such file.
fn contents(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(contents) => Ok(Some(contents)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
