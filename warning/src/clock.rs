//! What time it is at the desk.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Gives the time of a change, and of a push.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// Always this, in microseconds since 1970-01-01T00:00:00Z: for demonstrations on past data.
    Fixed(i64),
    /// Whatever it is set to: for tests.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn now_us(&self) -> i64 {
        match self {
            Self::Fixed(us) => *us,
            Self::Set(us) => us.load(Ordering::Acquire),
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
            }
        }
    }
}
