//! Publishing: an immutable copy of the rulebook under its version, and a pointer to the current one.
//!
//! ```text
//!   rulebooks/<version>/…   a copy, never changed
//!   rulebooks/CURRENT       the version that is served; replaced by an atomic rename
//! ```
//!
//! A reader sees the former version or the new one, whole. Rolling back is pointing to a former version.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use tarim_datamart::Problems;

use super::{Folder, check};

const CURRENT: &str = "CURRENT";

/// Why a rulebook is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("{0}\nthe rulebook is not published: mend these first")]
    Wrong(Problems),
    #[error("version {0} was never published here; `tarim rulebook publish --list` shows those that were")]
    NoSuchVersion(String),
    #[error("several published versions begin with {0}; write more of it")]
    Ambiguous(String),
    #[error("no rulebook is published in {0}; run `tarim rulebook publish`")]
    NothingPublished(PathBuf),
    #[error("cannot publish to {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// Checks and tests a rulebook, copies it to `published/<version>`, and makes it current. Publishing the
/// same contents again only makes them current. Gives the version.
pub fn publish(folder: &Path, published: &Path) -> Result<String, PublishError> {
    let report = check(folder);
    let Some((version, _)) = report.read.filter(|_| report.errors.is_empty()) else {
        return Err(PublishError::Wrong(report.errors));
    };
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| PublishError::Io { path, source }
    };
    let target = published.join(&version);
    if !target.exists() {
        let files = Folder::open(folder).map_err(PublishError::Wrong)?;
        // Hidden until it is whole: a crash leaves a folder that nobody looks at.
        let draft = published.join(format!(".draft-{version}-{}", std::process::id()));
        copy(&files, &draft).map_err(io(&draft))?;
        let written = Folder::open(&draft).map_err(PublishError::Wrong)?.version().map_err(io(&draft))?;
        if written != version {
            fs::remove_dir_all(&draft).map_err(io(&draft))?;
            let source = io::Error::other("the rulebook changed while it was copied; publish again");
            return Err(PublishError::Io { path: target, source });
        }
        if let Err(e) = fs::rename(&draft, &target) {
            fs::remove_dir_all(&draft).map_err(io(&draft))?;
            // Somebody else published the same contents meanwhile.
            if !target.exists() {
                return Err(PublishError::Io { path: target, source: e });
            }
        }
    }
    point_to(published, &version).map_err(io(published))?;
    Ok(version)
}

/// Makes a version current that was published before; its beginning is enough. Gives the whole version.
pub fn rollback(published: &Path, version: &str) -> Result<String, PublishError> {
    let all = versions(published)?;
    let mut found = all.iter().filter(|v| v.starts_with(version));
    match (found.next(), found.next()) {
        (Some(found), None) => {
            point_to(published, found)
                .map_err(|source| PublishError::Io { path: published.to_path_buf(), source })?;
            Ok(found.clone())
        }
        (None, _) => Err(PublishError::NoSuchVersion(version.to_owned())),
        (Some(_), Some(_)) => Err(PublishError::Ambiguous(version.to_owned())),
    }
}

/// Folder of the current version.
pub fn current(published: &Path) -> Result<PathBuf, PublishError> {
    let pointer = published.join(CURRENT);
    match fs::read_to_string(&pointer) {
        Ok(version) => Ok(published.join(version.trim())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(PublishError::NothingPublished(published.to_path_buf()))
        }
        Err(source) => Err(PublishError::Io { path: pointer, source }),
    }
}

/// All published versions, in order of name.
pub fn versions(published: &Path) -> Result<Vec<String>, PublishError> {
    let io = |source| PublishError::Io { path: published.to_path_buf(), source };
    let mut all = Vec::new();
    match fs::read_dir(published) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(io(e)),
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(io)?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if !name.starts_with('.') && entry.file_type().map_err(io)?.is_dir() {
                    all.push(name);
                }
            }
        }
    }
    all.sort();
    Ok(all)
}

/// Copies a rulebook and makes the copy durable.
fn copy(files: &Folder, target: &Path) -> io::Result<()> {
    for file in files.files() {
        let to = target.join(file);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut out = File::create(&to)?;
        io::copy(&mut File::open(files.root().join(file))?, &mut out)?;
        out.sync_all()?;
    }
    sync_folder(target)
}

fn point_to(published: &Path, version: &str) -> io::Result<()> {
    let draft = published.join(format!(".{CURRENT}-{}", std::process::id()));
    let mut file = File::create(&draft)?;
    writeln!(file, "{version}")?;
    file.sync_all()?;
    fs::rename(&draft, published.join(CURRENT))?;
    sync_folder(published)
}

/// Makes renames in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
