//! The file: records are appended group by group, each group durable before anyone is told.

use std::{
    cmp::Ordering,
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    LedgerError,
    bodies::Records,
    frame::{FRAME, Frame, HEADER, PAYLOAD_MAX, header, later_frame, salt},
};

/// Name of the file in its folder.
pub const NAME: &str = "warnings.ledger";

/// A group ends with the record that reaches this many bytes.
pub const GROUP_BYTES: usize = 4 << 20;

/// What cannot be read is looked through in pieces of this many bytes. Tests have many pieces.
const PIECE: usize = if cfg!(test) { 64 } else { 64 << 20 };

/// What the log asks of a file: few enough operations that a test can fail each of them.
pub trait Storage: Send {
    /// Writes at `offset`, which is the end. Not durable until [`Storage::sync`].
    fn append(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts to `size` bytes. Not durable until [`Storage::sync`].
    fn cut(&self, size: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

impl Storage for File {
    fn append(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Is shown each record, and where it begins; may refuse it by saying what is wrong with it.
pub type Visit<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), String>;

/// Where records are read from, and the sequence of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub at: u64,
    pub next: u64,
}

impl Default for Start {
    /// The beginning.
    fn default() -> Self {
        Self { at: HEADER as u64, next: 1 }
    }
}

/// The end of a ledger.
pub struct Log {
    pub(super) storage: Box<dyn Storage>,
    path: PathBuf,
    salt: u32,
    /// Length of the file; everything before is durable.
    end: u64,
    /// Sequence of the next record.
    next: u64,
    /// Records of the group that is being put together, and how many.
    group: Vec<u8>,
    gathered: u64,
}

/// A write that did not come to its end was cut off: nothing of it was ever told to anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    pub end: u64,
    pub bytes: u64,
}

impl Log {
    /// Reads every record from a start on, cuts a torn tail off, and makes durable whatever is there: it may have been written by a process that
    /// died before its sync.
    pub fn open(folder: &Path, start: Start, visit: Visit<'_>) -> Result<(Self, Option<Torn>), LedgerError> {
        let path = folder.join(NAME);
        let failed = |what| LedgerError::io(what, path.clone());
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed("open"))?;
        let size = file.metadata().map_err(failed("read"))?.len();
        // The header is durable before the first record is written: of a file without a whole one nobody was told.
        if is_unborn(&file, size).map_err(failed("read"))? {
            let mut log = Self::on(Box::new(file), path, random(), 0);
            log.begin().map_err(LedgerError::io("create", log.path.clone()))?;
            File::open(folder).and_then(|f| f.sync_all()).map_err(LedgerError::io("sync", folder.into()))?;
            return Ok((log, None));
        }
        let (salt, end, next) = scan(&file, size, &path, start, visit)?;
        let torn = (end < size).then_some(Torn { end, bytes: size - end });
        if let Some(torn) = torn {
            file.set_len(torn.end).map_err(failed("cut the torn tail of"))?;
        }
        file.sync_all().map_err(failed("sync"))?;
        let mut log = Self::on(Box::new(file), path, salt, end);
        log.next = next;
        Ok((log, torn))
    }

    fn on(storage: Box<dyn Storage>, path: PathBuf, salt: u32, end: u64) -> Self {
        Self { storage, path, salt, end, next: 1, group: Vec::new(), gathered: 0 }
    }

    fn begin(&mut self) -> io::Result<()> {
        self.storage.cut(0)?;
        self.storage.append(&header(self.salt), 0)?;
        self.storage.sync()?;
        self.end = HEADER as u64;
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn salt(&self) -> u32 {
        self.salt
    }

    /// Everything before is durable.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Sequence of the record that comes there.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of the group.
    pub fn gathered(&self) -> usize {
        self.group.len()
    }

    /// Writes the group, durable on return.
    ///
    /// After an error it is cut off again if the disk still lets us, and the log must not be used any more: after a failed
    /// sync nobody knows what is on disk.
    pub fn commit(&mut self) -> Result<(), LedgerError> {
        if self.group.is_empty() {
            return Ok(());
        }
        let written = self.storage.append(&self.group, self.end).map_err(|e| ("write", e));
        let synced = written.and_then(|()| self.storage.sync().map_err(|e| ("sync", e)));
        if let Err((what, source)) = synced {
            if let Err(e) = self.storage.cut(self.end).and_then(|()| self.storage.sync()) {
                tracing::warn!("cannot cut the failed write off {}: {e}", self.path.display());
            }
            return Err(LedgerError::Io { what, file: self.path.clone(), source });
        }
        self.end += self.group.len() as u64;
        self.next += self.gathered;
        self.gathered = 0;
        self.group.clear();
        Ok(())
    }

    /// Says on disk that everything before is durable, so that nothing of it can be taken for a torn tail.
    pub fn mark(&mut self) -> Result<(), LedgerError> {
        let mark = Frame { sequence: self.next, durable: self.next - 1, payload: &[] };
        mark.encode(self.salt, &mut self.group);
        self.commit()
    }
}

impl Records for Log {
    /// Where its payload will stand.
    fn begins(&self) -> u64 {
        self.end + (self.group.len() + FRAME) as u64
    }

    /// Adds a record (not empty, not longer than [`super::frame::PAYLOAD_MAX`]) to the group.
    fn gather(&mut self, payload: &[u8]) {
        let (sequence, durable) = (self.next + self.gathered, self.next - 1);
        Frame { sequence, durable, payload }.encode(self.salt, &mut self.group);
        self.gathered += 1;
    }
}

/// Has it no whole header, and nothing behind it?
fn is_unborn(file: &File, size: u64) -> io::Result<bool> {
    let mut head = [0; HEADER];
    match size.cmp(&(HEADER as u64)) {
        Ordering::Less => Ok(true),
        Ordering::Equal => file.read_exact_at(&mut head, 0).map(|()| salt(&head).is_err()),
        Ordering::Greater => Ok(false),
    }
}

/// Reads the file record by record: its salt, where the whole records end, and the next sequence.
fn scan(
    file: &File,
    size: u64,
    path: &Path,
    start: Start,
    visit: Visit<'_>,
) -> Result<(u32, u64, u64), LedgerError> {
    let failed = || LedgerError::io("read", path.into());
    let corrupt = |offset, what: String| LedgerError::Corrupt { file: path.into(), offset, what };
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut head = [0; HEADER];
    reader.read_exact(&mut head).map_err(failed())?;
    let salt = salt(&head).map_err(|what| corrupt(0, what.into()))?;
    let Start { mut at, mut next } = start;
    reader.seek(SeekFrom::Start(at)).map_err(failed())?;
    let mut bytes = Vec::new();
    while at < size {
        bytes.clear();
        read_up_to(&mut reader, FRAME as u64, &mut bytes).map_err(failed())?;
        if let Ok(length) = Frame::length(&bytes) {
            read_up_to(&mut reader, (length - FRAME) as u64, &mut bytes).map_err(failed())?;
        }
        match Frame::decode(salt, &bytes) {
            Ok(frame) if frame.sequence != next => {
                return Err(corrupt(at, format!("record {} stands where {next} should", frame.sequence)));
            }
            Ok(frame) => {
                if !frame.is_mark() {
                    visit(at + FRAME as u64, frame.payload).map_err(|what| corrupt(at, what))?;
                    next += 1;
                }
                at += bytes.len() as u64;
            }
            Err(what) => {
                return match find_later(file, size, salt, at, next).map_err(failed())? {
                    Some(later) => {
                        let said =
                            format!("{what}, though the record at byte {later} says that it was on disk");
                        Err(corrupt(at, said))
                    }
                    None => Ok((salt, at, next)),
                };
            }
        }
    }
    Ok((salt, at, next))
}

/// Where behind `at` a frame stands that was written after record `sequence` had become durable.
fn find_later(file: &File, size: u64, salt: u32, at: u64, sequence: u64) -> io::Result<Option<u64>> {
    // A file cannot hold more records than it has bytes.
    let most = size - at;
    let mut bytes = Vec::new();
    for from in (at..size).step_by(PIECE) {
        // A frame that starts in the piece may end behind it.
        let length = (size - from).min((PIECE + FRAME + PAYLOAD_MAX) as u64);
        bytes.resize(length as usize, 0);
        file.read_exact_at(&mut bytes, from)?;
        if let Some(later) = later_frame(salt, &bytes, PIECE, sequence, most) {
            return Ok(Some(from + later as u64));
        }
    }
    Ok(None)
}

/// Fewer only at the end of the file.
fn read_up_to(reader: &mut impl Read, bytes: u64, into: &mut Vec<u8>) -> io::Result<()> {
    reader.take(bytes).read_to_end(into).map(drop)
}

/// A random number, from the seed that the standard library gives every hash map.
fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) as u32
}
