//! The state of a worker as bytes: all of it, or what has changed since.
//!
//! ```text
//! | magic | rulebook's state | rulebook | by an event? | features | partition | from | to | clock | dead | customers | records … | end | CRC-32 of all before |
//!   dead:   | runs | from, to | … |
//!   record: | slot + 1 | latest event time | bytes | state |           end: a slot of 0
//! ```
//!
//! *Features* is the version of the generation that is read, with its length before it; the worker is to be given its rows.
//! *From* and *to* are offsets: the state once every record before *to* was taken, given that before *from*. A full
//! snapshot is from nothing. Timers are not in it: episodes say when they are over.

use std::{
    io::{self, BufRead, Read, Write},
    sync::Arc,
};

use crc32fast::Hasher as Crc;
use tarim_features::stream::Sections;

use super::{dead::Run, known::Features, state::State, worker::Worker};
use crate::rulebook::WarningBook;

const MAGIC: &[u8; 8] = b"TARIMW-7";
/// Longest version of a generation.
const FEATURES_MAX: usize = 64;
/// Customers that room is made for before they are read.
const RESERVE_MAX: u64 = 1 << 24;
/// Longest state of a customer, in bytes.
const STATE_MAX: usize = Sections::BYTES_MAX + 1024;
/// From nothing.
const NOTHING: i64 = -1;

/// Said of whatever is not as it was written.
pub(crate) const CHECKSUM: &str = "its checksum is another one";

/// Why a snapshot is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("it is of another version of Tarim, or no snapshot")]
    Version,
    #[error("it was made by rulebook {0}, which has other windows, patterns or rules")]
    Rulebook(String),
    #[error("since an event of the log, rulebook {0} is in force, and another one was given")]
    InForce(String),
    #[error("it begins at offset {from}; the one before it ends at {to}")]
    Gap { from: i64, to: i64 },
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// None: it is a full one.
    pub from: Option<i64>,
    pub to: i64,
}

impl Worker {
    /// Writes a snapshot of a partition's state at offset `to`: what has changed since offset `from`, at which the last
    /// one was written; or all of it. Gives its bytes.
    pub fn write_snapshot(&mut self, partition: i32, span: Span, out: impl Write) -> io::Result<u64> {
        let state = &mut self.state;
        state.customers.close();
        let mut out = Hashed { inner: out, hash: Crc::new(), bytes: 0 };
        out.write_all(MAGIC)?;
        out.write_all(&state.book.state_version())?;
        out.write_all(state.book.version().as_bytes())?;
        out.write_all(&[u8::from(state.swapped)])?;
        let features = state.features.version().unwrap_or_default();
        out.write_all(&(features.len() as u32).to_le_bytes())?;
        out.write_all(features.as_bytes())?;
        out.write_all(&partition.to_le_bytes())?;
        out.write_all(&span.from.unwrap_or(NOTHING).to_le_bytes())?;
        out.write_all(&span.to.to_le_bytes())?;
        out.write_all(&state.clock_us.to_le_bytes())?;
        let dead: Vec<Run> = state.dead.since(span.from.unwrap_or(NOTHING)).collect();
        out.write_all(&(dead.len() as u64).to_le_bytes())?;
        for run in dead {
            out.write_all(&run.from.to_le_bytes())?;
            out.write_all(&run.to.to_le_bytes())?;
        }
        out.write_all(&(state.customers.len() as u64).to_le_bytes())?;
        let changed = state.customers.take_changed();
        let all = span.from.is_none();
        for slot in 0..state.customers.len() as u32 {
            if !all && !changed.has(slot) {
                continue;
            }
            let (now_us, bytes) = state.customers.state(slot);
            out.write_all(&(slot + 1).to_le_bytes())?;
            out.write_all(&now_us.to_le_bytes())?;
            out.write_all(&(bytes.len() as u32).to_le_bytes())?;
            out.write_all(bytes)?;
        }
        out.write_all(&0u32.to_le_bytes())?;
        let hash = out.hash.clone().finalize();
        out.write_all(&hash.to_le_bytes())?;
        out.inner.flush()?;
        Ok(out.bytes)
    }

    /// A worker whose state is that of a full snapshot and of those that follow it, in order. Gives the offset of the
    /// first record that it has not taken.
    pub fn restore<R: Read>(
        book: Arc<WarningBook>,
        partition: i32,
        snapshots: impl IntoIterator<Item = R>,
    ) -> Result<(Self, i64), SnapshotError> {
        let mut worker = Worker::new(book);
        let mut at = NOTHING;
        for snapshot in snapshots {
            at = worker.state.apply(partition, at, snapshot)?;
        }
        let state = &mut worker.state;
        state.customers.take_changed();
        state.home = Some(partition);
        state.set_timers();
        Ok((worker, at.max(0)))
    }
}

/// The version of the rulebook that a snapshot was made with, and whether an event of the log had brought it into force.
pub fn made_with(snapshot: impl Read) -> Result<(String, bool), SnapshotError> {
    let mut input = Checked::new(snapshot);
    if &input.array::<8>()? != MAGIC {
        return Err(SnapshotError::Version);
    }
    input.array::<32>()?;
    let version = String::from_utf8_lossy(&input.array::<64>()?).into_owned();
    Ok((version, input.array::<1>()? == [1]))
}

/// Whether a snapshot is as it was written, by the checksum at its end.
pub fn is_whole(snapshot: impl Read) -> io::Result<bool> {
    let mut input = io::BufReader::with_capacity(PIECE, snapshot);
    let (mut hash, mut last) = (Crc::new(), Vec::new());
    loop {
        let piece = input.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        last.extend_from_slice(piece);
        let before = last.len().saturating_sub(size_of::<u32>());
        hash.update(&last[..before]);
        last.drain(..before);
        let taken = piece.len();
        input.consume(taken);
    }
    Ok(last == hash.finalize().to_le_bytes())
}

impl State {
    /// Puts the states of a snapshot in the place of its customers'.
    fn apply(&mut self, partition: i32, at: i64, snapshot: impl Read) -> Result<i64, SnapshotError> {
        let mut input = Checked::new(snapshot);
        if &input.array::<8>()? != MAGIC {
            return Err(SnapshotError::Version);
        }
        let state = input.array::<32>()?;
        let version = String::from_utf8_lossy(&input.array::<64>()?).into_owned();
        // What an earlier release hashed of a meaning may be less than what is now: the same text means the same.
        let same = state == self.book.state_version() || version == self.book.version();
        let swapped = input.array::<1>()? == [1];
        // Whoever starts with the rulebook of before the change must not undo it.
        if swapped && version != self.book.version() {
            return Err(SnapshotError::InForce(version));
        }
        if !same {
            return Err(SnapshotError::Rulebook(version));
        }
        self.swapped = swapped;
        let len = u32::from_le_bytes(input.array()?) as usize;
        let features = String::from_utf8(input.bytes(len.min(FEATURES_MAX))?.to_vec());
        let features =
            features.map_err(|_| SnapshotError::Damaged("the version of its features is no text"))?;
        self.features = Features::named(Some(features).filter(|version| !version.is_empty()));
        if i32::from_le_bytes(input.array()?) != partition {
            return Err(SnapshotError::Damaged("it is of another partition"));
        }
        let from = i64::from_le_bytes(input.array()?);
        let to = i64::from_le_bytes(input.array()?);
        if from != at {
            return Err(SnapshotError::Gap { from, to: at });
        }
        self.clock_us = i64::from_le_bytes(input.array()?);
        for _ in 0..u64::from_le_bytes(input.array()?) {
            let (from, to) = (i64::from_le_bytes(input.array()?), i64::from_le_bytes(input.array()?));
            if from >= to {
                return Err(SnapshotError::Damaged("a run of dead letters has no end"));
            }
            self.dead.add(Run { from, to });
        }
        let customers = u64::from_le_bytes(input.array()?);
        // A number that is damaged asks for no more than is ever meant.
        self.customers.reserve(customers.min(RESERVE_MAX) as usize);
        let count = self.layout.count;
        loop {
            let slot = u32::from_le_bytes(input.array()?);
            let Some(slot) = slot.checked_sub(1) else { break };
            let now_us = i64::from_le_bytes(input.array()?);
            let len = u32::from_le_bytes(input.array()?) as usize;
            if len > STATE_MAX {
                return Err(SnapshotError::Damaged("a state is too long"));
            }
            let sections = Sections::from_bytes(input.bytes(len)?, count)
                .map_err(|_| SnapshotError::Damaged("a state has other sections"))?;
            let put = self.customers.put(slot, now_us, sections.bytes());
            put.ok_or(SnapshotError::Damaged("a customer is missing"))?;
        }
        let hash = input.hash();
        if u32::from_le_bytes(input.array()?) != hash {
            return Err(SnapshotError::Damaged(CHECKSUM));
        }
        if self.customers.len() as u64 != customers {
            return Err(SnapshotError::Damaged("customers are missing"));
        }
        Ok(to)
    }
}

/// Hashes what it writes.
struct Hashed<W> {
    inner: W,
    hash: Crc,
    bytes: u64,
}

impl<W: Write> Hashed<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.inner.write_all(bytes)
    }
}

/// Hashes what is read of it, piece by piece: of the few bytes of a number alone it would take longer than to read them.
struct Checked<R> {
    inner: R,
    piece: Box<[u8]>,
    /// What has been taken of the piece, and what there is.
    taken: usize,
    filled: usize,
    /// Of all pieces before.
    hash: Crc,
}

/// Bytes of a piece: more than the longest state.
const PIECE: usize = 1 << 20;

impl<R: Read> Checked<R> {
    fn new(inner: R) -> Self {
        const { assert!(PIECE >= STATE_MAX) };
        Self { inner, piece: vec![0; PIECE].into(), taken: 0, filled: 0, hash: Crc::new() }
    }

    /// The next so many bytes, at most [`PIECE`].
    fn bytes(&mut self, len: usize) -> io::Result<&[u8]> {
        if self.filled - self.taken < len {
            self.fill(len)?;
        }
        let bytes = &self.piece[self.taken..self.taken + len];
        self.taken += len;
        Ok(bytes)
    }

    /// Begins another piece, which has so many bytes at least.
    fn fill(&mut self, len: usize) -> io::Result<()> {
        self.hash.update(&self.piece[..self.taken]);
        self.piece.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        while self.filled < len {
            match self.inner.read(&mut self.piece[self.filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.bytes(N).map(|bytes| *bytes.first_chunk().expect("so many were asked for"))
    }

    /// Of everything that was taken.
    fn hash(&self) -> u32 {
        let mut hash = self.hash.clone();
        hash.update(&self.piece[..self.taken]);
        hash.finalize()
    }
}
