//! Room that is made ahead: a segment whose bytes are on the disk already is synced faster.
//!
//! A file that grows with each write makes the file system write something of its own at each sync: the new length,
//! the new blocks. One that is written over has none of that. So beside the writing the next segment is filled with
//! zeros, piece by piece, and takes over as soon as it is there.
//!
//! ```text
//!  appended ≥ 1 MiB ─► beside: zeros, synced piece by piece, in "next.room" ─► header, rename: the next segment
//! ```
//!
//! All of it is for speed alone: where room cannot be made, segments grow as they are written. A journal of a few
//! records stays as small as they are.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use super::{Disk, DiskFile};

/// The file that is being made. It holds no record under this name: one that a crash left is removed.
pub const ROOM: &str = "next.room";

/// What is appended before room is made for what follows.
const BEGIN_BYTES: u64 = 1 << 20;
/// What is written and synced at once: so much of it may be on its way to the disk before a sync of records.
const PIECE_BYTES: usize = 256 << 10;

/// Makes room for one segment after the other.
pub struct Ahead {
    disk: Arc<dyn Disk>,
    begin_bytes: u64,
    room_bytes: u64,
    state: State,
}

enum State {
    /// So much was appended since the last room was taken.
    Waiting(u64),
    Making {
        stop: Arc<AtomicBool>,
        made: mpsc::Receiver<io::Result<()>>,
    },
    Made,
    /// It could not be made, and is not tried again: the disk is better left to the records.
    Off,
}

impl Ahead {
    /// For segments of a length.
    pub fn new(disk: Arc<dyn Disk>, segment_bytes: u64) -> Self {
        // The batch that ends a segment goes beyond its length.
        let room_bytes = segment_bytes + segment_bytes / 64;
        let begin_bytes = BEGIN_BYTES.min(segment_bytes / 4);
        Self { disk, begin_bytes, room_bytes, state: State::Waiting(0) }
    }

    /// So much was appended.
    pub fn appended(&mut self, bytes: usize) {
        let State::Waiting(appended) = &mut self.state else { return };
        *appended += bytes as u64;
        if *appended < self.begin_bytes {
            return;
        }
        let (stop, (done, made)) = (Arc::<AtomicBool>::default(), mpsc::channel());
        let (disk, bytes, stopped) = (self.disk.clone(), self.room_bytes, stop.clone());
        self.state = State::Making { stop, made };
        self.disk.beside(Box::new(move || _ = done.send(make(&*disk, bytes, &stopped))));
    }

    /// Is there room? Does not wait for it.
    pub fn is_made(&mut self) -> bool {
        if let State::Making { made, .. } = &self.state {
            let made = match made.try_recv() {
                Ok(made) => made,
                Err(mpsc::TryRecvError::Empty) => return false,
                Err(mpsc::TryRecvError::Disconnected) => Err(io::Error::other("nobody makes it")),
            };
            self.state = match made {
                Ok(()) => State::Made,
                Err(e) => {
                    let file = self.disk.path(ROOM);
                    tracing::warn!(
                        "{}: no room is made ahead any more, syncs will be slower: {e}",
                        file.display()
                    );
                    let _ = self.disk.remove(ROOM);
                    State::Off
                }
            };
        }
        matches!(self.state, State::Made)
    }

    /// The room becomes a file of this name, which begins with `header`. Durable on return.
    pub fn take(&mut self, name: &str, header: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
        debug_assert!(matches!(self.state, State::Made), "the caller asks");
        self.state = State::Waiting(0);
        let file = self.disk.open(ROOM)?;
        file.write(header, 0)?;
        file.sync()?;
        self.disk.rename(ROOM, name)?;
        self.disk.sync()?;
        self.disk.open(name)
    }

    /// Gives the disk back what was made, and makes no more. FALSE: there was nothing.
    pub fn give_up(&mut self) -> bool {
        let made = match std::mem::replace(&mut self.state, State::Off) {
            State::Making { stop, made } => {
                stop.store(true, Ordering::Relaxed);
                // However it went: it is over.
                let _ = made.recv();
                true
            }
            State::Made => true,
            State::Waiting(_) | State::Off => false,
        };
        made && self.disk.remove(ROOM).is_ok()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Removes what a crash left.
pub fn clear(disk: &dyn Disk) -> io::Result<()> {
    if disk.names()?.iter().any(|name| name == ROOM) { disk.remove(ROOM) } else { Ok(()) }
}

fn make(disk: &dyn Disk, bytes: u64, stop: &AtomicBool) -> io::Result<()> {
    let file = disk.create(ROOM)?;
    let zeros = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < bytes && !stop.load(Ordering::Relaxed) {
        let piece = &zeros[..PIECE_BYTES.min((bytes - at) as usize)];
        file.write(piece, at)?;
        file.sync()?;
        at += piece.len() as u64;
    }
    Ok(())
}
