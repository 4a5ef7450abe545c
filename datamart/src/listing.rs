//! Which files of a rulebook's folder are read.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Files with an extension straight in a folder of the rulebook, sorted, relative to its root. Hidden ones, such as those that an
/// editor keeps beside a file, are no part of a rulebook, nor of its version. Errors: the folder, or what is in it, cannot be
/// listed; one that is not there is [`io::ErrorKind::NotFound`].
pub fn files_in(rulebook: &Path, folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(rulebook.join(folder))? {
        let name = entry?.file_name();
        let wanted = Path::new(&name).extension().is_some_and(|e| e == extension);
        if wanted && !name.to_string_lossy().starts_with('.') {
            files.push(folder.join(name));
        }
    }
    files.sort();
    Ok(files)
}
