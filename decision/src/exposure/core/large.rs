//! Large exposures: to a customer, or a group, above the line of its member. Recognised when it comes above, to be filed,
//! filed. What falls below and comes above again is another one.

use super::{Applied, Core, column::fixed, text::Ref};
use crate::exposure::operation::{Answer, FileLarge, NAME_MAX, Refusal};

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
    member: u32,
    subject: u32,
    is_group: u32,
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
        let (name, used_fen) = match row.is_group {
            0 => (self.customers.get(row.subject).name, self.customers.get(row.subject).used),
            _ => (self.groups.get(row.subject).name, self.groups.get(row.subject).used),
        };
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
        let schemes = self.schemes();
        let place =
            schemes.members.binary_search_by(|code| code.as_str().cmp(self.words.get(member))).ok()?;
        schemes.large_fen.get(place).copied()
    }

    /// The number that it is given if it has become large.
    pub(super) fn recognise_customer(&mut self, customer: u32) -> Option<u32> {
        let row = *self.customers.get(customer);
        if row.large != 0 || self.large_line(row.member).is_none_or(|line| row.used <= line) {
            return None;
        }
        let number = self.recognise(row.member, customer, 0, row.used);
        self.customers.get_mut(customer).large = number;
        Some(number)
    }

    pub(super) fn recognise_group(&mut self, group: u32) -> Option<u32> {
        let row = *self.groups.get(group);
        if row.large != 0 || self.large_line(row.member).is_none_or(|line| row.used <= line) {
            return None;
        }
        let number = self.recognise(row.member, group, 1, row.used);
        self.groups.get_mut(group).large = number;
        Some(number)
    }

    /// By a line that moved: what is below it is large no more, and what is above it is from now on.
    pub(super) fn look_for_large(&mut self) -> Vec<u32> {
        let mut large = Vec::new();
        for customer in 0..self.customers.len() {
            self.forget_large_customer(customer);
            large.extend(self.recognise_customer(customer));
        }
        for group in 0..self.groups.len() {
            self.forget_large_group(group);
            large.extend(self.recognise_group(group));
        }
        large
    }

    fn recognise(&mut self, member: u32, subject: u32, is_group: u32, fen: i64) -> u32 {
        let (recognised, filed, reference, officer) = (self.now_us, 0, 0, 0);
        self.larges.push(LargeRow { recognised, fen, filed, reference, officer, member, subject, is_group })
            + 1
    }

    pub(super) fn forget_large_customer(&mut self, customer: u32) {
        let row = *self.customers.get(customer);
        if row.large != 0 && self.large_line(row.member).is_none_or(|line| row.used <= line) {
            self.customers.get_mut(customer).large = 0;
        }
    }

    pub(super) fn forget_large_group(&mut self, group: u32) {
        let row = *self.groups.get(group);
        if row.large != 0 && self.large_line(row.member).is_none_or(|line| row.used <= line) {
            self.groups.get_mut(group).large = 0;
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
        self.sequence += 1;
        Ok(Applied { answer: Answer { sequence: self.sequence, ..Answer::default() }, fresh: true })
    }
}
