//! List entries in the store.
//!
//! All lists are one part, keyed by (list, member, value that is looked up). A payload is every entry of
//! that key, whatever its validity: what is live is decided at the time of the decision.

use serde::{Deserialize, Serialize};

use super::{FileWriter, StoreError, Written, file::KeyedFile, key::FirstPart};
use crate::row::Dictionary;

/// Stands for the length of a text that is NULL.
const NULL: u32 = u32::MAX;

/// One entry of a list, as it stands in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub entry_id: &'a str,
    pub reason: Option<&'a str>,
    /// Who put it there.
    pub source: Option<&'a str>,
    /// Microseconds since 1970-01-01T00:00:00Z, included; `i64::MIN`: since ever.
    pub valid_from_us: i64,
    /// Microseconds since 1970-01-01T00:00:00Z, not included; `i64::MAX`: for ever.
    pub expires_at_us: i64,
}

impl Entry<'_> {
    /// Whether it counts at a time.
    pub fn is_live(&self, at_us: i64) -> bool {
        self.valid_from_us <= at_us && at_us < self.expires_at_us
    }
}

/// Answer of a list to "is this value on you now?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListAnswer<'a> {
    /// The live entry; of several, the one that began first, then that of the least id.
    Hit(Entry<'a>),
    Miss,
    /// The list has no entries at all: it was never loaded, so nothing follows from not being on it.
    NotLoaded,
}

impl ListAnswer<'_> {
    /// What expressions see: TRUE, FALSE or unknown.
    pub fn truth(&self) -> Option<bool> {
        match self {
            ListAnswer::Hit(_) => Some(true),
            ListAnswer::Miss => Some(false),
            ListAnswer::NotLoaded => None,
        }
    }
}

/// What the part of the lists says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListsAbout {
    pub lists: Vec<ListAbout>,
}

/// One list of the part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListAbout {
    pub name: String,
    pub loaded: bool,
    pub entries: u64,
}

/// Appends the entries of one key, which are put in the order in which they are asked.
pub(crate) fn encode_entries(entries: &mut [Entry<'_>], out: &mut Vec<u8>) {
    entries.sort_by_key(|e| (e.valid_from_us, e.entry_id));
    for e in entries {
        out.extend_from_slice(&e.valid_from_us.to_le_bytes());
        out.extend_from_slice(&e.expires_at_us.to_le_bytes());
        for text in [Some(e.entry_id), e.reason, e.source] {
            out.extend_from_slice(&text.map_or(NULL, |t| t.len() as u32).to_le_bytes());
            out.extend_from_slice(text.unwrap_or_default().as_bytes());
        }
    }
}

/// Ends the part of the lists.
pub(crate) fn write_lists(file: FileWriter, about: &ListsAbout) -> Result<Written, StoreError> {
    file.finish(&Dictionary::new(), about)
}

/// The first live entry of a payload. None also where the payload ends in the middle of an entry, which a
/// file that matches its checksum does not.
fn first_live(mut payload: &[u8], at_us: i64) -> Option<Entry<'_>> {
    while !payload.is_empty() {
        let (from, rest) = payload.split_first_chunk::<8>()?;
        let (until, mut rest) = rest.split_first_chunk::<8>()?;
        let mut texts = [None; 3];
        for text in &mut texts {
            let (len, tail) = rest.split_first_chunk::<4>()?;
            rest = tail;
            let len = u32::from_le_bytes(*len);
            if len != NULL {
                let (bytes, tail) = rest.split_at_checked(len as usize)?;
                *text = Some(std::str::from_utf8(bytes).ok()?);
                rest = tail;
            }
        }
        let entry = Entry {
            entry_id: texts[0]?,
            reason: texts[1],
            source: texts[2],
            valid_from_us: i64::from_le_bytes(*from),
            expires_at_us: i64::from_le_bytes(*until),
        };
        if entry.is_live(at_us) {
            return Some(entry);
        }
        payload = rest;
    }
    None
}

impl KeyedFile<ListsAbout> {
    /// Asks one list.
    pub(super) fn ask(
        &self,
        list: &str,
        loaded: bool,
        member: &str,
        value: &str,
        at_us: i64,
    ) -> ListAnswer<'_> {
        if !loaded {
            return ListAnswer::NotLoaded;
        }
        let payload = self.get(&FirstPart::new(list), [member, value]);
        payload.and_then(|p| first_live(p, at_us)).map_or(ListAnswer::Miss, ListAnswer::Hit)
    }
}
