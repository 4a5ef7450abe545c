//! Snapshots of a partition's state, as files.
//!
//! ```text
//! <topic>-<partition>/<to>.full            everything, at offset <to>
//! <topic>-<partition>/<from>-<to>.delta    what changed since offset <from>
//! ```
//!
//! A file has its name once it is whole and on the disk. When the deltas have grown to what a full one takes, a full one is
//! written, and what is older than the one before it goes.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::{info, warn};

use super::Settings;
use crate::{
    core::{CHECKSUM, SnapshotError, Span, Worker, is_whole, made_with},
    rulebook::WarningBook,
};

pub struct Snapshots {
    folder: PathBuf,
    published: PathBuf,
    partition: i32,
    /// Offset of the last one; None: the next is a full one.
    last: Option<i64>,
    full_bytes: u64,
    delta_bytes: u64,
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    span: Span,
    path: PathBuf,
}

impl Named {
    fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |m| m.len())
    }
}

/// A file that is opened when it is read: of a chain, which may be long, one at a time.
struct Unopened<'f> {
    path: &'f Path,
    file: Option<File>,
}

impl Read for Unopened<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(self.path)?),
        };
        file.read(into)
    }
}

impl Snapshots {
    pub fn open(settings: &Settings, partition: i32) -> io::Result<Self> {
        let folder = settings.state.join(format!("{}-{partition}", settings.events));
        fs::create_dir_all(&folder)?;
        let published = settings.published.clone();
        Ok(Self { folder, published, partition, last: None, full_bytes: 0, delta_bytes: 0 })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The latest state that is not ahead of the committed offset, and the offset of the first event that it lacks. A
    /// snapshot that cannot be taken is passed over, with a word in the log: the events before it are taken again. Without any
    /// the state begins with the rulebook that the log `began` with, if that is known.
    pub fn load(
        &mut self,
        book: &Arc<WarningBook>,
        committed: Option<i64>,
        began: Option<&str>,
    ) -> io::Result<(Worker, i64)> {
        let committed = committed.unwrap_or(0);
        let files = self.files()?;
        let mut damaged = Vec::new();
        loop {
            let chain = chain(&files, committed, &damaged);
            let Some(first) = chain.first() else { break };
            match self.read(book, &chain) {
                Ok((worker, at)) => {
                    self.last = Some(at);
                    self.full_bytes = first.bytes();
                    self.delta_bytes = chain[1..].iter().map(|f| f.bytes()).sum();
                    info!(
                        partition = self.partition,
                        offset = at,
                        customers = worker.customers(),
                        "state loaded"
                    );
                    return Ok((worker, at));
                }
                // To start over with the rulebook that was given would be to undo what somebody has decided.
                Err((SnapshotError::Io(e), _)) if e.kind() == io::ErrorKind::Other => return Err(e),
                // What leads past it is as good as ever.
                Err((e, file)) => {
                    warn!(
                        partition = self.partition,
                        file = %file.path.display(),
                        "snapshot not taken: {e}"
                    );
                    damaged.push(file.clone());
                }
            }
        }
        self.last = None;
        let began = began.map_or_else(|| Ok(book.clone()), |version| self.in_force(book, version, false))?;
        Ok((Worker::new(began), 0))
    }

    /// With the rulebook that is in force. An error comes with the file that cannot be taken.
    fn read<'f>(
        &self,
        given: &Arc<WarningBook>,
        chain: &[&'f Named],
    ) -> Result<(Worker, i64), (SnapshotError, &'f Named)> {
        let mut begun = *chain.last().expect("a chain has a file");
        let book = self.of_state(given, &begun.path).map_err(|e| (e, begun))?;
        let files = chain.iter().map(|named| {
            begun = named;
            Unopened { path: &named.path, file: None }
        });
        let restored = Worker::restore(book, self.partition, files);
        restored.map_err(|e| (e, begun))
    }

    /// The rulebook of a state.
    fn of_state(&self, given: &Arc<WarningBook>, file: &Path) -> Result<Arc<WarningBook>, SnapshotError> {
        let (version, swapped) = made_with(File::open(file)?)?;
        match self.in_force(given, &version, swapped) {
            // What is damaged may name anything.
            Err(_) if !is_whole(File::open(file)?)? => Err(SnapshotError::Damaged(CHECKSUM)),
            book => Ok(book?),
        }
    }

    /// The rulebook of a version, if an event of the log has brought it into force, or if it and the one that was given are
    /// published ones: from one of those to another leads an event of the log alone. (It may stand there already: whoever
    /// published, swapped and was killed must not read what is before it by what comes behind it.) Else the one that was given.
    fn in_force(
        &self,
        given: &Arc<WarningBook>,
        version: &str,
        swapped: bool,
    ) -> io::Result<Arc<WarningBook>> {
        let is_published = |version: &str| self.published.join(version).is_dir();
        let holds = swapped || (is_published(version) && is_published(given.version()));
        if version == given.version() || !holds {
            if version != given.version() && is_published(given.version()) {
                let (partition, given) = (self.partition, given.version());
                warn!(
                    partition,
                    version, given, "what held is not published, and what was given holds instead"
                );
            }
            return Ok(given.clone());
        }
        let book = WarningBook::published(&self.published, version).map_err(|problems| {
            io::Error::other(format!("rulebook {version}, which is in force, cannot be taken:\n{problems}"))
        })?;
        info!(
            partition = self.partition,
            version, "this rulebook is in force until an event of the log brings another (`tarim warn swap`)"
        );
        Ok(Arc::new(book))
    }

    /// Offset of the latest state there is, whether it can be taken or not.
    pub fn latest(&self) -> io::Result<Option<i64>> {
        Ok(self.files()?.last().map(|file| file.span.to))
    }

    /// No state was loaded, nor written since.
    pub fn has_none(&self) -> bool {
        self.last.is_none()
    }

    /// The next one is a full one: another rulebook has changed every state.
    pub fn begin_anew(&mut self) {
        self.last = None;
    }

    /// Writes the state at an offset.
    pub fn write(&mut self, worker: &mut Worker, to: i64) -> io::Result<()> {
        if self.last == Some(to) {
            return Ok(());
        }
        let from = self.last.filter(|_| self.delta_bytes < self.full_bytes.max(1 << 20));
        let span = Span { from, to };
        let draft = self.folder.join("draft");
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&draft)?);
        let bytes = worker.write_snapshot(self.partition, span, &mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&draft, self.folder.join(span.file_name()))?;
        File::open(&self.folder)?.sync_all()?;
        self.last = Some(to);
        match from {
            Some(_) => self.delta_bytes += bytes,
            None => {
                (self.full_bytes, self.delta_bytes) = (bytes, 0);
                self.remove_old(to)?;
            }
        }
        Ok(())
    }

    /// Keeps the full snapshot before the new one, with what follows it: should the new one be damaged.
    fn remove_old(&self, new: i64) -> io::Result<()> {
        let files = self.files()?;
        let before =
            files.iter().filter(|f| f.span.from.is_none() && f.span.to < new).map(|f| f.span.to).max();
        for old in files.iter().filter(|f| before.is_some_and(|before| f.span.to < before)) {
            fs::remove_file(&old.path)?;
        }
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<Named>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if let Some(span) = path.file_name().and_then(|n| Span::of_file_name(n.to_str()?)) {
                files.push(Named { span, path });
            }
        }
        files.sort_by_key(|f| (f.span.to, f.span.from));
        Ok(files)
    }
}

/// The files that lead to the latest state that is not ahead of the committed offset: a full one, and deltas, each of which
/// begins where the one before it ends. `files` stand in the order of their ends; `damaged` ones do not count.
fn chain<'f>(files: &'f [Named], committed: i64, damaged: &[Named]) -> Vec<&'f Named> {
    // By offset: the file that leads there. A full one comes before deltas with the same end.
    let mut leads: BTreeMap<i64, &Named> = BTreeMap::new();
    for file in files.iter().filter(|f| f.span.to <= committed && !damaged.contains(f)) {
        if file.span.from.is_none_or(|from| from < file.span.to && leads.contains_key(&from)) {
            leads.entry(file.span.to).or_insert(file);
        }
    }
    let mut chain: Vec<&Named> = Vec::new();
    let mut at = leads.last_key_value().map(|(to, _)| *to);
    while let Some(file) = at.and_then(|at| leads.get(&at)) {
        chain.push(file);
        at = file.span.from;
    }
    chain.reverse();
    chain
}

impl Span {
    fn file_name(self) -> String {
        match self.from {
            None => format!("{:020}.full", self.to),
            Some(from) => format!("{from:020}-{:020}.delta", self.to),
        }
    }

    fn of_file_name(name: &str) -> Option<Self> {
        if let Some(to) = name.strip_suffix(".full") {
            return Some(Self { from: None, to: to.parse().ok()? });
        }
        let (from, to) = name.strip_suffix(".delta")?.split_once('-')?;
        Some(Self { from: Some(from.parse().ok()?), to: to.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the files that lead to the state, as `[damaged] files` at a committed offset.
    fn led(files: &str, committed: i64) -> String {
        let named = |name: &str| {
            let (from, to) = name.split_once('-').unwrap_or(("", name));
            let span = Span { from: from.parse().ok(), to: to.parse().unwrap() };
            Named { span, path: PathBuf::from(name) }
        };
        let damaged: Vec<Named> = files.split(' ').filter_map(|f| f.strip_prefix('!')).map(named).collect();
        let mut files: Vec<Named> = files.split(' ').map(|f| named(f.trim_start_matches('!'))).collect();
        files.sort_by_key(|f| (f.span.to, f.span.from));
        let names: Vec<_> =
            chain(&files, committed, &damaged).iter().map(|f| f.path.to_str().unwrap()).collect();
        names.join(" ")
    }

    /// `10` is a full snapshot at offset 10, `10-20` a delta, `!` a damaged one.
    #[test]
    fn the_latest_state_is_found_whatever_is_damaged() {
        for (files, committed, wanted) in [
            ("10 10-20 20-30", 30, "10 10-20 20-30"),
            ("10 10-20 20-30", 29, "10 10-20"),
            ("10 10-20 20-30", 9, ""),
            ("10 10-20 30 30-40", 50, "30 30-40"),
            ("10 10-20 30 30-40", 29, "10 10-20"),
            // Behind a damaged one the state was written anew, from where it was left.
            ("10 10-20 !20-30 20-40 40-50", 50, "10 10-20 20-40 40-50"),
            ("10 !10-20 10-20 20-30", 50, "10"),
            ("10 !10-20 20-30", 50, "10"),
            ("10 10-20 !30 20-40", 50, "10 10-20 20-40"),
            ("!10 10-20 20-30", 50, ""),
            ("10 10-20 20-30 30 30-40", 50, "30 30-40"),
            ("10 10-20 20-30 !30 30-40", 50, "10 10-20 20-30 30-40"),
            // What leads to itself leads nowhere.
            ("10 10-10 20-20", 50, "10"),
        ] {
            assert_eq!(led(files, committed), wanted, "{files} at {committed}");
        }
    }

    /// A text that is not published is what its author wants to see at work; from one published rulebook to another leads an
    /// event of the log alone.
    #[test]
    fn what_was_published_stays_in_force_until_an_event_says_otherwise() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let written = |name: &str, rule: &str| {
            let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook");
            copy(&text, &path(name));
            fs::write(path(name).join("warnings/one_more.toml"), rule).unwrap();
            Arc::new(WarningBook::read(&path(name)).unwrap_or_else(|p| panic!("{p}")))
        };
        let rule = |id: &str| {
            format!(
                "[[rule]]\nid = \"{id}\"\nzh = \"新\"\nen = \"new\"\nlevel = \"blue\"\nevent = \"transaction\"\n\
                 when = \"event.amount_fen > 0\"\nquiet = \"1d\"\n"
            )
        };
        let (first, second) = (written("first", ""), written("second", &rule("ONE_MORE")));
        let snapshots = |state: &str| {
            let folder = path(state);
            fs::create_dir_all(&folder).unwrap();
            let published = path("published");
            Snapshots { published, folder, partition: 0, last: None, full_bytes: 0, delta_bytes: 0 }
        };
        let mut worker = Worker::new(first.clone());
        snapshots("state").write(&mut worker, 10).unwrap();
        let taken = |given: &Arc<WarningBook>| {
            let (worker, at) = snapshots("state").load(given, Some(20), None).unwrap();
            (worker.book().version().to_owned(), at)
        };
        // It has one rule more: its author begins anew.
        assert_eq!(taken(&second), (second.version().to_owned(), 0));
        fs::create_dir(path("published")).unwrap();
        fs::rename(path("first"), path("published").join(first.version())).unwrap();
        assert_eq!(taken(&second), (second.version().to_owned(), 0));
        fs::rename(path("second"), path("published").join(second.version())).unwrap();
        assert_eq!(taken(&second), (first.version().to_owned(), 10));
        assert_eq!(taken(&first), (first.version().to_owned(), 10));
        // The host is lost, and its folder with it: what the log began with is told by the group's commit.
        let lost = |given: &Arc<WarningBook>, began: Option<&str>| {
            let (worker, at) = snapshots("elsewhere").load(given, Some(20), began).unwrap();
            assert_eq!(at, 0);
            worker.book().version().to_owned()
        };
        assert_eq!(lost(&second, Some(first.version())), first.version());
        assert_eq!(lost(&second, None), second.version(), "an earlier release did not tell it");
        // A text is what its author wants to see at work; what is no longer published can hold nowhere.
        let text = written("text", &rule("A_TEXT"));
        assert_eq!(lost(&text, Some(first.version())), text.version());
        assert_eq!(lost(&second, Some(text.version())), second.version());
        // One that is there and cannot be read is no reason to begin with another.
        fs::remove_dir_all(path("published").join(first.version()).join("warnings")).unwrap();
        let error = snapshots("elsewhere").load(&second, Some(20), Some(first.version())).err().unwrap();
        assert!(error.to_string().contains(first.version()), "{error}");
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            if path.is_dir() {
                copy(&path, &to);
            } else {
                fs::copy(&path, &to).unwrap();
            }
        }
    }

    /// The version of its rulebook stands at the beginning of a snapshot, and the checksum at its end.
    #[test]
    fn a_rulebook_that_a_damaged_header_names_is_not_missed() {
        let rulebook = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook");
        let book = Arc::new(WarningBook::read(&rulebook).unwrap_or_else(|p| panic!("{p}")));
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().to_path_buf();
        let published = folder.join("published");
        let mut snapshots =
            Snapshots { published, folder, partition: 0, last: None, full_bytes: 0, delta_bytes: 0 };
        let mut worker = Worker::new(book.clone());
        snapshots.write(&mut worker, 10).unwrap();
        // An event of the log has brought it into force.
        worker.swap(book.clone(), None);
        snapshots.begin_anew();
        snapshots.write(&mut worker, 20).unwrap();
        let file = snapshots.folder.join(Span { from: None, to: 20 }.file_name());
        let mut bytes = fs::read(&file).unwrap();
        let version = bytes.windows(64).position(|bytes| bytes == book.version().as_bytes()).unwrap();
        bytes[version] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(
            snapshots.load(&book, Some(30), None).unwrap().1,
            10,
            "what leads past it is as good as ever"
        );
        // One that was written so is not damaged: somebody has taken its rulebook away.
        let checksum = bytes.len() - 4;
        let hash = crc32fast::hash(&bytes[..checksum]);
        bytes[checksum..].copy_from_slice(&hash.to_le_bytes());
        fs::write(&file, &bytes).unwrap();
        let error = snapshots.load(&book, Some(30), None).err().unwrap().to_string();
        assert!(error.contains("which is in force, cannot be taken"), "{error}");
    }

    /// Files as they are: the second of three is damaged, and what is written then counts at the next start.
    #[test]
    fn a_damaged_delta_does_not_hide_what_comes_behind_it() {
        let rulebook = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook");
        let book = Arc::new(WarningBook::read(&rulebook).unwrap_or_else(|p| panic!("{p}")));
        let scratch = tempfile::tempdir().unwrap();
        let opened = || {
            let folder = scratch.path().to_path_buf();
            Snapshots {
                published: folder.clone(),
                folder,
                partition: 0,
                last: None,
                full_bytes: 0,
                delta_bytes: 0,
            }
        };
        let mut snapshots = opened();
        let (mut worker, at) = snapshots.load(&book, None, None).unwrap();
        assert_eq!((at, snapshots.latest().unwrap()), (0, None));
        for to in [10, 20, 30] {
            snapshots.write(&mut worker, to).unwrap();
        }
        let damaged = scratch.path().join(Span { from: Some(10), to: 20 }.file_name());
        let mut bytes = fs::read(&damaged).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&damaged, bytes).unwrap();
        let mut snapshots = opened();
        let (mut worker, at) = snapshots.load(&book, Some(40), None).unwrap();
        assert_eq!((at, snapshots.latest().unwrap()), (10, Some(30)));
        snapshots.write(&mut worker, 40).unwrap();
        assert_eq!(opened().load(&book, Some(40), None).unwrap().1, 40);
    }
}
