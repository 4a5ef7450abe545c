//! A ledger as bytes, in two halves, and back: each column in large pieces, each table of an index as it lies. Nothing is hashed, parsed or
//! allocated row by row, but for words, profiles and schemes, of which there are few.

use std::{collections::BTreeMap, sync::Arc};

use prost::Message;

use super::{
    Core, Counting, Exposure, Profile,
    column::{Column, Fixed},
    index::Index,
    keys::Keys,
    text::{Texts, Words},
};
use crate::exposure::{operation::Attribute, scheme::SchemeSet};

/// Takes bytes, which stay together.
pub trait Put {
    type Error;
    fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// Gives back what was put, in the same order.
pub trait Take {
    type Error: From<Wrong>;
    fn take(&mut self, bytes: usize) -> Result<&[u8], Self::Error>;
}

/// The bytes are of no ledger.
#[derive(Debug)]
pub struct Wrong(pub &'static str);

/// Most that is put at once.
pub const PUT_MAX: usize = 1 << 20;

#[derive(Clone, PartialEq, prost::Message)]
struct ProfileText {
    #[prost(bytes = "vec", tag = "1")]
    hash: Vec<u8>,
    #[prost(uint32, tag = "2")]
    member: u32,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<Attribute>,
}

impl Core {
    /// Writes the first half of it, but for counters that are being built: what exposures are of, and are counted by.
    pub fn write_first<P: Put>(&self, to: &mut P) -> Result<(), P::Error> {
        number(to, self.sequence)?;
        number(to, self.now_us as u64)?;
        number(to, self.total_fen as u64)?;
        bytes(to, &self.schemes().encode_to_vec())?;
        put_texts(to, &self.texts)?;
        number(to, self.words.iter().count() as u64)?;
        for word in self.words.iter() {
            bytes(to, word.as_bytes())?;
        }
        number(to, self.profiles.len().into())?;
        for Profile { hash, member, attributes } in self.profiles.iter().map(|profile| &**profile) {
            let attributes = attributes.clone();
            let text = ProfileText { hash: hash.to_le_bytes().to_vec(), member: *member, attributes };
            bytes(to, &text.encode_to_vec())?;
        }
        column(to, &self.customers)?;
        column(to, &self.groups)?;
        column(to, &self.larges)?;
        column(to, &self.notices)?;
        column(to, &self.counting.counters)?;
        column(to, &self.counting.parts)?;
        let counting = &self.counting.index;
        [&self.customer_index, &self.group_index, &self.profile_index, counting]
            .into_iter()
            .try_for_each(|index| put_index(to, index))
    }

    /// Writes the other half: exposures, and keys of what was done to them.
    pub fn write_second<P: Put>(&self, to: &mut P) -> Result<(), P::Error> {
        column(to, &self.exposures)?;
        column(to, &self.keys.rows)?;
        put_index(to, &self.keys.index)?;
        column(to, &self.keys.answers)?;
        put_texts(to, &self.keys.texts)?;
        number(to, self.closings.len() as u64)?;
        for (day, count) in self.closings.iter() {
            number(to, (*day).into())?;
            number(to, (*count).into())?;
        }
        number(to, self.expiries.len() as u64)?;
        for (minute, all) in self.expiries.iter() {
            number(to, (*minute).into())?;
            let mut rows = Column::default();
            all.iter().for_each(|row| _ = rows.push(*row));
            column(to, &rows)?;
        }
        Ok(())
    }

    /// Reads what was written first, without exposures.
    pub fn read_first<T: Take>(from: &mut T) -> Result<Self, T::Error> {
        let mut core = Self::new();
        (core.sequence, core.now_us) = take_time(from)?;
        core.total_fen = take_number(from)? as i64;
        let schemes = SchemeSet::decode(&take_bytes(from)?[..]).map_err(|_| Wrong("these are no schemes"))?;
        core.counting = Counting::new(Arc::new(schemes));
        core.texts = take_texts(from)?;
        let mut words = Words::default();
        for _ in 0..take_number(from)? {
            let word = take_bytes(from)?;
            words.intern(std::str::from_utf8(&word).map_err(|_| Wrong("a word is no text"))?);
        }
        core.words = words;
        for _ in 0..take_number(from)? {
            let ProfileText { hash, member, attributes } =
                ProfileText::decode(&take_bytes(from)?[..]).map_err(|_| Wrong("a profile is none"))?;
            let hash = u128::from_le_bytes(hash.try_into().map_err(|_| Wrong("a profile has no hash"))?);
            core.profiles.push(Arc::new(Profile { hash, member, attributes }));
        }
        core.customers = take_column(from)?;
        core.groups = take_column(from)?;
        core.larges = take_column(from)?;
        core.notices = take_column(from)?;
        core.counting.counters = take_column(from)?;
        core.counting.parts = take_column(from)?;
        core.customer_index = take_index(from)?;
        core.group_index = take_index(from)?;
        core.profile_index = take_index(from)?;
        core.counting.index = take_index(from)?;
        // Plans are made from profiles, of which there are few.
        for profile in 0..core.profiles.len() {
            core.plan_of(profile);
        }
        Ok(core)
    }

    /// Takes the other half.
    pub fn join(&mut self, Second { exposures, keys, closings, expiries }: Second) {
        (self.exposures, self.keys) = (exposures, keys);
        (self.closings, self.expiries) = (Arc::new(closings), Arc::new(expiries));
    }
}

/// What is written second.
pub struct Second {
    exposures: Column<Exposure>,
    keys: Keys,
    closings: BTreeMap<u32, u32>,
    expiries: BTreeMap<u32, Arc<Vec<u32>>>,
}

impl Second {
    pub fn read<T: Take>(from: &mut T) -> Result<Self, T::Error> {
        let exposures = take_column(from)?;
        let (rows, index) = (take_column(from)?, take_index(from)?);
        let keys = Keys { rows, index, answers: take_column(from)?, texts: take_texts(from)? };
        let mut closings = BTreeMap::new();
        for _ in 0..take_number(from)? {
            closings.insert(take_number(from)? as u32, take_number(from)? as u32);
        }
        let mut expiries = BTreeMap::new();
        for _ in 0..take_number(from)? {
            let minute = take_number(from)? as u32;
            let rows: Column<u32> = take_column(from)?;
            expiries.insert(minute, Arc::new(rows.iter().copied().collect::<Vec<_>>()));
        }
        Ok(Self { exposures, keys, closings, expiries })
    }
}

/// Operations that a ledger has, and its time, of the beginning of what is written first.
pub fn take_time<T: Take>(from: &mut T) -> Result<(u64, i64), T::Error> {
    Ok((take_number(from)?, take_number(from)? as i64))
}

fn number<P: Put>(to: &mut P, number: u64) -> Result<(), P::Error> {
    to.put(&number.to_le_bytes())
}

fn take_number<T: Take>(from: &mut T) -> Result<u64, T::Error> {
    Ok(u64::from_le_bytes(from.take(8)?.try_into().expect("eight bytes")))
}

fn bytes<P: Put>(to: &mut P, bytes: &[u8]) -> Result<(), P::Error> {
    number(to, bytes.len() as u64)?;
    bytes.chunks(PUT_MAX).try_for_each(|part| to.put(part))
}

fn take_bytes<T: Take>(from: &mut T) -> Result<Vec<u8>, T::Error> {
    let len = take_number(from)? as usize;
    let mut bytes = Vec::with_capacity(len.min(PUT_MAX));
    while bytes.len() < len {
        bytes.extend_from_slice(from.take(PUT_MAX.min(len - bytes.len()))?);
    }
    Ok(bytes)
}

fn column<P: Put, T: Fixed>(to: &mut P, column: &Column<T>) -> Result<(), P::Error> {
    number(to, column.len().into())?;
    let mut bytes = Vec::new();
    for piece in column.pieces() {
        bytes.clear();
        piece.iter().for_each(|row| row.write(&mut bytes));
        to.put(&bytes)?;
    }
    Ok(())
}

fn take_column<S: Take, T: Fixed>(from: &mut S) -> Result<Column<T>, S::Error> {
    let mut left = take_number(from)? as usize;
    let mut column = Column::default();
    while left > 0 {
        let rows = left.min(super::column::PIECE);
        column.extend(from.take(rows * T::BYTES)?);
        left -= rows;
    }
    Ok(column)
}

fn put_texts<P: Put>(to: &mut P, texts: &Texts) -> Result<(), P::Error> {
    number(to, texts.blocks().count() as u64)?;
    texts.blocks().try_for_each(|block| bytes(to, block))
}

fn take_texts<T: Take>(from: &mut T) -> Result<Texts, T::Error> {
    let mut texts = Texts::default();
    for _ in 0..take_number(from)? {
        texts.push_block(take_bytes(from)?);
    }
    Ok(texts)
}

fn put_index<P: Put>(to: &mut P, index: &Index) -> Result<(), P::Error> {
    index.tables().try_for_each(|table| cells(to, table))
}

fn cells<P: Put>(to: &mut P, cells: &[u64]) -> Result<(), P::Error> {
    number(to, cells.len() as u64)?;
    let mut bytes = Vec::new();
    for part in cells.chunks(PUT_MAX / 8) {
        bytes.clear();
        part.iter().for_each(|cell| bytes.extend_from_slice(&cell.to_le_bytes()));
        to.put(&bytes)?;
    }
    Ok(())
}

fn take_index<T: Take>(from: &mut T) -> Result<Index, T::Error> {
    let mut tables = Vec::with_capacity(super::index::TABLES);
    for _ in 0..super::index::TABLES {
        let mut left = take_number(from)? as usize;
        // What is grown into is touched twice.
        let mut cells = Vec::with_capacity(left.min(PUT_MAX));
        while left > 0 {
            let some = left.min(PUT_MAX / 8);
            let bytes = from.take(8 * some)?.as_chunks::<8>().0;
            cells.extend(bytes.iter().map(|cell| u64::from_le_bytes(*cell)));
            left -= some;
        }
        tables.push(cells);
    }
    Index::from_tables(tables).ok_or_else(|| Wrong("an index is none").into())
}
