//! Large exposures: to a customer, or a group, above the line of its member. Recognised when it comes above, to be filed,
//! filed. What falls below and comes above again is another one.

use std::collections::BTreeSet;

use super::{Applied, Core, Customer, Group, LargeChange, column::fixed, text::Ref};
use crate::exposure::{
    operation::{Answer, FileLarge, NAME_MAX, Refusal},
    scheme::SchemeSet,
};

/// A large exposure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Large {
    /// From 1.
    pub number: u32,
    pub member: String,
    /// Of a customer; else of a group.
    pub is_customer: bool,
    /// Of the customer or group.
    pub id: String,
    pub recognised_us: i64,
    /// How much it was then.
    pub fen: i64,
    /// How much it is.
    pub used_fen: i64,
    /// Of the filing, and by whom and when. None: to be filed.
    pub filed: Option<(String, String, i64)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LargeRow {
    recognised: i64,
    fen: i64,
    filed: i64,
    reference: Ref,
    officer: Ref,
    pub(super) member: u32,
    subject: u32,
    pub(super) is_group: u32,
}
fixed!(LargeRow {
    recognised: i64,
    fen: i64,
    filed: i64,
    reference: u64,
    officer: u64,
    member: u32,
    subject: u32,
    is_group: u32
});

impl Core {
    /// Large exposures in order of number; `all`: those too that fell below their line since, or were filed.
    pub fn large(&self, member: &str, all: bool) -> impl Iterator<Item = Large> {
        let rows = self.larges.iter().enumerate();
        rows.map(|(at, row)| self.tell_large(at as u32 + 1, row))
            .filter(move |large| large.member == member && (all || large.filed.is_none()))
    }

    fn tell_large(&self, number: u32, row: &LargeRow) -> Large {
        let (name, used_fen) = self.subject(row);
        let text = |at| self.texts.text(at).to_owned();
        Large {
            number,
            member: self.words.get(row.member).to_owned(),
            is_customer: row.is_group == 0,
            id: text(name),
            recognised_us: row.recognised,
            fen: row.fen,
            used_fen,
            filed: (row.reference != 0).then(|| (text(row.reference), text(row.officer), row.filed)),
        }
    }

    /// From how much on an exposure at a member is large.
    fn large_line(&self, member: u32) -> Option<i64> {
        line_of(self.schemes(), self.words.get(member))
    }

    /// A customer uses more: the number that it is given if it has become large.
    pub(super) fn rise_customer(&mut self, customer: u32) -> Option<u32> {
        let new = self.recognise_customer(customer);
        let Customer { large, used, member, .. } = *self.customers.get(customer);
        if new.is_none() && large != 0 {
            self.notice(large, LargeChange::Grown, used, self.large_line(member));
        }
        self.look_at_customer(customer);
        new
    }

    pub(super) fn rise_group(&mut self, group: u32) -> Option<u32> {
        let new = self.recognise_group(group);
        let Group { large, used, member, .. } = *self.groups.get(group);
        if new.is_none() && large != 0 {
            self.notice(large, LargeChange::Grown, used, self.large_line(member));
        }
        self.look_at_group(group);
        new
    }

    /// A customer uses less.
    pub(super) fn fall_customer(&mut self, customer: u32) {
        self.forget_large_customer(customer);
        self.look_at_customer(customer);
    }

    pub(super) fn fall_group(&mut self, group: u32) {
        self.forget_large_group(group);
        self.look_at_group(group);
    }

    /// By a line that moved: what is below it is large no more, and what is above it is from now on. Of those alone of which the
    /// new line says something else.
    pub(super) fn cross(&mut self, customers: &Crossing, groups: &Crossing) -> Vec<u32> {
        let mut large = Vec::new();
        for customer in customers.found.iter().copied() {
            self.forget_large_customer(customer);
            large.extend(self.recognise_customer(customer));
        }
        for group in groups.found.iter().copied() {
            self.forget_large_group(group);
            large.extend(self.recognise_group(group));
        }
        large
    }

    fn recognise_customer(&mut self, customer: u32) -> Option<u32> {
        let row = *self.customers.get(customer);
        let line = self.large_line(row.member).filter(|line| row.large == 0 && row.used > *line)?;
        let number = self.recognise(row.member, customer, 0, row.used, line);
        self.customers.get_mut(customer).large = number;
        Some(number)
    }

    fn recognise_group(&mut self, group: u32) -> Option<u32> {
        let row = *self.groups.get(group);
        let line = self.large_line(row.member).filter(|line| row.large == 0 && row.used > *line)?;
        let number = self.recognise(row.member, group, 1, row.used, line);
        self.groups.get_mut(group).large = number;
        Some(number)
    }

    fn recognise(&mut self, member: u32, subject: u32, is_group: u32, fen: i64, line: i64) -> u32 {
        let (recognised, filed, reference, officer) = (self.now_us, 0, 0, 0);
        let row = LargeRow { recognised, fen, filed, reference, officer, member, subject, is_group };
        let number = self.larges.push(row) + 1;
        self.notice(number, LargeChange::Recognised, fen, Some(line));
        number
    }

    fn forget_large_customer(&mut self, customer: u32) {
        let row = *self.customers.get(customer);
        if row.large != 0 && self.large_line(row.member).is_none_or(|line| row.used <= line) {
            self.customers.get_mut(customer).large = 0;
        }
    }

    fn forget_large_group(&mut self, group: u32) {
        let row = *self.groups.get(group);
        if row.large != 0 && self.large_line(row.member).is_none_or(|line| row.used <= line) {
            self.groups.get_mut(group).large = 0;
        }
    }

    /// What a large exposure is to, and how much of it is used.
    pub(super) fn subject(&self, row: &LargeRow) -> (Ref, i64) {
        match row.is_group {
            0 => (self.customers.get(row.subject).name, self.customers.get(row.subject).used),
            _ => (self.groups.get(row.subject).name, self.groups.get(row.subject).used),
        }
    }

    pub(super) fn file_large(&mut self, file: &FileLarge) -> Result<Applied, Refusal> {
        for (what, text) in [("reference", &file.reference), ("officer", &file.officer)] {
            if text.is_empty() || text.len() > NAME_MAX {
                return Err(Refusal::Invalid(format!(
                    "a filing has a {what} of 1 to {NAME_MAX} bytes; give it"
                )));
            }
        }
        let at = file.large.checked_sub(1).filter(|at| *at < self.larges.len());
        let at = at.filter(|at| self.words.get(self.larges.get(*at).member) == file.member);
        let Some(at) = at else {
            return Err(Refusal::UnknownLarge { member: file.member.clone(), large: file.large });
        };
        let row = *self.larges.get(at);
        if row.reference != 0 {
            let reference = self.texts.text(row.reference).to_owned();
            if reference != file.reference {
                return Err(Refusal::Filed { large: file.large, reference });
            }
            let answer = Answer { sequence: self.sequence, ..Answer::default() };
            return Ok(Applied { answer, fresh: false });
        }
        if self.texts.is_full() {
            return Err(Refusal::Full("filings"));
        }
        let (reference, officer) =
            (self.texts.push(file.reference.as_bytes()), self.texts.push(file.officer.as_bytes()));
        *self.larges.get_mut(at) = super::LargeRow { reference, officer, filed: self.now_us, ..row };
        let (used, line) = (self.subject(&row).1, self.large_line(row.member));
        self.notice(file.large, LargeChange::Filed, used, line);
        self.sequence += 1;
        Ok(Applied { answer: Answer { sequence: self.sequence, ..Answer::default() }, fresh: true })
    }
}

/// From how much on an exposure at a member is large, by these schemes.
fn line_of(schemes: &SchemeSet, member: &str) -> Option<i64> {
    let place = schemes.members.binary_search_by(|code| code.as_str().cmp(member)).ok()?;
    schemes.large_fen.get(place).copied()
}

/// Customers, or groups, of which a line that is to come says something else than the one that is: found some at a time.
#[derive(Clone, Debug, Default)]
pub struct Crossing {
    /// Those before it were looked at.
    pub cursor: u32,
    found: BTreeSet<u32>,
}

impl Crossing {
    /// Looks at one, again if it must: it has changed.
    pub(super) fn look(&mut self, at: u32, (member, used, large): (&str, i64, u32), schemes: &SchemeSet) {
        let above = line_of(schemes, member).is_some_and(|line| used > line);
        if above == (large != 0) {
            self.found.remove(&at);
        } else {
            self.found.insert(at);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}
