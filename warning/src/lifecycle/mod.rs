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
//! There is no I/O and no clock here: the same alerts and changes, in the same order, give the same warnings. A warning is
//! never changed but followed by its next version, so whoever holds one keeps a whole one.

mod alert;
mod change;
mod inspection;
mod state;
#[cfg(test)]
mod tests;
mod warning;

use std::sync::Arc;

use hashbrown::HashMap;

pub use self::{
    alert::{AlertError, NewAlert},
    change::{NewChange, Refused},
    inspection::{Inspection, Inspections},
    state::State,
    warning::{Id, Step, Warning},
};

/// All warnings, by member.
#[derive(Debug, Default)]
pub struct Lifecycle {
    members: HashMap<String, Member>,
}

/// The warnings of a member. Nothing of one is ever looked up with another's.
#[derive(Debug, Default)]
struct Member {
    /// The latest version of each, in the order in which they were opened.
    warnings: Vec<Arc<Warning>>,
    /// By each alert that was ever taken.
    by_alert: HashMap<Id, u32>,
    /// Those that stand: an alert of the same subject is a repeat.
    standing: HashMap<Subject, u32>,
    /// What each request was answered.
    answers: HashMap<Box<str>, Arc<Warning>>,
}

/// What tells the warnings of a member apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Subject {
    customer: String,
    rule: String,
    key: String,
}

/// What an alert did.
#[derive(Clone, Debug, PartialEq)]
pub enum Raised {
    Opened(Arc<Warning>),
    /// One stands: its next version.
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
    /// Takes an alert.
    pub fn apply_alert(&mut self, alert: &NewAlert) -> Raised {
        let member = self.members.entry_ref(alert.alert().member.as_str()).or_default();
        if member.by_alert.contains_key(&alert.id()) {
            return Raised::Known;
        }
        let subject = Subject::of(alert);
        let stands = member.standing.get(&subject).copied();
        let number = stands.unwrap_or(member.warnings.len() as u32);
        member.by_alert.insert(alert.id(), number);
        match stands {
            Some(number) => {
                let warning = &mut member.warnings[number as usize];
                *warning = Arc::new(warning.repeated(alert));
                Raised::Repeated(warning.clone())
            }
            None => {
                let warning = Arc::new(Warning::opened(alert, number));
                member.standing.insert(subject, number);
                member.warnings.push(warning.clone());
                Raised::Opened(warning)
            }
        }
    }

    /// Makes a change, if the state allows it. What is refused leaves no trace.
    pub fn apply_change(&mut self, change: &NewChange) -> Result<Changed, Refused> {
        let not_found = || Refused::NotFound { member: change.member.clone(), warning: change.warning };
        let member = self.members.get_mut(change.member.as_str()).ok_or_else(not_found)?;
        if let Some(answer) = member.answers.get(change.request.as_str()) {
            let number = member.by_alert.get(&change.warning);
            let same =
                number == Some(&answer.number) && answer.history.last().is_some_and(|s| change.made(s));
            return if same { Ok(Changed::Before(answer.clone())) } else { Err(Refused::Differs) };
        }
        let number = *member.by_alert.get(&change.warning).ok_or_else(not_found)?;
        let warning = &mut member.warnings[number as usize];
        if !warning.state.may_become(change.to) {
            return Err(Refused::NotAllowed { from: warning.state, to: change.to });
        }
        let next = Arc::new(warning.changed(change));
        *warning = next.clone();
        // A warning that is closed stood aside when it was disposed: another may stand since.
        let subject = Subject::of_alert(&next.alert);
        if !next.state.stands() && member.standing.get(&subject) == Some(&number) {
            member.standing.remove(&subject);
        }
        member.answers.insert(change.request.as_str().into(), next.clone());
        Ok(Changed::Made(next))
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
        let warning = self.members.get_mut(member)?.warnings.get_mut(number as usize)?;
        if warning.state != State::Open {
            return None;
        }
        *warning = Arc::new(warning.passed_on(to, at_us, why));
        Some(warning.clone())
    }

    /// A warning by its number within the member.
    pub fn warning(&self, member: &str, number: u32) -> Option<&Arc<Warning>> {
        self.members.get(member)?.warnings.get(number as usize)
    }

    /// A warning by any of its alerts.
    pub fn by_alert(&self, member: &str, alert: Id) -> Option<&Arc<Warning>> {
        let member = self.members.get(member)?;
        member.warnings.get(*member.by_alert.get(&alert)? as usize)
    }

    /// All warnings, those of a member in the order in which they were opened.
    pub fn warnings(&self) -> impl Iterator<Item = &Arc<Warning>> {
        self.members.values().flat_map(|member| &member.warnings)
    }

    /// Every alert that was taken, with the warning that it belongs to.
    pub fn alerts(&self) -> impl Iterator<Item = (Id, &Arc<Warning>)> {
        self.members.values().flat_map(|member| {
            member.by_alert.iter().map(|(id, number)| (*id, &member.warnings[*number as usize]))
        })
    }
}

impl Subject {
    fn of(alert: &NewAlert) -> Self {
        Self::of_alert(alert.alert())
    }

    fn of_alert(alert: &tarim_proto::warning::v1::Alert) -> Self {
        Self { customer: alert.customer_id.clone(), rule: alert.rule_id.clone(), key: alert.key.clone() }
    }
}
