//! Events: from the bytes of a record to a packed row, checked against the standards.
//!
//! ```text
//!  Protobuf ──┐
//!  JSON ──────┼─► head and fields ─► Field::check, RowChecks ─► packed row of the kind ─► Taken
//!  Debezium ──┘                              └─► Rejected: every rule that is broken
//! ```

mod debezium;
mod intake;
mod json;
mod protobuf;
mod quick;

use std::fmt;

pub use intake::{Intake, Reader};

/// Member and customer of a record, which may be no texts, without a look at anything else; None: they do not stand at once
/// where they would.
pub fn ids(format: Format, payload: &[u8]) -> Option<(&[u8], &[u8])> {
    match format {
        Format::Protobuf => protobuf::ids(payload),
        // To find them means to read it all.
        Format::Json => None,
    }
}

/// What a record's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `tarim.event.v1.Event`.
    Protobuf,
    /// The same in JSON; or a row of a table of events in a Debezium envelope.
    Json,
}

/// An event that was taken. It stays in the reader until the next one is read.
#[derive(Clone, Copy, Debug)]
pub enum Taken<'a> {
    Event(Event<'a>),
    /// Time goes on.
    Tick {
        at_us: i64,
    },
    /// From here on the rulebook of this version holds, and if it says so, the features of this generation are read.
    Rulebook {
        version: &'a str,
        features: Option<&'a str>,
    },
    /// From here on the features of this generation are read.
    Features {
        version: &'a str,
    },
}

/// An event of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Index of its kind.
    pub kind: usize,
    pub id: &'a str,
    pub member: &'a str,
    pub customer: &'a str,
    pub happened_at_us: i64,
    pub known_at_us: i64,
    /// Of the kind's layout, self-contained.
    pub row: &'a [u8],
}

/// Why a record is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Every reason, each naming its field.
    pub reasons: Vec<String>,
    /// Its bytes are of no event at all, rather than of one that breaks the standards.
    pub unreadable: bool,
}

impl Rejected {
    fn because(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], unreadable: false }
    }

    fn unreadable(reason: impl Into<String>) -> Self {
        Self { unreadable: true, ..Self::because(reason) }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reasons.join("; "))
    }
}

impl std::error::Error for Rejected {}

/// What an event says of itself, whatever its kind.
#[derive(Clone, Copy, Debug, Default)]
struct Head<'p> {
    id: &'p str,
    member: &'p str,
    customer: &'p str,
    happened_at_us: Option<i64>,
    known_at_us: Option<i64>,
}

/// A value as a format has it, before its field says what it must be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Raw<'p> {
    Null,
    Boolean(bool),
    Int(i64),
    Float(f64),
    Text(&'p str),
    /// A text that nobody has looked at yet: whether it is UTF-8 need not be asked of a code.
    Bytes(&'p [u8]),
}
