//! A decision as bytes.
//!
//! The one place where a decision that was just made becomes protobuf: the service journals these bytes and
//! answers with them. They are written field by field from where the words stand, without making the messages
//! of `tarim.decision.v1` first; a test holds both to be the same.

use prost::{
    bytes::BufMut,
    encoding::{self, WireType},
};

use crate::{
    convert,
    engine::Judged,
    outcome::{NamedValue, Score},
    policy::{Facts, Told, Words, named},
};

/// Who asked, when, and what it was decided by.
pub struct Heading<'a> {
    pub request_id: &'a str,
    pub member: &'a str,
    pub product: &'a str,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub at_us: i64,
    pub rulebook_version: &'a str,
    pub feature_version: &'a str,
}

/// Appends a decision as the protobuf message `Decision`, without its `decision_id`, to `out`.
pub fn encode_decision(judged: &Judged<'_>, heading: &Heading<'_>, out: &mut Vec<u8>) {
    text(1, [heading.request_id, "", ""], out);
    text(2, [heading.member, "", ""], out);
    text(3, [heading.product, "", ""], out);
    let verdict = judged.verdict();
    number(4, convert::wire_outcome(verdict.outcome).into(), out);
    for (stage, outcome) in verdict.stages(judged.call()) {
        message(5, out, |out| {
            number(1, convert::wire_stage(stage).into(), out);
            number(2, convert::wire_outcome(outcome).into(), out);
        });
    }
    for told in judged.reasons() {
        message(6, out, |out| reason(&told, judged, out));
    }
    if let Some(Score { points, pd, grade }) = judged.score() {
        encoding::double::encode(7, &points, out);
        text(8, [&grade, "", ""], out);
        encoding::double::encode(9, &pd, out);
    }
    if let Some(fen) = verdict.limit_fen {
        encoding::int64::encode(10, &fen, out);
    }
    if let Some(ppm) = verdict.rate_ppm {
        encoding::int64::encode(11, &ppm, out);
    }
    encoding::message::encode(12, &convert::timestamp(heading.at_us), out);
    text(13, [heading.rulebook_version, "", ""], out);
    text(14, [heading.feature_version, "", ""], out);
}

fn reason(told: &Told<'_>, facts: &impl Facts, out: &mut Vec<u8>) {
    text(1, told.id, out);
    number(2, convert::wire_stage(told.stage).into(), out);
    number(3, convert::wire_effect(told.effect).into(), out);
    text(4, told.zh, out);
    text(5, told.en, out);
    if told.unknown {
        encoding::bool::encode(6, &true, out);
    }
    for show in told.show {
        message(7, out, |out| {
            let NamedValue { name, value, stale } = named(show, told.step, facts);
            text(1, [&name, "", ""], out);
            if let Some(value) = convert::wire_value(&value) {
                encoding::message::encode(2, &value, out);
            }
            if stale {
                encoding::bool::encode(3, &true, out);
            }
        });
    }
    if let Some(points) = told.points_lost {
        encoding::double::encode(8, &points, out);
    }
}

/// A text; an empty one is left out, as proto3 does.
fn text(tag: u32, words: Words<'_>, out: &mut Vec<u8>) {
    let len: usize = words.iter().map(|w| w.len()).sum();
    if len > 0 {
        encoding::encode_key(tag, WireType::LengthDelimited, out);
        encoding::encode_varint(len as u64, out);
        words.iter().for_each(|w| out.put_slice(w.as_bytes()));
    }
}

/// A value of an enum; 0 is left out.
fn number(tag: u32, value: i32, out: &mut Vec<u8>) {
    if value != 0 {
        encoding::int32::encode(tag, &value, out);
    }
}

/// A message within the message. Its length stands before it and is known only behind it: one byte is left
/// for it, and what was written moves along if that is too few.
fn message(tag: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    encoding::encode_key(tag, WireType::LengthDelimited, out);
    let at = out.len();
    out.push(0);
    write(out);
    let len = out.len() - at - 1;
    let width = encoding::encoded_len_varint(len as u64);
    if width > 1 {
        out.resize(out.len() + width - 1, 0);
        out.copy_within(at + 1..at + 1 + len, at + width);
    }
    encoding::encode_varint(len as u64, &mut &mut out[at..at + width]);
}
