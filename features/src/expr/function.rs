//! The functions of expressions, as they stand in a shared `Expr`: fixed in their types.
//!
//! What an analyst calls (`greatest(a, b, c)`, `CAST(x AS DATE)`, `date_part('year', d)`) is resolved by
//! [`super::plan`] to one or more of these. Each has one kernel ([`super::kernel`]), a [`super::udf`] for
//! DataFusion and an op of the row program.

use tarim_datamart::Type;

use super::kernel::{Between, Float2Fn, FloatFn, IntFn, TextFn, TextTest};

/// A function with its argument and result types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    Float(FloatFn),
    Float2(Float2Fn),
    Int(IntFn),
    Between(Between),
    Text(TextFn),
    Test(TextTest),
    /// `(utf8, utf8) → utf8`
    Concat,
    /// `(utf8, int64, int64) → utf8`
    Substr,
    /// `utf8 → int64`
    Length,
    /// A cast that is not int64 → float64 (which is DataFusion's own). What cannot be cast is NULL.
    Cast(Cast),
    /// One of two values of a type, or NULL.
    Choice(Choice, Type),
}

/// `from → to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cast {
    BooleanToInt,
    FloatToInt,
    /// To utf8, from any other type.
    ToText(Type),
    /// From utf8, to any other type.
    FromText(Type),
}

/// Which of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Choice {
    /// The first unless it is NULL.
    Coalesce,
    /// The first unless it equals the second, then NULL.
    NullIf,
    /// The greater; NULL if either is.
    Greatest,
    /// The lesser; NULL if either is.
    Least,
}

impl Function {
    pub fn name(self) -> String {
        match self {
            Function::Float(f) => f.name().into(),
            Function::Float2(f) => f.name().into(),
            Function::Int(IntFn::DatePart(part) | IntFn::TimestampPart(part)) => {
                format!("{part:?}_of").to_lowercase()
            }
            Function::Int(IntFn::DateToTimestamp) => "date_to_timestamp".into(),
            Function::Int(IntFn::TimestampToDate) => "timestamp_to_date".into(),
            Function::Int(IntFn::ShiftDate { months, days }) => {
                format!("shift_{months}_months_{days}_days")
            }
            Function::Int(IntFn::ShiftTimestamp { months, days, us }) => {
                format!("shift_{months}_months_{days}_days_{us}_us")
            }
            Function::Between(f) => f.name().into(),
            Function::Text(f) => f.name().into(),
            Function::Test(f) => f.name().into(),
            Function::Concat => "concat".into(),
            Function::Substr => "substr".into(),
            Function::Length => "length".into(),
            Function::Cast(Cast::BooleanToInt) => "boolean_to_int64".into(),
            Function::Cast(Cast::FloatToInt) => "float64_to_int64".into(),
            Function::Cast(Cast::ToText(from)) => format!("{from}_to_utf8"),
            Function::Cast(Cast::FromText(to)) => format!("utf8_to_{to}"),
            Function::Choice(choice, ty) => format!("{choice:?}_{ty}").to_lowercase(),
        }
    }

    pub fn arguments(self) -> Vec<Type> {
        match self {
            Function::Float(_) => vec![Type::Float64],
            Function::Float2(_) => vec![Type::Float64; 2],
            Function::Int(f) => vec![match f {
                IntFn::DatePart(_) | IntFn::DateToTimestamp | IntFn::ShiftDate { .. } => Type::Date32,
                IntFn::TimestampPart(_) | IntFn::TimestampToDate | IntFn::ShiftTimestamp { .. } => {
                    Type::Timestamp
                }
            }],
            Function::Between(Between::Days | Between::Months) => vec![Type::Date32; 2],
            Function::Between(Between::Seconds) => vec![Type::Timestamp; 2],
            Function::Text(_) | Function::Length => vec![Type::Utf8],
            Function::Test(_) | Function::Concat => vec![Type::Utf8; 2],
            Function::Substr => vec![Type::Utf8, Type::Int64, Type::Int64],
            Function::Cast(Cast::BooleanToInt) => vec![Type::Boolean],
            Function::Cast(Cast::FloatToInt) => vec![Type::Float64],
            Function::Cast(Cast::ToText(from)) => vec![from],
            Function::Cast(Cast::FromText(_)) => vec![Type::Utf8],
            Function::Choice(_, ty) => vec![ty; 2],
        }
    }

    pub fn result(self) -> Type {
        match self {
            Function::Float(_) | Function::Float2(_) => Type::Float64,
            Function::Int(IntFn::DatePart(_) | IntFn::TimestampPart(_)) => Type::Int64,
            Function::Int(IntFn::DateToTimestamp | IntFn::ShiftTimestamp { .. }) => Type::Timestamp,
            Function::Int(IntFn::TimestampToDate | IntFn::ShiftDate { .. }) => Type::Date32,
            Function::Between(_) | Function::Length => Type::Int64,
            Function::Text(_) | Function::Concat | Function::Substr => Type::Utf8,
            Function::Test(_) => Type::Boolean,
            Function::Cast(Cast::BooleanToInt | Cast::FloatToInt) => Type::Int64,
            Function::Cast(Cast::ToText(_)) => Type::Utf8,
            Function::Cast(Cast::FromText(to)) => to,
            Function::Choice(_, ty) => ty,
        }
    }
}

impl Choice {
    /// For values that are NULL as None and are compared by `PartialOrd`. (Floats do not come here as such:
    /// see [`Choice::float`].)
    pub fn of<T: PartialOrd>(self, a: Option<T>, b: Option<T>) -> Option<T> {
        match (self, a, b) {
            (Choice::Coalesce, a, b) => a.or(b),
            (Choice::NullIf, Some(a), Some(b)) => (a != b).then_some(a),
            (Choice::NullIf, a, _) => a,
            (Choice::Greatest, Some(a), Some(b)) => Some(if b > a { b } else { a }),
            (Choice::Least, Some(a), Some(b)) => Some(if b < a { b } else { a }),
            (Choice::Greatest | Choice::Least, ..) => None,
        }
    }

    /// For floats, where NaN is NULL. (A comparison with NaN is false.)
    #[inline]
    pub fn float(self, a: f64, b: f64) -> f64 {
        match self {
            Choice::Coalesce if a.is_nan() => b,
            Choice::NullIf if a == b => f64::NAN,
            Choice::Coalesce | Choice::NullIf => a,
            Choice::Greatest if b > a => b,
            Choice::Greatest if a >= b => a,
            Choice::Least if b < a => b,
            Choice::Least if a <= b => a,
            Choice::Greatest | Choice::Least => f64::NAN,
        }
    }
}
