//! What time it is when a change is made.

use std::time::{SystemTime, UNIX_EPOCH};

/// Gives the time of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// Always this, in microseconds since 1970-01-01T00:00:00Z: for tests and demonstrations on past data.
    Fixed(i64),
}

impl Clock {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn now_us(self) -> i64 {
        match self {
            Self::Fixed(us) => us,
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
            }
        }
    }
}
