//! Snapshots: a ledger in one file, written beside it and named when it is whole.
//!
//! ```text
//!  magic 8 | chunk | chunk | … | empty chunk           chunk: length u32 | crc u32 | bytes
//!  00000000000000004711.draft ─► sync ─► rename ─► 00000000000000004711.snapshot ─► sync of the folder
//! ```
//!
//! The number is that of the last operation in it. Each chunk's checksum goes on from that of the one before, so chunks
//! can neither be exchanged nor be missing.

use std::{
    sync::{Arc, mpsc},
    thread,
};

use super::{
    core::{
        Core,
        state::{Put, Take, Wrong},
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
        file.append(MAGIC, 0)?;
        let mut out = Out { file, offset: HEADER as u64, crc: 0, chunk: vec![0; HEADER] };
        core.write(&mut out)?;
        out.flush()?;
        out.flush()?;
        out.file.sync()?;
        disk.rename(&draft, &name)?;
        disk.sync()
    };
    write().map_err(LedgerError::io("write", disk.path(&draft)))?;
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
    let (sender, chunks) = mpsc::sync_channel(4);
    // Buffers go round: the system would clear fresh memory for each.
    let (back, empty) = mpsc::sync_channel(8);
    // One thread reads and checks, another puts in place.
    let read = thread::scope(|scope| {
        scope.spawn(move || read_chunks(&*file, &sender, &empty));
        let mut source = In { chunks, back, chunk: Vec::new(), at: 0 };
        let core = Core::read(&mut source)?;
        // What follows is the empty chunk, and it is the end.
        match (source.at == source.chunk.len(), source.next()) {
            (true, Ok(())) if source.chunk.is_empty() => Ok(core),
            (_, Err(e)) => Err(e),
            _ => Err(Broken("it goes on behind its end".into())),
        }
    });
    Ok(match read {
        Ok(core) if core.sequence() == number => Ok(core),
        Ok(core) => Err(format!("it is of operation {}, not {number}", core.sequence())),
        Err(Broken(what)) => Err(what),
    })
}

struct Out {
    file: Arc<dyn DiskFile>,
    offset: u64,
    crc: u32,
    /// With room for its header.
    chunk: Vec<u8>,
}

impl Out {
    fn flush(&mut self) -> std::io::Result<()> {
        let length = (self.chunk.len() - HEADER) as u32;
        self.crc = checksum(self.crc, &self.chunk[HEADER..]);
        self.chunk[..4].copy_from_slice(&length.to_le_bytes());
        self.chunk[4..HEADER].copy_from_slice(&self.crc.to_le_bytes());
        self.file.append(&self.chunk, self.offset)?;
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
fn read_chunks(
    file: &dyn DiskFile,
    to: &mpsc::SyncSender<Result<Vec<u8>, Broken>>,
    empty: &mpsc::Receiver<Vec<u8>>,
) {
    let mut offset = 0;
    let mut crc = 0;
    let mut next = || -> Result<Vec<u8>, Broken> {
        let mut header = [0; HEADER];
        let io = |e: std::io::Error| Broken(format!("cannot be read at byte {offset}: {e}"));
        if offset == 0 {
            file.read(&mut header, 0).map_err(io)?;
            if header != *MAGIC {
                return Err(Broken("this is no snapshot of this version".into()));
            }
            offset = HEADER as u64;
        }
        let io = |e: std::io::Error| Broken(format!("cannot be read at byte {offset}: {e}"));
        file.read(&mut header, offset).map_err(io)?;
        let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
        if length > CHUNK_MAX {
            return Err(Broken(format!("the chunk at byte {offset} is of no length that is written")));
        }
        let mut chunk: Vec<u8> = empty.try_recv().unwrap_or_default();
        chunk.resize(length, 0);
        file.read(&mut chunk, offset + HEADER as u64).map_err(io)?;
        crc = checksum(crc, &chunk);
        if header[4..] != crc.to_le_bytes() {
            return Err(Broken(format!("the chunk at byte {offset} does not match its checksum")));
        }
        offset += (HEADER + length) as u64;
        Ok(chunk)
    };
    loop {
        let chunk = next();
        let last = chunk.as_ref().map_or(true, Vec::is_empty);
        // Nobody listens any more: it had enough.
        if to.send(chunk).is_err() || last {
            return;
        }
    }
}

struct In {
    chunks: mpsc::Receiver<Result<Vec<u8>, Broken>>,
    back: mpsc::SyncSender<Vec<u8>>,
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

impl In {
    fn next(&mut self) -> Result<(), Broken> {
        let ended = |_| Broken("it ends too early".into());
        let next = self.chunks.recv().map_err(ended)??;
        // Of no use if the other thread has ended.
        let _ = self.back.try_send(std::mem::replace(&mut self.chunk, next));
        self.at = 0;
        Ok(())
    }
}

impl Take for In {
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
