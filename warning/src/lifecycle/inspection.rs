//! The visit that a grave warning asks of the account manager: an unscheduled inspection.

use std::time::Duration;

use tarim_proto::warning::v1::{Alert, Level};

/// An unscheduled inspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// In microseconds since 1970-01-01T00:00:00Z.
    pub due_at_us: i64,
    /// The warning was disposed or closed.
    pub done: bool,
}

/// How long an account manager has, from the time of the alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspections {
    pub orange: Duration,
    pub red: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Inspections {
    /// A week for orange, a day for red.
    fn default() -> Self {
        Self { orange: 7 * DAY, red: DAY }
    }
}

impl Inspections {
    /// By when an alert asks for an inspection; None: it does not.
    pub fn due_us(&self, alert: &Alert) -> Option<i64> {
        let within = match alert.level() {
            Level::Orange => self.orange,
            Level::Red => self.red,
            Level::Unspecified | Level::Blue | Level::Yellow => return None,
        };
        Some(alert.raised_at_us.saturating_add(i64::try_from(within.as_micros()).unwrap_or(i64::MAX)))
    }
}
