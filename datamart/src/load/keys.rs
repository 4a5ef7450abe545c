//! Keys that are taken: each once within a file, and not already in the table.
//!
//! A key is kept as a hash of 128 bits under random secrets, 16 bytes whatever its length; two keys of a
//! billion have the same with a chance below 10⁻²⁰. So a file of a million rows needs some 40 MB for its keys,
//! the only memory of a load that grows with the file.

use std::{
    collections::HashSet,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::common::{DataFusionError, exec_datafusion_err};

type Keys = HashSet<u128, BuildHasherDefault<AlreadyHashed>>;

/// The keys of a file, and those of its table that it repeats.
pub(crate) struct KeySet {
    secrets: [RandomState; 2],
    buffer: Vec<u8>,
    /// Of rows that were let in.
    admitted: Keys,
    /// Of rows that were not, for another reason: such a key is still free.
    refused: Keys,
    /// In the table before the load.
    taken: Keys,
}

impl KeySet {
    pub fn new() -> Self {
        Self {
            secrets: [RandomState::new(), RandomState::new()],
            buffer: Vec::new(),
            admitted: Keys::default(),
            refused: Keys::default(),
            taken: Keys::default(),
        }
    }

    /// Hash of the key that `write` appends; None if it says that a part is missing.
    pub fn hash(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<u128> {
        self.buffer.clear();
        if !write(&mut self.buffer) {
            return None;
        }
        let half = |secret: &RandomState| {
            let mut hasher = secret.build_hasher();
            hasher.write(&self.buffer);
            u128::from(hasher.finish())
        };
        Some(half(&self.secrets[0]) << 64 | half(&self.secrets[1]))
    }

    /// Whether the key of a row is taken; if not, it is from now on, provided that the row is good.
    pub fn meet(&mut self, key: u128, good: bool) -> bool {
        if self.taken.contains(&key) || self.admitted.contains(&key) {
            return true;
        }
        if good {
            self.admitted.insert(key);
        } else {
            self.refused.insert(key);
        }
        false
    }

    /// Notes a key of the table, if the file has it too.
    pub fn meet_in_table(&mut self, key: u128) {
        if self.admitted.contains(&key) || self.refused.contains(&key) {
            self.taken.insert(key);
        }
    }

    /// Whether the file repeats a key of the table.
    pub fn repeats_table(&self) -> bool {
        !self.taken.is_empty()
    }

    /// Forgets the file's keys, so that it can be read again knowing those of the table.
    pub fn restart(&mut self) {
        self.admitted.clear();
        self.refused.clear();
    }
}

/// The key columns of a batch.
pub(crate) struct KeyReader<'a> {
    columns: Vec<KeyColumn<'a>>,
}

enum KeyColumn<'a> {
    Boolean(&'a BooleanArray),
    Int64(&'a Int64Array),
    Float64(&'a Float64Array),
    Utf8(&'a StringArray),
    Date32(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
}

impl<'a> KeyReader<'a> {
    pub fn new(columns: impl IntoIterator<Item = &'a ArrayRef>) -> Result<Self, DataFusionError> {
        let column = |array: &'a ArrayRef| {
            let any = array.as_any();
            None.or_else(|| any.downcast_ref().map(KeyColumn::Utf8))
                .or_else(|| any.downcast_ref().map(KeyColumn::Int64))
                .or_else(|| any.downcast_ref().map(KeyColumn::Date32))
                .or_else(|| any.downcast_ref().map(KeyColumn::Timestamp))
                .or_else(|| any.downcast_ref().map(KeyColumn::Float64))
                .or_else(|| any.downcast_ref().map(KeyColumn::Boolean))
                .ok_or_else(|| exec_datafusion_err!("{} cannot be part of a key", array.data_type()))
        };
        Ok(Self { columns: columns.into_iter().map(column).collect::<Result<_, _>>()? })
    }

    /// Appends the key of a row so that no two keys give the same bytes; false if a part is NULL.
    pub fn write(&self, row: usize, bytes: &mut Vec<u8>) -> bool {
        self.columns.iter().all(|column| column.write(row, bytes))
    }
}

impl KeyColumn<'_> {
    fn write(&self, row: usize, bytes: &mut Vec<u8>) -> bool {
        match self {
            Self::Utf8(a) if a.is_valid(row) => {
                let text = a.value(row);
                bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
            Self::Boolean(a) if a.is_valid(row) => bytes.push(u8::from(a.value(row))),
            Self::Int64(a) if a.is_valid(row) => bytes.extend_from_slice(&a.value(row).to_le_bytes()),
            Self::Float64(a) if a.is_valid(row) => bytes.extend_from_slice(&a.value(row).to_le_bytes()),
            Self::Date32(a) if a.is_valid(row) => bytes.extend_from_slice(&a.value(row).to_le_bytes()),
            Self::Timestamp(a) if a.is_valid(row) => bytes.extend_from_slice(&a.value(row).to_le_bytes()),
            _ => return false,
        }
        true
    }
}

/// A key is a hash already: its lower half serves the set.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.0 = self.0.rotate_left(8) ^ u64::from(*b));
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
