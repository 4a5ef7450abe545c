//! What time it is when a decision is made.

use std::time::{SystemTime, UNIX_EPOCH};

/// Gives the time of a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// Always this, in microseconds since 1970-01-01T00:00:00Z: for demonstrations on past data.
    Fixed(i64),
}

impl Clock {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn now_us(self) -> i64 {
        match self {
            Self::Fixed(us) => us,
            // A clock before 1970 or after the year 294000 is no clock to decide by.
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|d| i64::try_from(d.as_micros()).ok())
                .expect("the system clock is within the calendar"),
        }
    }
}
