//! An append-only sequence of records in segment files, durable batch by batch.

use std::sync::{Arc, RwLock};

use super::{
    Disk, DiskFile, JournalError, Place,
    frame::{FRAME, Frame, HEADER, Header, PAYLOAD_MAX},
    reserve::Reserve,
    scan::{Scan, Segment, Torn, Visit, read_whole, scan_from, segment_name},
};

/// The end of a log, where records are appended. One per folder.
pub struct Appender {
    log: Arc<Log>,
    /// The last segment, once there is one.
    file: Option<Arc<dyn DiskFile>>,
    /// Where its records end; everything before is durable.
    end: u64,
    /// Where the zeros end that were made behind the records; not behind `end` where there are none.
    room: u64,
    /// Sequence of the next record.
    next: u64,
    /// A segment that has reached this length is followed by another.
    segment_bytes: u64,
    /// What is being written: from `start` on it is aligned to pages, and begins with `tail`.
    buffer: Vec<u8>,
    start: usize,
    /// What the page that the records end in has of them.
    tail: Vec<u8>,
    page: usize,
    /// So many bytes of room are made at a time; None: none any more.
    piece: Option<u64>,
    /// Segments that are made ahead.
    reserve: Reserve,
    /// Bytes appended since it was opened, and by the last batch.
    appended: u64,
    last: u64,
}

/// Room is made in pieces of this length.
const PIECE_BYTES: u64 = 1 << 20;

/// What records can be read from.
pub struct Log {
    disk: Arc<dyn Disk>,
    segments: RwLock<Vec<Segment>>,
}

/// Opens a log: reads every record, cuts a torn tail off, and makes durable whatever is there.
///
/// What was found may have been written by a process that died before its sync, so it is synced
/// before anyone is told of it.
pub fn open(
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    visit: &mut Visit<'_>,
) -> Result<(Appender, Option<Torn>), JournalError> {
    open_from(disk, segment_bytes, 0, visit)
}

/// As [`open`], reading from record `from` on.
pub fn open_from(
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    from: u64,
    visit: &mut Visit<'_>,
) -> Result<(Appender, Option<Torn>), JournalError> {
    let Scan { segments, end, next, torn } = scan_from(&*disk, from, visit)?;
    if let Some(torn) = &torn {
        let repair = || match torn.end {
            0 => disk.remove(&torn.name),
            end => disk.open(&torn.name)?.cut(end),
        };
        repair().map_err(JournalError::io("cut the torn tail of", disk.path(&torn.name)))?;
    }
    let page = disk.page();
    let piece = PIECE_BYTES.min(segment_bytes / 4).next_multiple_of(page as u64);
    // The last batch of a segment goes beyond its length.
    let spare_bytes = (segment_bytes + piece).next_multiple_of(page as u64);
    let reserve = Reserve::new(disk.clone(), spare_bytes, piece);
    let reserve = reserve.map_err(JournalError::io("remove old spares from", disk.path("")))?;
    let mut tail = vec![0; (end % page as u64) as usize];
    let (file, size) = match segments.last() {
        None => (None, 0),
        Some(last) => {
            let mut open = || {
                let file = disk.open(&last.name)?;
                file.sync()?;
                let at = end - tail.len() as u64;
                file.read(&mut tail, at)?;
                let size = file.size()?;
                Ok((Some(file), size))
            };
            open().map_err(JournalError::io("sync", disk.path(&last.name)))?
        }
    };
    disk.sync().map_err(JournalError::io("sync", disk.path("")))?;
    let log = Arc::new(Log { disk, segments: RwLock::new(segments) });
    let appender = Appender {
        log,
        file,
        end,
        room: size,
        next,
        segment_bytes,
        buffer: Vec::new(),
        start: 0,
        tail,
        page,
        piece: Some(piece),
        reserve,
        appended: 0,
        last: 0,
    };
    Ok((appender, torn))
}

impl Appender {
    /// For readers.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Sequence of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Writes a batch of records (none empty, none longer than [`PAYLOAD_MAX`]), durable on return, and adds
    /// where each lies to `places`. Their sequences follow each other from [`Appender::next`].
    ///
    /// After an error the batch is cut off again if the disk still lets us, and the appender must not
    /// be used any more: after a failed sync nobody knows what is on disk.
    pub fn append<'a>(
        &mut self,
        payloads: impl Iterator<Item = &'a [u8]>,
        places: &mut Vec<Place>,
    ) -> Result<(), JournalError> {
        if self.file.is_none() || self.end >= self.segment_bytes {
            self.start_segment()?;
        }
        let (segment, salt) = self.log.last();
        let durable = self.next - 1;
        self.begin();
        for payload in payloads {
            debug_assert!(!payload.is_empty() && payload.len() <= PAYLOAD_MAX, "the caller checks");
            let written = self.buffer.len() - self.start - self.tail.len();
            places.push(Place::new(segment, self.end + written as u64));
            Frame { sequence: self.next, durable, payload }.encode(salt, &mut self.buffer);
            self.next += 1;
        }
        self.write()
    }

    /// Fills a piece of what lies behind the records with zeros, unless there is enough of them. To be done when nobody
    /// waits: it is for speed alone.
    ///
    /// A file that grows with each write makes the file system write something of its own at each sync: the new length,
    /// the new blocks. One that is written over has none of that. (Where batches are long it would be more to write
    /// every byte twice: they grow the file, and are written past the system's cache all the same.)
    pub fn make_room(&mut self) {
        let (Some(file), Some(piece)) = (&self.file, self.piece) else { return };
        // A log of a few records stays as small as they are; a segment that is nearly full is left to end.
        let wanted = self.appended >= piece
            && self.end + piece / 2 > self.room
            && self.end < self.segment_bytes
            && !self.is_long(self.last);
        if !wanted {
            return;
        }
        let from = self.room.max(self.end);
        let to = (self.end + piece).next_multiple_of(piece).max(from);
        match file.fill(from, to) {
            Ok(()) => self.room = to,
            // The disk is better left to the records.
            Err(e) => {
                let file_name = self.log.last_path();
                tracing::warn!(
                    "{}: no room is made ahead any more, syncs will be slower: {e}",
                    file_name.display()
                );
                self.piece = None;
                self.give_back();
            }
        }
    }

    /// Has [`Appender::rest`] something to do?
    pub fn wants_rest(&self) -> bool {
        self.reserve.lacks()
    }

    /// Does a little of what is better done before more records come: [`Reserve::grow`].
    pub fn rest(&mut self) {
        if self.reserve.lacks() {
            self.reserve.grow();
        }
    }

    /// Is a batch of so many bytes more than there is room for, in general?
    fn is_long(&self, bytes: u64) -> bool {
        self.piece.is_some_and(|piece| bytes > piece / 2)
    }

    /// Cuts what was made behind the records and is not needed. Where that fails zeros stay, which are read as the end.
    fn give_back(&mut self) {
        let file = self.file.as_ref().expect("it has records");
        if let Err(e) = file.cut(self.end) {
            tracing::warn!("{}: zeros behind the records are left: {e}", self.log.last_path().display());
        }
        self.room = self.end;
    }

    /// Says on disk that everything before is durable, so that nothing of it can be taken for a torn tail. Gives room
    /// back that was not needed. To be done last.
    pub fn mark(&mut self) -> Result<(), JournalError> {
        self.reserve.clear();
        if self.file.is_none() {
            return Ok(());
        }
        let (_, salt) = self.log.last();
        self.begin();
        Frame { sequence: self.next, durable: self.next - 1, payload: &[] }.encode(salt, &mut self.buffer);
        self.write()?;
        if self.room > self.end {
            self.give_back();
        }
        Ok(())
    }

    /// Begins to gather what is written next.
    fn begin(&mut self) {
        self.buffer.clear();
        self.buffer.reserve(4 * self.page);
        self.start = self.buffer.as_ptr().align_offset(self.page);
        self.buffer.resize(self.start, 0);
        self.buffer.extend_from_slice(&self.tail);
    }

    /// Writes what was gathered, and syncs.
    fn write(&mut self) -> Result<(), JournalError> {
        let file = self.file.as_ref().expect("append starts a segment, mark needs one");
        let (start, page) = (self.start, self.page);
        let written = self.buffer.len();
        let bytes = (written - start - self.tail.len()) as u64;
        // Over room whole pages are written, with zeros behind the records as there were; and so is what is long.
        let pages = (written - start).next_multiple_of(page);
        let at = self.end - self.tail.len() as u64;
        self.buffer.resize(start + pages, 0);
        // While it grew to its size it may have moved.
        let aligned = self.buffer.as_ptr().align_offset(page) == start % page;
        let to = at + pages as u64;
        let whole = aligned && (to <= self.room || self.is_long(bytes));
        let result = match whole {
            true => file.write_pages(&self.buffer[start..], at),
            false => file.write(&self.buffer[start + self.tail.len()..written], self.end),
        };
        let result = result.map_err(|e| ("write", e));
        let synced = result.and_then(|()| file.sync().map_err(|e| ("sync", e)));
        if let Err((what, source)) = synced {
            let cut = file.cut(self.end).and_then(|()| file.sync());
            let file = self.log.last_path();
            if let Err(e) = cut {
                tracing::warn!("cannot cut the failed write off {}: {e}", file.display());
            }
            return Err(JournalError::Io { what, file, source });
        }
        self.end += bytes;
        self.appended += bytes;
        self.last = bytes;
        if whole {
            self.room = self.room.max(to);
        }
        self.tail.clear();
        self.tail.extend_from_slice(&self.buffer[written - (self.end % page as u64) as usize..written]);
        Ok(())
    }

    /// The header is durable before the segment's first record is written.
    fn start_segment(&mut self) -> Result<(), JournalError> {
        let log = self.log.clone();
        let disk = &log.disk;
        let header = Header { first: self.next, salt: random() };
        let name = segment_name(self.next);
        if self.file.is_some() && self.room > self.end {
            self.give_back();
        }
        // That there is none before the first is no lack of spares.
        let spare = if self.file.is_some() { self.reserve.take() } else { None };
        let create = || {
            let mut file = match &spare {
                Some((_, spare)) => spare.clone(),
                None => disk.create(&name)?,
            };
            file.write(&header.encode(), 0)?;
            file.sync()?;
            if let Some((spare, _)) = &spare {
                disk.rename(spare, &name)?;
                file = disk.open(&name)?;
            }
            disk.sync()?;
            Ok(file)
        };
        let file = create().map_err(JournalError::io("create", disk.path(&name)))?;
        let room = if spare.is_some() { self.reserve.spare_bytes() } else { 0 };
        (self.file, self.room, self.end) = (Some(file), room, HEADER as u64);
        self.tail = header.encode()[HEADER - HEADER % self.page..].to_vec();
        self.log.segments.write().expect("not poisoned").push(Segment { name, header });
        Ok(())
    }
}

impl Log {
    /// Reads a record back: its sequence and payload.
    pub fn read(&self, place: Place) -> Result<(u64, Vec<u8>), JournalError> {
        let Segment { name, header } = self.segments.read().expect("not poisoned")[place.segment()].clone();
        let file = self.disk.path(&name);
        let read = || {
            let file = self.disk.open(&name)?;
            let mut frame = vec![0; FRAME];
            file.read(&mut frame, place.offset())?;
            let payload = u32::from_le_bytes(frame[..4].try_into().expect("four bytes")) as usize;
            frame.resize(FRAME + payload.min(PAYLOAD_MAX), 0);
            file.read(&mut frame, place.offset())?;
            Ok(frame)
        };
        let mut bytes = read().map_err(JournalError::io("read", file.clone()))?;
        let frame = Frame::decode(header.salt, &bytes).map_err(|what| JournalError::Corrupt {
            file,
            offset: place.offset(),
            what: what.into(),
        })?;
        let sequence = frame.sequence;
        bytes.drain(..FRAME);
        Ok((sequence, bytes))
    }

    /// The payload of a record by its sequence; None: there is none, or it was archived. Reads its segment.
    pub fn find(&self, sequence: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let segment = {
            let segments = self.segments.read().expect("not poisoned");
            let after = segments.partition_point(|segment| segment.header.first <= sequence);
            after.checked_sub(1).map(|at| segments[at].clone())
        };
        let Some(Segment { name, header }) = segment else { return Ok(None) };
        let bytes = read_whole(&*self.disk, &name)?;
        let mut offset = HEADER;
        while let Some(Ok(frame)) = bytes.get(offset..).map(|rest| Frame::decode(header.salt, rest)) {
            if frame.sequence == sequence && !frame.is_mark() {
                return Ok(Some(frame.payload.to_vec()));
            }
            offset += frame.size();
        }
        Ok(None)
    }

    /// Decodes what was read; a record that passed its checksum and is not one is an error all the same.
    pub fn decode<M: prost::Message + Default>(
        &self,
        place: Place,
        payload: bytes::Bytes,
    ) -> Result<M, JournalError> {
        M::decode(payload).map_err(|e| JournalError::Corrupt {
            file: self.disk.path(&self.segments.read().expect("not poisoned")[place.segment()].name),
            offset: place.offset(),
            what: format!("not a journal entry: {e}"),
        })
    }

    /// Number and salt of the last segment.
    fn last(&self) -> (usize, u32) {
        let segments = self.segments.read().expect("not poisoned");
        let last = segments.last().expect("a segment was started");
        (segments.len() - 1, last.header.salt)
    }

    fn last_path(&self) -> std::path::PathBuf {
        let segments = self.segments.read().expect("not poisoned");
        self.disk.path(&segments.last().expect("a segment was started").name)
    }
}

/// A random number, from the seed that the standard library gives every hash map.
fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) as u32
}
