//! Reads a log from its first byte (or from a record on) to its last, and tells a torn tail from corruption.

use std::io::ErrorKind;

use super::{
    Disk, JournalError, Place,
    frame::{Frame, HEADER, Header, later_frame},
};

/// A segment that was read.
#[derive(Clone, Debug)]
pub struct Segment {
    /// File name.
    pub name: String,
    /// First sequence and salt.
    pub header: Header,
}

/// Name of the segment whose first record is `first`. Names sort as sequences do.
pub fn segment_name(first: u64) -> String {
    format!("{first:020}.segment")
}

/// A write that did not come to its end: nothing of it was ever answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Torn {
    /// The last segment's file name.
    pub name: String,
    /// Where the whole records end. 0: not even the header is whole.
    pub end: u64,
    /// Bytes behind that.
    pub bytes: u64,
}

/// What a journal holds.
#[derive(Debug)]
pub struct Scan {
    /// All segments with a whole header, in order.
    pub segments: Vec<Segment>,
    /// Where the last segment's whole records end; behind them are zeros, where room was made for more.
    pub end: u64,
    /// Sequence of the next record.
    pub next: u64,
    /// The tail to be cut off before anything is appended.
    pub torn: Option<Torn>,
}

/// Takes a record: its place, sequence and payload. May refuse it by saying what is wrong with it.
pub type Visit<'a> = dyn FnMut(Place, u64, &[u8]) -> Result<(), String> + 'a;

/// Reads every record in order and hands it to `visit`.
///
/// Changes nothing, so it may run beside a server that is writing: it then sees a prefix.
/// Memory: one segment at a time.
pub fn scan(disk: &dyn Disk, visit: &mut Visit<'_>) -> Result<Scan, JournalError> {
    scan_from(disk, 0, visit)
}

/// As [`scan`], from record `from` on: segments with earlier ones alone are not read, but for their headers. An error
/// if the log begins with a later record. From 0: from the first that there is.
pub fn scan_from(disk: &dyn Disk, from: u64, visit: &mut Visit<'_>) -> Result<Scan, JournalError> {
    let mut names = disk.names().map_err(JournalError::io("list", disk.path("")))?;
    names.retain(|name| name.ends_with(".segment"));
    names.sort();
    let mut scan = Scan { segments: Vec::with_capacity(names.len()), end: 0, next: 1, torn: None };
    let start = start(disk, &names, from)?;
    for name in &names[..start] {
        let header = read_header(disk, name)?;
        scan.segments.push(Segment { name: name.clone(), header });
    }
    for (i, name) in names.iter().enumerate().skip(start) {
        let corrupt = |offset: usize, what: String| JournalError::Corrupt {
            file: disk.path(name),
            offset: offset as u64,
            what,
        };
        let mut bytes = read_whole(disk, name)?;
        let last = i + 1 == names.len();
        let header = match Header::decode(&bytes) {
            Ok(header) => header,
            // The header is durable before the first record is written.
            Err(_) if last && bytes.len() <= HEADER => {
                scan.torn = Some(Torn { name: name.clone(), end: 0, bytes: bytes.len() as u64 });
                break;
            }
            Err(what) => return Err(corrupt(0, what.into())),
        };
        if i == start {
            scan.next = header.first;
        }
        if header.first != scan.next || *name != segment_name(header.first) {
            return Err(corrupt(
                0,
                format!("this segment should start with record {}, not {}", scan.next, header.first),
            ));
        }
        scan.segments.push(Segment { name: name.clone(), header });
        let mut offset = HEADER;
        // Where the segment was read anew.
        let mut again = 0;
        while offset < bytes.len() {
            let rest = &bytes[offset..];
            if is_zero(rest) {
                break;
            }
            let frame = match Frame::decode(header.salt, rest) {
                Ok(frame) if frame.sequence == scan.next => frame,
                Ok(frame) => {
                    return Err(corrupt(
                        offset,
                        format!("record {} stands where {} should", frame.sequence, scan.next),
                    ));
                }
                Err(what) if !last => return Err(corrupt(offset, what.into())),
                Err(what) => {
                    if let Some(later) = later_frame(header.salt, rest, scan.next) {
                        // A server may have written both while the file was read, and then this is there by now.
                        if again != offset {
                            again = offset;
                            bytes = read_whole(disk, name)?;
                            continue;
                        }
                        let later = offset + later;
                        return Err(corrupt(
                            offset,
                            format!("{what}, though the record at byte {later} says it was on disk"),
                        ));
                    }
                    scan.torn =
                        Some(Torn { name: name.clone(), end: offset as u64, bytes: rest.len() as u64 });
                    break;
                }
            };
            if !frame.is_mark() {
                let place = Place::new(i, offset as u64);
                if frame.sequence >= from {
                    visit(place, frame.sequence, frame.payload).map_err(|what| corrupt(offset, what))?;
                }
                scan.next += 1;
            }
            offset += frame.size();
        }
        scan.end = offset as u64;
    }
    Ok(scan)
}

/// Nothing was ever written here. Of a frame the first bytes tell that it is none of this.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|chunk| chunk.iter().all(|byte| *byte == 0))
}

/// Index of the segment with which reading begins.
fn start(disk: &dyn Disk, names: &[String], from: u64) -> Result<usize, JournalError> {
    if from == 0 || names.is_empty() {
        return Ok(0);
    }
    // Names sort as sequences do.
    let Some(at) = names.partition_point(|name| *name <= segment_name(from)).checked_sub(1) else {
        return Err(JournalError::Corrupt {
            file: disk.path(&names[0]),
            offset: 0,
            what: format!("the log begins here, and record {from} is wanted: an earlier segment is missing"),
        });
    };
    // Of a segment that did not come to its first record the one before tells where the log ends.
    let size = || disk.open(&names[at])?.size();
    let size = size().map_err(JournalError::io("read", disk.path(&names[at])))?;
    Ok(if size <= HEADER as u64 { at.saturating_sub(1) } else { at })
}

fn read_header(disk: &dyn Disk, name: &str) -> Result<Header, JournalError> {
    let mut bytes = [0; HEADER];
    let read = disk.open(name).and_then(|file| file.read(&mut bytes, 0));
    read.map_err(JournalError::io("read", disk.path(name)))?;
    let file = disk.path(name);
    Header::decode(&bytes).map_err(|what| JournalError::Corrupt { file, offset: 0, what: what.into() })
}

pub fn read_whole(disk: &dyn Disk, name: &str) -> Result<Vec<u8>, JournalError> {
    let read = || {
        let file = disk.open(name)?;
        loop {
            // The length first: what a writer appends meanwhile is not looked at.
            let mut bytes = vec![0; file.size()? as usize];
            match file.read(&mut bytes, 0) {
                // A writer gave room back meanwhile.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof && file.size()? < bytes.len() as u64 => {}
                read => return read.map(|()| bytes),
            }
        }
    };
    read().map_err(JournalError::io("read", disk.path(name)))
}
