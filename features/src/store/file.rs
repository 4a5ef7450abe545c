//! One immutable file of keyed records: how a part of a generation lies on disk, and how it comes into memory.
//!
//! ```text
//! | magic | records … | index | dictionary | footer (JSON) | its BLAKE3 | its length | magic |
//!
//! records = each: payload length u32 | length u16 of each key part | the parts | payload
//! index   = the perfect hash of the keys: see [`perfect_hash`](super::perfect_hash)
//! footer  = what the part is, number and lengths of records, and place, length and BLAKE3 of each section
//! ```
//!
//! Numbers are little-endian. The file is [written](super::writer) in one pass while records stream in; only some
//! 30 bytes a record are kept in memory for the index. It is read once, its records last, and each of them is put where its
//! key's hash leads ([`records`](super::records)). Every byte is covered by a checksum or compared, so damage is an error at
//! open and never a wrong answer later. (It is not mapped: whoever changes the file would change what was checked.) A look-up
//! then costs one record, and allocates nothing.

use std::{ops::Range, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    StoreError,
    disk::Source,
    key::FirstPart,
    perfect_hash::PerfectHash,
    records::{MOST_PARTS, Placing, Records, Size},
};
use crate::row::Dictionary;

pub(super) const MAGIC: &[u8; 8] = b"TARIM-5\n";
/// How files of every version begin.
const FAMILY: &[u8] = b"TARIM-";
/// Bytes behind the footer: its BLAKE3, its length, the magic.
const TAIL: u64 = 32 + 4 + 8;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Section {
    pub at: u64,
    pub len: u64,
    pub blake3: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Footer<About> {
    pub about: About,
    pub size: Size,
    /// Parts of a key.
    pub key_parts: usize,
    /// Strings of the dictionary.
    pub strings: u64,
    /// Records, index, dictionary.
    pub sections: [Section; 3],
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

/// A file that was written by [`FileWriter`](super::FileWriter), checked and in memory.
pub struct KeyedFile<About> {
    records: Records,
    key_parts: usize,
    dictionary: Dictionary,
    about: About,
}

impl<About: DeserializeOwned> KeyedFile<About> {
    /// Reads and checks a file. `expected` is what the manifest says of it.
    pub fn open(path: &Path, expected: &Written) -> Result<Self, StoreError> {
        let mut source = Source::open(path)?;
        let (footer, end) = read_footer::<About>(&mut source, expected)?;
        let Footer { about, size, key_parts, strings, sections } = footer;
        if !(1..=MOST_PARTS).contains(&key_parts) {
            return Err(source.damaged(format!("its keys have {key_parts} parts")));
        }
        let [records, index, dictionary] = ranges(&sections, end).map_err(|what| source.damaged(what))?;
        let unfit = format!("its index has {} bytes for {} records", index.end - index.start, size.records);
        let index = read_section(&mut source, index, &sections[1], "index")?;
        let dictionary = read_section(&mut source, dictionary, &sections[2], "dictionary")?;
        let dictionary = read_dictionary(&dictionary, strings).map_err(|what| source.damaged(what))?;

        let memory = |e| StoreError::io("find memory for", path, e);
        let hash = PerfectHash::of(size.records, &index).ok_or_else(|| source.damaged(unfit))?;
        let placing = Placing::new(hash.map_err(memory)?, size, key_parts);
        let mut placing =
            placing.ok_or_else(|| source.damaged("its footer speaks of too much"))?.map_err(memory)?;
        let found = source.pieces(records, |bytes| placing.place_all(bytes))?;
        check(&source, found, &sections[0], "records")?;
        let records = placing.finish().map_err(|what| source.damaged(what))?;
        tracing::debug!(path = %path.display(), records = size.records, in_slots = records.are_in_slots(), "read");
        Ok(Self { records, key_parts, dictionary, about })
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
    ///
    /// In the place of its call: many look-ups in a row are waited for together, the more the fewer instructions there
    /// are to each.
    #[inline(always)]
    pub fn get<const N: usize>(&self, first: &FirstPart<'_>, rest: [&str; N]) -> Option<&[u8]> {
        self.find(first.hash(&rest), first, rest)
    }

    /// Where the record of a hash is expected: see [`Records::expect`].
    #[inline]
    pub(super) fn expect(&self, hash: u64) -> usize {
        self.records.expect(hash)
    }

    /// A byte of each line that is looked at there: see [`Records::ends`].
    #[inline]
    pub(super) fn ends(&self, at: usize) -> u8 {
        self.records.ends(at)
    }

    /// The payload of a key, by its hash.
    #[inline(always)]
    pub(super) fn find<const N: usize>(
        &self,
        hash: u64,
        first: &FirstPart<'_>,
        rest: [&str; N],
    ) -> Option<&[u8]> {
        debug_assert_eq!(N + 1, self.key_parts);
        self.records.find(hash, first, rest)
    }
}

/// The footer, and where it begins.
fn read_footer<About: DeserializeOwned>(
    source: &mut Source<'_>,
    expected: &Written,
) -> Result<(Footer<About>, u64), StoreError> {
    let len = source.len();
    if len != expected.bytes {
        return Err(source.damaged(format!("it has {len} bytes; {} were written", expected.bytes)));
    }
    let body = len.checked_sub(TAIL).filter(|body| *body >= MAGIC.len() as u64);
    let body = body.ok_or_else(|| source.damaged("it is cut short"))?;
    let (begin, _) = source.bytes(0..MAGIC.len() as u64)?;
    if begin.starts_with(FAMILY) && begin != MAGIC {
        return Err(source.damaged("another version of Tarim wrote it; run `tarim materialize`"));
    }
    if begin != MAGIC {
        return Err(source.damaged("it does not begin as a store file"));
    }
    let (tail, _) = source.bytes(body..len)?;
    let rest = tail.strip_suffix(MAGIC).ok_or_else(|| source.damaged("it does not end as a store file"))?;
    let (hash, len) = rest.split_first_chunk::<32>().expect("the tail is as long as that");
    let len = u32::from_le_bytes(len.try_into().expect("the tail is as long as that"));
    let start = body.checked_sub(len.into()).filter(|start| *start >= MAGIC.len() as u64);
    let start = start.ok_or_else(|| source.damaged("its footer is longer than the file"))?;
    let (footer, found) = source.bytes(start..body)?;
    if found != blake3::Hash::from_bytes(*hash) {
        return Err(source.damaged("its footer does not match its checksum"));
    }
    if expected.blake3 != found.to_hex().as_str() {
        return Err(source.damaged("it is not the file that the manifest names"));
    }
    let footer = serde_json::from_slice(&footer);
    let footer = footer.map_err(|e| source.damaged(format!("its footer cannot be read: {e}")))?;
    Ok((footer, start))
}

/// The ranges of the sections, which follow one another from the magic to `end`.
fn ranges(sections: &[Section; 3], end: u64) -> Result<[Range<u64>; 3], String> {
    let mut next = MAGIC.len() as u64;
    let mut ranges = [0..0, 0..0, 0..0];
    for ((section, range), name) in sections.iter().zip(&mut ranges).zip(["records", "index", "dictionary"]) {
        let stop = next.checked_add(section.len).filter(|stop| section.at == next && *stop <= end);
        *range = next..stop.ok_or_else(|| format!("its {name} lie outside the file"))?;
        next = range.end;
    }
    if next != end {
        return Err(format!("{} bytes stand between its sections and its footer", end - next));
    }
    Ok(ranges)
}

fn read_section(
    source: &mut Source<'_>,
    range: Range<u64>,
    section: &Section,
    name: &str,
) -> Result<Vec<u8>, StoreError> {
    let (bytes, found) = source.bytes(range)?;
    check(source, found, section, name)?;
    Ok(bytes)
}

fn check(source: &Source<'_>, found: blake3::Hash, section: &Section, name: &str) -> Result<(), StoreError> {
    if found.to_hex().as_str() == section.blake3 {
        return Ok(());
    }
    Err(source.damaged(format!("its {name} do not match their checksum")))
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
