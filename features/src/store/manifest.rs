//! The manifest of a generation, and the pointer to the current one.
//!
//! `CURRENT` holds one line: the name of a manifest and its BLAKE3. A manifest names the parts of its
//! generation with theirs. So whoever trusts `CURRENT` can trust every byte behind it. And a manifest ends with the checksum of
//! itself, for those who ask for a generation that is not current: whoever rolls back, or reads what a log names.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{StoreError, file::Written};

/// Name of the pointer to the current generation.
const CURRENT: &str = "CURRENT";

/// A version of everything online: which files it is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counted from 1; never used twice.
    pub number: u64,
    /// Rows of each entity, by its name.
    pub entities: BTreeMap<String, Part>,
    /// Entries of all lists.
    pub lists: Part,
}

/// One file of a generation; later generations go on using it until it is materialised again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// File name in the store's folder.
    pub file: String,
    /// Microseconds since 1970-01-01T00:00:00Z: what was known at this time.
    pub as_of_us: i64,
    /// BLAKE3 of the definitions that it was computed by.
    pub definition: String,
    /// Its size, and the checksum that names its contents.
    pub written: Written,
}

impl Generation {
    /// Every part.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.entities.values().chain([&self.lists])
    }

    fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_string_pretty(self).expect("a manifest is plain data");
        text.truncate(text.strip_suffix(END).expect("it is an object of several lines").len());
        text += CHECKSUM;
        let checksum = blake3::hash(text.as_bytes()).to_hex();
        format!("{text}{checksum}\"{END}\n").into_bytes()
    }

    /// What was encoded. A manifest of a release that wrote no checksum is as good as its JSON.
    fn decode(text: &[u8]) -> Result<Self, String> {
        let json = |e: serde_json::Error| e.to_string();
        let Some((body, checksum)) = with_checksum(text) else {
            return serde_json::from_slice(text)
                .map(|Unchecked { number, entities, lists }| Self { number, entities, lists })
                .map_err(json);
        };
        if blake3::hash(body).to_hex().as_bytes() != checksum {
            return Err("it does not match its checksum".into());
        }
        serde_json::from_slice(text).map_err(json)
    }
}

/// How a manifest in JSON ends, and what stands before the checksum, which is of all before it.
const END: &str = "\n}";
const CHECKSUM: &str = ",\n  \"checksum\": \"";

/// What a checksum is of, and the checksum; None: it has none where it belongs.
fn with_checksum(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = text.strip_suffix(b"\n")?.strip_suffix(END.as_bytes())?.strip_suffix(b"\"")?;
    let (body, checksum) = rest.split_at_checked(rest.len().checked_sub(blake3::OUT_LEN * 2)?)?;
    body.ends_with(CHECKSUM.as_bytes()).then_some((body, checksum))
}

/// A manifest as it was written before there were checksums. There was nothing else in it: what has more has lost its checksum.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    number: u64,
    entities: BTreeMap<String, Part>,
    lists: Part,
}

/// Which manifest is current: its name and checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    pub number: u64,
    pub blake3: String,
}

impl Pointer {
    /// Reads `CURRENT`; None if nothing was ever published.
    pub fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(CURRENT);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("read", &path, e)),
        };
        let pointer = std::str::from_utf8(&text).ok().and_then(Self::parse);
        pointer.map(Some).ok_or_else(|| StoreError::damaged(&path, "it does not name a generation"))
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, hash) = text.strip_suffix('\n')?.split_once(' ')?;
        let pointer = Self { number: number_of(name)?, blake3: hash.to_owned() };
        // Whatever reads back as something else was not written by us.
        (pointer.to_string() == text).then_some(pointer)
    }

    /// Reads the manifest that it points to.
    pub fn generation(&self, folder: &Path) -> Result<Generation, StoreError> {
        let (generation, found) = match read_manifest(folder, self.number) {
            Err(StoreError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
                let what = format!("it names {}, which is not there", manifest_name(self.number));
                return Err(StoreError::damaged(&folder.join(CURRENT), what));
            }
            read => read?,
        };
        if found != *self {
            let path = folder.join(manifest_name(self.number));
            return Err(StoreError::damaged(&path, "it is not the manifest that CURRENT names"));
        }
        Ok(generation)
    }

    /// Version of the snapshot: the generation's number and the beginning of its checksum.
    pub fn version(&self) -> String {
        format!("{}-{}", self.number, &self.blake3[..8.min(self.blake3.len())])
    }
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} {}", manifest_name(self.number), self.blake3)
    }
}

/// File name of a generation's manifest.
pub(super) fn manifest_name(number: u64) -> String {
    format!("generation-{number:08}.json")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("generation-")?.strip_suffix(".json")?.parse().ok()
}

/// Reads a manifest with the pointer to it.
pub(super) fn read_manifest(folder: &Path, number: u64) -> Result<(Generation, Pointer), StoreError> {
    let path = folder.join(manifest_name(number));
    let text = std::fs::read(&path).map_err(|e| StoreError::io("read", &path, e))?;
    let generation = Generation::decode(&text).map_err(|what| StoreError::damaged(&path, what))?;
    if generation.number != number {
        return Err(StoreError::damaged(&path, format!("it is of generation {}", generation.number)));
    }
    Ok((generation, Pointer { number, blake3: blake3::hash(&text).to_hex().to_string() }))
}

/// The generation of a version (see [`Pointer::version`]), be it current or not.
pub(super) fn of_version(folder: &Path, version: &str) -> Result<(Generation, Pointer), StoreError> {
    let number = version.split_once('-').and_then(|(number, _)| number.parse().ok());
    let number = number.ok_or_else(|| StoreError::NoVersion(version.to_owned()))?;
    if folder.join(manifest_name(number)).exists() {
        let (generation, pointer) = read_manifest(folder, number)?;
        if pointer.version() == version {
            return Ok((generation, pointer));
        }
    }
    Err(gone(folder, version))
}

/// The version of the generation of a number, be it current or not.
pub(super) fn of_number(folder: &Path, number: u64) -> Result<String, StoreError> {
    match folder.join(manifest_name(number)).exists() {
        true => Ok(read_manifest(folder, number)?.1.version()),
        false => Err(gone(folder, &number.to_string())),
    }
}

/// That a generation is not there, and which are.
fn gone(folder: &Path, version: &str) -> StoreError {
    if !folder.exists() {
        return StoreError::Empty { path: folder.into() };
    }
    let numbers = match numbers(folder) {
        Ok(numbers) => numbers,
        Err(e) => return e,
    };
    let kept = numbers.into_iter().filter_map(|n| Some(read_manifest(folder, n).ok()?.1.version()));
    let kept: Vec<String> = kept.collect();
    let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
    StoreError::Gone { path: folder.into(), version: version.to_owned(), kept }
}

/// Writes a manifest under its name; nothing points to it yet.
pub(super) fn write_manifest(folder: &Path, generation: &Generation) -> Result<Pointer, StoreError> {
    let text = generation.encode();
    replace(&folder.join(manifest_name(generation.number)), &text)?;
    Ok(Pointer { number: generation.number, blake3: blake3::hash(&text).to_hex().to_string() })
}

/// Makes a generation the current one: the moment at which it becomes visible.
pub(super) fn point(folder: &Path, to: &Pointer) -> Result<(), StoreError> {
    replace(&folder.join(CURRENT), to.to_string().as_bytes())
}

/// Numbers of all manifests in the folder, in order, current or not.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u64>, StoreError> {
    let mut numbers: Vec<u64> = names(folder)?.iter().filter_map(|n| number_of(n)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Names of all files in the folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let io = |e| StoreError::io("list", folder, e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        names.extend(entry.map_err(io)?.file_name().into_string());
    }
    Ok(names)
}

/// Where a file is written before it takes its place.
pub(super) fn temporary(path: &Path) -> PathBuf {
    path.with_added_extension("tmp")
}

/// Puts `bytes` at `path`: afterwards, and after any crash, all of them are there or what was before.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let draft = temporary(path);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| StoreError::io("write", &draft, e))?;
    settle(&draft, path)
}

/// Renames a file whose contents are on disk, and forces the folder to disk.
pub(super) fn settle(draft: &Path, path: &Path) -> Result<(), StoreError> {
    std::fs::rename(draft, path).map_err(|e| StoreError::io("rename", draft, e))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| StoreError::io("sync", folder, e))
}
