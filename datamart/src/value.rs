//! The six types of Tarim, and a value of one of them.

use std::{fmt, ops::RangeInclusive};

use arrow::datatypes::{DataType, TimeUnit};
use chrono::Datelike;
use datafusion::scalar::ScalarValue;
use serde::{Deserialize, Serialize};

/// Days since 1970-01-01 of the years 0 to 9999, which are all that four digits can write.
const CALENDAR: RangeInclusive<i64> = -719_528..=2_932_896;
const DAY_US: i64 = 86_400_000_000;

/// Type of a field, a feature or an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    Boolean,
    Int64,
    Float64,
    Utf8,
    /// Days since 1970-01-01.
    Date32,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
}

impl Type {
    /// The Arrow type that carries it everywhere: datamart, plans and expressions.
    pub fn arrow(self) -> DataType {
        match self {
            Type::Boolean => DataType::Boolean,
            Type::Int64 => DataType::Int64,
            Type::Float64 => DataType::Float64,
            Type::Utf8 => DataType::Utf8,
            Type::Date32 => DataType::Date32,
            Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }

    /// The type that an Arrow type is, if it is one of the six.
    pub fn from_arrow(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Type::Boolean,
            DataType::Int64 => Type::Int64,
            DataType::Float64 => Type::Float64,
            DataType::Utf8 => Type::Utf8,
            DataType::Date32 => Type::Date32,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Type::Timestamp,
            _ => return None,
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Boolean => "boolean",
            Type::Int64 => "int64",
            Type::Float64 => "float64",
            Type::Utf8 => "utf8",
            Type::Date32 => "date32",
            Type::Timestamp => "timestamp",
        })
    }
}

/// A value, or NULL. Equality is by bits for floats, so that "the same decision" means the same bits.
#[derive(Clone, Debug, Default)]
pub enum Value {
    #[default]
    Null,
    Boolean(bool),
    Int64(i64),
    Float64(f64),
    Utf8(String),
    /// Days since 1970-01-01.
    Date32(i32),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Boolean(a), Value::Boolean(b)) => a == b,
            (Value::Int64(a), Value::Int64(b)) => a == b,
            (Value::Float64(a), Value::Float64(b)) => a.to_bits() == b.to_bits(),
            (Value::Utf8(a), Value::Utf8(b)) => a == b,
            (Value::Date32(a), Value::Date32(b)) => a == b,
            (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
            _ => false,
        }
    }
}

impl Value {
    /// Type of the value; None for NULL, which has every type.
    pub fn type_of(&self) -> Option<Type> {
        Some(match self {
            Value::Null => return None,
            Value::Boolean(_) => Type::Boolean,
            Value::Int64(_) => Type::Int64,
            Value::Float64(_) => Type::Float64,
            Value::Utf8(_) => Type::Utf8,
            Value::Date32(_) => Type::Date32,
            Value::Timestamp(_) => Type::Timestamp,
        })
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// As DataFusion takes it; NULL gets the type.
    pub fn into_scalar(self, ty: Type) -> ScalarValue {
        match self {
            Value::Boolean(b) => ScalarValue::Boolean(Some(b)),
            Value::Int64(i) => ScalarValue::Int64(Some(i)),
            Value::Float64(x) => ScalarValue::Float64(Some(x)),
            Value::Utf8(s) => ScalarValue::Utf8(Some(s)),
            Value::Date32(d) => ScalarValue::Date32(Some(d)),
            Value::Timestamp(t) => ScalarValue::TimestampMicrosecond(Some(t), None),
            Value::Null => match ty {
                Type::Boolean => ScalarValue::Boolean(None),
                Type::Int64 => ScalarValue::Int64(None),
                Type::Float64 => ScalarValue::Float64(None),
                Type::Utf8 => ScalarValue::Utf8(None),
                Type::Date32 => ScalarValue::Date32(None),
                Type::Timestamp => ScalarValue::TimestampMicrosecond(None, None),
            },
        }
    }

    /// The same value, borrowed.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Null => ValueRef::Null,
            Value::Boolean(b) => ValueRef::Boolean(*b),
            Value::Int64(i) => ValueRef::Int64(*i),
            Value::Float64(x) => ValueRef::Float64(*x),
            Value::Utf8(s) => ValueRef::Utf8(s),
            Value::Date32(d) => ValueRef::Date32(*d),
            Value::Timestamp(t) => ValueRef::Timestamp(*t),
        }
    }
}

/// A value that borrows its text: what goes through the gate online is never copied on its way.
#[derive(Clone, Copy, Debug, Default)]
pub enum ValueRef<'a> {
    #[default]
    Null,
    Boolean(bool),
    Int64(i64),
    Float64(f64),
    Utf8(&'a str),
    /// Days since 1970-01-01.
    Date32(i32),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

impl ValueRef<'_> {
    /// Type of the value; None for NULL, which has every type.
    pub fn type_of(self) -> Option<Type> {
        Some(match self {
            ValueRef::Null => return None,
            ValueRef::Boolean(_) => Type::Boolean,
            ValueRef::Int64(_) => Type::Int64,
            ValueRef::Float64(_) => Type::Float64,
            ValueRef::Utf8(_) => Type::Utf8,
            ValueRef::Date32(_) => Type::Date32,
            ValueRef::Timestamp(_) => Type::Timestamp,
        })
    }

    pub fn is_null(self) -> bool {
        matches!(self, ValueRef::Null)
    }

    /// Whether a date or a time is of the years 0 to 9999; what is none is no date that anybody meant, and calendars do not
    /// reach as far as the types do. An offset may carry a time over into the next day.
    pub fn is_of_calendar(self) -> bool {
        match self {
            ValueRef::Date32(days) => CALENDAR.contains(&days.into()),
            ValueRef::Timestamp(us) => {
                (CALENDAR.start() - 1..=CALENDAR.end() + 1).contains(&us.div_euclid(DAY_US))
            }
            _ => true,
        }
    }

    /// The same value with a text of its own.
    pub fn to_value(self) -> Value {
        match self {
            ValueRef::Null => Value::Null,
            ValueRef::Boolean(b) => Value::Boolean(b),
            ValueRef::Int64(i) => Value::Int64(i),
            ValueRef::Float64(x) => Value::Float64(x),
            ValueRef::Utf8(s) => Value::Utf8(s.to_owned()),
            ValueRef::Date32(d) => Value::Date32(d),
            ValueRef::Timestamp(t) => Value::Timestamp(t),
        }
    }
}

/// For people: dates and times in ISO 8601, NULL as `–`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("–"),
            Value::Boolean(b) => write!(f, "{b}"),
            Value::Int64(i) => write!(f, "{i}"),
            Value::Float64(x) => write!(f, "{x}"),
            Value::Utf8(s) => f.write_str(s),
            Value::Date32(days) => match date(*days) {
                Some(d) => write!(f, "{d}"),
                None => write!(f, "day {days}"),
            },
            Value::Timestamp(us) => match chrono::DateTime::from_timestamp_micros(*us) {
                Some(t) => write!(f, "{}", t.format("%Y-%m-%dT%H:%M:%S%.fZ")),
                None => write!(f, "{us} µs"),
            },
        }
    }
}

/// A Date32 as `YYYY-MM-DD`, as [`Value`] is displayed; None: it is not of the years 0 to 9999.
pub fn date_digits(days: i32) -> Option<[u8; 10]> {
    let day = date(days)?;
    let year = u32::try_from(day.year()).ok().filter(|year| *year <= 9999)?;
    let digit = |n: u32| b'0' + (n % 10) as u8;
    let two = |n: u32| [digit(n / 10), digit(n)];
    let ([a, b], [c, d], [e, f], [g, h]) = (two(year / 100), two(year), two(day.month()), two(day.day()));
    Some([a, b, c, d, b'-', e, f, b'-', g, h])
}

/// The calendar day of a Date32, if the calendar reaches that far.
pub fn date(days: i32) -> Option<chrono::NaiveDate> {
    chrono::NaiveDate::from_epoch_days(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_a_date_are_as_it_is_displayed() {
        let mut without = 0;
        let ends = [-719_529, -719_528, 2_932_896, 2_932_897, i32::MIN, 0, i32::MAX];
        for days in (-800_000..3_000_000).step_by(97).chain(ends) {
            let shown = Value::Date32(days).to_string();
            assert_eq!(ValueRef::Date32(days).is_of_calendar(), date_digits(days).is_some(), "{shown}");
            match date_digits(days) {
                Some(digits) => assert_eq!(digits, *shown.as_bytes()),
                None => {
                    assert!(date(days).is_none_or(|day| !(0..=9999).contains(&day.year())), "{shown}");
                    without += 1;
                }
            }
        }
        assert!(without > 100);
    }
}
