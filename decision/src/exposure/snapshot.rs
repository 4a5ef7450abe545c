//! Snapshots: a ledger in one file, written beside it and named when it is whole.
//!
//! ```text
//!  magic 8 | chunk | … | empty chunk | chunk | … | empty chunk | where the second half begins u64 | crc u32
//!            └─ first half ────────┘   └─ second half ───────┘           chunk: length u32 | crc u32 | bytes
//!  00000000000000004711.draft ─► sync ─► rename ─► 00000000000000004711.snapshot ─► sync of the folder
//! ```
//!
//! The number is that of the last operation in it. Each chunk's checksum goes on from that of the one before, so chunks
//! can neither be exchanged nor be missing. Two threads read the halves: what takes longest is that the system finds memory.

use std::{sync::Arc, thread};

use super::{
    core::{
        Core,
        state::{Put, Second, Take, Wrong, take_time},
    },
    error::LedgerError,
};
use crate::journal::{Disk, DiskFile};

const MAGIC: &[u8; 8] = b"TARIMX\0\x02";
const HEADER: usize = 8;
/// A chunk is written when it has reached this length.
const CHUNK: usize = 4 << 20;
/// Longest chunk: what is put at once stays together.
const CHUNK_MAX: usize = CHUNK + super::core::state::PUT_MAX;

/// What is behind the second half.
const FOOT: usize = 12;
/// What the checksums of each half begin with.
const FIRST: u32 = 1;
const SECOND: u32 = 2;

const DRAFT: &str = ".draft";
const WHOLE: &str = ".snapshot";

/// Numbers of the snapshots of a disk, the newest first.
pub fn numbers(disk: &dyn Disk) -> Result<Vec<u64>, LedgerError> {
    let names = disk.names().map_err(LedgerError::io("list", disk.path("")))?;
    let mut numbers: Vec<u64> =
        names.iter().filter_map(|name| name.strip_suffix(WHOLE)).filter_map(|n| n.parse().ok()).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

/// File name of a snapshot.
pub fn name(number: u64) -> String {
    format!("{number:020}{WHOLE}")
}

/// Removes what a crash left of snapshots that were being written.
pub fn clear_drafts(disk: &dyn Disk) -> Result<(), LedgerError> {
    let clear = || {
        let names = disk.names()?;
        names.iter().filter(|name| name.ends_with(DRAFT)).try_for_each(|name| disk.remove(name))
    };
    clear().map_err(LedgerError::io("remove drafts of snapshots in", disk.path("")))
}

/// Writes a snapshot, durable on return, unless there is one of that number.
pub fn write(disk: &dyn Disk, core: &Core) -> Result<u64, LedgerError> {
    let number = core.sequence();
    if numbers(disk)?.contains(&number) {
        return Ok(number);
    }
    let (draft, name) = (format!("{number:020}{DRAFT}"), name(number));
    let write = || {
        let file = disk.create(&draft)?;
        file.write(MAGIC, 0)?;
        let mut out = Out { file, offset: HEADER as u64, crc: FIRST, chunk: vec![0; HEADER] };
        core.write_first(&mut out)?;
        out.end()?;
        let second = out.offset;
        out.crc = SECOND;
        core.write_second(&mut out)?;
        out.end()?;
        let mut foot = second.to_le_bytes().to_vec();
        foot.extend(checksum(0, &foot).to_le_bytes());
        out.file.write(&foot, out.offset)?;
        out.file.sync()?;
        disk.rename(&draft, &name)?;
        disk.sync()
    };
    write().map_err(|e| {
        // The disk may be full, and the log is on it too. What cannot be removed is when the ledger is opened.
        let _ = disk.remove(&draft);
        LedgerError::io("write", disk.path(&draft))(e)
    })?;
    Ok(number)
}

/// Removes all but the newest.
pub fn thin(disk: &dyn Disk, keep: usize) -> Result<(), LedgerError> {
    for number in numbers(disk)?.into_iter().skip(keep.max(1)) {
        disk.remove(&name(number)).map_err(LedgerError::io("remove", disk.path(&name(number))))?;
    }
    Ok(())
}

/// Reads a snapshot. The outer error is the disk's, the inner one says what is wrong with the file.
pub fn read(disk: &Arc<dyn Disk>, number: u64) -> Result<Result<Core, String>, LedgerError> {
    let file = disk.open(&name(number)).map_err(LedgerError::io("open", disk.path(&name(number))))?;
    let read = halves(&*file).and_then(|(second, end)| {
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut source = In::new(&*file, second, SECOND);
                let read = Second::read(&mut source)?;
                source.ended(end).map(|()| read)
            });
            let mut source = In::new(&*file, HEADER as u64, FIRST);
            let mut core = Core::read_first(&mut source)?;
            source.ended(second)?;
            core.join(other.join().unwrap_or_else(|_| Err(Broken("it cannot be read".into())))?);
            Ok(core)
        })
    });
    Ok(match read {
        Ok(core) if core.sequence() == number => Ok(core),
        Ok(core) => Err(format!("it is of operation {}, not {number}", core.sequence())),
        Err(Broken(what)) => Err(what),
    })
}

/// The time of the last operation in it; None: it cannot be read. Reads its beginning.
pub fn time(disk: &Arc<dyn Disk>, number: u64) -> Result<Option<i64>, LedgerError> {
    let file = disk.open(&name(number)).map_err(LedgerError::io("open", disk.path(&name(number))))?;
    Ok(take_time(&mut In::new(&*file, HEADER as u64, FIRST)).ok().map(|(_, now_us)| now_us))
}

/// Where the second half begins, and where it ends.
fn halves(file: &dyn DiskFile) -> Result<(u64, u64), Broken> {
    let io = |e: std::io::Error| Broken(format!("cannot be read: {e}"));
    let size = file.size().map_err(io)?;
    let mut magic = [0; HEADER];
    let Some(end) = size.checked_sub(FOOT as u64).filter(|end| *end >= HEADER as u64) else {
        return Err(Broken("it ends too early".into()));
    };
    file.read(&mut magic, 0).map_err(io)?;
    if magic != *MAGIC {
        return Err(Broken("this is no snapshot of this version".into()));
    }
    let mut foot = [0; FOOT];
    file.read(&mut foot, end).map_err(io)?;
    if foot[8..] != checksum(0, &foot[..8]).to_le_bytes() {
        return Err(Broken("its end does not match its checksum".into()));
    }
    Ok((u64::from_le_bytes(foot[..8].try_into().expect("eight bytes")), end))
}

struct Out {
    file: Arc<dyn DiskFile>,
    offset: u64,
    crc: u32,
    /// With room for its header.
    chunk: Vec<u8>,
}

impl Out {
    /// What is left, and the empty chunk.
    fn end(&mut self) -> std::io::Result<()> {
        if self.chunk.len() > HEADER {
            self.flush()?;
        }
        self.flush()
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let length = (self.chunk.len() - HEADER) as u32;
        self.crc = checksum(self.crc, &self.chunk[HEADER..]);
        self.chunk[..4].copy_from_slice(&length.to_le_bytes());
        self.chunk[4..HEADER].copy_from_slice(&self.crc.to_le_bytes());
        self.file.write(&self.chunk, self.offset)?;
        self.offset += self.chunk.len() as u64;
        self.chunk.truncate(HEADER);
        Ok(())
    }
}

impl Put for Out {
    type Error = std::io::Error;

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        debug_assert!(bytes.len() <= super::core::state::PUT_MAX);
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK { self.flush() } else { Ok(()) }
    }
}

fn checksum(before: u32, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(before);
    crc.update(&(bytes.len() as u32).to_le_bytes());
    crc.update(bytes);
    crc.finalize()
}

/// Reads chunk by chunk, to the empty one.
struct In<'a> {
    file: &'a dyn DiskFile,
    offset: u64,
    crc: u32,
    chunk: Vec<u8>,
    at: usize,
}

/// What is wrong with a snapshot.
struct Broken(String);

impl From<Wrong> for Broken {
    fn from(Wrong(what): Wrong) -> Self {
        Self(what.into())
    }
}

impl<'a> In<'a> {
    fn new(file: &'a dyn DiskFile, offset: u64, crc: u32) -> Self {
        Self { file, offset, crc, chunk: Vec::new(), at: 0 }
    }

    fn next(&mut self) -> Result<(), Broken> {
        let offset = self.offset;
        let io = |e: std::io::Error| Broken(format!("cannot be read at byte {offset}: {e}"));
        let mut header = [0; HEADER];
        self.file.read(&mut header, offset).map_err(io)?;
        let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
        if length > CHUNK_MAX {
            return Err(Broken(format!("the chunk at byte {offset} is of no length that is written")));
        }
        self.chunk.resize(length, 0);
        self.file.read(&mut self.chunk, offset + HEADER as u64).map_err(io)?;
        self.crc = checksum(self.crc, &self.chunk);
        if header[4..] != self.crc.to_le_bytes() {
            return Err(Broken(format!("the chunk at byte {offset} does not match its checksum")));
        }
        self.offset += (HEADER + length) as u64;
        self.at = 0;
        Ok(())
    }

    /// What follows is the empty chunk, and behind it what is said to.
    fn ended(&mut self, end: u64) -> Result<(), Broken> {
        if self.at < self.chunk.len() {
            return Err(Broken("it goes on behind its end".into()));
        }
        self.next()?;
        if self.chunk.is_empty() && self.offset == end {
            Ok(())
        } else {
            Err(Broken("its halves are not where it says".into()))
        }
    }
}

impl Take for In<'_> {
    type Error = Broken;

    fn take(&mut self, bytes: usize) -> Result<&[u8], Broken> {
        if bytes > 0 && self.at == self.chunk.len() {
            self.next()?;
        }
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.chunk.len());
        let end = end.ok_or_else(|| Broken("something in it is cut in two".into()))?;
        let taken = &self.chunk[self.at..end];
        self.at = end;
        Ok(taken)
    }
}
