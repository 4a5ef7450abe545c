//! Words of warning rules.

use tarim_proto::warning::v1 as wire;

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Blue,
    Yellow,
    Orange,
    Red,
}

impl Level {
    pub const ALL: [(&str, Level); 4] =
        [("blue", Level::Blue), ("yellow", Level::Yellow), ("orange", Level::Orange), ("red", Level::Red)];

    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    pub fn wire(self) -> wire::Level {
        match self {
            Level::Blue => wire::Level::Blue,
            Level::Yellow => wire::Level::Yellow,
            Level::Orange => wire::Level::Orange,
            Level::Red => wire::Level::Red,
        }
    }
}

/// When an alert is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    Realtime,
    Digest,
}

impl Push {
    pub const ALL: [(&str, Push); 2] = [("realtime", Push::Realtime), ("digest", Push::Digest)];

    pub fn wire(self) -> wire::Push {
        match self {
            Push::Realtime => wire::Push::Realtime,
            Push::Digest => wire::Push::Digest,
        }
    }
}

/// What *unknown* means for a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfUnknown {
    /// As if it were true; the alert says that it is not known.
    Warn,
    Ignore,
}

impl IfUnknown {
    pub const ALL: [(&str, IfUnknown); 2] = [("warn", IfUnknown::Warn), ("ignore", IfUnknown::Ignore)];
}
