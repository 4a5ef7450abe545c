//! The life of warnings: what an alert opens, what a repeat adds, which changes are allowed.
//!
//! ```text
//!  alert ──► one of the same member, customer, rule and key stands?
//!              ├─ no ──► a warning: OPEN ─► ACKNOWLEDGED ─┬► DISPOSED ──┬► CLOSED      (state)
//!              └─ yes ─► its count goes up                └► ESCALATED ─┘
//!  change ─► asked before? ─► the first answer
//!              └─ no ─► does the state allow it? ─► the warning's next version
//!  too long OPEN ─► passed on to a role, and still OPEN                                (asked for by `delivery`)
//! ```
//!
//! There is no I/O and no clock here: the same alerts and changes, in the same order, give the same warnings. Who asks for a
//! warning is given it as it is at that time, and keeps it.
//!
//! - **Small**: there are tens of millions. A warning is about a hundred bytes ([`record`]), texts are kept once ([`names`]), an
//!   alert that opened nothing is its id. What an alert says stays in the log: kept is its [`Place`].
//! - **Two views of one thing**: whoever writes sees everything; readers see it as it was when it was last
//!   [settled](Lifecycle::settle), for what is not on disk must not be told.

mod alert;
pub(crate) mod bytes;
mod change;
mod inspection;
mod kept;
mod member;
mod names;
mod place;
mod record;
mod rows;
mod state;
#[cfg(test)]
mod tests;
mod warning;

use std::sync::Arc;

use hashbrown::HashMap;

pub use self::{
    alert::{AlertError, Head, NewAlert},
    change::{NewChange, Refused},
    inspection::{Inspection, Inspections},
    place::Place,
    state::State,
    warning::{Id, Step, Warning},
};
pub(crate) use self::{
    alert::{id as id_of_alert, level as level_of_alert},
    kept::Copy,
    member::Member,
    names::Names,
    record::Record,
    rows::Rows,
};

/// Who steps of the system are by.
const SYSTEM: &str = "system";

/// All warnings, by member.
#[derive(Debug, Default)]
pub struct Lifecycle {
    members: HashMap<Arc<str>, Member>,
}

/// What an alert did.
#[derive(Clone, Debug, PartialEq)]
pub enum Raised {
    Opened(Arc<Warning>),
    /// One stands: as it is now.
    Repeated(Arc<Warning>),
    /// The alert was taken before.
    Known,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    Made(Arc<Warning>),
    /// The request was answered before, with this.
    Before(Arc<Warning>),
}

impl Lifecycle {
    /// Number of the warning that an alert would belong to; None: it was taken before.
    pub fn would_belong_to(&self, alert: &Head<'_>) -> Option<u32> {
        let Some(member) = self.members.get(alert.member) else { return Some(0) };
        match member.of_alert(alert.id) {
            Some(_) => None,
            None => Some(member.repeated_by(alert).unwrap_or(member.len())),
        }
    }

    /// Takes an alert, whose body stands there.
    pub fn apply_alert(&mut self, alert: &Head<'_>, body: Place) -> Raised {
        if !self.members.contains_key(alert.member) {
            let name = Arc::<str>::from(alert.member);
            self.members.insert(name.clone(), Member::new(name));
        }
        let member = self.members.get_mut(alert.member).expect("it is there now");
        if member.of_alert(alert.id).is_some() {
            return Raised::Known;
        }
        match member.repeated_by(alert) {
            Some(number) => Raised::Repeated(member.repeat(number, alert)),
            None => Raised::Opened(member.open(alert, body)),
        }
    }

    /// Makes a change, if the state allows it. What is refused leaves no trace.
    pub fn apply_change(&mut self, change: &NewChange) -> Result<Changed, Refused> {
        let not_found = || Refused::NotFound { member: change.member.clone(), warning: change.warning };
        let member = self.members.get_mut(change.member.as_str()).ok_or_else(not_found)?;
        let number = member.of_alert(change.warning);
        if let Some(answer) = member.answer(&change.request) {
            let same = (number == Some(answer.number)).then(|| member.answered(answer, change)).flatten();
            return same.map(Changed::Before).ok_or(Refused::Differs);
        }
        let number = number.ok_or_else(not_found)?;
        let state = member.get(number).ok_or_else(not_found)?.state;
        if !state.may_become(change.to) {
            return Err(Refused::NotAllowed { from: state, to: change.to });
        }
        Ok(Changed::Made(member.change(number, change)))
    }

    /// Passes a warning on to a role because nobody looks into it. None: somebody does, or there is no such warning.
    ///
    /// It stays open, so that whoever it was passed on to, or the account manager after all, can acknowledge it.
    pub fn pass_on(
        &mut self,
        member: &str,
        number: u32,
        to: &Arc<str>,
        at_us: i64,
        why: &str,
    ) -> Option<Arc<Warning>> {
        let member = self.members.get_mut(member)?;
        let open = member.get(number)?.state == State::Open;
        open.then(|| member.pass_on(number, to, SYSTEM, at_us, why))
    }

    /// A warning by its number within the member.
    pub fn warning(&self, member: &str, number: u32) -> Option<Arc<Warning>> {
        let member = self.members.get(member)?;
        (number < member.len()).then(|| member.shown(number))
    }

    /// A warning by any of its alerts.
    pub fn by_alert(&self, member: &str, alert: Id) -> Option<Arc<Warning>> {
        let member = self.members.get(member)?;
        Some(member.shown(member.of_alert(alert)?))
    }

    /// All warnings, those of a member in the order in which they were opened.
    pub fn warnings(&self) -> impl Iterator<Item = Arc<Warning>> {
        self.members.values().flat_map(|member| (0..member.len()).map(|number| member.shown(number)))
    }

    /// What readers see of a member, if there is anything.
    pub(crate) fn member(&self, member: &str) -> Option<&Member> {
        self.members.get(member)
    }

    /// All members.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Readers are to see all of it.
    pub fn settle(&mut self) {
        self.members.values_mut().for_each(Member::settle);
    }
}
