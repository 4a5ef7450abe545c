//! Publishing: an immutable copy of the rulebook under its version, and a pointer to the current one.
//!
//! ```text
//!   folder ─► copy ─► check it, run its tests ─► rename
//!   rulebooks/<version>/…   a copy, never changed
//!   rulebooks/CURRENT       the version that is served; replaced by an atomic rename
//! ```
//!
//! A reader sees the former version or the new one, whole. Rolling back is pointing to a former version. What is checked is the
//! copy, so that nobody serves what an analyst wrote in the meantime; and since a version is the hash of its contents, whoever
//! loads one can tell that it is still what was checked ([`intact`]).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use tarim_datamart::{Place, Problem, Problems};

use super::{Folder, check};

const CURRENT: &str = "CURRENT";

/// Why a rulebook is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("{0}\nthe rulebook is not published: mend these first")]
    Wrong(Problems),
    #[error("{0}\nthe version cannot be made current")]
    Changed(Problems),
    #[error("version {0} was never published here; `tarim rulebook publish --list` shows those that were")]
    NoSuchVersion(String),
    #[error("several published versions begin with {0}; write more of it")]
    Ambiguous(String),
    #[error(
        "no rulebook is published in {0}\n    fix: run `tarim rulebook publish`, or name the installation that is meant with \
         --home (or TARIM_HOME)"
    )]
    NothingPublished(PathBuf),
    #[error("cannot publish to {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl PublishError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}

/// Copies a rulebook, checks and tests the copy, puts it to `published/<version>`, and makes it current. Publishing the
/// same contents again makes them current, and mends what is no longer what was published. Gives the version.
pub fn publish(folder: &Path, published: &Path) -> Result<String, PublishError> {
    publish_checked(folder, published, |_| Ok(()))
}

/// The same where others read the rulebook too: `also` is given the copy, and says what is wrong with it for them.
pub fn publish_checked(
    folder: &Path,
    published: &Path,
    also: impl FnOnce(&Path) -> Result<(), Problems>,
) -> Result<String, PublishError> {
    let draft = Draft::copy(folder, published)?;
    let version = draft.check(also).map_err(|wrong| PublishError::Wrong(draft.told_of(folder, &wrong)))?;
    let target = published.join(&version);
    draft.put(&target).map_err(PublishError::io(&target))?;
    // Whatever others did meanwhile, nobody is sent to what was not checked.
    intact(&target).map_err(PublishError::Changed)?;
    point_to(published, &version).map_err(PublishError::io(published))?;
    Ok(version)
}

/// Makes a version current that was published before; its beginning is enough. Gives the whole version.
pub fn rollback(published: &Path, version: &str) -> Result<String, PublishError> {
    let all = versions(published)?;
    let mut found = all.iter().filter(|v| v.starts_with(version));
    match (found.next(), found.next()) {
        (Some(found), None) => {
            intact(&published.join(found)).map_err(PublishError::Changed)?;
            point_to(published, found).map_err(PublishError::io(published))?;
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

/// Whether the folder of a published version still holds what was published: its contents have its name for a version. Without a
/// policy that was lost, or with one that was written there, others would be approved than those who published it think.
pub fn intact(folder: &Path) -> Result<(), Problems> {
    let place = Place::file(folder);
    let found = Folder::open(folder)?.version().map_err(|e| {
        place.problem(format!("cannot read the published rulebook: {e}"), "correct its permissions")
    })?;
    if folder.file_name().is_some_and(|name| *name == *found) {
        return Ok(());
    }
    let what = format!("what stands there is not what was published, but rulebook {found}");
    let fix = "publish that text again, which puts it back, or `tarim rulebook publish --rollback` to another version; nobody \
               but `publish` may write there";
    Err(place.problem(what, fix).into())
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

/// A copy that nobody serves yet. It is hidden: a crash leaves a folder that nobody looks at.
struct Draft(PathBuf);

impl Draft {
    /// Copies a rulebook beside the published ones, durably.
    fn copy(folder: &Path, published: &Path) -> Result<Self, PublishError> {
        let files = Folder::open(folder).map_err(PublishError::Wrong)?;
        // Nobody else's, on whichever machine that shares the folder: each has processes of the same numbers.
        let draft =
            Self(published.join(format!(".draft-{:016x}", RandomState::new().hash_one(Instant::now()))));
        copy(&files, &draft.0).map_err(PublishError::io(&draft.0))?;
        let version = |folder: &Path| {
            let files = Folder::open(folder).map_err(PublishError::Wrong)?;
            files.version().map_err(PublishError::io(folder))
        };
        if version(folder)? != version(&draft.0)? {
            let source = io::Error::other("the rulebook changed while it was copied; publish again");
            return Err(PublishError::Io { path: published.to_path_buf(), source });
        }
        Ok(draft)
    }

    /// Gives its version, if nothing is wrong with it.
    fn check(&self, also: impl FnOnce(&Path) -> Result<(), Problems>) -> Result<String, Problems> {
        let report = check(&self.0);
        let Some((version, _)) = report.read.filter(|_| report.errors.is_empty()) else {
            return Err(report.errors);
        };
        also(&self.0)?;
        Ok(version)
    }

    /// Problems of the copy, as of the folder that was copied: the one that somebody can mend.
    fn told_of(&self, folder: &Path, problems: &Problems) -> Problems {
        let (copy, folder) = (self.0.to_string_lossy(), folder.to_string_lossy());
        let own = |text: &str| text.replace(&*copy, &folder);
        let mut told = Problems::default();
        for Problem { place, what, fix } in problems.iter() {
            let place = Place { file: own(&place.file.to_string_lossy()).into(), line: place.line };
            told.push(place.problem(own(what), own(fix)));
        }
        told
    }

    /// Puts it to where its version belongs, unless the same stands there already.
    fn put(&self, target: &Path) -> io::Result<()> {
        if intact(target).is_ok() {
            return Ok(());
        }
        // Something else may stand there, which nobody may load. Who loads it just now goes on with what he has.
        let aside = self.0.with_extension("aside");
        absent(fs::remove_dir_all(&aside))?;
        absent(fs::rename(target, &aside))?;
        if let Err(e) = fs::rename(&self.0, target) {
            // Somebody else may have published the same contents meanwhile.
            intact(target).map_err(|_| e)?;
        }
        absent(fs::remove_dir_all(&aside))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Where it was put in its place, it is no longer here.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// That there is nothing to remove, or to rename, is in order.
fn absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Copies a rulebook and makes the copy durable.
fn copy(files: &Folder, target: &Path) -> io::Result<()> {
    create_folder(target)?;
    let mut folders = BTreeSet::from([target.to_path_buf()]);
    for file in files.files() {
        let to = target.join(file);
        if let Some(folder) = to.parent() {
            create_folder(folder)?;
            folders.insert(folder.to_path_buf());
        }
        let mut out = File::create(&to)?;
        io::copy(&mut File::open(files.root().join(file))?, &mut out)?;
        out.sync_all()?;
    }
    folders.iter().try_for_each(|folder| sync_folder(folder))
}

/// Makes a folder, and all above it that are not there; their names are durable.
fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| *above != Path::new("")).unwrap_or(Path::new("."));
    create_folder(above)?;
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => sync_folder(above),
    }
}

fn point_to(published: &Path, version: &str) -> io::Result<()> {
    // What is pointed to must be there whatever happens.
    sync_folder(published)?;
    let draft = published.join(format!(".{CURRENT}-{}", std::process::id()));
    let mut file = File::create(&draft)?;
    writeln!(file, "{version}")?;
    file.sync_all()?;
    fs::rename(&draft, published.join(CURRENT))?;
    sync_folder(published)
}

/// Makes what was made, renamed or removed in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
