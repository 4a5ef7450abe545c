//! A warning and its versions.

use std::{fmt, str::FromStr, sync::Arc};

use tarim_proto::warning::v1::Level;

use super::{Inspection, Place, State};

/// Id of an alert, and of the warning that it opened: 32 hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; 16]);

/// A warning at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// That of the alert that opened it.
    pub id: Id,
    /// Its number within the member, from 0 in the order of opening.
    pub number: u32,
    pub member: Arc<str>,
    pub customer: Arc<str>,
    pub rule: Arc<str>,
    pub key: Arc<str>,
    /// What it belongs to for whoever reads it.
    pub group: Arc<str>,
    /// Where the alert that opened it stands, and how long its texts are, in bytes of JSON.
    pub body: Place,
    pub text: u32,
    /// The highest of its alerts.
    pub level: Level,
    pub state: State,
    /// Alerts that it stands for.
    pub count: u32,
    /// When the first and the last of its alerts arose, in microseconds since 1970-01-01T00:00:00Z.
    pub first_raised_us: i64,
    pub last_raised_us: i64,
    /// The opening is not among them.
    pub history: Vec<Step>,
    pub inspection: Option<Inspection>,
}

/// From one state to another: who, when, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub from: State,
    pub to: State,
    pub by: Arc<str>,
    pub at_us: i64,
    pub why: Arc<str>,
    /// Nobody looked into it for too long: passed on to this role by the system. The state stays open.
    pub escalated_to: Option<Arc<str>>,
}

impl Warning {
    /// Was it passed on to this role?
    pub fn was_passed_on(&self, to: &str) -> bool {
        self.history.iter().any(|step| step.escalated_to.as_deref() == Some(to))
    }

    /// Id of a step; 0 is the opening, the others are counted from 1 in the history.
    pub fn change_id(&self, step: usize) -> String {
        format!("{}-{step}", self.id)
    }
}

impl Id {
    pub(super) fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    pub(super) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let text: &[u8; 32] = text.as_bytes().try_into().map_err(|_| ())?;
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(text.as_chunks::<2>().0) {
            *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or(())?;
        }
        Ok(Self(id))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
