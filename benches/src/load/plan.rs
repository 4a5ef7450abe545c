//! What is to be sent.

use std::{fmt, time::Duration};

/// How requests reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One call each.
    Unary,
    /// Down one stream a connection; answers come in their order.
    Stream,
    /// So many in one call.
    Batch(usize),
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Closed loop: whenever fewer than this many are in flight. Of batches, so many batches.
    InFlight(usize),
    /// Open loop: so many a second, whatever the answers.
    PerSecond(f64),
}

/// A load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub mode: Mode,
    pub pace: Pace,
    /// Sent before anything counts.
    pub warmup: Duration,
    pub duration: Duration,
}

impl Plan {
    /// Requests in one message.
    pub fn batch(&self) -> usize {
        match self.mode {
            Mode::Batch(n) => n.max(1),
            Mode::Unary | Mode::Stream => 1,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unary => f.write_str("unary"),
            Self::Stream => f.write_str("stream"),
            Self::Batch(n) => write!(f, "batches of {n}"),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFlight(n) => write!(f, "closed loop, {n} in flight"),
            Self::PerSecond(rate) => write!(f, "open loop, {rate} a second"),
        }
    }
}
