//! The gate: what a value and a row must satisfy, the same for loads and for an application's fields.
//!
//! A broken rule has a name ([`rules`]) that quality reports count by, and a message that says what is wrong
//! with this value. A message about a personal field, or one that a file makes of personal text, never repeats the value.

pub mod dates;
mod field;
pub mod parse;
mod row;
pub mod rules;

use std::cmp::Ordering;

pub(crate) use field::shorten;
pub use row::RowChecks;

use crate::{Value, ValueRef};

/// A rule that a value or a row breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule's name: one of [`rules::ALL`], a built-in check's, or a row check's id.
    pub rule: String,
    pub message: String,
}

impl Broken {
    /// The message without the field's name, for whoever has told that already.
    pub fn of_field(&self, field: &str) -> &str {
        let rest = self.message.strip_prefix(field).and_then(|rest| rest.strip_prefix(": "));
        rest.unwrap_or(&self.message)
    }
}

/// Order of two values of one numeric or time type; None for others.
pub fn order(a: &Value, b: &Value) -> Option<Ordering> {
    order_refs(a.as_ref(), b.as_ref())
}

fn order_refs(a: ValueRef<'_>, b: ValueRef<'_>) -> Option<Ordering> {
    match (a, b) {
        (ValueRef::Int64(a), ValueRef::Int64(b)) | (ValueRef::Timestamp(a), ValueRef::Timestamp(b)) => {
            Some(a.cmp(&b))
        }
        (ValueRef::Date32(a), ValueRef::Date32(b)) => Some(a.cmp(&b)),
        (ValueRef::Float64(a), ValueRef::Float64(b)) => a.partial_cmp(&b),
        _ => None,
    }
}
