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

/// How long an account manager has, from when the alert was taken: one that comes late gives no less time.
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
    /// By when an alert that is taken at a time asks for an inspection; None: it does not. Nobody can have been told of it before
    /// it was raised.
    pub fn due_us(&self, alert: &Alert, taken_us: i64) -> Option<i64> {
        let within = match alert.level() {
            Level::Orange => self.orange,
            Level::Red => self.red,
            Level::Unspecified | Level::Blue | Level::Yellow => return None,
        };
        let from_us = alert.raised_at_us.max(taken_us);
        Some(from_us.saturating_add(i64::try_from(within.as_micros()).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_from_when_an_alert_was_taken() {
        const DAY_US: i64 = 86_400_000_000;
        let due = |level: Level, raised_at_us: i64, taken_us: i64| {
            let alert = Alert { level: level.into(), raised_at_us, ..Alert::default() };
            Inspections::default().due_us(&alert, taken_us).map(|us| us / DAY_US)
        };
        assert_eq!(due(Level::Red, 10 * DAY_US, 10 * DAY_US), Some(11));
        assert_eq!(due(Level::Red, 10 * DAY_US, 210 * DAY_US), Some(211), "an event that came 200 days late");
        assert_eq!(due(Level::Orange, 10 * DAY_US, 9 * DAY_US), Some(17), "by a clock that is behind");
        assert_eq!(due(Level::Yellow, 0, 0), None);
    }
}
