//! Segments that are made ahead, while nothing is written: files of zeros in which a log goes on.
//!
//! ```text
//! spare-1.room   zeros ─────────┐
//! spare-2.room   zeros ─────────┴─ header, sync, rename ──► 00000000000000123456.segment
//! spare-3.room   zeros so far ──── a piece more whenever the writer rests
//! ```
//!
//! To make room between two groups takes as much of the disk as the records do, just when there are many. So many spares are
//! kept as bursts have asked for: each segment that had to begin without one makes it one more, up to a bound. A log that
//! never comes to the end of a segment has none. They last as long as the process: what is found at open is removed.

use std::{collections::VecDeque, io, sync::Arc};

use super::{Disk, DiskFile};

/// Most spares: at 64 MiB each, records of 150,000 decisions.
const SPARES_MAX: usize = 8;

/// What the names of spares end in.
const ROOM: &str = ".room";

/// The spares of a log.
pub struct Reserve {
    disk: Arc<dyn Disk>,
    /// Bytes of each.
    len: u64,
    /// Bytes that are made at a time.
    piece: u64,
    /// Names of those that are whole and on the disk.
    ready: VecDeque<String>,
    begun: Option<Begun>,
    /// So many are to be ready; None: none any more.
    wanted: Option<usize>,
    /// Spares that were ever begun.
    count: u64,
}

/// One that is being made.
struct Begun {
    name: String,
    file: Arc<dyn DiskFile>,
    filled: u64,
}

impl Reserve {
    /// Of spares of `len` bytes, made `piece` by piece. Removes what another process left.
    pub fn new(disk: Arc<dyn Disk>, len: u64, piece: u64) -> io::Result<Self> {
        for name in disk.names()?.iter().filter(|name| name.ends_with(ROOM)) {
            disk.remove(name)?;
        }
        Ok(Self { disk, len, piece, ready: VecDeque::new(), begun: None, wanted: Some(0), count: 0 })
    }

    /// Bytes of a spare.
    pub fn spare_bytes(&self) -> u64 {
        self.len
    }

    /// A spare and its name, which are the caller's from now on. None is ready: there will be one more.
    pub fn take(&mut self) -> Option<(String, Arc<dyn DiskFile>)> {
        while let Some(name) = self.ready.pop_front() {
            match self.disk.open(&name) {
                Ok(file) => return Some((name, file)),
                // Somebody tidied up. They are for speed alone: records do without.
                Err(e) => tracing::warn!("{} is passed over: {e}", self.disk.path(&name).display()),
            }
        }
        if let Some(wanted) = &mut self.wanted {
            *wanted = SPARES_MAX.min(*wanted + 1);
        }
        None
    }

    /// Are there fewer than are wanted?
    pub fn lacks(&self) -> bool {
        self.wanted.is_some_and(|wanted| self.ready.len() < wanted)
    }

    /// Makes a piece of what is lacking. To be done when nobody waits: it takes as long as a large group. (Each is synced,
    /// or the first group that comes would wait for all of them.)
    pub fn grow(&mut self) {
        if let Err(e) = self.grow_by_a_piece() {
            // The disk is better left to the records.
            tracing::warn!("{}: no segments are made ahead any more: {e}", self.disk.path("").display());
            self.wanted = None;
            self.clear();
        }
    }

    fn grow_by_a_piece(&mut self) -> io::Result<()> {
        let mut spare = match self.begun.take() {
            Some(begun) => begun,
            None => {
                self.count += 1;
                let name = format!("spare-{}{ROOM}", self.count);
                Begun { file: self.disk.create(&name)?, name, filled: 0 }
            }
        };
        let to = self.len.min(spare.filled + self.piece);
        let filled = spare.file.fill(spare.filled, to).and_then(|()| spare.file.sync());
        spare.filled = to;
        match to == self.len && filled.is_ok() {
            true => self.ready.push_back(spare.name),
            false => self.begun = Some(spare),
        }
        filled
    }

    /// Removes all of them. What cannot be removed is, at the next open.
    pub fn clear(&mut self) {
        let begun = self.begun.take().map(|begun| begun.name);
        for name in self.ready.drain(..).chain(begun) {
            if let Err(e) = self.disk.remove(&name) {
                tracing::warn!("{} is left: {e}", self.disk.path(&name).display());
            }
        }
    }
}
