//! A request as the server reads it.
//!
//! The ordinary message is a map with a text of its own for each name and each value. Here all texts of the
//! application lie one behind the other, and its fields say where: a request is a handful of pieces of memory,
//! however many fields it has.
//!
//! What is as ordinary as nearly all requests is read in one go, and its texts are checked together; all else by prost, field by
//! field.

use std::{ops::Range, sync::OnceLock};

use bytes::{Buf, BufMut};
use prost::{
    DecodeError, Message,
    encoding::{self, DecodeContext, WireType},
};
use prost_types::Timestamp;

use super::piece::Piece;
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
    /// Names and texts of the fields, in the order in which they came.
    texts: String,
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

/// Room for the fields of nearly all applications.
const FIELDS: usize = 16;

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
        assert!(tag < 16, "the key of the field is one byte");
        for (name, value) in self.application() {
            let value = instead(name).map_or(value, FieldValue::Text);
            let len = value.encoded_len();
            delimited(tag, entry_len(name, value, len), out);
            if !name.is_empty() {
                text(1, name, out);
            }
            if value != FieldValue::None {
                delimited(2, len, out);
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

    /// The request of these bytes, if they are ordinary: every field is known, and none has to be merged of two.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut request = Self { fields: Vec::with_capacity(FIELDS), ..Self::default() };
        // Not known to be texts yet.
        let mut texts = Vec::with_capacity(bytes.len());
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let mut rest = Piece(bytes);
        while let Some(key) = rest.byte() {
            let bytes = rest.delimited()?;
            match key {
                0x0a => request.request_id = text(bytes)?,
                0x12 => request.member = text(bytes)?,
                0x1a => request.product = text(bytes)?,
                0x22 => request.fields.push(Field::read(bytes, &mut texts)?),
                0x2a if request.reserve.is_none() => request.reserve = Some(Reserve::decode(bytes).ok()?),
                _ => return None,
            }
        }
        request.texts = String::from_utf8(texts).ok()?;
        // Together they are a text: so is each, unless one ends within a character.
        let is_text = |at: &Range<usize>| request.texts.is_char_boundary(at.end);
        let are_texts = |field: &Field| is_text(&field.name) && field.value.text().is_none_or(is_text);
        if !request.fields.iter().all(are_texts) {
            return None;
        }
        let name = |field: &Field| request.text(&field.name);
        request.mixed = request.fields.windows(2).any(|two| name(&two[0]) >= name(&two[1]));
        Some(request)
    }

    /// Nothing of it has been read yet.
    fn is_new(&self) -> bool {
        let texts = [&self.request_id, &self.member, &self.product];
        texts.iter().all(|text| text.is_empty()) && self.reserve.is_none() && self.fields.is_empty()
    }

    /// Reads a text, and keeps it.
    fn read_text(
        &mut self,
        wire: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<Range<usize>, DecodeError> {
        let (start, mut text) = (self.texts.len(), String::new());
        encoding::string::merge(wire, &mut text, buf, context)?;
        self.texts.push_str(&text);
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

impl Field {
    /// An entry of the application, name and value at most once; their texts are put behind `texts`.
    fn read(bytes: &[u8], texts: &mut Vec<u8>) -> Option<Self> {
        let (mut name, mut value) = (None, None);
        let mut rest = Piece(bytes);
        while let Some(key) = rest.byte() {
            let bytes = rest.delimited()?;
            match key {
                0x0a if name.is_none() => name = Some(put(bytes, texts)),
                0x12 if value.is_none() => value = Some(Kept::read(bytes, texts)?),
                _ => return None,
            }
        }
        Some(Self { name: name.unwrap_or_default(), value: value.unwrap_or_default() })
    }
}

impl Kept {
    /// A value of at most one kind.
    fn read(bytes: &[u8], texts: &mut Vec<u8>) -> Option<Self> {
        let mut rest = Piece(bytes);
        let Some(key) = rest.byte() else { return Some(Self::None) };
        let value = match key {
            0x08 => Self::Bool(rest.varint()? != 0),
            0x10 => Self::Int(rest.varint()? as i64),
            0x19 => Self::Double(rest.double()?),
            0x22 => Self::Text(put(rest.delimited()?, texts)),
            0x2a => Self::Date(put(rest.delimited()?, texts)),
            0x32 => Self::Timestamp(Timestamp::decode(rest.delimited()?).ok()?),
            _ => return None,
        };
        rest.0.is_empty().then_some(value)
    }

    /// Where its text is.
    fn text(&self) -> Option<&Range<usize>> {
        match self {
            Self::Text(at) | Self::Date(at) => Some(at),
            _ => None,
        }
    }
}

/// Appends bytes; gives where they are.
fn put(bytes: &[u8], texts: &mut Vec<u8>) -> Range<usize> {
    let start = texts.len();
    texts.extend_from_slice(bytes);
    start..texts.len()
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

/// `len` is that of the value.
fn entry_len(name: &str, value: FieldValue<'_>, len: usize) -> usize {
    let name = if name.is_empty() { 0 } else { text_len(name) };
    let value =
        if value == FieldValue::None { 0 } else { 1 + encoding::encoded_len_varint(len as u64) + len };
    name + value
}

/// Of a field with a number below 16.
fn text_len(text: &str) -> usize {
    1 + encoding::encoded_len_varint(text.len() as u64) + text.len()
}

fn text(tag: u32, text: &str, out: &mut impl BufMut) {
    delimited(tag, text.len(), out);
    out.put_slice(text.as_bytes());
}

/// What stands before a text or a message, in a field whose number is below 16.
fn delimited(tag: u32, len: usize, out: &mut impl BufMut) {
    debug_assert!(tag < 16);
    out.put_u8((tag << 3) as u8 | WireType::LengthDelimited as u8);
    match u8::try_from(len) {
        Ok(byte @ ..0x80) => out.put_u8(byte),
        _ => encoding::encode_varint(len as u64, out),
    }
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
        let entries = self.application().map(|(name, value)| entry_len(name, value, value.encoded_len()));
        let entries = entries.map(|len| 1 + encoding::encoded_len_varint(len as u64) + len);
        let reserve = self.reserve.as_ref().map_or(0, |r| encoding::message::encoded_len(RESERVE, r));
        texts.map(|text| text_len(text)).sum::<usize>() + entries.sum::<usize>() + reserve
    }

    /// What a call sends is one piece of memory, nearly always.
    fn merge(&mut self, mut buf: impl Buf) -> Result<(), DecodeError> {
        let (len, piece) = (buf.remaining(), buf.chunk());
        if piece.len() == len
            && self.is_new()
            && let Some(request) = Self::read(piece)
        {
            *self = request;
            buf.advance(len);
            return Ok(());
        }
        self.merge_fields(&mut buf)
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

    /// A field of a number below 16 with these bytes.
    fn field(tag: u32, bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        delimited(tag, bytes.len(), &mut all);
        all.extend(bytes);
        all
    }

    #[test]
    fn what_is_unusual_means_what_the_ordinary_message_means() {
        let name = |bytes: &[u8]| field(1, bytes);
        let int = |i: u8| field(2, &[0x10, i]);
        let entry = |parts: &[Vec<u8>]| field(APPLICATION, &parts.concat());
        let two = |a: &[u8], b: &[u8]| entry(&[name(a), field(2, &field(4, b))]);
        for bytes in [
            // An entry without a name, without a value, with two of each, or the other way round.
            entry(&[int(1)]),
            entry(&[name(b"a")]),
            entry(&[]),
            entry(&[name(b"a"), name(b"b"), int(1), int(2)]),
            entry(&[int(1), name(b"a")]),
            entry(&[name(b"a"), int(1), field(2, &[])]),
            // A value of two kinds.
            entry(&[name(b"a"), field(2, &[0x10, 1, 0x08, 1])]),
            entry(&[name(b"a"), field(2, &[field(6, &[0x08, 5]), field(6, &[0x10, 7])].concat())]),
            // Fields that come twice.
            [field(1, b"r"), field(1, b"s"), field(RESERVE, &[0x08, 1]), field(RESERVE, &[])].concat(),
            // Texts that are none, each, but are one together.
            two("号".as_bytes().split_at(1).0, "号".as_bytes().split_at(1).1),
            [two(b"a", &"号".as_bytes()[..2]), two(&"号".as_bytes()[2..], b"b")].concat(),
            two("号".as_bytes(), "码".as_bytes()),
            field(2, &[0xff]),
        ] {
            let ordinary = plain::DecisionRequest::decode(&bytes[..]).map(|r| r.encode_to_vec());
            let ours = DecisionRequest::decode(&bytes[..]).map(|r| r.encode_to_vec());
            assert_eq!(ours.ok(), ordinary.ok(), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_ordinary_is_read_in_one_go() {
        let bytes = ordinary().encode_to_vec();
        assert!(DecisionRequest::read(&bytes).is_some());
        assert_eq!(
            DecisionRequest::read(&bytes),
            DecisionRequest::decode((&bytes[..9]).chain(&bytes[9..])).ok()
        );
    }

    #[test]
    fn fields_of_a_later_release_are_skipped() {
        let mut bytes = ordinary().encode_to_vec();
        encoding::string::encode(1001, &"later".to_owned(), &mut bytes);
        let ours = DecisionRequest::decode(&bytes[..]).expect("a request");
        assert_eq!(ours.encode_to_vec(), ordinary().encode_to_vec());
    }
}
