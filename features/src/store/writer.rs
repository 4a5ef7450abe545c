//! Writes a file of keyed records: see [`file`](super::file).

use std::{
    collections::HashSet,
    fs::File,
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    StoreError,
    disk::let_go,
    file::{Footer, MAGIC, Section, Written},
    key::hash_of,
    perfect_hash,
    records::{MOST_PARTS, Size, head_len},
};
use crate::row::Dictionary;

/// Writes one file; nothing is at its place until [`FileWriter::finish`].
pub struct FileWriter {
    path: PathBuf,
    out: BufWriter<File>,
    at: u64,
    section: blake3::Hasher,
    key_parts: usize,
    /// Hash of each key, and where its record is.
    entries: Vec<(u64, u64)>,
    record_max: u64,
    begin_max: u64,
}

impl FileWriter {
    /// Starts a file whose keys have `key_parts` parts.
    pub fn create(path: &Path, key_parts: usize) -> Result<Self, StoreError> {
        assert!((1..=MOST_PARTS).contains(&key_parts), "a key has 1 to {MOST_PARTS} parts");
        let io = |e| StoreError::io("create", path, e);
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(path).map_err(io)?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(MAGIC).map_err(io)?;
        Ok(Self {
            path: path.into(),
            out,
            at: MAGIC.len() as u64,
            section: blake3::Hasher::new(),
            key_parts,
            entries: Vec::new(),
            record_max: 0,
            begin_max: 0,
        })
    }

    /// Adds a record. Keys are unique; [`FileWriter::finish`] refuses a key that came twice.
    pub fn push(&mut self, key: &[&str], payload: &[u8]) -> Result<(), StoreError> {
        assert_eq!(key.len(), self.key_parts, "every key of a file has the same number of parts");
        let too_long = |what: &str| StoreError::TooLong { what: what.to_owned(), key: key.join("/") };
        let len = u32::try_from(payload.len()).map_err(|_| too_long("the record exceeds 4 GiB"))?;
        let mut head = [0; head_len(MOST_PARTS)];
        head[..4].copy_from_slice(&len.to_le_bytes());
        for (part, bytes) in key.iter().zip(head[4..].as_chunks_mut().0) {
            let len = u16::try_from(part.len()).map_err(|_| too_long("the key exceeds 65,535 bytes"))?;
            *bytes = len.to_le_bytes();
        }
        let head = &head[..head_len(self.key_parts)];
        let begin = (head.len() + key.iter().map(|part| part.len()).sum::<usize>()) as u64;
        self.begin_max = self.begin_max.max(begin);
        self.record_max = self.record_max.max(begin + payload.len() as u64);
        self.entries.push((hash_of(key.iter().map(|part| part.as_bytes())), self.at));
        self.write(head)?;
        for part in key {
            self.write(part.as_bytes())?;
        }
        self.write(payload)
    }

    /// Number of records so far.
    pub fn records(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Writes index, dictionary and footer, and forces everything to disk.
    pub fn finish<About: Serialize>(
        self,
        dictionary: &Dictionary,
        about: &About,
    ) -> Result<Written, StoreError> {
        self.finish_by(perfect_hash::build, dictionary, about)
    }

    /// The same, with another way to find the keys' hash.
    pub(super) fn finish_by<About: Serialize>(
        mut self,
        build: impl Fn(&mut [u64]) -> perfect_hash::Built,
        dictionary: &Dictionary,
        about: &About,
    ) -> Result<Written, StoreError> {
        let io = |e| StoreError::io("write", &self.path, e);
        self.out.flush().map_err(io)?;
        let bytes = self.at - MAGIC.len() as u64;
        let records = self.end_section(MAGIC.len() as u64);
        self.refuse_repeated()?;

        let start = self.at;
        let mut hashes: Vec<u64> =
            std::mem::take(&mut self.entries).into_iter().map(|(hash, _)| hash).collect();
        let built = build(&mut hashes);
        self.write(&built.to_bytes())?;
        let index = self.end_section(start);

        let start = self.at;
        for text in dictionary.iter() {
            self.write(&(text.len() as u32).to_le_bytes())?;
            self.write(text.as_bytes())?;
        }
        let strings = self.end_section(start);

        let size = Size {
            records: hashes.len() as u64,
            bytes,
            record_max: self.record_max,
            begin_max: self.begin_max,
            unplaced: built.keys_unplaced,
        };
        let footer = serde_json::to_vec(&Footer {
            about,
            size,
            key_parts: self.key_parts,
            strings: dictionary.len() as u64,
            sections: [records, index, strings],
        })
        .expect("a footer is plain data");
        let hash = blake3::hash(&footer);
        self.write(&footer)?;
        self.write(hash.as_bytes())?;
        self.write(&(footer.len() as u32).to_le_bytes())?;
        self.write(MAGIC)?;
        let sync = |e| StoreError::io("write", &self.path, e);
        self.out.flush().map_err(sync)?;
        self.out.get_ref().sync_all().map_err(sync)?;
        // It is read once, into memory that the cache would take.
        let_go(self.out.get_ref(), 0, self.at);
        Ok(Written { records: size.records, bytes: self.at, blake3: hash.to_hex().to_string() })
    }

    /// Keys of which the hash is the same are read back, to see whether they are the same themselves.
    fn refuse_repeated(&mut self) -> Result<(), StoreError> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable();
        for alike in entries.chunk_by(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
            let mut keys = HashSet::new();
            for (_, at) in alike {
                let key = self.read_key(*at)?;
                if let Some(key) = keys.replace(key) {
                    return Err(StoreError::Repeated { path: self.path.clone(), key: key.join("/") });
                }
            }
        }
        self.entries = entries;
        Ok(())
    }

    fn read_key(&mut self, at: u64) -> Result<Vec<String>, StoreError> {
        let read = |file: &mut File, parts: usize| -> std::io::Result<Vec<String>> {
            file.seek(SeekFrom::Start(at + 4))?;
            let mut lens = vec![[0; 2]; parts];
            file.read_exact(lens.as_flattened_mut())?;
            let mut key = Vec::with_capacity(parts);
            for len in lens {
                let mut text = vec![0; usize::from(u16::from_le_bytes(len))];
                file.read_exact(&mut text)?;
                key.push(String::from_utf8(text).map_err(std::io::Error::other)?);
            }
            file.seek(SeekFrom::End(0))?;
            Ok(key)
        };
        read(self.out.get_mut(), self.key_parts).map_err(|e| StoreError::io("read back", &self.path, e))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.section.update(bytes);
        self.at += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|e| StoreError::io("write", &self.path, e))
    }

    fn end_section(&mut self, start: u64) -> Section {
        let hash = std::mem::replace(&mut self.section, blake3::Hasher::new()).finalize();
        Section { at: start, len: self.at - start, blake3: hash.to_hex().to_string() }
    }
}
