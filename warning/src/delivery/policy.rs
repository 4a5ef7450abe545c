//! What a rulebook says of pushes.

use std::sync::Arc;

use tarim_proto::warning::v1::Level;

use super::Calendar;

/// Everything that `[delivery]` and `[[escalation]]` say.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub calendar: Calendar,
    pub budgets: Budgets,
    /// An alert that repeats a warning which stands waits for the digest, unless it raises the warning's level.
    pub repeats_wait: bool,
    /// Those of a level in the order of their times.
    pub escalations: Vec<Escalation>,
    /// Says who the account manager of a customer is; None: nobody.
    pub managers_sql: Option<String>,
}

/// Whoever reads it comes next if nobody looks into a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Of warnings of this level, and no other.
    pub level: Level,
    /// After so long from the first alert of this level, in microseconds.
    pub after_us: i64,
    /// A role within the member.
    pub to: Arc<str>,
    /// For the warning's history.
    pub why: String,
}

/// Most pushes at once that a reader gets of one budget on a local day; None: as many as there are.
pub type Limit = Option<u32>;

/// How many pushes at once a reader gets; what is more waits for the digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Of all levels together that have none of their own.
    pub common: Limit,
    /// From blue to red: a budget of its own.
    pub of_level: [Option<Limit>; 4],
}

/// One of a reader's budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(u8);

impl Budget {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// From 0: the common one, then those of blue to red.
    pub fn index(self) -> usize {
        self.0.into()
    }

    pub fn of_index(index: usize) -> Option<Self> {
        (index < Self::COUNT).then_some(Self(index as u8))
    }
}

impl Budgets {
    /// The budget that a push of a level takes one of, and how much it has; None: it has no end.
    pub fn of(&self, level: Level) -> Option<(Budget, u32)> {
        let own = (level as usize).checked_sub(1).and_then(|at| Some((at + 1, self.of_level[at]?)));
        let (index, limit) = own.unwrap_or((0, self.common));
        limit.map(|limit| (Budget(index as u8), limit))
    }
}
