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
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::{info, warn};

use super::Settings;
use crate::{
    core::{SnapshotError, Span, Worker},
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
    /// snapshot that cannot be taken is passed over, with a word in the log: the events before it are taken again.
    pub fn load(&mut self, book: &Arc<WarningBook>, committed: Option<i64>) -> io::Result<(Worker, i64)> {
        let committed = committed.unwrap_or(0);
        let files = self.files()?;
        let mut full: Vec<&Named> =
            files.iter().filter(|f| f.span.from.is_none() && f.span.to <= committed).collect();
        full.sort_by_key(|f| std::cmp::Reverse(f.span.to));
        for first in full {
            let mut chain = vec![first];
            let mut at = first.span.to;
            let follows =
                |at: i64| files.iter().find(move |f| f.span.from == Some(at) && f.span.to <= committed);
            while let Some(next) = follows(at) {
                at = next.span.to;
                chain.push(next);
            }
            // Should a later one be damaged, those before it are as good as ever.
            while !chain.is_empty() {
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
                    Err(SnapshotError::Io(e)) if e.kind() == io::ErrorKind::Other => return Err(e),
                    Err(e) => {
                        let file = chain.pop().map(|f| f.path.display().to_string()).unwrap_or_default();
                        warn!(partition = self.partition, file, "snapshot not taken: {e}");
                    }
                }
            }
        }
        self.last = None;
        Ok((Worker::new(book.clone()), 0))
    }

    /// With the rulebook that was given, or, if an event of the log has brought another one into force since, with that.
    fn read(&self, book: &Arc<WarningBook>, chain: &[&Named]) -> Result<(Worker, i64), SnapshotError> {
        let restored = |book: Arc<WarningBook>| {
            let open = |f: &&Named| File::open(&f.path);
            Worker::restore(book, self.partition, chain.iter().map(open).collect::<io::Result<Vec<_>>>()?)
        };
        match restored(book.clone()) {
            Err(SnapshotError::InForce(version)) => {
                let book = WarningBook::published(&self.published, &version).map_err(|problems| {
                    io::Error::other(format!(
                        "rulebook {version}, which is in force, cannot be taken:\n{problems}"
                    ))
                })?;
                info!(
                    partition = self.partition,
                    version, "the rulebook that is in force since an event of the log"
                );
                restored(Arc::new(book))
            }
            other => other,
        }
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
