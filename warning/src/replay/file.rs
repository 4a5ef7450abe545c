//! Files of events, alerts and dead letters: JSON lines, or Protobuf with a length before each message.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use prost::Message;
use serde_json::Value as Json;
use tarim_datamart::WholeFile;

use super::ReplayError;
use crate::event::Format;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `.ndjson`, `.jsonl`, `.json`: one a line.
    Lines,
    /// `.pb`: a varint of the length, then the message.
    Delimited,
}

impl Encoding {
    /// By the file's name.
    pub fn of(path: &Path) -> Result<Self, ReplayError> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("ndjson" | "jsonl" | "json") => Ok(Encoding::Lines),
            Some("pb") => Ok(Encoding::Delimited),
            _ => Err(ReplayError::Format(path.to_path_buf())),
        }
    }
}

/// Longest record.
const RECORD_MAX: u64 = 16 << 20;

/// A file of events.
pub struct EventFile {
    path: PathBuf,
    encoding: Encoding,
    file: BufReader<File>,
    record: Vec<u8>,
    records: u64,
    /// Of text: the line that was read last, counted from 1, empty ones too; and whether there is more of it.
    line: u64,
    goes_on: bool,
    bytes: u64,
}

impl EventFile {
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        Self::of(path, Encoding::of(path)?)
    }

    fn of(path: &Path, encoding: Encoding) -> Result<Self, ReplayError> {
        let file = File::open(path).map_err(|source| ReplayError::Read { path: path.into(), source })?;
        let file = BufReader::with_capacity(1 << 20, file);
        Ok(Self {
            path: path.into(),
            encoding,
            file,
            record: Vec::new(),
            records: 0,
            line: 0,
            goes_on: false,
            bytes: 0,
        })
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the last record stands: "line 7", or of Protobuf "record 7", each counted from 1.
    pub fn place(&self) -> String {
        match self.encoding {
            Encoding::Lines => format!("line {}", self.line),
            Encoding::Delimited => format!("record {}", self.records),
        }
    }

    /// The next record; None at the end. Empty lines are none.
    pub fn read(&mut self) -> Result<Option<(Format, &[u8])>, ReplayError> {
        let read = match self.encoding {
            Encoding::Lines => self.line(),
            Encoding::Delimited => self.delimited(),
        };
        match read {
            Ok(false) => Ok(None),
            Ok(true) => {
                self.records += 1;
                let format = match self.encoding {
                    Encoding::Lines => Format::Json,
                    Encoding::Delimited => Format::Protobuf,
                };
                Ok(Some((format, &self.record)))
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ReplayError::Cut { path: self.path.clone(), record: self.records })
            }
            Err(source) => Err(ReplayError::Read { path: self.path.clone(), source }),
        }
    }

    fn line(&mut self) -> io::Result<bool> {
        loop {
            // What is longer than a record may be comes in pieces, all of one line.
            self.line += u64::from(!self.goes_on);
            self.record.clear();
            let read = self.file.by_ref().take(RECORD_MAX).read_until(b'\n', &mut self.record)?;
            self.bytes += read as u64;
            if read == 0 {
                return Ok(false);
            }
            self.goes_on = !self.record.ends_with(b"\n");
            while self.record.last().is_some_and(u8::is_ascii_whitespace) {
                self.record.pop();
            }
            if !self.record.is_empty() {
                return Ok(true);
            }
        }
    }

    fn delimited(&mut self) -> io::Result<bool> {
        let mut len = 0u64;
        for shift in (0..).step_by(7) {
            let mut byte = [0];
            if shift == 0 && self.file.fill_buf()?.is_empty() {
                return Ok(false);
            }
            self.file.read_exact(&mut byte)?;
            self.bytes += 1;
            len |= u64::from(byte[0] & 0x7f) << shift;
            if len > RECORD_MAX || shift > 28 {
                return Err(io::Error::other(format!("record {} is longer than 16 MiB", self.records)));
            }
            if byte[0] < 0x80 {
                break;
            }
        }
        self.record.resize(len as usize, 0);
        self.file.read_exact(&mut self.record)?;
        self.bytes += len;
        Ok(true)
    }
}

/// A file that messages are written to. It takes its place when it is finished; until then what was there before stays.
pub struct OutFile {
    path: PathBuf,
    encoding: Encoding,
    file: BufWriter<WholeFile>,
}

impl OutFile {
    pub fn create(path: &Path) -> Result<Self, ReplayError> {
        let encoding = Encoding::of(path)?;
        let file =
            WholeFile::create(path).map_err(|source| ReplayError::Write { path: path.into(), source })?;
        Ok(Self { path: path.into(), encoding, file: BufWriter::with_capacity(1 << 18, file) })
    }

    /// Writes a message; `json` is what it is as JSON.
    pub fn put(&mut self, message: &impl Message, json: impl FnOnce() -> Json) -> Result<(), ReplayError> {
        let written = match self.encoding {
            Encoding::Lines => writeln!(self.file, "{}", json()),
            Encoding::Delimited => self.file.write_all(&message.encode_length_delimited_to_vec()),
        };
        written.map_err(|source| ReplayError::Write { path: self.path.clone(), source })
    }

    /// What has been written so far, to be read.
    pub fn read(&mut self) -> Result<EventFile, ReplayError> {
        self.file.flush().map_err(|source| ReplayError::Write { path: self.path.clone(), source })?;
        EventFile::of(self.file.get_ref().path(), self.encoding)
    }

    /// Files that belong together are whole: they take their places, in this order, once all of them are on the disk.
    pub fn finish(files: impl IntoIterator<Item = Self>) -> Result<(), ReplayError> {
        let synced = files.into_iter().map(Self::synced).collect::<Result<Vec<_>, _>>()?;
        for (path, file) in synced {
            file.keep().map_err(|source| ReplayError::Write { path, source })?;
        }
        Ok(())
    }

    fn synced(self) -> Result<(PathBuf, WholeFile), ReplayError> {
        let Self { path, file, .. } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        match file.and_then(|file| file.sync().map(|()| file)) {
            Ok(file) => Ok((path, file)),
            Err(source) => Err(ReplayError::Write { path, source }),
        }
    }
}
