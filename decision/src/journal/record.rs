//! An entry as it will be written.
//!
//! The service does not build a `JournalEntry` to have it encoded: inputs and decision are written in place,
//! and the decision's bytes, which are the greater part of the answer too, are shared with it.

use std::{cell::Cell, ops::Range};

use bytes::Bytes;
use prost::encoding;
use smallvec::SmallVec;
use tarim_proto::decision::v1::Call;

use super::{JournalError, frame::PAYLOAD_MAX};

/// An encoded entry, and the hash of its key.
pub struct Record {
    pub(super) hash: u64,
    /// Of the subject that an interception, or an override, is of: it is found by that, too.
    pub(super) subject: Option<u64>,
    pub(super) payload: Bytes,
}

/// Entries that are written together; most often it is one.
pub type Records = SmallVec<[Record; 1]>;

impl Record {
    /// `hash` is that of the entry's key, [`super::Journal::hash`].
    pub fn new(hash: u64, payload: Bytes) -> Result<Self, JournalError> {
        match payload.len() {
            0..=PAYLOAD_MAX => Ok(Self { hash, subject: None, payload }),
            size => Err(JournalError::TooLong { size }),
        }
    }

    /// It is of a subject, by [`super::Journal::subject_hash`].
    pub fn of_subject(self, hash: u64) -> Self {
        Self { subject: Some(hash), ..self }
    }
}

/// Number of an entry's field `application`.
pub const APPLICATION: u32 = 5;

/// What an entry begins with; its application, its inputs and its decision follow.
pub struct EntryHead<'a> {
    pub member: &'a String,
    pub request_id: &'a String,
    pub call: Call,
    pub fingerprint: &'a [u8; 32],
}

/// An encoded `JournalEntry`.
pub struct EncodedEntry {
    pub payload: Bytes,
    /// Its field `decision`, which shares the payload's memory.
    pub decision: Bytes,
}

impl EntryHead<'_> {
    /// Encodes the entry, with the application, the inputs and the decision that the closures append: the first as
    /// the field [`APPLICATION`], personal fields tokenised, the others as what is in their fields.
    pub fn encode<E>(
        &self,
        application: impl FnOnce(&mut Vec<u8>),
        inputs: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
        decision: impl FnOnce(&mut Vec<u8>),
    ) -> Result<EncodedEntry, E> {
        thread_local! {
            // Entries are much alike: one that is begun as long as the last was is seldom moved.
            static LENGTH: Cell<usize> = const { Cell::new(0) };
        }
        let mut out = Vec::with_capacity(LENGTH.get() + LENGTH.get() / 8);
        encoding::string::encode(1, self.member, &mut out);
        encoding::string::encode(2, self.request_id, &mut out);
        encoding::int32::encode(3, &self.call.into(), &mut out);
        nested(4, &mut out, |out| out.extend_from_slice(self.fingerprint));
        application(&mut out);
        let mut written = Ok(());
        nested(6, &mut out, |out| written = inputs(out));
        written?;
        let decision = nested(7, &mut out, decision);
        LENGTH.set(out.len());
        let payload = Bytes::from(out);
        Ok(EncodedEntry { decision: payload.slice(decision), payload })
    }
}

/// Appends a field whose length is known only when it is written; gives where its contents are.
///
/// The length takes four bytes whatever it is: a varint may have leading zeros, so to say. Four hold 256 MiB,
/// more than a record may have.
fn nested(tag: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    encoding::encode_key(tag, encoding::WireType::LengthDelimited, out);
    let length = out.len();
    out.extend([0; 4]);
    let start = out.len();
    write(out);
    let n = out.len() - start;
    for (i, byte) in out[length..start].iter_mut().enumerate() {
        let more = if i < 3 { 0x80 } else { 0 };
        *byte = (n >> (7 * i)) as u8 & 0x7f | more;
    }
    start..out.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message;
    use tarim_proto::{
        decision::v1::{Decision, DecisionRequest, JournalEntry, Value, value::Kind},
        encoded,
    };

    use super::*;

    #[test]
    fn what_is_written_in_place_is_the_message() {
        let value = |kind| Value { kind };
        for size in [0, 1, 127, 128, 5000, 3_000_000] {
            let entry = JournalEntry {
                member: "001".into(),
                request_id: "r".into(),
                call: Call::QuoteRate.into(),
                fingerprint: vec![7; 32],
                application: BTreeMap::from([
                    ("amount_fen".into(), value(Some(Kind::IntValue(5)))),
                    ("birth".into(), value(None)),
                ]),
                inputs: vec![9; size],
                decision: Some(Decision { grade: "A".repeat(size), ..Default::default() }),
                ..Default::default()
            };
            let head = EntryHead {
                member: &entry.member,
                request_id: &entry.request_id,
                call: entry.call(),
                fingerprint: &[7; 32],
            };
            let decision = entry.decision.as_ref().expect("set above").encode_to_vec();
            let inputs = |out: &mut Vec<u8>| {
                out.extend_from_slice(&entry.inputs);
                Ok::<_, ()>(())
            };
            let request = DecisionRequest { application: entry.application.clone(), ..Default::default() };
            let request = encoded::DecisionRequest::decode(&request.encode_to_vec()[..]).expect("a request");
            let application = |out: &mut Vec<u8>| request.encode_application(APPLICATION, |_| None, out);
            let encoded = head.encode(application, inputs, |out| out.extend_from_slice(&decision));
            let encoded = encoded.expect("written");
            assert_eq!(encoded.decision, decision);
            assert_eq!(JournalEntry::decode(encoded.payload), Ok(entry));
        }
    }
}
