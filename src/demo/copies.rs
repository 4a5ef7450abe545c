//! Copies of a folder of text, and what was done to one since.

use std::{
    collections::BTreeSet,
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

/// Files that one of two folders has and the other has not, or not the same, relative to them and sorted. Hidden ones do not count.
pub fn differences(one: &Path, other: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = BTreeSet::new();
    for root in [one, other] {
        collect(root, Path::new(""), &mut files)?;
    }
    let mut different = Vec::new();
    for file in files {
        if contents(&one.join(&file))? != contents(&other.join(&file))? {
            different.push(file);
        }
    }
    Ok(different)
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else {
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
