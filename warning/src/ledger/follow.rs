//! Following a ledger while another process writes it: what stands, for the decisions of the same machine.
//!
//! ```text
//!  warnings.ledger ─► new whole frames ─► Lifecycle ─► OpenWarnings ─► in numbers ─► Feed
//!  warnings.heard ──► up to when all alerts are in it ──────────────────────────────► Feed
//! ```
//!
//! - Nothing is written, and nobody waits for us. A frame that is not whole is not there yet; what the writer has not yet synced
//!   is seen a moment before others are told of it.
//! - A writer cuts off what it could not write. So before going on, the last frame that was read must stand where it stood;
//!   if it does not, or if there is another file, all is read anew, and nothing is known meanwhile.
//! - A start begins with the writer's snapshot, if there is a good one.
//! - A frame that stays damaged is never passed over: what is known grows old, and then nothing is known any more.
//! - What a warning says is not kept, only what there is to count.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tarim_features::warnings::Feed;
use tarim_proto::warning::v1::LedgerEntry;

use super::{
    LedgerError, OpenWarnings,
    books::{Books, Done},
    entry::{self, ReadAlert},
    frame::{FRAME, Frame, HEADER, salt},
    heard,
    log::{NAME, Start},
    open_warnings::key,
    snapshot::{self, State},
    view::Whole,
};

/// So often it is looked whether there is more.
const LOOK: Duration = Duration::from_millis(50);

/// Bytes that are read at once. (A frame can be longer; in tests most are.)
const PIECE: usize = if cfg!(test) { 64 } else { 4 << 20 };

/// A ledger that is followed, until this is dropped.
pub struct Following {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Follows the ledger of a folder. Returns once all is read that is there; a ledger that is not there yet is waited for.
///
/// # Errors
/// A ledger that cannot be read, or has another format.
pub fn follow(folder: &Path, feed: Feed) -> Result<Following, LedgerError> {
    let mut follower = Follower::new(folder, feed);
    follower.look()?;
    if follower.tail.is_none() {
        tracing::warn!(
            "there is no ledger in {} yet: until `tarim warn serve` writes it, nothing is known of warnings",
            folder.display()
        );
    }
    let stop = Arc::<AtomicBool>::default();
    let stopped = stop.clone();
    let failed = LedgerError::io("start a thread to follow", folder.into());
    let run = move || {
        let mut logged = String::new();
        while !stopped.load(Ordering::Acquire) {
            match follower.look() {
                Ok(()) => logged.clear(),
                Err(e) if e.to_string() == logged => {}
                Err(e) => {
                    logged = e.to_string();
                    tracing::error!(
                        "warnings are not followed any more, and soon nothing is known of them: {e}"
                    );
                }
            }
            std::thread::sleep(LOOK);
        }
    };
    let thread = std::thread::Builder::new().name("warnings".into()).spawn(run).map_err(failed)?;
    Ok(Following { stop, thread: Some(thread) })
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that follows warnings panicked");
        }
    }
}

pub(super) struct Follower {
    folder: PathBuf,
    feed: Feed,
    /// None: there is no file yet, or it is to be read anew.
    tail: Option<Tail>,
}

/// How far a file is read, and what came of it.
struct Tail {
    file: File,
    salt: u32,
    at: u64,
    next: u64,
    /// Where the last frame stands, and how it begins.
    last: Option<(u64, [u8; FRAME])>,
    books: Books,
    open: OpenWarnings,
}

/// Frames that were taken together.
#[derive(Default)]
struct Taken {
    /// Members and customers for whom something has changed.
    touched: BTreeSet<(String, String)>,
    records: u64,
    bytes: usize,
}

impl Follower {
    pub(super) fn new(folder: &Path, feed: Feed) -> Self {
        Self { folder: folder.into(), feed, tail: None }
    }

    /// Reads what has come.
    pub(super) fn look(&mut self) -> Result<(), LedgerError> {
        let path = self.folder.join(NAME);
        let failed = || LedgerError::io("follow", path.clone());
        // Before the file: what was heard by then is in it.
        let heard = heard::read(&self.folder);
        if let Some(tail) = &self.tail
            && !tail.stands(&path).map_err(failed())?
        {
            tracing::warn!("{} is another than before, and is read anew", path.display());
            self.feed.lost();
            self.tail = None;
        }
        let anew = self.tail.is_none();
        if anew {
            self.tail = Tail::open(&self.folder)?;
        }
        let Some(tail) = &mut self.tail else { return Ok(()) };
        let size = tail.file.metadata().map_err(failed())?.len();
        let feed = &self.feed;
        if anew {
            let mut known = Vec::new();
            let owned = |member: &str, customer: &str| (member.to_owned(), customer.to_owned());
            tail.open.each(|member, customer, standing| known.push((owned(member, customer), standing)));
            feed.put(known.iter().map(|((member, customer), standing)| (&**member, &**customer, *standing)));
        }
        let whole = tail.read(size, &path, |open, taken| {
            feed.put(taken.touched.iter().map(|(m, c)| (&**m, &**c, open.in_numbers(m, c))));
            feed.count(taken.records);
        })?;
        if anew {
            let open = &tail.open;
            feed.retain(|member, customer| !open.of(member, customer).is_empty());
        }
        if let (true, Some(heard)) = (whole, heard) {
            feed.heard(heard);
        }
        Ok(())
    }
}

impl Tail {
    /// None: it is not there, or not begun.
    fn open(folder: &Path) -> Result<Option<Self>, LedgerError> {
        let path = folder.join(NAME);
        let failed = || LedgerError::io("follow", path.clone());
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed()(e)),
        };
        let mut head = [0; HEADER];
        match file.read_exact_at(&mut head, 0) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(failed()(e)),
        }
        let salt = salt(&head).map_err(|what| LedgerError::Corrupt {
            file: path.clone(),
            offset: 0,
            what: what.into(),
        })?;
        let State { lifecycle, start: Start { at, next }, .. } = snapshot::load(folder, Duration::ZERO);
        let open = OpenWarnings::new(&lifecycle);
        let books = Books { lifecycle: Whole::new(lifecycle), ..Books::default() };
        Ok(Some(Self { file, salt, at, next, last: None, books, open }))
    }

    /// Is what was read still what stands there?
    fn stands(&self, path: &Path) -> io::Result<bool> {
        let (ours, there) = (
            self.file.metadata()?,
            match std::fs::metadata(path) {
                Ok(there) => there,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(e) => return Err(e),
            },
        );
        if (ours.ino(), ours.dev()) != (there.ino(), there.dev()) || there.len() < self.at {
            return Ok(false);
        }
        let Some((at, begins)) = self.last.filter(|_| there.len() > self.at) else { return Ok(true) };
        let mut bytes = [0; FRAME];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes == begins)
    }

    /// Takes whole frames up to `size`, and shows what came of them, piece by piece. Was it everything?
    fn read(
        &mut self,
        size: u64,
        path: &Path,
        mut show: impl FnMut(&OpenWarnings, &Taken),
    ) -> Result<bool, LedgerError> {
        let mut bytes = Vec::new();
        let mut wanted = PIECE;
        while self.at < size {
            bytes.resize(wanted.min((size - self.at) as usize), 0);
            let read = self.file.read_exact_at(&mut bytes, self.at);
            read.map_err(LedgerError::io("follow", path.into()))?;
            let taken = self.take(&bytes, path)?;
            if taken.records > 0 {
                show(&self.open, &taken);
            }
            wanted = match Frame::length(&bytes) {
                _ if taken.bytes > 0 => PIECE,
                // A frame that is longer than a piece is read whole.
                Ok(length) if length > bytes.len() && self.at + length as u64 <= size => length,
                _ => return Ok(false),
            };
        }
        Ok(true)
    }

    /// Takes the whole frames at the beginning of `bytes`.
    fn take(&mut self, bytes: &[u8], path: &Path) -> Result<Taken, LedgerError> {
        let start = self.at;
        let (mut done, mut taken) = (Done::default(), Taken::default());
        while let Ok(frame) = Frame::decode(self.salt, &bytes[taken.bytes..]) {
            let offset = start + taken.bytes as u64;
            let corrupt = |what| LedgerError::Corrupt { file: path.into(), offset, what };
            if frame.sequence != self.next {
                let what = format!("record {} stands where {} should", frame.sequence, self.next);
                return Err(corrupt(what));
            }
            if !frame.is_mark() {
                let (mut alerts, mut entry) =
                    entry::read(frame.payload, offset + FRAME as u64).map_err(corrupt)?;
                only_counted(&mut alerts, &mut entry);
                done.apply(&mut self.books, &alerts, entry).map_err(corrupt)?;
                self.next += 1;
                taken.records += 1;
            }
            let begins = bytes[taken.bytes..].first_chunk().expect("a frame that was decoded is there");
            self.last = Some((offset, *begins));
            taken.bytes += FRAME + frame.payload.len();
            self.at = start + taken.bytes as u64;
        }
        self.books.lifecycle.write().settle();
        self.open.publish(done.versions.iter());
        let touched = done.versions.iter().map(|warning| key(warning));
        taken.touched = touched.map(|(m, c)| (m.to_owned(), c.to_owned())).collect();
        Ok(taken)
    }
}

/// Without what is not counted. Whom alerts were pushed to is none of our business, but that a warning was passed on is.
fn only_counted(alerts: &mut [ReadAlert<'_>], entry: &mut LedgerEntry) {
    alerts.iter_mut().for_each(|alert| alert.way = None);
    entry.digest_at_us = None;
    if let Some(way) = entry.escalation.as_mut().and_then(|escalation| escalation.way.as_mut()) {
        way.at_once = true;
    }
    if let Some(change) = &mut entry.change {
        change.why.clear();
    }
}
