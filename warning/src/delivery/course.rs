//! Warnings and pushes without a disk: history, and tests.

use std::sync::Arc;

use tarim_proto::warning::v1::Alert;

use super::{Managers, Policy, Push, Stage};
use crate::{
    ledger::{
        Bodies, InMemory, LedgerError,
        books::{Books, Done},
    },
    lifecycle::{Changed, Id, NewAlert, NewChange, Place, Refused, Warning},
};

/// What a ledger does, in memory, at times that are given.
pub struct Course {
    books: Books,
    /// What alerts say, as it would be written.
    records: InMemory,
    /// Alerts that came twice.
    pub known: u64,
}

impl Course {
    pub fn new(policy: Policy, managers: Managers) -> Self {
        let mut books = Books::default();
        books.stage = Some(Stage::new(policy, managers, &books.delivery, &books.lifecycle.read()));
        Self { books, records: InMemory::default(), known: 0 }
    }

    /// Takes an alert; what was due before comes first. One that is known brings nothing.
    pub fn alert(&mut self, alert: &NewAlert, now_us: i64) -> Vec<Arc<Push>> {
        let mut done = Done::default();
        done.due(&mut self.books, now_us, |_| ());
        let alerts = std::slice::from_ref(alert);
        let taken = done.alerts(&mut self.books, alerts, None, now_us, &mut self.records);
        self.known += taken.known;
        self.books.lifecycle.write().settle();
        done.pushes
    }

    /// Makes a change, if it is allowed.
    pub fn change(&mut self, change: &NewChange) -> (Result<Changed, Refused>, Vec<Arc<Push>>) {
        let mut done = Done::default();
        done.due(&mut self.books, change.at_us, |_| ());
        let changed = done.change(&mut self.books, change, |_| ());
        self.books.lifecycle.write().settle();
        (changed, done.pushes)
    }

    /// Does what is due by now.
    pub fn tick(&mut self, now_us: i64) -> Vec<Arc<Push>> {
        let mut done = Done::default();
        done.due(&mut self.books, now_us, |_| ());
        self.books.lifecycle.write().settle();
        done.pushes
    }

    /// When the next thing is due, if nothing happens before.
    pub fn next_due_us(&mut self) -> Option<i64> {
        self.books.next_due().map(|due| due.at_us())
    }

    /// All warnings, those of a member in the order in which they were opened.
    pub fn warnings(&self) -> Vec<Arc<Warning>> {
        self.books.lifecycle.read().warnings().collect()
    }
}

impl Bodies for Course {
    fn body(&self, place: Place) -> Result<Alert, LedgerError> {
        self.records.body(place)
    }

    fn warning(&self, member: &str, id: Id) -> Result<Arc<Warning>, LedgerError> {
        self.books.lifecycle.read().by_alert(member, id).ok_or(LedgerError::NoWarning { warning: id })
    }
}
