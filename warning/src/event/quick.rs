//! The short way through the gate: what nearly every value passes, told without asking the standard. What does not pass it here
//! goes the long way, where every rule that it breaks is found and named.

use tarim_datamart::{Field, Type, Value, ValueRef};
use tarim_features::row::{Layout, RowBuilder};

use super::Raw;

/// What a value of a field surely passes by.
#[derive(Debug)]
pub enum Quick {
    /// It is one of these texts, each with its code in the row.
    Codes(Box<[(Box<str>, u32)]>),
    /// It lies between.
    Int {
        min: i64,
        max: i64,
    },
    /// It is not empty, and has at most so many bytes.
    Text {
        bytes_max: usize,
    },
    Time,
    /// That must be asked.
    Ask,
}

impl Quick {
    pub fn new(field: &Field, layout: &Layout) -> Self {
        let unbound = field.min.is_none() && field.max.is_none();
        let plain = field.pattern.is_none() && field.checks.is_empty() && field.length_min.is_none();
        let end = |end: &Option<Value>, open: i64| match end {
            None => Some(open),
            Some(Value::Int64(end)) => Some(*end),
            Some(_) => None,
        };
        match (field.ty, &field.codes) {
            (Type::Utf8, Some(codes)) if plain && field.length_max.is_none() => {
                let code = |text: &str| Some((text.into(), layout.codes().code(text)?));
                Quick::Codes(codes.codes().iter().filter_map(|c| code(&c.code)).collect())
            }
            // A text has no more characters than bytes.
            (Type::Utf8, None) if plain => Quick::Text { bytes_max: field.length_max.unwrap_or(usize::MAX) },
            (Type::Int64, _) => match (end(&field.min, i64::MIN), end(&field.max, i64::MAX)) {
                (Some(min), Some(max)) => Quick::Int { min, max },
                _ => Quick::Ask,
            },
            (Type::Timestamp, _) if unbound => Quick::Time,
            _ => Quick::Ask,
        }
    }

    /// Sets the column, if the value passes.
    #[inline]
    pub fn set(&self, raw: Raw<'_>, column: usize, builder: &mut RowBuilder) -> bool {
        match (self, raw) {
            (Quick::Int { min, max }, Raw::Int(i)) if (*min..=*max).contains(&i) => {
                builder.set_int(column, i).is_ok()
            }
            (Quick::Text { bytes_max }, Raw::Text(text)) if (1..=*bytes_max).contains(&text.len()) => {
                builder.set_text(column, text).is_ok()
            }
            (Quick::Text { bytes_max }, Raw::Bytes(bytes)) if (1..=*bytes_max).contains(&bytes.len()) => {
                str::from_utf8(bytes).is_ok_and(|text| builder.set_text(column, text).is_ok())
            }
            (Quick::Codes(codes), Raw::Text(text)) => set_code(codes, text.as_bytes(), column, builder),
            (Quick::Codes(codes), Raw::Bytes(text)) => set_code(codes, text, column, builder),
            (Quick::Time, Raw::Int(us)) if ValueRef::Timestamp(us).is_of_calendar() => {
                builder.set_timestamp(column, us).is_ok()
            }
            _ => false,
        }
    }
}

#[inline]
fn set_code(codes: &[(Box<str>, u32)], text: &[u8], column: usize, builder: &mut RowBuilder) -> bool {
    let found = codes.iter().find(|(code, _)| code.as_bytes() == text);
    found.is_some_and(|(_, code)| builder.set_text_code(column, *code).is_ok())
}
