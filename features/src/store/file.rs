//! One immutable file of keyed records: how a part of a generation lies on disk and in memory.
//!
//! ```text
//! | magic | records … | index | dictionary | footer (JSON) | its BLAKE3 | its length | magic |
//!
//! records = each: payload length u32 | length u16 of each key part | the parts | payload
//!           zeros before it, so that a record's beginning, its key and the first byte of its payload are in one line of
//!           the cache (if they fit into one); zeros behind the last, to a multiple of 64
//! index   = buckets of 64 bytes: see [`index`](super::index)
//! footer  = what the part is, number of records, and place, length and BLAKE3 of each section
//! ```
//!
//! Numbers are little-endian. The file is written in one pass while records stream in; only 16 bytes a
//! record are kept in memory for the index. It is read whole into memory ([`memory`](super::memory)), and every byte
//! is covered by a checksum or compared, so damage is an error at open and never a wrong answer later; a look-up
//! then costs one bucket, which is one line of the cache, and one record ([`records`](super::records)), and allocates nothing.

use std::{
    fs::File,
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    StoreError,
    index::{self, BUCKET_LEN, Built, OFFSET_MAX, Slot},
    key::hash_of,
    memory::{Memory, let_go},
    records::{LINE, MOST_PARTS, Records, head_len},
};
use crate::row::Dictionary;

const MAGIC: &[u8; 8] = b"TARIM-4\n";
/// How files of every version begin.
const FAMILY: &[u8] = b"TARIM-";

#[derive(Debug, Serialize, Deserialize)]
struct Section {
    at: u64,
    len: u64,
    blake3: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Footer<About> {
    about: About,
    /// Number of records.
    records: u64,
    /// Bytes of a record, on average.
    record_len: u64,
    /// Parts of a key.
    key_parts: usize,
    /// Strings of the dictionary.
    strings: u64,
    /// Records, index, dictionary.
    sections: [Section; 3],
}

/// What was written: goes into the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub records: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// BLAKE3 of the footer, which holds the checksums of everything else: it names the contents.
    pub blake3: String,
}

/// Writes one file; nothing is at its place until [`FileWriter::finish`].
pub struct FileWriter {
    path: PathBuf,
    out: BufWriter<File>,
    at: u64,
    section: blake3::Hasher,
    key_parts: usize,
    /// Hash and offset of each record.
    entries: Vec<(u64, u64)>,
    /// Bytes of all records.
    filled: u64,
}

impl FileWriter {
    /// Starts a file whose keys have `key_parts` parts.
    pub fn create(path: &Path, key_parts: usize) -> Result<Self, StoreError> {
        assert!(key_parts <= MOST_PARTS, "a key has no more parts than {MOST_PARTS}");
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
            filled: 0,
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
        let begin = head.len() + key.iter().map(|part| part.len()).sum::<usize>();
        self.make_room(begin as u64 + 1)?;
        if self.at > OFFSET_MAX {
            return Err(too_long("the file exceeds 1 TiB"));
        }
        self.entries.push((hash_of(key), self.at));
        self.filled += (begin + payload.len()) as u64;
        self.write(head)?;
        for part in key {
            self.write(part.as_bytes())?;
        }
        self.write(payload)
    }

    /// Goes on to the next line of the cache if so many bytes fit into one line, but not into what is left of this.
    fn make_room(&mut self, len: u64) -> Result<(), StoreError> {
        let left = LINE as u64 - self.at % LINE as u64;
        if left < len && len <= LINE as u64 { self.fill(left) } else { Ok(()) }
    }

    /// So many zeros, a line at most.
    fn fill(&mut self, len: u64) -> Result<(), StoreError> {
        self.write(&[0; LINE][..len as usize])
    }

    /// Number of records so far.
    pub fn records(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Writes index, dictionary and footer, and forces everything to disk.
    pub fn finish<About: Serialize>(
        mut self,
        dictionary: &Dictionary,
        about: &About,
    ) -> Result<Written, StoreError> {
        // So that a bucket of the index is one line of the cache.
        self.fill(self.at.next_multiple_of(BUCKET_LEN as u64) - self.at)?;
        let records = self.end_section(MAGIC.len() as u64);
        self.out.flush().map_err(|e| StoreError::io("write", &self.path, e))?;

        let start = self.at;
        for word in self.index()? {
            self.write(&word.to_le_bytes())?;
        }
        let index = self.end_section(start);

        let start = self.at;
        for text in dictionary.iter() {
            self.write(&(text.len() as u32).to_le_bytes())?;
            self.write(text.as_bytes())?;
        }
        let strings = self.end_section(start);

        let footer = serde_json::to_vec(&Footer {
            about,
            records: self.entries.len() as u64,
            record_len: self.filled / (self.entries.len() as u64).max(1),
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
        Ok(Written { records: self.entries.len() as u64, bytes: self.at, blake3: hash.to_hex().to_string() })
    }

    /// Words of the index.
    fn index(&mut self) -> Result<Vec<u64>, StoreError> {
        let Built { words, alike } = index::build(&self.entries);
        // Two keys whose hashes look alike are read back, to see whether they are the same.
        for (one, other) in alike {
            let key = self.read_key(one)?;
            if key == self.read_key(other)? {
                return Err(StoreError::Repeated { path: self.path.clone(), key: key.join("/") });
            }
        }
        Ok(words)
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

/// A file that was written by [`FileWriter`], checked and in memory.
pub struct KeyedFile<About> {
    records: Records,
    key_parts: usize,
    dictionary: Dictionary,
    about: About,
}

impl<About: DeserializeOwned> KeyedFile<About> {
    /// Reads and checks a file. `expected` is what the manifest says of it.
    pub fn open(path: &Path, expected: &Written) -> Result<Self, StoreError> {
        let bytes = Memory::read(path).map_err(|e| StoreError::io("read", path, e))?;
        Self::from_bytes(bytes, Some(expected))
            .map_err(|what| StoreError::Damaged { path: path.into(), what })
    }

    fn from_bytes(bytes: Memory, expected: Option<&Written>) -> Result<Self, String> {
        if let Some(e) = expected
            && bytes.len() as u64 != e.bytes
        {
            return Err(format!("it has {} bytes; {} were written", bytes.len(), e.bytes));
        }
        if bytes.starts_with(FAMILY) && !bytes.starts_with(MAGIC) {
            return Err("another version of Tarim wrote it; run `tarim materialize`".into());
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as a store file")?;
        let rest = rest.strip_suffix(MAGIC).ok_or("it does not end as a store file")?;
        let (rest, len) = rest.split_last_chunk::<4>().ok_or("it is cut short")?;
        let (rest, hash) = rest.split_last_chunk::<32>().ok_or("it is cut short")?;
        let body = rest
            .len()
            .checked_sub(u32::from_le_bytes(*len) as usize)
            .ok_or("its footer is longer than the file")?;
        let footer = &rest[body..];
        let found = blake3::hash(footer);
        if found != blake3::Hash::from_bytes(*hash) {
            return Err("its footer does not match its checksum".into());
        }
        if expected.is_some_and(|e| e.blake3 != found.to_hex().as_str()) {
            return Err("it is not the file that the manifest names".into());
        }
        let footer: Footer<About> =
            serde_json::from_slice(footer).map_err(|e| format!("its footer cannot be read: {e}"))?;
        let [_, index, strings] = check_sections(&bytes, &footer.sections, MAGIC.len() + body)?;
        let dictionary = read_dictionary(&bytes[strings], footer.strings)?;
        let unfit = format!("its index has {} bytes for {} records", index.len(), footer.records);
        let records = Records::new(bytes, index, footer.record_len as usize);
        let records = records.filter(|r| footer.records <= r.room()).ok_or(unfit)?;
        Ok(Self { records, key_parts: footer.key_parts, dictionary, about: footer.about })
    }
}

impl<About> KeyedFile<About> {
    /// What the writer said the file is.
    pub fn about(&self) -> &About {
        &self.about
    }

    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// The payload of a key.
    #[inline(always)]
    pub fn get<const N: usize>(&self, key: [&str; N]) -> Option<&[u8]> {
        self.find(hash_of(&key), key)
    }

    /// The slot that a key of this hash has, if it is in its own bucket: reading it fetches it from memory.
    #[inline]
    pub(super) fn first_slot(&self, hash: u64) -> Option<Slot> {
        self.records.first_slot(hash)
    }

    /// A byte of each line that the beginning and the end of a slot's record are expected in: reading them fetches them
    /// from memory, at one time.
    #[inline]
    pub(super) fn ends(&self, slot: Slot) -> u8 {
        self.records.ends(slot)
    }

    /// The payload of a key, by its hash.
    #[inline(always)]
    pub(super) fn find<const N: usize>(&self, hash: u64, key: [&str; N]) -> Option<&[u8]> {
        debug_assert_eq!(N, self.key_parts);
        self.records.find(hash, key)
    }
}

/// Checks that the sections follow one another from the magic to `end` and match their checksums.
fn check_sections(bytes: &[u8], sections: &[Section; 3], end: usize) -> Result<[Range<usize>; 3], String> {
    let mut next = MAGIC.len();
    let mut ranges = [0..0, 0..0, 0..0];
    for ((section, range), name) in sections.iter().zip(&mut ranges).zip(["records", "index", "dictionary"]) {
        let stop = usize::try_from(section.len).ok().and_then(|len| next.checked_add(len));
        let stop = stop.filter(|s| section.at == next as u64 && *s <= end);
        *range = next..stop.ok_or_else(|| format!("its {name} lie outside the file"))?;
        if blake3::hash(&bytes[range.clone()]).to_hex().as_str() != section.blake3 {
            return Err(format!("its {name} do not match their checksum"));
        }
        next = range.end;
    }
    if next != end {
        return Err(format!("{} bytes stand between its sections and its footer", end - next));
    }
    Ok(ranges)
}

fn read_dictionary(mut bytes: &[u8], count: u64) -> Result<Dictionary, String> {
    let mut dictionary = Dictionary::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let text = rest.split_at_checked(u32::from_le_bytes(*len) as usize);
        let (text, rest) = text.ok_or("its dictionary is cut short")?;
        dictionary
            .intern(std::str::from_utf8(text).map_err(|e| format!("its dictionary is not UTF-8: {e}"))?);
        bytes = rest;
    }
    if !bytes.is_empty() || dictionary.len() as u64 != count {
        return Err(format!("its dictionary has {} strings; {count} were written", dictionary.len()));
    }
    Ok(dictionary)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
