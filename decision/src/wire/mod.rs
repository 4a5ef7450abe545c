//! A decision as bytes.
//!
//! The one place where a decision that was just made becomes protobuf: the service journals these bytes and
//! answers with them. What a reason says was written down when the rulebook was compiled ([`Heads`]); its values are
//! written from where they stand, without making the messages of `tarim.decision.v1` first. A test holds both to
//! be the same.

mod named_value;

use prost::{
    bytes::BufMut,
    encoding::{self, WireType},
};

use self::named_value::{NAME, named_value};
use crate::{
    convert,
    engine::{Judged, JudgedFacts},
    outcome::{Score, Stage},
    policy::{Facts, Finding, Line, Logic, Show, Source, Told, What, Words, possible, shown, told},
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
        message(5, 0, out, |out| {
            number(1, convert::wire_stage(stage).into(), out);
            number(2, convert::wire_outcome(outcome).into(), out);
        });
    }
    let facts = judged.facts();
    for line in judged.lines() {
        match line {
            Line::Found(finding) => found(6, &facts, finding, out),
            Line::Bare(told) => message(6, 0, out, |out| head(&told, out)),
        }
    }
    for reason in judged.exposure_reasons() {
        encoding::message::encode(6, &convert::wire_reason(&reason), out);
    }
    if let Some(Score { points, pd, grade }) = facts.score() {
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
    if let Some(reservation) = judged.reservation() {
        encoding::message::encode(16, &convert::wire_reservation(reservation), out);
    }
}

/// What the reasons of a step begin with, written when the rulebook is compiled: all but the values of a reason
/// is known by then.
#[derive(Debug)]
pub struct Heads {
    /// By [`Heads::number`]; what a step cannot find has an empty one.
    all: Vec<Head>,
    /// More than any characteristic has bins.
    bins: usize,
}

/// What a reason begins with, and what stands beside it.
#[derive(Debug, Default)]
struct Head {
    /// What it begins with, then the names of what stands beside it: in one piece, for none of it is in the cache. (And
    /// [`NAME`] bytes of nothing: see [`named_value`].)
    bytes: Box<[u8]>,
    /// Where the names begin.
    names: usize,
    /// The reason has at least so many bytes: of each value its name, what stands before that, and the length.
    least: usize,
    shown: Box<[Shown]>,
}

/// A value that stands beside a reason.
#[derive(Debug)]
struct Shown {
    /// Length of the field that has its name.
    name: usize,
    source: Source,
}

impl Heads {
    pub fn new(logic: &Logic, stage: Stage) -> Self {
        let bins = match logic {
            Logic::Score(score) => score.card.characteristics().iter().map(|c| c.bins().len() + 1).max(),
            _ => None,
        };
        let mut heads = Self { all: Vec::new(), bins: bins.unwrap_or(1) };
        for (what, effect) in possible(logic) {
            let mut bytes = Vec::new();
            head(&told(logic, stage, &Finding { step: 0, what, effect }), &mut bytes);
            let number = heads.number(what);
            heads.all.resize_with(heads.all.len().max(number + 1), Head::default);
            let names = bytes.len();
            let shown: Box<[Shown]> =
                shown(logic, what).iter().map(|show| Shown::new(show, &mut bytes)).collect();
            let least = bytes.len() + 2 * shown.len();
            bytes.extend([0; NAME]);
            heads.all[number] = Head { bytes: bytes.into(), names, least, shown };
        }
        heads
    }

    fn number(&self, what: What) -> usize {
        match what {
            What::RuleFired(rule) => 2 * rule,
            What::RuleUnknown(rule) => 2 * rule + 1,
            What::NoBin(characteristic) => characteristic * self.bins,
            What::Lost { characteristic, bin, .. } => characteristic * self.bins + 1 + bin,
            What::NoRow | What::BelowMin => 0,
            What::Unknown => 1,
            What::Capped => 2,
            What::NoRoom => 3,
            What::RoomUnknown => 4,
        }
    }
}

impl Shown {
    /// Appends its name to `names`.
    fn new(show: &Show, names: &mut Vec<u8>) -> Self {
        let before = names.len();
        text(1, [&show.name, "", ""], names);
        Self { name: names.len() - before, source: show.source }
    }
}

/// A reason of what a step found.
fn found(tag: u32, facts: &JudgedFacts<'_>, finding: &Finding, out: &mut Vec<u8>) {
    let heads = &facts.plan().steps[finding.step].step.heads;
    let Head { bytes, names, least, shown } = &heads.all[heads.number(finding.what)];
    let (head, mut names) = bytes.split_at(*names);
    message(tag, *least, out, |out| {
        out.extend_from_slice(head);
        for Shown { name, source } in shown {
            match *source {
                Source::Column { relation, column } => {
                    let (known, stale) = facts.column(relation, column);
                    named_value(7, names, *name, known, stale, out);
                }
                Source::Expr(id) => {
                    named_value(7, names, *name, facts.expr(finding.step, id).as_ref(), false, out);
                }
            }
            names = &names[*name..];
        }
        if let Some(points) = finding.what.points_lost() {
            encoding::double::encode(8, &points, out);
        }
    });
}

/// The contents of a reason up to its values.
fn head(told: &Told<'_>, out: &mut Vec<u8>) {
    text(1, told.id, out);
    number(2, convert::wire_stage(told.stage).into(), out);
    number(3, convert::wire_effect(told.effect).into(), out);
    text(4, told.zh, out);
    text(5, told.en, out);
    if told.unknown {
        encoding::bool::encode(6, &true, out);
    }
    for role in told.override_roles {
        text(9, [role, "", ""], out);
    }
}

/// A text; an empty one is left out, as proto3 does.
fn text(tag: u32, words: Words<'_>, out: &mut Vec<u8>) {
    let len: usize = words.iter().map(|w| w.len()).sum();
    if len > 0 {
        out.push(key(tag, WireType::LengthDelimited));
        varint(len, out);
        words.iter().filter(|w| !w.is_empty()).for_each(|w| out.put_slice(w.as_bytes()));
    }
}

/// A value of an enum; 0 is left out.
fn number(tag: u32, value: i32, out: &mut Vec<u8>) {
    if value != 0 {
        out.push(key(tag, WireType::Varint));
        varint(value as usize, out);
    }
}

/// A message within the message. Its length stands before it and is known only behind it: room is left for that of
/// `least` bytes, and what was written moves along if that is too little.
fn message(tag: u32, least: usize, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(key(tag, WireType::LengthDelimited));
    let (at, guess) = (out.len(), encoding::encoded_len_varint(least as u64));
    (0..guess).for_each(|_| out.push(0));
    write(out);
    let len = out.len() - at - guess;
    debug_assert!(len >= least, "it has at least so many bytes");
    let width = encoding::encoded_len_varint(len as u64);
    if width > guess {
        out.resize(out.len() + width - guess, 0);
        out.copy_within(at + guess..at + guess + len, at + width);
    }
    put_varint(len as u64, &mut out[at..at + width]);
}

/// Writes a number over the first bytes of `to`: over how many. (That of prost is a call, which asks before each byte whether
/// there is room.)
#[inline]
fn put_varint(mut number: u64, to: &mut [u8]) -> usize {
    let mut len = 0;
    while number >= 0x80 {
        to[len] = number as u8 | 0x80;
        number >>= 7;
        len += 1;
    }
    to[len] = number as u8;
    len + 1
}

/// What a field begins with whose number is below 16.
const fn key(tag: u32, wire: WireType) -> u8 {
    debug_assert!(tag < 16);
    (tag << 3) as u8 | wire as u8
}

/// A length, or a number of an enum, which mostly is one byte.
fn varint(len: usize, out: &mut Vec<u8>) {
    match u8::try_from(len) {
        Ok(byte @ ..0x80) => out.push(byte),
        _ => encoding::encode_varint(len as u64, out),
    }
}
