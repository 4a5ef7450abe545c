//! What the generated rules are written with: three-valued logic on options, and reasons as numbers.

use tarim_benches::fixture::book::CODES;
use tarim_datamart::Value;
use tarim_decision::outcome::Outcome;

/// A rule that fired, or could not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    pub rule: u16,
    pub unknown: bool,
}

/// What came of the rules; reused from one application to the next.
#[derive(Clone, Debug)]
pub struct Found {
    pub reasons: Vec<Reason>,
    pub outcome: Outcome,
}

impl Default for Found {
    fn default() -> Self {
        Self { reasons: Vec::new(), outcome: Outcome::Approve }
    }
}

impl Found {
    pub fn clear(&mut self) {
        self.reasons.clear();
        self.outcome = Outcome::Approve;
    }

    #[inline(always)]
    pub fn rule(&mut self, rule: u16, when: Option<bool>, then: Outcome, if_unknown: Option<Outcome>) {
        let (unknown, outcome) = match (when, if_unknown) {
            (Some(false), _) | (None, None) => return,
            (Some(true), _) => (false, then),
            (None, Some(outcome)) => (true, outcome),
        };
        self.reasons.push(Reason { rule, unknown });
        self.outcome = self.outcome.max(outcome);
    }
}

#[inline(always)]
pub fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

#[inline(always)]
pub fn or(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

pub fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int64(i) => Some(*i),
        _ => None,
    }
}

pub fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float64(x) => Some(*x),
        _ => None,
    }
}

pub fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(b) => Some(*b),
        _ => None,
    }
}

/// A text by hand is the number of its code.
pub fn code(value: &Value) -> Option<u8> {
    match value {
        Value::Utf8(text) => CODES.iter().position(|c| c == text).map(|i| i as u8),
        _ => None,
    }
}

pub fn date(value: &Value) -> Option<i32> {
    match value {
        Value::Date32(day) => Some(*day),
        _ => None,
    }
}
