//! What is to be told of large exposures: that one was recognised, grew, was filed. In the order in which it happened, and never
//! dropped, so that whoever tells others need only know how far it has come.

use super::{Core, column::fixed};

/// What happened to a large exposure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LargeChange {
    /// It came above the line: it is to be filed.
    Recognised,
    /// It was above the line, and more was taken.
    Grown,
    Filed,
}

/// Something happened to a large exposure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LargeEvent {
    /// Of the operation by which it happened. No two events of an operation are of the same large exposure.
    pub sequence: u64,
    pub at_us: i64,
    /// Of the large exposure.
    pub number: u32,
    pub what: LargeChange,
    pub member: String,
    /// To a customer; else to a group.
    pub is_customer: bool,
    /// Of the customer or group.
    pub id: String,
    /// How much it was then.
    pub used_fen: i64,
    /// The line of its member then. None: the member had none any more.
    pub line_fen: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct NoticeRow {
    sequence: u64,
    at: i64,
    used: i64,
    /// Or -1.
    line: i64,
    number: u32,
    what: u32,
}
fixed!(NoticeRow { sequence: u64, at: i64, used: i64, line: i64, number: u32, what: u32 });

const WHATS: [LargeChange; 3] = [LargeChange::Recognised, LargeChange::Grown, LargeChange::Filed];

impl Core {
    /// Of the operation that is being done.
    pub(super) fn notice(&mut self, number: u32, what: LargeChange, used: i64, line: Option<i64>) {
        let (sequence, at, line) = (self.sequence + 1, self.now_us, line.unwrap_or(-1));
        self.notices.push(NoticeRow { sequence, at, used, line, number, what: what as u32 });
    }

    /// How many events there are, from the ledger's first operation on.
    pub fn large_event_count(&self) -> u32 {
        self.notices.len()
    }

    /// Events of large exposures, but for the first so many.
    pub fn large_events(&self, from: u32) -> impl Iterator<Item = LargeEvent> {
        (from..self.notices.len()).map(|at| self.tell_notice(self.notices.get(at)))
    }

    fn tell_notice(&self, row: &NoticeRow) -> LargeEvent {
        let large = self.larges.get(row.number - 1);
        LargeEvent {
            sequence: row.sequence,
            at_us: row.at,
            number: row.number,
            what: WHATS[row.what as usize],
            member: self.words.get(large.member).to_owned(),
            is_customer: large.is_group == 0,
            id: self.texts.text(self.subject(large).0).to_owned(),
            used_fen: row.used,
            line_fen: (row.line >= 0).then_some(row.line),
        }
    }
}
