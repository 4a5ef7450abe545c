//! A request as the server reads it.
//!
//! The ordinary message is a map with a text of its own for each name and each value. Here all texts of the
//! application lie one behind the other, and its fields say where: a request is a handful of pieces of memory,
//! however many fields it has.

use std::{ops::Range, sync::OnceLock};

use bytes::{Buf, BufMut};
use prost::{
    DecodeError, Message,
    encoding::{self, DecodeContext, WireType},
};
use prost_types::Timestamp;

use crate::decision::v1::Reserve;

/// A [`DecisionRequest`](crate::decision::v1::DecisionRequest), the same on the wire.
#[derive(Clone, Debug, Default)]
pub struct DecisionRequest {
    pub request_id: String,
    pub member: String,
    pub product: String,
    pub reserve: Option<Reserve>,
    /// As they came.
    fields: Vec<Field>,
    /// They came in another order than that of their names, or one of them twice.
    mixed: bool,
    /// Then: which are meant, in order of names. Sorted once, whatever a sender makes of it.
    order: OnceLock<Vec<usize>>,
    /// Names and texts of the fields.
    texts: String,
    /// A text that came in pieces.
    reading: String,
}

/// The value of a field of an application.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// A value without a kind: unknown.
    None,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
    Date(&'a str),
    Timestamp(Timestamp),
}

#[derive(Clone, Debug, Default)]
struct Field {
    name: Range<usize>,
    value: Kept,
}

/// A [`FieldValue`] whose text is among those of its request.
#[derive(Clone, Debug, Default)]
enum Kept {
    #[default]
    None,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Range<usize>),
    Date(Range<usize>),
    Timestamp(Timestamp),
}

/// Number of the field `application` of a request.
const APPLICATION: u32 = 4;
/// Number of the field `reserve`.
const RESERVE: u32 = 5;

impl DecisionRequest {
    /// The fields of the application with their names, in order of names.
    pub fn application(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        let order = self.mixed.then(|| self.order.get_or_init(|| self.in_order()));
        let count = order.map_or(self.fields.len(), Vec::len);
        (0..count).map(move |i| {
            let field = &self.fields[order.map_or(i, |order| order[i])];
            (self.text(&field.name), self.value(&field.value))
        })
    }

    /// Appends the application as the field `tag`, of the type that it has in a request. `instead` gives a text to be
    /// written in the place of a field's value.
    pub fn encode_application<'a>(
        &'a self,
        tag: u32,
        instead: impl Fn(&'a str) -> Option<&'a str>,
        out: &mut impl BufMut,
    ) {
        for (name, value) in self.application() {
            let value = instead(name).map_or(value, FieldValue::Text);
            encoding::encode_key(tag, WireType::LengthDelimited, out);
            encoding::encode_varint(entry_len(name, value) as u64, out);
            if !name.is_empty() {
                text(1, name, out);
            }
            if value != FieldValue::None {
                encoding::encode_key(2, WireType::LengthDelimited, out);
                encoding::encode_varint(value.encoded_len() as u64, out);
                value.encode(out);
            }
        }
    }

    /// Fields by their names; of two of one name the later one counts, as in any map of protobuf.
    fn in_order(&self) -> Vec<usize> {
        let name = |i: usize| self.text(&self.fields[i].name);
        let mut order: Vec<usize> = (0..self.fields.len()).rev().collect();
        order.sort_by(|a, b| name(*a).cmp(name(*b)));
        order.dedup_by(|next, kept| name(*next) == name(*kept));
        order
    }

    fn text(&self, at: &Range<usize>) -> &str {
        &self.texts[at.clone()]
    }

    fn value(&self, value: &Kept) -> FieldValue<'_> {
        match value {
            Kept::None => FieldValue::None,
            Kept::Bool(b) => FieldValue::Bool(*b),
            Kept::Int(i) => FieldValue::Int(*i),
            Kept::Double(x) => FieldValue::Double(*x),
            Kept::Text(at) => FieldValue::Text(self.text(at)),
            Kept::Date(at) => FieldValue::Date(self.text(at)),
            Kept::Timestamp(time) => FieldValue::Timestamp(*time),
        }
    }

    /// Reads fields to the end.
    fn merge_fields(&mut self, buf: &mut impl Buf) -> Result<(), DecodeError> {
        let context = DecodeContext::default();
        while buf.has_remaining() {
            let (tag, wire) = encoding::decode_key(buf)?;
            self.merge_field(tag, wire, buf, context.clone())?;
        }
        Ok(())
    }

    /// Reads a text, and keeps it.
    fn read_text(
        &mut self,
        wire: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<Range<usize>, DecodeError> {
        let start = self.texts.len();
        match text_ahead(wire, buf.chunk()) {
            Some((text, read)) => {
                self.texts.push_str(text);
                buf.advance(read);
            }
            None => {
                encoding::string::merge(wire, &mut self.reading, buf, context)?;
                self.texts.push_str(&self.reading);
            }
        }
        Ok(start..self.texts.len())
    }

    /// Reads an entry of the application.
    fn read_field(
        &mut self,
        wire: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        encoding::check_wire_type(WireType::LengthDelimited, wire)?;
        let mut both = (&mut *self, Field::default());
        encoding::merge_loop(&mut both, buf, context, |(request, field), buf, context| {
            let (tag, wire) = encoding::decode_key(buf)?;
            match tag {
                1 => field.name = request.read_text(wire, buf, context)?,
                2 => request.read_value(&mut field.value, wire, buf, context)?,
                _ => encoding::skip_field(wire, tag, buf, context)?,
            }
            Ok(())
        })?;
        let (_, field) = both;
        let name = self.text(&field.name);
        self.mixed |= self.fields.last().is_some_and(|last| self.text(&last.name) >= name);
        self.order = OnceLock::new();
        self.fields.push(field);
        Ok(())
    }

    fn read_value(
        &mut self,
        value: &mut Kept,
        wire: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        encoding::check_wire_type(WireType::LengthDelimited, wire)?;
        encoding::merge_loop(&mut (self, value), buf, context, |(request, value), buf, context| {
            let (tag, wire) = encoding::decode_key(buf)?;
            macro_rules! number {
                ($codec:ident, $kept:path) => {{
                    let mut number = Default::default();
                    encoding::$codec::merge(wire, &mut number, buf, context)?;
                    $kept(number)
                }};
            }
            **value = match tag {
                1 => number!(bool, Kept::Bool),
                2 => number!(int64, Kept::Int),
                3 => number!(double, Kept::Double),
                4 => Kept::Text(request.read_text(wire, buf, context)?),
                5 => Kept::Date(request.read_text(wire, buf, context)?),
                6 => {
                    // A message that comes in two pieces is one: protobuf merges them.
                    let mut time =
                        if let Kept::Timestamp(time) = **value { time } else { Timestamp::default() };
                    encoding::message::merge(wire, &mut time, buf, context)?;
                    Kept::Timestamp(time)
                }
                _ => return encoding::skip_field(wire, tag, buf, context),
            };
            Ok(())
        })
    }
}

/// Requests are equal if they say the same.
impl PartialEq for DecisionRequest {
    fn eq(&self, other: &Self) -> bool {
        let key = |r: &Self| (r.request_id.clone(), r.member.clone(), r.product.clone());
        key(self) == key(other) && self.reserve == other.reserve && self.application().eq(other.application())
    }
}

impl FieldValue<'_> {
    fn encode(self, out: &mut impl BufMut) {
        match self {
            Self::None => {}
            Self::Bool(b) => encoding::bool::encode(1, &b, out),
            Self::Int(i) => encoding::int64::encode(2, &i, out),
            Self::Double(x) => encoding::double::encode(3, &x, out),
            Self::Text(s) => text(4, s, out),
            Self::Date(s) => text(5, s, out),
            Self::Timestamp(time) => encoding::message::encode(6, &time, out),
        }
    }

    fn encoded_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Bool(b) => encoding::bool::encoded_len(1, &b),
            Self::Int(i) => encoding::int64::encoded_len(2, &i),
            Self::Double(x) => encoding::double::encoded_len(3, &x),
            Self::Text(s) | Self::Date(s) => text_len(s),
            Self::Timestamp(time) => encoding::message::encoded_len(6, &time),
        }
    }
}

/// The text that a piece begins with, and the bytes that it takes there with its length. None: it is not all there, or
/// is none.
fn text_ahead(wire: WireType, piece: &[u8]) -> Option<(&str, usize)> {
    let mut ahead = piece;
    let len = encoding::decode_varint(&mut ahead).ok()?;
    let text = ahead.get(..usize::try_from(len).ok()?).filter(|_| wire == WireType::LengthDelimited)?;
    Some((std::str::from_utf8(text).ok()?, piece.len() - ahead.len() + text.len()))
}

fn entry_len(name: &str, value: FieldValue<'_>) -> usize {
    let name = if name.is_empty() { 0 } else { text_len(name) };
    let len = value.encoded_len();
    let value =
        if value == FieldValue::None { 0 } else { 1 + encoding::encoded_len_varint(len as u64) + len };
    name + value
}

/// Of a field with a number below 16.
fn text_len(text: &str) -> usize {
    1 + encoding::encoded_len_varint(text.len() as u64) + text.len()
}

fn text(tag: u32, text: &str, out: &mut impl BufMut) {
    encoding::encode_key(tag, WireType::LengthDelimited, out);
    encoding::encode_varint(text.len() as u64, out);
    out.put_slice(text.as_bytes());
}

impl Message for DecisionRequest {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        for (tag, value) in [(1, &self.request_id), (2, &self.member), (3, &self.product)] {
            if !value.is_empty() {
                text(tag, value, buf);
            }
        }
        self.encode_application(APPLICATION, |_| None, buf);
        if let Some(reserve) = &self.reserve {
            encoding::message::encode(RESERVE, reserve, buf);
        }
    }

    fn encoded_len(&self) -> usize {
        let texts =
            [&self.request_id, &self.member, &self.product].into_iter().filter(|text| !text.is_empty());
        let entries = self.application().map(|(name, value)| entry_len(name, value));
        let entries = entries.map(|len| 1 + encoding::encoded_len_varint(len as u64) + len);
        let reserve = self.reserve.as_ref().map_or(0, |r| encoding::message::encoded_len(RESERVE, r));
        texts.map(|text| text_len(text)).sum::<usize>() + entries.sum::<usize>() + reserve
    }

    /// What a call sends is one piece of memory, nearly always; a slice of it is read faster than a buffer that counts.
    fn merge(&mut self, mut buf: impl Buf) -> Result<(), DecodeError> {
        let len = buf.remaining();
        let mut piece = buf.chunk();
        if piece.len() < len {
            return self.merge_fields(&mut buf);
        }
        self.merge_fields(&mut piece)?;
        buf.advance(len);
        Ok(())
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => encoding::string::merge(wire, &mut self.request_id, buf, context),
            2 => encoding::string::merge(wire, &mut self.member, buf, context),
            3 => encoding::string::merge(wire, &mut self.product, buf, context),
            APPLICATION => self.read_field(wire, buf, context),
            RESERVE => encoding::message::merge(wire, self.reserve.get_or_insert_default(), buf, context),
            _ => encoding::skip_field(wire, tag, buf, context),
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::decision::v1::{self as plain, value::Kind};

    fn ordinary() -> plain::DecisionRequest {
        let kinds = [
            None,
            Some(Kind::BoolValue(false)),
            Some(Kind::BoolValue(true)),
            Some(Kind::IntValue(0)),
            Some(Kind::IntValue(-1)),
            Some(Kind::DoubleValue(-0.0)),
            Some(Kind::DoubleValue(0.1)),
            Some(Kind::StringValue(String::new())),
            Some(Kind::StringValue("公务员".repeat(50))),
            Some(Kind::DateValue("2026-01-31".into())),
            Some(Kind::TimestampValue(Timestamp::default())),
            Some(Kind::TimestampValue(Timestamp { seconds: -5, nanos: 7 })),
        ];
        let fields = kinds.into_iter().enumerate();
        let mut application: BTreeMap<String, plain::Value> =
            fields.map(|(i, kind)| (format!("field_{i:02}"), plain::Value { kind })).collect();
        application.insert(String::new(), plain::Value { kind: Some(Kind::IntValue(1)) });
        plain::DecisionRequest {
            request_id: "r".into(),
            member: "001".into(),
            product: String::new(),
            application,
            reserve: Some(plain::Reserve {
                amount_fen: Some(0),
                expires_at: Some(Timestamp { seconds: 7, nanos: 0 }),
            }),
        }
    }

    #[test]
    fn a_request_is_the_ordinary_one_on_the_wire() {
        for ordinary in [ordinary(), plain::DecisionRequest::default()] {
            let bytes = ordinary.encode_to_vec();
            let ours = DecisionRequest::decode(&bytes[..]).expect("a request");
            assert_eq!(ours.encode_to_vec(), bytes);
            assert_eq!(ours.encoded_len(), bytes.len());
            assert_eq!(ours.application().count(), ordinary.application.len());
            let mut entry = Vec::new();
            ours.encode_application(5, |_| None, &mut entry);
            let journaled = plain::JournalEntry::decode(&entry[..]).expect("an entry");
            assert_eq!(journaled.application, ordinary.application);
        }
    }

    #[test]
    fn fields_are_in_order_and_the_last_of_a_name_counts() {
        let one = |name: &str, i: i64| {
            let value = plain::Value { kind: Some(Kind::IntValue(i)) };
            let application = BTreeMap::from([(name.to_owned(), value)]);
            plain::DecisionRequest { application, ..Default::default() }.encode_to_vec()
        };
        let bytes = [one("b", 1), one("c", 2), one("a", 3), one("b", 4)].concat();
        let ours = DecisionRequest::decode(&bytes[..]).expect("a request");
        let expected = [("a", FieldValue::Int(3)), ("b", FieldValue::Int(4)), ("c", FieldValue::Int(2))];
        assert!(ours.application().eq(expected));
        let ordinary = plain::DecisionRequest::decode(&bytes[..]).expect("a request");
        assert_eq!(ours.encode_to_vec(), ordinary.encode_to_vec());
        assert_eq!(ours, DecisionRequest::decode(&ordinary.encode_to_vec()[..]).expect("the same request"));
    }

    #[test]
    fn a_text_can_stand_instead_of_a_value() {
        let ours = DecisionRequest::decode(&ordinary().encode_to_vec()[..]).expect("a request");
        let mut entry = Vec::new();
        ours.encode_application(5, |name| (name == "field_08").then_some("token"), &mut entry);
        let journaled = plain::JournalEntry::decode(&entry[..]).expect("an entry");
        let kind = |name: &str| journaled.application[name].kind.clone();
        assert_eq!(kind("field_08"), Some(Kind::StringValue("token".into())));
        assert_eq!(kind("field_09"), Some(Kind::DateValue("2026-01-31".into())));
    }

    #[test]
    fn what_the_ordinary_message_refuses_is_refused() {
        let good = ordinary().encode_to_vec();
        let mut unlike = 0;
        for at in 0..good.len() {
            for byte in [0x00, 0x0a, 0x22, 0x7f, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = byte;
                let ordinary = plain::DecisionRequest::decode(&bytes[..]).ok().map(|r| r.encode_to_vec());
                let ours = DecisionRequest::decode(&bytes[..]).ok().map(|r| r.encode_to_vec());
                assert_eq!(ours, ordinary, "byte {at} is {byte:#x}");
                let pieces = (&bytes[..at]).chain(&bytes[at..]);
                let ours = DecisionRequest::decode(pieces).ok().map(|r| r.encode_to_vec());
                assert_eq!(ours, ordinary, "byte {at} is {byte:#x}, in two pieces");
                unlike += usize::from(ours.is_none());
            }
        }
        assert!(unlike > 100);
    }

    #[test]
    fn fields_of_a_later_release_are_skipped() {
        let mut bytes = ordinary().encode_to_vec();
        encoding::string::encode(1001, &"later".to_owned(), &mut bytes);
        let ours = DecisionRequest::decode(&bytes[..]).expect("a request");
        assert_eq!(ours.encode_to_vec(), ordinary().encode_to_vec());
    }
}
