//! Inputs as bytes: what the journal keeps of a decision, enough to make it again years later.
//!
//! ```text
//!   "TI3" | member | product | at_us i64        "TI2": decided when the points of a scorecard were not rounded
//!   rows: count u32, each: tag of its relation [8] | bytes
//!   hits: count u32, each: list | entry_id | reason | source
//!   exposure, if the ledger told something beside its row: a protobuf message, `Exposed`
//! ```
//!
//! Texts and bytes are a `u32` length and their bytes; numbers are little-endian.

use prost::Message;
use tarim_features::row::Row;

use super::{Exposed, hits::ListHit, inputs::Inputs};
use crate::rulebook::Rulebook;

const MAGIC: &[u8; 3] = b"TI3";
/// The same, written by releases that did not round the points of a scorecard: made again, those are not either.
const UNROUNDED: &[u8; 3] = b"TI2";

/// Why bytes are not the inputs of a decision of this rulebook.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the recorded inputs are cut short or damaged at byte {0}")]
    Damaged(usize),
    #[error("the recorded inputs are of another format than this program writes")]
    Format,
    #[error(
        "the recorded inputs have {found} rows, the rulebook reads those of {expected}: replay with the version that decided"
    )]
    Relations { found: usize, expected: String },
    #[error(
        "where the row of `{0}` should be, another or one in another layout was recorded: replay with the rulebook version that decided"
    )]
    Layout(String),
    #[error("the recorded row of `{relation}` is damaged: {source}")]
    Row { relation: String, source: tarim_features::row::RowError },
}

impl Inputs {
    /// Appends the inputs to `out`, with all texts in them.
    ///
    /// # Errors
    /// A row that is damaged.
    pub fn encode(&self, rulebook: &Rulebook, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        out.extend_from_slice(if self.unrounded_points { UNROUNDED } else { MAGIC });
        put(out, self.member.as_bytes());
        put(out, self.product.as_bytes());
        out.extend_from_slice(&self.at_us.to_le_bytes());
        put_len(out, rulebook.given().len());
        for (i, relation) in rulebook.given().iter().enumerate() {
            out.extend_from_slice(&relation.tag);
            let damaged = |source| DecodeError::Row { relation: relation.name.clone(), source };
            let row = self.row(i, relation).map_err(damaged)?;
            let length = out.len();
            put_len(out, 0);
            row.to_self_contained(out).map_err(damaged)?;
            let written = (out.len() - length - 4) as u32;
            out[length..length + 4].copy_from_slice(&written.to_le_bytes());
        }
        let hits = self.hits.iter();
        put_len(out, hits.len());
        for hit in hits {
            hit.texts().into_iter().for_each(|text| put(out, text.as_bytes()));
        }
        if let Some(exposed) = &self.exposed {
            put_len(out, exposed.encoded_len());
            exposed.encode_raw(out);
        }
        Ok(())
    }

    /// Reads inputs that were written for a rulebook of the same version.
    pub fn decode(rulebook: &Rulebook, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader { bytes, at: 0 };
        let magic = from.take(MAGIC.len())?;
        if magic != MAGIC && magic != UNROUNDED {
            return Err(DecodeError::Format);
        }
        let mut inputs = Self {
            unrounded_points: magic == UNROUNDED,
            member: from.str()?.to_owned(),
            product: from.str()?.to_owned(),
            at_us: from.int()?,
            ..Self::default()
        };
        let relations = rulebook.given();
        let found = from.len()?;
        if found != relations.len() {
            let expected = relations.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(DecodeError::Relations { found, expected });
        }
        for (i, relation) in relations.iter().enumerate() {
            if from.take(relation.tag.len())? != relation.tag {
                return Err(DecodeError::Layout(relation.name.clone()));
            }
            inputs.rows.push(from.bytes()?);
            Row::new(&relation.layout, inputs.rows.get(i), relation.layout.codes(), inputs.at_us)
                .and_then(|row| row.verify())
                .map_err(|source| DecodeError::Row { relation: relation.name.clone(), source })?;
        }
        for _ in 0..from.len()? {
            inputs.hits.push(ListHit {
                list: from.str()?,
                entry_id: from.str()?,
                reason: from.str()?,
                source: from.str()?,
            });
        }
        if from.at < bytes.len() {
            let at = from.at;
            let exposed = Exposed::decode(from.bytes()?).map_err(|_| DecodeError::Damaged(at))?;
            inputs.exposed = Some(Box::new(exposed));
        }
        if from.at != bytes.len() {
            return Err(DecodeError::Damaged(from.at));
        }
        Ok(inputs)
    }
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    // No row, text or count comes near 4 GiB: rows are bounded to 2 GiB, requests to less.
    out.extend_from_slice(&(len as u32).to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let taken = self.at.checked_add(len).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(DecodeError::Damaged(self.at))?;
        self.at += len;
        Ok(taken)
    }

    fn len(&mut self) -> Result<usize, DecodeError> {
        let at = self.at;
        let bytes = self.take(4)?.try_into().map_err(|_| DecodeError::Damaged(at))?;
        Ok(u32::from_le_bytes(bytes) as usize)
    }

    fn int(&mut self) -> Result<i64, DecodeError> {
        let at = self.at;
        let bytes = self.take(8)?.try_into().map_err(|_| DecodeError::Damaged(at))?;
        Ok(i64::from_le_bytes(bytes))
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.len()?;
        self.take(len)
    }

    fn str(&mut self) -> Result<&'a str, DecodeError> {
        let at = self.at;
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Damaged(at))
    }
}
