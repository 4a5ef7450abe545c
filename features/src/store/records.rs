//! Records in memory, each where its key's hash leads.
//!
//! ```text
//!   hash ──► slot ──┬─ records of about one length: each in its slot                      (rows of an entity)
//!                   └─ others: one behind the other, and of each slot where its record is (lists)
//! ```
//!
//! Nearly all of the time that a look-up takes is waiting for memory. Of a row it waits once: for the line that begins with
//! the head of its record and the key, together with that in which the record ends.

use std::{hint::black_box, io, ops::Range};

use serde::{Deserialize, Serialize};

use super::{
    key::{FirstPart, hash_of, strip},
    perfect_hash::PerfectHash,
};
use crate::pages::Pages;

/// A key has no more parts.
pub(super) const MOST_PARTS: usize = 3;
/// Bytes that can be read from the beginning of any record: its lengths, and more, so that a short first part needs no further
/// look at where they end.
const HEAD: usize = 32;
/// Bytes of a line of the cache.
const LINE: usize = 64;
/// What stands in slots without a record: no byte of a text.
const NOTHING: u8 = 0xff;
/// Slots may take this share more than the records in them: to know where a record is without asking is worth it.
const MOST_WASTE: usize = 4;
/// Nobody minds so many bytes.
const SMALL: usize = 1 << 16;

/// Bytes that a record begins with: the lengths of its payload and of the parts of its key.
pub(super) const fn head_len(parts: usize) -> usize {
    4 + 2 * parts
}

/// The parts of the key of a record, and where the record ends, both from the beginning of `bytes`; None: they end before.
fn parse(bytes: &[u8], parts: usize) -> Option<([Range<usize>; MOST_PARTS], usize)> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let lens = rest.get(..2 * parts)?.as_chunks().0;
    let (mut key, mut at) = ([0..0, 0..0, 0..0], head_len(parts));
    for (part, len) in key.iter_mut().zip(lens) {
        *part = at..at + usize::from(u16::from_le_bytes(*len));
        at = part.end;
    }
    let end = at + u32::from_le_bytes(*len) as usize;
    (end <= bytes.len()).then_some((key, end))
}

/// How many records a file has, and how long they are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Size {
    pub records: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes of the longest record, and most bytes of one before its payload.
    pub record_max: u64,
    pub begin_max: u64,
    /// Records whose keys have no slot of their own.
    pub unplaced: u64,
}

/// Where the record of a slot is.
enum Places {
    /// In the slot: so many bytes from the beginning of one slot to that of the next.
    InSlots(usize),
    /// Where this says: a u64 of each slot.
    At(Pages),
}

/// Records in memory.
pub(super) struct Records {
    bytes: Pages,
    hash: PerfectHash,
    places: Places,
    /// From the beginning of a record to its last byte, on average: where to expect its end.
    last: usize,
    /// Hash of each key that has no slot of its own, in order, and where its record begins.
    unplaced: Vec<(u64, usize)>,
}

impl Records {
    /// Where the record of a hash begins, if there is one: to know it, hardly anything has to come from memory.
    #[inline]
    pub fn expect(&self, hash: u64) -> usize {
        let slot = self.hash.slot(hash) as usize;
        match &self.places {
            Places::InSlots(stride) => slot * stride,
            Places::At(offsets) => {
                offsets.as_chunks().0.get(slot).map_or(usize::MAX, |at| u64::from_le_bytes(*at) as usize)
            }
        }
    }

    /// How many records have no slot of their own.
    #[cfg(test)]
    pub fn unplaced(&self) -> usize {
        self.unplaced.len()
    }

    /// Whether each record is in its slot.
    pub fn are_in_slots(&self) -> bool {
        matches!(self.places, Places::InSlots(_))
    }

    /// A byte of each line that the beginning and the end of the record there are expected in: reading them fetches them
    /// from memory, at one time.
    #[inline]
    pub fn ends(&self, at: usize) -> u8 {
        self.byte(at) ^ self.end(at)
    }

    #[inline]
    fn end(&self, at: usize) -> u8 {
        self.byte(at.wrapping_add(self.last))
    }

    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The payload of a key, by its hash.
    #[inline(always)]
    pub fn find<const N: usize>(&self, hash: u64, first: &FirstPart<'_>, rest: [&str; N]) -> Option<&[u8]> {
        let at = self.expect(hash);
        black_box(self.end(at));
        match self.record(at, first, rest) {
            None if !self.unplaced.is_empty() => self.find_unplaced(hash, first, rest),
            found => found,
        }
    }

    /// The same, of a key that may have no slot of its own.
    #[cold]
    #[inline(never)]
    fn find_unplaced<const N: usize>(
        &self,
        hash: u64,
        first: &FirstPart<'_>,
        rest: [&str; N],
    ) -> Option<&[u8]> {
        let from = self.unplaced.partition_point(|(other, _)| *other < hash);
        let mut alike = self.unplaced[from..].iter().take_while(|(other, _)| *other == hash);
        alike.find_map(|(_, at)| self.record(*at, first, rest))
    }

    /// The payload of the record that begins there, if its key is this one. (A call would cost as much again.)
    #[inline(always)]
    fn record<const N: usize>(&self, at: usize, first: &FirstPart<'_>, rest: [&str; N]) -> Option<&[u8]> {
        const { assert!(N < MOST_PARTS) };
        let record = self.bytes.get(at..)?;
        let head: &[u8; HEAD] = record.first_chunk()?;
        let len_at = |i: usize| usize::from(u16::from_le_bytes([head[4 + 2 * i], head[5 + 2 * i]]));
        if len_at(0) != first.len() || (0..N).any(|i| len_at(i + 1) != rest[i].len()) {
            return None;
        }
        let mut stored = first.strip(&record[head_len(N + 1)..])?;
        for part in rest {
            stored = strip(stored, part)?;
        }
        stored.get(..u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize)
    }
}

/// Records that are put in their places, one after the other.
pub(super) struct Placing {
    records: Records,
    size: Size,
    key_parts: usize,
    /// Which slots have a record: a bit of each.
    taken: Vec<u64>,
    placed: u64,
    /// Where the next record goes that does not go into a slot.
    next: usize,
}

impl Placing {
    /// Memory for so many records, whose keys have this hash. None: it would be more than there can be.
    pub fn new(hash: PerfectHash, size: Size, key_parts: usize) -> Option<io::Result<Self>> {
        let slots = usize::try_from(hash.slots()).ok()?;
        let bytes = usize::try_from(size.bytes).ok()?;
        // No record is shorter than its head.
        let record_max = usize::try_from(size.record_max).ok()?.max(head_len(key_parts));
        let stride = stride(record_max, usize::try_from(size.begin_max).ok()?);
        let in_slots = stride.checked_mul(slots.checked_add(usize::try_from(size.unplaced).ok()?)?);
        let in_slots = in_slots.filter(|len| *len <= bytes.saturating_add(bytes / MOST_WASTE).max(SMALL));
        let len = in_slots.unwrap_or(bytes).checked_add(HEAD)?;
        let last = (size.bytes / size.records.max(1)).saturating_sub(1) as usize;
        let memory = || {
            let (places, next) = match in_slots {
                Some(_) => (Places::InSlots(stride), stride * slots),
                None => (Places::At(Pages::new(slots * size_of::<u64>())?), 0),
            };
            let records = Records { bytes: Pages::new(len)?, hash, places, last, unplaced: Vec::new() };
            Ok(Self { records, size, key_parts, taken: vec![0; slots.div_ceil(64)], placed: 0, next })
        };
        Some(memory())
    }

    /// Places the whole records that `bytes` begin with; says how many bytes they are.
    pub fn place_all(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut rest = bytes;
        while let Some((key, end)) = parse(rest, self.key_parts) {
            let (record, more) = rest.split_at(end);
            self.place(record, hash_of(key.into_iter().take(self.key_parts).map(|part| &record[part])))?;
            rest = more;
        }
        let longer = rest.len() as u64 > self.size.record_max;
        if longer { Err(OTHERWISE.into()) } else { Ok(bytes.len() - rest.len()) }
    }

    /// Puts a record where its key's hash leads.
    fn place(&mut self, record: &[u8], key: u64) -> Result<(), String> {
        let Records { bytes, hash, places, unplaced, .. } = &mut self.records;
        let slot = hash.slot(key) as usize;
        let is_placed = hash.is_placed(key);
        // Where it is, and how much room there is.
        let (at, room) = match places {
            Places::InSlots(stride) if is_placed => (slot * *stride, *stride),
            Places::InSlots(stride) => (self.next, *stride),
            Places::At(_) => (self.next, record.len()),
        };
        // The last bytes are for looking at heads.
        let end = at.checked_add(record.len()).filter(|end| *end <= bytes.len() - HEAD);
        let end = end.filter(|_| record.len() <= room).ok_or(OTHERWISE)?;
        bytes[at..end].copy_from_slice(record);
        if at == self.next {
            self.next += room;
        }
        if is_placed {
            let (word, bit) = (&mut self.taken[slot / 64], 1 << (slot % 64));
            if *word & bit != 0 {
                return Err(OTHERWISE.into());
            }
            *word |= bit;
            if let Places::At(offsets) = places {
                offsets.as_chunks_mut().0[slot] = (at as u64).to_le_bytes();
            }
        } else {
            unplaced.push((key, at));
        }
        self.placed += 1;
        Ok(())
    }

    /// All of them are in their places.
    pub fn finish(mut self) -> Result<Records, String> {
        if self.placed != self.size.records {
            return Err(format!("it has {} records; {} were written", self.placed, self.size.records));
        }
        let Records { bytes, hash, places, unplaced, .. } = &mut self.records;
        for slot in (0..hash.slots() as usize).filter(|slot| self.taken[slot / 64] >> (slot % 64) & 1 == 0) {
            match places {
                Places::InSlots(stride) => bytes[slot * *stride..][..*stride].fill(NOTHING),
                Places::At(offsets) => offsets.as_chunks_mut().0[slot] = u64::MAX.to_le_bytes(),
            }
        }
        unplaced.sort_unstable();
        Ok(self.records)
    }
}

/// What is wrong with records that are damaged, or of another file than their footer and index.
const OTHERWISE: &str = "its records are otherwise than its footer and its index say";

/// From the beginning of a slot to that of the next: where it costs little, such that what a look-up compares is in one line.
fn stride(record_max: usize, begin_max: usize) -> usize {
    let begin = begin_max.saturating_add(1).checked_next_power_of_two().filter(|begin| *begin <= LINE);
    let rounded = begin.and_then(|begin| record_max.checked_next_multiple_of(begin));
    rounded.filter(|rounded| rounded - record_max <= record_max / 16).unwrap_or(record_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_is_in_one_line() {
        for (record_max, begin_max, expected) in [
            // As lenders have them, in half lines and in whole ones.
            (800, 20, 800),
            (800, 31, 800),
            (800, 32, 832),
            (790, 31, 800),
            // Too long a key.
            (790, 63, 832),
            (790, 64, 790),
            // To round up would take more than a sixteenth.
            (480, 40, 480),
            (512 + 31, 40, 512 + 64),
            (512 + 29, 40, 512 + 29),
            (20, 16, 20),
        ] {
            assert_eq!(stride(record_max, begin_max), expected, "{record_max}, {begin_max}");
        }
    }
}
