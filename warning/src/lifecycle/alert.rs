//! An alert that can be taken.

use std::sync::Arc;

use prost::Message as _;
use tarim_proto::warning::v1::{Alert, Level, Push};

use super::{Id, Inspections};
use crate::alert::bytes_as_json;

/// An alert that names what it must.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAlert {
    id: Id,
    level: Level,
    alert: Arc<Alert>,
    inspect_by_us: Option<i64>,
}

/// What of an alert is looked up and counted. The rest is its body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head<'a> {
    pub id: Id,
    pub member: &'a str,
    pub customer: &'a str,
    pub rule: &'a str,
    pub key: &'a str,
    pub group: &'a str,
    pub level: Level,
    pub push: Push,
    pub raised_at_us: i64,
    /// Repeats that the rule held back before it.
    pub repeats: u32,
    /// Length of what it says in both languages, in bytes of JSON.
    pub text: u32,
    /// By when it is to be inspected; None: it need not be.
    pub inspect_by_us: Option<i64>,
}

/// Why an alert cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    #[error(
        "alert_id: `{0}` is not 32 hexadecimal digits, as `tarim warn run` and `tarim warn replay` write them"
    )]
    Id(String),
    #[error("{0}: it is missing")]
    Missing(&'static str),
    #[error("it is {0} bytes long; the longest is {ALERT_MAX}")]
    TooLong(usize),
    #[error("level: {0} is none of blue, yellow, orange, red")]
    Level(i32),
}

/// Longest alert, in bytes: as much as Kafka takes by itself. What the pipeline raises is far from it.
const ALERT_MAX: usize = 1 << 20;

impl NewAlert {
    /// An alert that comes in at a time: when it is to be inspected is decided now.
    pub fn new(alert: Alert, inspections: &Inspections, taken_us: i64) -> Result<Self, AlertError> {
        let inspect_by_us = inspections.due_us(&alert, taken_us);
        let id = id(&alert.alert_id)?;
        let level = level(alert.level)?;
        let new = Self { id, level, alert: Arc::new(alert), inspect_by_us };
        new.head().check(new.alert.encoded_len())?;
        Ok(new)
    }

    pub fn id(&self) -> Id {
        self.id
    }

    pub fn alert(&self) -> &Arc<Alert> {
        &self.alert
    }

    pub fn inspect_by_us(&self) -> Option<i64> {
        self.inspect_by_us
    }

    pub fn head(&self) -> Head<'_> {
        let alert = &*self.alert;
        Head {
            id: self.id,
            member: &alert.member,
            customer: &alert.customer_id,
            rule: &alert.rule_id,
            key: &alert.key,
            group: &alert.group,
            level: self.level,
            push: alert.push(),
            raised_at_us: alert.raised_at_us,
            repeats: alert.repeats,
            text: [&alert.zh, &alert.en].map(|text| bytes_as_json(text.as_bytes()) as u32).iter().sum(),
            inspect_by_us: self.inspect_by_us,
        }
    }
}

impl Head<'_> {
    /// Does it name what it must? `bytes`: how long the whole alert is.
    pub fn check(&self, bytes: usize) -> Result<(), AlertError> {
        let needed = [("member", self.member), ("customer_id", self.customer), ("rule_id", self.rule)];
        if let Some((name, _)) = needed.iter().find(|(_, value)| value.is_empty()) {
            return Err(AlertError::Missing(name));
        }
        if bytes > ALERT_MAX {
            return Err(AlertError::TooLong(bytes));
        }
        Ok(())
    }
}

/// Id of an alert.
pub fn id(text: &str) -> Result<Id, AlertError> {
    text.parse().map_err(|()| AlertError::Id(text.to_owned()))
}

/// Level of an alert, which has one.
pub fn level(level: i32) -> Result<Level, AlertError> {
    match Level::try_from(level) {
        Err(_) | Ok(Level::Unspecified) => Err(AlertError::Level(level)),
        Ok(level) => Ok(level),
    }
}
