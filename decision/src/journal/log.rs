//! An append-only sequence of records in segment files, durable batch by batch.

use std::{
    io::ErrorKind,
    sync::{Arc, RwLock},
};

use super::{
    Disk, DiskFile, JournalError, Place,
    ahead::{self, Ahead},
    frame::{FRAME, Frame, HEADER, Header, PAYLOAD_MAX},
    scan::{Scan, Segment, Torn, Visit, scan_from, segment_name},
};

/// The end of a log, where records are appended. One per folder.
pub struct Appender {
    log: Arc<Log>,
    /// The last segment, once there is one.
    file: Option<Arc<dyn DiskFile>>,
    /// Where its records end; everything before is durable.
    end: u64,
    /// Length of the file, where room was made behind the records; 0 where it was not.
    room: u64,
    /// Sequence of the next record.
    next: u64,
    /// A segment that has reached this length is followed by another.
    segment_bytes: u64,
    buffer: Vec<u8>,
    ahead: Ahead,
}

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
    ahead::clear(&*disk).map_err(JournalError::io("remove", disk.path(ahead::ROOM)))?;
    let Scan { segments, end, next, torn } = scan_from(&*disk, from, visit)?;
    if let Some(torn) = &torn {
        let repair = || match torn.end {
            0 => disk.remove(&torn.name),
            end => disk.open(&torn.name)?.cut(end),
        };
        repair().map_err(JournalError::io("cut the torn tail of", disk.path(&torn.name)))?;
    }
    let (file, size) = match segments.last() {
        None => (None, 0),
        Some(last) => {
            let open = || {
                let file = disk.open(&last.name)?;
                file.sync()?;
                let size = file.size()?;
                Ok((Some(file), size))
            };
            open().map_err(JournalError::io("sync", disk.path(&last.name)))?
        }
    };
    let room = if size > end { size } else { 0 };
    let ahead = Ahead::new(disk.clone(), segment_bytes);
    disk.sync().map_err(JournalError::io("sync", disk.path("")))?;
    let log = Arc::new(Log { disk, segments: RwLock::new(segments) });
    Ok((Appender { log, file, end, room, next, segment_bytes, buffer: Vec::new(), ahead }, torn))
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
        // A segment without room ends as soon as there is one with it.
        let full = self.end >= self.segment_bytes || self.room == 0 && self.ahead.is_made();
        if self.file.is_none() || full {
            self.start_segment()?;
        }
        let (segment, salt) = self.log.last();
        let durable = self.next - 1;
        self.buffer.clear();
        for payload in payloads {
            debug_assert!(!payload.is_empty() && payload.len() <= PAYLOAD_MAX, "the caller checks");
            places.push(Place::new(segment, self.end + self.buffer.len() as u64));
            Frame { sequence: self.next, durable, payload }.encode(salt, &mut self.buffer);
            self.next += 1;
        }
        self.write()?;
        self.ahead.appended(self.buffer.len());
        Ok(())
    }

    /// Says on disk that everything before is durable, so that nothing of it can be taken for a torn tail. Gives room
    /// back that was not needed. To be done last.
    pub fn mark(&mut self) -> Result<(), JournalError> {
        if self.file.is_none() {
            return Ok(());
        }
        let (_, salt) = self.log.last();
        self.buffer.clear();
        Frame { sequence: self.next, durable: self.next - 1, payload: &[] }.encode(salt, &mut self.buffer);
        self.write()?;
        if self.room > self.end {
            let file = self.file.as_ref().expect("it has room");
            file.cut(self.end).map_err(JournalError::io("give room back of", self.log.last_path()))?;
            self.room = 0;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), JournalError> {
        let file = self.file.as_ref().expect("append starts a segment, mark needs one");
        let mut written = file.write(&self.buffer, self.end);
        if written.as_ref().is_err_and(|e| e.kind() == ErrorKind::StorageFull) && self.ahead.give_up() {
            // What was made for records to come is for those that are here.
            written = file.write(&self.buffer, self.end);
        }
        let written = written.map_err(|e| ("write", e));
        let synced = written.and_then(|()| file.sync().map_err(|e| ("sync", e)));
        if let Err((what, source)) = synced {
            let cut = file.cut(self.end).and_then(|()| file.sync());
            let file = self.log.last_path();
            if let Err(e) = cut {
                tracing::warn!("cannot cut the failed write off {}: {e}", file.display());
            }
            return Err(JournalError::Io { what, file, source });
        }
        self.end += self.buffer.len() as u64;
        Ok(())
    }

    /// The header is durable before the segment's first record is written.
    fn start_segment(&mut self) -> Result<(), JournalError> {
        let disk = &self.log.disk;
        let header = Header { first: self.next, salt: random() };
        let name = segment_name(self.next);
        let mut create = || {
            if self.ahead.is_made() {
                let file = self.ahead.take(&name, &header.encode())?;
                let room = file.size()?;
                return Ok((file, room));
            }
            let file = disk.create(&name)?;
            file.write(&header.encode(), 0)?;
            file.sync()?;
            disk.sync()?;
            Ok((file, 0))
        };
        let (file, room) = create().map_err(JournalError::io("create", disk.path(&name)))?;
        (self.file, self.room, self.end) = (Some(file), room, HEADER as u64);
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
