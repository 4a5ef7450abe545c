//! JSON values as texts, exactly as they are written.
//!
//! serde_json makes a 64-bit integer or float of a number, which an account number of twenty digits is no more
//! than nearly. So it says what kind of value stands where, and what is no text is taken from the line itself.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// No float has a larger exponent of ten, up or down; a number that has is left as it is written.
const LARGEST_EXPONENT: i64 = 400;

/// The values of an object's members, one after the other, as the line writes them.
pub(super) struct Members<'a> {
    rest: &'a [u8],
}

impl<'a> Members<'a> {
    /// Of the object that the line begins with.
    pub fn of(line: &'a [u8]) -> Self {
        let mut members = Self { rest: line };
        members.pass(b"{");
        members
    }

    /// The next member's value; serde_json must have read it before, so that it is known to be one.
    pub fn next_value(&mut self) -> &'a [u8] {
        self.pass(b":");
        self.pass(b",}").trim_ascii()
    }

    /// Passes the first of `ends` that stands neither in a text nor in a nested value; gives what is before it.
    fn pass(&mut self, ends: &[u8]) -> &'a [u8] {
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        let end = self.rest.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                end if depth == 0 && ends.contains(end) => return true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            false
        });
        let (passed, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.get(1..).unwrap_or_default();
        passed
    }
}

/// A JSON value, as far as serde_json has to read it.
pub(super) enum Value {
    Null,
    Text(String),
    /// A number, `true` or `false`, an object or a list.
    Other,
}

impl Value {
    /// Its text; `written` is the value as it stands in the line.
    pub fn text(self, written: &[u8]) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text),
            Self::Other => {
                let written = String::from_utf8_lossy(written);
                Some(match written.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
                    true => decimal(&written),
                    false => written.into_owned(),
                })
            }
        }
    }
}

/// A JSON number without an exponent and without zeros that say nothing: `1.50e3` is `1500`.
fn decimal(number: &str) -> String {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent = match exponent.parse::<i64>() {
        Ok(exponent) if exponent.abs() <= LARGEST_EXPONENT => exponent,
        _ => return number.to_owned(),
    };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if exponent == 0 && fraction.is_empty() {
        return format!("{sign}{mantissa}");
    }
    let digits = format!("{whole}{fraction}");
    // How many of the digits stand before the point; zeros stand in for those that are not there.
    let point = whole.len() as i64 + exponent;
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let padded = zeros(-point) + &digits + &zeros(point - digits.len() as i64);
    let (whole, fraction) = padded.split_at(usize::try_from(point).unwrap_or(0));
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// Reads any JSON value.
pub(super) struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| Value::Other)
    }
}
