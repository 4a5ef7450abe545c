//! An alert that can be taken.

use std::sync::Arc;

use prost::Message as _;
use tarim_proto::warning::v1::{Alert, Level};

use super::{Id, Inspections};

/// An alert that names what it must.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAlert {
    id: Id,
    alert: Arc<Alert>,
    inspect_by_us: Option<i64>,
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
    /// An alert that comes in: when it is to be inspected is decided now.
    pub fn new(alert: Alert, inspections: &Inspections) -> Result<Self, AlertError> {
        let inspect_by_us = inspections.due_us(&alert);
        Self::again(alert, inspect_by_us)
    }

    /// An alert that came in before, as it was decided then.
    pub fn again(alert: Alert, inspect_by_us: Option<i64>) -> Result<Self, AlertError> {
        let id = alert.alert_id.parse().map_err(|()| AlertError::Id(alert.alert_id.clone()))?;
        let needed =
            [("member", &alert.member), ("customer_id", &alert.customer_id), ("rule_id", &alert.rule_id)];
        if let Some((name, _)) = needed.iter().find(|(_, value)| value.is_empty()) {
            return Err(AlertError::Missing(name));
        }
        if matches!(Level::try_from(alert.level), Err(_) | Ok(Level::Unspecified)) {
            return Err(AlertError::Level(alert.level));
        }
        let bytes = alert.encoded_len();
        if bytes > ALERT_MAX {
            return Err(AlertError::TooLong(bytes));
        }
        Ok(Self { id, alert: Arc::new(alert), inspect_by_us })
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
}
