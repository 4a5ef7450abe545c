//! Snapshots of the state, so that opening does not read the whole log.
//!
//! ```text
//!  group durable ─► log grown enough? ─► copy (chunks are shared) ─► thread: file beside, sync, rename, sync the folder
//!  open ─► snapshot, if it is whole and of this log ─► the log behind it
//! ```
//!
//! The log stays the truth. A snapshot that is damaged, of another log or of another version is passed over with a warning, and
//! the log is read from its beginning.
//!
//! ```text
//! magic 8 | salt of the log u32 | position u64 | next sequence u64 | CRC-32 of the log's bytes before it u32 | inbox u64
//! warnings | delivery | changes and pushes to be sent | inboxes | positions of topics | CRC-32 of all before u32
//! ```

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use super::{
    Opening,
    bodies::InFile,
    frame::{HEADER, salt},
    inbox::{self, Inbox},
    log::{Log, NAME as LOG, Start},
    outbox::{Change, Outbox, Unsent},
};
use crate::{
    delivery::{Delivery, Push},
    lifecycle::{
        Copy, Lifecycle, Warning,
        bytes::{In, Out, wrong},
    },
};

/// Name of the file in the ledger's folder, and of the one that becomes it.
const NAME: &str = "warnings.snapshot";
const NEW: &str = "warnings.snapshot.new";

/// First bytes of the file; the last of them is the version. (Of the first, the lengths of some texts were not those as JSON.)
const MAGIC: &[u8; 8] = b"TARIMWS\x02";

/// So many bytes of the log must stand before the position as they did.
const TAIL: u64 = 4096;

/// All that there is after the log up to a position.
#[derive(Default)]
pub struct State {
    pub lifecycle: Lifecycle,
    pub delivery: Delivery,
    pub outbox: Outbox<Change>,
    pub pushes: Outbox<Arc<Push>>,
    pub inbox: Inbox,
    pub positions: HashMap<(String, i32), i64>,
    /// Where the log goes on.
    pub start: Start,
    /// Length of the snapshot that it is from.
    pub bytes: u64,
}

/// What is to be written, while all goes on.
pub struct Copied {
    pub lifecycle: Copy,
    pub delivery: Delivery,
    /// Sequence of the last, and what is to be sent.
    pub outbox: (u64, Vec<Unsent<Change>>),
    pub pushes: (u64, Vec<Unsent<Arc<Push>>>),
    pub inbox: inbox::Copy,
    pub positions: HashMap<(String, i32), i64>,
}

/// Writes snapshots when it is time.
pub struct Keeper {
    log: InFile,
    salt: u32,
    every: u64,
    inbox: Duration,
    /// Where the last one stands in the log, and how long it is.
    last: (u64, u64),
    running: Option<JoinHandle<Option<(u64, u64)>>>,
}

impl Keeper {
    pub fn new(log: &Log, file: InFile, opening: &Opening, state: (u64, u64)) -> Self {
        let (every, inbox) = (opening.snapshot_bytes, opening.inbox);
        Self { log: file, salt: log.salt(), every, inbox, last: state, running: None }
    }

    /// Begins to write one if it is time; to be called when all is durable. A copy is made then, and the rest in the background.
    pub fn look(&mut self, log: &Log, copy: impl FnOnce() -> Copied) {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            self.join();
        }
        let (at, bytes) = self.last;
        // No more is written of snapshots than of the log.
        if self.running.is_some() || log.end() - at < self.every.max(bytes) {
            return;
        }
        // Whatever becomes of it: not again at once.
        self.last.0 = log.end();
        let write = self.writing(log, copy());
        match std::thread::Builder::new().name("snapshot".into()).spawn(write) {
            Ok(running) => self.running = Some(running),
            Err(e) => tracing::warn!("no snapshot is written: {e}"),
        }
    }

    /// At the end: the next start is to be quick.
    pub fn end(&mut self, log: &Log, copy: impl FnOnce() -> Copied) {
        self.join();
        if log.end() - self.last.0 >= self.every / 16 {
            self.writing(log, copy())();
        }
    }

    fn join(&mut self) {
        if let Some(Ok(Some(last))) = self.running.take().map(JoinHandle::join) {
            self.last = last;
        }
    }

    fn writing(&self, log: &Log, copied: Copied) -> impl FnOnce() -> Option<(u64, u64)> + use<> {
        let (file, salt, inbox) = (self.log.clone(), self.salt, self.inbox);
        let start = Start { at: log.end(), next: log.next() };
        move || match copied.write(&file, salt, start, inbox) {
            Ok(bytes) => Some((start.at, bytes)),
            // The log has everything.
            Err(e) => {
                tracing::warn!(
                    "cannot write {NAME} beside {}: {e}; a start takes longer",
                    file.path().display()
                );
                None
            }
        }
    }
}

impl Copied {
    /// Writes it beside the log; in its place only once it is whole.
    fn write(&self, log: &InFile, salt: u32, start: Start, inbox: Duration) -> io::Result<u64> {
        let folder = log.path().parent().unwrap_or(Path::new("."));
        let (new, place) = (folder.join(NEW), folder.join(NAME));
        let mut out = Out(BufWriter::with_capacity(1 << 20, Summed::of(File::create(&new)?)));
        out.bytes(MAGIC)?;
        out.u32(salt)?;
        out.u64(start.at)?;
        out.u64(start.next)?;
        out.u32(tail(log.file(), start.at)?)?;
        out.u64(inbox.as_micros() as u64)?;
        self.lifecycle.write(&mut out)?;
        self.delivery.write(&mut out)?;
        let (last, unsent) = &self.outbox;
        out.u64(*last)?;
        out.all(unsent.len(), unsent, |out, unsent| {
            out.u32(unsent.step as u32)?;
            unsent.warning.write(out)
        })?;
        let (last, unsent) = &self.pushes;
        out.u64(*last)?;
        out.all(unsent.len(), unsent, |out, unsent| unsent.what.write(out))?;
        self.inbox.write(&mut out)?;
        out.all(self.positions.len(), &self.positions, |out, ((topic, partition), next)| {
            out.text(topic)?;
            out.i64((*partition).into())?;
            out.i64(*next)
        })?;
        let mut summed = out.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        let crc = summed.crc.clone().finalize();
        summed.write_all(&crc.to_le_bytes())?;
        summed.on.sync_all()?;
        fs::rename(&new, &place)?;
        File::open(folder)?.sync_all()?;
        Ok(fs::metadata(&place)?.len())
    }
}

/// The state by the snapshot of a folder, if its inboxes are as long as they are to be; without a good one, that of an empty log.
pub fn load(folder: &Path, wanted: Duration) -> State {
    let path = folder.join(NAME);
    match read(folder, &path, wanted) {
        Ok(Some(state)) => state,
        Ok(None) => State::default(),
        Err(e) => {
            tracing::warn!("{} is passed over, and the log read from its beginning: {e}", path.display());
            State::default()
        }
    }
}

fn read(folder: &Path, path: &Path, wanted: Duration) -> io::Result<Option<State>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let bytes = file.metadata()?.len();
    let whole = bytes.checked_sub(4).ok_or_else(|| wrong("it is cut off"))?;
    let mut sum = [0; 4];
    file.read_exact_at(&mut sum, whole)?;
    let mut from = In::new(BufReader::with_capacity(1 << 20, Summed::of(file.take(whole))));
    if &from.bytes()? != MAGIC {
        return Err(wrong("it is no snapshot of this version"));
    }
    let salt = from.u32()?;
    let start = Start { at: from.u64()?, next: from.u64()? };
    is_of(&folder.join(LOG), salt, start, from.u32()?)?;
    if Duration::from_micros(from.u64()?) < wanted {
        return Err(wrong("its inboxes end earlier than they are to"));
    }
    let lifecycle = Lifecycle::read(&mut from)?;
    let delivery = Delivery::read(&mut from)?;
    let outbox = Outbox::read(&mut from, |from| {
        let step = from.u32()? as usize;
        Ok(Change { warning: Arc::new(Warning::read(from)?), step })
    })?;
    let pushes = Outbox::read(&mut from, |from| Push::read(from).map(Arc::new))?;
    let inbox = Inbox::read(&mut from)?;
    let mut positions = HashMap::new();
    from.all(|from| {
        let topic = from.text()?;
        positions.insert((topic, from.i64()? as i32), from.i64()?);
        Ok(())
    })?;
    let mut rest = from.into_inner();
    if rest.read(&mut [0])? > 0 || rest.into_inner().crc.finalize() != u32::from_le_bytes(sum) {
        return Err(wrong("it does not match its checksum"));
    }
    Ok(Some(State { lifecycle, delivery, outbox, pushes, inbox, positions, start, bytes }))
}

/// Is it of this log, as it is now?
fn is_of(log: &Path, of_salt: u32, start: Start, of_tail: u32) -> io::Result<()> {
    let log = File::open(log)?;
    let mut head = [0; HEADER];
    log.read_exact_at(&mut head, 0)?;
    if salt(&head).map_err(io::Error::other)? != of_salt {
        return Err(wrong("it is of another log"));
    }
    if start.at < HEADER as u64 || log.metadata()?.len() < start.at || tail(&log, start.at)? != of_tail {
        return Err(wrong("the log is another than it was when it was written"));
    }
    Ok(())
}

/// CRC-32 of the bytes before a position.
fn tail(log: &File, at: u64) -> io::Result<u32> {
    let mut bytes = vec![0; at.min(TAIL) as usize];
    log.read_exact_at(&mut bytes, at - at.min(TAIL))?;
    Ok(crc32fast::hash(&bytes))
}

/// Counts the checksum of what is read or written.
struct Summed<T> {
    on: T,
    crc: crc32fast::Hasher,
}

impl<T> Summed<T> {
    fn of(on: T) -> Self {
        Self { on, crc: crc32fast::Hasher::new() }
    }
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.on.write(bytes)?;
        self.crc.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.on.flush()
    }
}

impl<T: Read> Read for Summed<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.on.read(bytes)?;
        self.crc.update(&bytes[..read]);
        Ok(read)
    }
}
