//! The gate: what a value and a row must satisfy, the same for loads and for an application's fields.
//!
//! A broken rule has a name ([`rules`]) that quality reports count by, and a message that says what is wrong
//! with this value. A message about a personal field never repeats the value.

pub mod dates;
mod field;
pub mod parse;
mod row;
pub mod rules;

use std::cmp::Ordering;

pub(crate) use field::shorten;
pub use row::RowChecks;

use crate::Value;

/// A rule that a value or a row breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule's name: one of [`rules::ALL`], a built-in check's, or a row check's id.
    pub rule: String,
    pub message: String,
}

/// Order of two values of one numeric or time type; None for others.
pub fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int64(a), Value::Int64(b)) | (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
        (Value::Date32(a), Value::Date32(b)) => Some(a.cmp(b)),
        (Value::Float64(a), Value::Float64(b)) => a.partial_cmp(b),
        _ => None,
    }
}
