//! A value that stands beside a reason, as the protobuf message `NamedValue`.
//!
//! An answer has dozens of these, each of some twenty bytes: to see before each field whether there is room for it costs
//! more than to write it. So all but the long ones are put together in a piece of memory of one size, every part of which
//! is copied as so many bytes as it can have at most, over what the one before it had too much; and the piece is
//! appended whole, then cut.
//!
//! ```text
//!   key length │ name ············· │
//!              └──────► key length │ contents of the value ······ │
//!                                  └────────────► `stale` │ cut
//! ```

use prost::{
    bytes::BufMut,
    encoding::{self, WireType},
};
use tarim_datamart::{ValueRef, value::date_digits};

use super::{key, put_varint, varint};
use crate::convert;

/// So many bytes must follow where a name begins: a longer name is copied for itself.
pub const NAME: usize = 48;

/// A `Value` has at most so many bytes, but for a text.
const VALUE: usize = 32;

/// Shorter messages have a length of one byte.
const SHORT: usize = 0x80;

/// The field `stale`, true.
const STALE: [u8; 2] = [3 << 3, 1];

/// Writes what a `Value` has in it: how many bytes, and the text behind them. Of NULL there are none.
#[inline]
fn contents<'a>(value: ValueRef<'a>, to: &mut [u8; VALUE]) -> (usize, &'a str) {
    match value {
        ValueRef::Null => (0, ""),
        ValueRef::Boolean(b) => {
            (to[0], to[1]) = (key(1, WireType::Varint), b.into());
            (2, "")
        }
        ValueRef::Int64(i) => {
            to[0] = key(2, WireType::Varint);
            (1 + put_varint(i as u64, &mut to[1..]), "")
        }
        ValueRef::Float64(x) => {
            to[0] = key(3, WireType::SixtyFourBit);
            to[1..9].copy_from_slice(&x.to_le_bytes());
            (9, "")
        }
        ValueRef::Utf8(text) => {
            to[0] = key(4, WireType::LengthDelimited);
            (1 + put_varint(text.len() as u64, &mut to[1..]), text)
        }
        ValueRef::Date32(days) => match date_digits(days) {
            Some(digits) => {
                (to[0], to[1]) = (key(5, WireType::LengthDelimited), digits.len() as u8);
                to[2..12].copy_from_slice(&digits);
                (12, "")
            }
            None => {
                let day = value.to_value().to_string();
                (written(to, |to| encoding::string::encode(5, &day, to)), "")
            }
        },
        ValueRef::Timestamp(us) => {
            (written(to, |to| encoding::message::encode(6, &convert::timestamp(us), to)), "")
        }
    }
}

/// How many bytes somebody writes.
fn written(mut to: &mut [u8], write: impl FnOnce(&mut &mut [u8])) -> usize {
    let room = to.len();
    write(&mut to);
    room - to.len()
}

/// Appends a value behind its name; NULL is left out. `names` begins with the `len` bytes of the field that has the name,
/// and at least [`NAME`] bytes follow from there.
pub fn named_value(tag: u32, names: &[u8], len: usize, value: ValueRef<'_>, stale: bool, out: &mut Vec<u8>) {
    if len > NAME {
        return long(tag, &names[..len], value, stale, out);
    }
    let mut piece = [0; 2 + NAME + 2 + VALUE];
    piece[2..][..NAME].copy_from_slice(&names[..NAME]);
    let mut end = 2 + len;
    let mut text = "";
    if !value.is_null() {
        let room = piece[end + 2..].first_chunk_mut().expect("a name leaves room for a value");
        let (bytes, behind) = contents(value, room);
        if end + bytes + behind.len() + STALE.len() >= SHORT {
            return long(tag, &names[..len], value, stale, out);
        }
        piece[end] = key(2, WireType::LengthDelimited);
        piece[end + 1] = (bytes + behind.len()) as u8;
        (end, text) = (end + 2 + bytes, behind);
    }
    piece[0] = key(tag, WireType::LengthDelimited);
    piece[1] = (end - 2 + text.len() + if stale { STALE.len() } else { 0 }) as u8;
    let begins = out.len();
    out.extend_from_slice(&piece);
    out.truncate(begins + end);
    if !text.is_empty() {
        out.extend_from_slice(text.as_bytes());
    }
    if stale {
        out.extend_from_slice(&STALE);
    }
}

/// The same of any length.
#[cold]
#[inline(never)]
fn long(tag: u32, name: &[u8], value: ValueRef<'_>, stale: bool, out: &mut Vec<u8>) {
    let mut bytes = [0; VALUE];
    let (head, text) = contents(value, &mut bytes);
    let len = head + text.len();
    let field = if value.is_null() { 0 } else { 1 + encoding::encoded_len_varint(len as u64) + len };
    let stale: &[u8] = if stale { &STALE } else { &[] };
    out.push(key(tag, WireType::LengthDelimited));
    varint(name.len() + field + stale.len(), out);
    out.put_slice(name);
    if !value.is_null() {
        out.push(key(2, WireType::LengthDelimited));
        varint(len, out);
        out.put_slice(&bytes[..head]);
        out.put_slice(text.as_bytes());
    }
    out.put_slice(stale);
}

#[cfg(test)]
mod tests {
    use tarim_proto::decision::v1::NamedValue;

    use super::*;

    /// Lengths of names: of those above 46 the field is longer than [`NAME`].
    const NAMES: [usize; 12] = [0, 1, 2, 15, 40, 45, 46, 47, 48, 127, 128, 20_000];

    /// Lengths of texts: all up to beyond that at which a message's own length is two bytes, whatever its name is.
    fn lengths() -> impl Iterator<Item = usize> {
        (0..=130).chain([16_383, 16_384])
    }

    #[test]
    fn a_value_is_what_its_message_says() {
        let texts: Vec<String> = lengths().map(|len| "x".repeat(len)).collect();
        let names = NAMES.map(|len| "n".repeat(len));
        let ends = [i64::MIN, -1, 0, 1, 127, 128, 16_383, 16_384, i64::MAX];
        let days = [i32::MIN, -719_529, 0, 20_000, 2_932_897, i32::MAX];
        let values = [ValueRef::Null, ValueRef::Boolean(true), ValueRef::Boolean(false)]
            .into_iter()
            .chain([f64::MIN, -0.0, 0.1, f64::NAN].map(ValueRef::Float64))
            .chain(ends.map(ValueRef::Int64))
            .chain(ends.map(ValueRef::Timestamp))
            .chain(days.map(ValueRef::Date32))
            .chain(texts.iter().map(|text| ValueRef::Utf8(text)));
        let mut compared = 0;
        for value in values {
            for name in &names {
                for stale in [false, true] {
                    let message = NamedValue {
                        name: name.clone(),
                        value: convert::wire_value(&value.to_value()),
                        stale,
                    };
                    let mut expected = b"before".to_vec();
                    encoding::message::encode(7, &message, &mut expected);
                    let mut field = Vec::new();
                    super::super::text(1, [name, "", ""], &mut field);
                    let len = field.len();
                    field.extend([0xff; NAME]);
                    let mut ours = b"before".to_vec();
                    named_value(7, &field, len, value, stale, &mut ours);
                    assert_eq!(ours, expected, "{value:?} named by {} bytes, stale: {stale}", name.len());
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, (3 + 4 + 2 * ends.len() + days.len() + texts.len()) * names.len() * 2);
    }
}
