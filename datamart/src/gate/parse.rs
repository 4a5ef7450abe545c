//! Text to values, the way every source and every rulebook means it.
//!
//! Nothing is guessed: text that is not wholly a value of the type is no value.

use chrono::NaiveDate;

use super::dates;
use crate::{Type, Value};

/// `true`/`false` in any case, or `1`/`0`.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Decimal digits with an optional sign.
pub fn int64(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// A finite number in decimal or scientific notation. `NaN` and infinities are no measurements.
pub fn float64(text: &str) -> Option<f64> {
    text.parse().ok().filter(|x: &f64| x.is_finite())
}

/// A calendar day in ISO 8601, `2026-01-31`, in days since 1970-01-01.
pub fn date32(text: &str) -> Option<i32> {
    dates::iso_date(text)
}

/// A time in ISO 8601, `2026-01-31T10:00:00.5+08:00`, in microseconds since 1970-01-01T00:00:00Z. Without an
/// offset it is in UTC; a day alone means its first instant; digits below the microsecond are dropped.
pub fn timestamp(text: &str) -> Option<i64> {
    dates::iso_timestamp(text)
}

/// Text as a value of a type, with dates and times in ISO 8601.
pub fn value(ty: Type, text: &str) -> Option<Value> {
    Some(match ty {
        Type::Boolean => Value::Boolean(boolean(text)?),
        Type::Int64 => Value::Int64(int64(text)?),
        Type::Float64 => Value::Float64(float64(text)?),
        Type::Utf8 => Value::Utf8(text.to_owned()),
        Type::Date32 => Value::Date32(date32(text)?),
        Type::Timestamp => Value::Timestamp(timestamp(text)?),
    })
}

/// Why a decimal text has no exact scaled integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unscaled {
    /// It is not a decimal number.
    NotDecimal,
    /// Times the scale it is not a whole number.
    Inexact,
    /// Times the scale it is not an int64.
    TooLarge,
}

/// A decimal text times `scale`, exactly: `scaled("12.34", 100) == Ok(1234)`.
pub fn scaled(text: &str, scale: i64) -> Result<i64, Unscaled> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut mantissa: i128 = 0;
    let mut below: u32 = 0;
    let (mut seen_digit, mut seen_point) = (false, false);
    for b in digits {
        match b {
            b'0'..=b'9' => {
                seen_digit = true;
                mantissa = mantissa
                    .checked_mul(10)
                    .and_then(|m| m.checked_add(i128::from(b - b'0')))
                    .ok_or(Unscaled::TooLarge)?;
                below += u32::from(seen_point);
            }
            b'.' if !seen_point => seen_point = true,
            _ => return Err(Unscaled::NotDecimal),
        }
    }
    if !seen_digit {
        return Err(Unscaled::NotDecimal);
    }
    let product = mantissa.checked_mul(i128::from(scale)).ok_or(Unscaled::TooLarge)?;
    // The mantissa of more than 38 digits below the point would have overflowed above, unless all are zero.
    let divisor = 10_i128.checked_pow(below).ok_or(Unscaled::TooLarge)?;
    if product % divisor != 0 {
        return Err(Unscaled::Inexact);
    }
    let whole = product / divisor;
    i64::try_from(if negative { -whole } else { whole }).map_err(|_| Unscaled::TooLarge)
}

/// Days since 1970-01-01 of a calendar day.
pub fn epoch_days(year: i32, month: u32, day: u32) -> Option<i32> {
    NaiveDate::from_ymd_opt(year, month, day).map(|d| d.to_epoch_days())
}
