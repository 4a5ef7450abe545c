//! The states of a warning, and which may follow which.

use tarim_proto::warning::v1 as wire;

/// What has become of a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has looked at it.
    Open,
    /// Somebody looks into it.
    Acknowledged,
    /// It was dealt with.
    Disposed,
    /// Somebody else must deal with it.
    Escalated,
    /// Nothing more is to be done.
    Closed,
}

impl State {
    pub const ALL: [State; 5] =
        [State::Open, State::Acknowledged, State::Disposed, State::Escalated, State::Closed];

    /// What it may become.
    pub fn next(self) -> &'static [State] {
        match self {
            State::Open => &[State::Acknowledged],
            State::Acknowledged => &[State::Disposed, State::Escalated],
            State::Disposed | State::Escalated => &[State::Closed],
            State::Closed => &[],
        }
    }

    pub fn may_become(self, to: State) -> bool {
        self.next().contains(&to)
    }

    /// Does it stand against the customer? While it does, alerts of the same are repeats.
    pub fn stands(self) -> bool {
        matches!(self, State::Open | State::Acknowledged | State::Escalated)
    }

    pub fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Acknowledged => "acknowledged",
            State::Disposed => "disposed",
            State::Escalated => "escalated",
            State::Closed => "closed",
        }
    }

    pub fn wire(self) -> wire::State {
        match self {
            State::Open => wire::State::Open,
            State::Acknowledged => wire::State::Acknowledged,
            State::Disposed => wire::State::Disposed,
            State::Escalated => wire::State::Escalated,
            State::Closed => wire::State::Closed,
        }
    }

    /// None: unspecified.
    pub fn of_wire(state: wire::State) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.wire() == state)
    }
}
