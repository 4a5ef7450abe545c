//! Who is told of a warning, and when: at once, in a digest, or because nobody looks into it.
//!
//! ```text
//!  warnings/*.toml ─► Policy ─┐         (read, policy, calendar)
//!  datamart ─► Managers ──────┴► Stage  decides: a Way for each alert, what is due      (stage)
//!                                  │
//!                                  ▼ what was decided is written to the ledger
//!  alert + Way ──► Delivery: per reader what was spent today and what waits             (readers)
//!                      ├─ at once ─────────────► Push: an alert, or an escalation
//!                      └─ waits ─► time comes ─► Push: a digest                         (digest)
//! ```
//!
//! - **A reader** is an account manager, `unassigned` for customers without one, or a role that warnings are escalated to. A
//!   budget and digests are the reader's, whoever it is: a flood does not drown the branch head either.
//! - **Decisions are kept, not reasons.** The ledger has what was decided, so what comes of it is the same after a restart,
//!   whatever the rulebook says by then; another rulebook decides from its start on.
//! - **No I/O and no clock**: times come with what happens. An alert is in exactly one push of its reader: its own, or a digest.
//! - An alert costs O(log n): a look-up of its reader, and a place among the timers.

mod calendar;
mod course;
mod digest;
mod history;
mod json;
mod kept;
mod managers;
mod policy;
mod push;
mod read;
mod readers;
mod stage;

pub use self::{
    calendar::Calendar,
    course::Course,
    digest::{Digest, Group, Line},
    history::{History, ReaderCount, deliver},
    json::push_json,
    managers::{Managers, ManagersError, UNASSIGNED},
    policy::{Budget, Budgets, Escalation, Limit, Policy},
    push::{Kind, Push, What},
    readers::{Delivery, Way},
    stage::{Due, Stage},
};
pub(crate) use self::{managers::check as check_managers, read::DeliveryText};
