//! A ledger so simple that it is plainly right: maps, and every counter summed anew each time it is asked for.

use std::{collections::BTreeMap, sync::Arc};

use crate::exposure::{
    core::{ExposureState, LargeChange},
    operation::{Answer, Attribute, Breach, CounterUse, Operation, Prepared, Refusal, Reserve},
    scheme::{CUSTOMER, GROUP, NONE, SchemeSet, Scope},
};

use super::world::MINUTE;

#[derive(Clone, Debug)]
struct Exposure {
    id: String,
    customer: String,
    attributes: Vec<Attribute>,
    reserved: i64,
    outstanding: i64,
    /// Minute, or 0.
    expires: i64,
    /// Minute in which nothing was left of it.
    closed: Option<i64>,
}

impl Exposure {
    /// Of which nothing is reserved yet.
    fn of(r: &Reserve) -> Self {
        Self {
            id: r.exposure.clone(),
            customer: r.customer.clone(),
            attributes: r.attributes.clone(),
            reserved: 0,
            outstanding: 0,
            closed: None,
            expires: (r.expires_us + MINUTE - 1).div_euclid(MINUTE),
        }
    }
}

#[derive(Clone, Debug)]
struct Large {
    subject: Subject,
    open: bool,
    reference: Option<String>,
}

/// Member; customer, else group.
type Subject = (String, bool, String);

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub schemes: Arc<SchemeSet>,
    now_us: i64,
    /// For so long it is known what was done to what was closed; 0: for ever.
    pub keep_us: i64,
    pub sequence: u64,
    exposures: BTreeMap<(String, String), Exposure>,
    groups: BTreeMap<(String, String), String>,
    done: BTreeMap<(String, String, String), (Operation, Answer)>,
    large: Vec<Large>,
    /// What happened to large exposures: operation, number, what, and how much was used.
    pub events: Vec<(u64, u32, LargeChange, i64)>,
    /// In the order in which they were seen first.
    seen: Vec<Subject>,
}

impl Model {
    /// Gives the large exposures that are so by the new line.
    pub fn adopt(&mut self, schemes: Arc<SchemeSet>) -> Vec<u32> {
        self.schemes = schemes;
        self.sequence += 1;
        let mut subjects = self.seen.clone();
        subjects.sort_by_key(|subject| !subject.1);
        let subjects: Vec<_> = subjects.into_iter().map(|s| (s.clone(), self.used(&s))).collect();
        self.recognise(&subjects, false)
    }

    /// Only the kind of a refusal is told, and of a breach all of it.
    pub fn apply(&mut self, operation: &Operation, now_us: i64) -> Result<Answer, String> {
        self.now_us = self.now_us.max(now_us);
        // In the order that it is kept in.
        let operation = Prepared::new(operation.clone()).operation().clone();
        match &operation {
            Operation::Reserve(r) => {
                if r.fen < 1 {
                    return Err("Invalid".into());
                }
                let id = (r.member.clone(), r.exposure.clone(), String::new());
                if let Some(before) = self.before(&id, &operation)? {
                    return Ok(before);
                }
                if r.expires_us != 0 && r.expires_us <= self.now_us {
                    return Err("Passed".into());
                }
                self.check_reserve(r)?;
                let new = Exposure::of(r);
                self.check_room(&r.member, &new, r.fen)?;
                let key = (r.member.clone(), r.exposure.clone());
                self.see(&r.member, true, &r.customer);
                self.exposures.insert(key.clone(), Exposure { reserved: r.fen, ..new });
                Ok(self.answer(id, operation.clone(), &key, true))
            }
            Operation::Commit(c) => {
                if c.fen < 1 {
                    return Err("Invalid".into());
                }
                let id = (c.member.clone(), c.exposure.clone(), c.key.clone());
                if let Some(before) = self.before(&id, &operation)? {
                    return Ok(before);
                }
                let key = (c.member.clone(), c.exposure.clone());
                let row = self.exposures.get(&key).cloned().ok_or("UnknownExposure")?;
                if row.reserved > 0 && row.expires > 0 && row.expires * MINUTE <= self.now_us {
                    return Err("Expired".into());
                }
                let more = (c.fen - row.reserved).max(0);
                if more > 0 && !c.grow {
                    return Err("TooMuch".into());
                }
                if more > 0 {
                    self.check_room(&c.member, &row, more)?;
                }
                let row = self.exposures.get_mut(&key).unwrap();
                row.reserved -= c.fen - more;
                row.outstanding += c.fen;
                row.closed = None;
                Ok(self.answer(id, operation.clone(), &key, more > 0))
            }
            Operation::Repay(r) => {
                if r.fen < 1 {
                    return Err("Invalid".into());
                }
                self.give_back((&r.member, &r.exposure, &r.key), &operation, |row| {
                    let fits = r.fen <= row.outstanding;
                    row.outstanding -= if fits { r.fen } else { 0 };
                    fits
                })
            }
            Operation::Release(r) => {
                if r.fen < 0 {
                    return Err("Invalid".into());
                }
                self.give_back((&r.member, &r.exposure, &r.key), &operation, |row| {
                    let fits = r.fen <= row.reserved;
                    row.reserved -= if !fits {
                        0
                    } else if r.fen == 0 {
                        row.reserved
                    } else {
                        r.fen
                    };
                    fits
                })
            }
            Operation::Regroup(r) => {
                if !self.schemes.members.contains(&r.member) {
                    return Err("UnknownMember".into());
                }
                let key = (r.member.clone(), r.customer.clone());
                if self.groups.get(&key).map_or("", String::as_str) == r.group {
                    return Ok(Answer { sequence: self.sequence, ..Answer::default() });
                }
                self.see(&r.member, true, &r.customer);
                if r.group.is_empty() {
                    self.groups.remove(&key);
                } else {
                    self.groups.insert(key.clone(), r.group.clone());
                }
                if !r.group.is_empty() {
                    self.see(&r.member, false, &r.group);
                }
                self.sequence += 1;
                let customer = (r.member.clone(), true, r.customer.clone());
                let large =
                    self.recognise(&self.subjects(&r.member, &r.customer)[1..], self.used(&customer) > 0);
                // Which counters a whole customer's exposures are above is told in no order that matters.
                Ok(Answer { sequence: self.sequence, warnings: Vec::new(), large })
            }
            Operation::FileLarge(f) => {
                let at = (f.large as usize).wrapping_sub(1);
                let Some(large) = self.large.get_mut(at).filter(|l| l.subject.0 == f.member) else {
                    return Err("UnknownLarge".into());
                };
                match &large.reference {
                    Some(reference) if *reference != f.reference => return Err("Filed".into()),
                    Some(_) => {}
                    None => {
                        large.reference = Some(f.reference.clone());
                        let subject = large.subject.clone();
                        self.sequence += 1;
                        let used = self.used(&subject);
                        self.events.push((self.sequence, f.large, LargeChange::Filed, used));
                    }
                }
                Ok(Answer { sequence: self.sequence, ..Answer::default() })
            }
            Operation::Tick(_) => {
                let minute = self.now_us.div_euclid(MINUTE);
                for row in self.exposures.values_mut() {
                    if row.expires > 0 && row.expires <= minute && row.reserved > 0 {
                        row.reserved = 0;
                        row.closed = (row.outstanding == 0).then_some(minute);
                    }
                }
                self.close_large();
                self.sequence += 1;
                Ok(Answer { sequence: self.sequence, ..Answer::default() })
            }
            Operation::Adopt(_) => unreachable!("see adopt"),
        }
    }

    fn before(&self, id: &(String, String, String), operation: &Operation) -> Result<Option<Answer>, String> {
        let closed = self.exposures.get(&(id.0.clone(), id.1.clone())).and_then(|row| row.closed);
        if self.keep_us > 0 && closed.is_some_and(|minute| minute * MINUTE + self.keep_us <= self.now_us) {
            return Err("Gone".into());
        }
        match self.done.get(id) {
            Some((same, answer)) if same == operation => Ok(Some(answer.clone())),
            Some(_) => Err("Conflict".into()),
            None => Ok(None),
        }
    }

    fn check_reserve(&self, r: &Reserve) -> Result<(), String> {
        if !self.schemes.members.contains(&r.member) {
            return Err("UnknownMember".into());
        }
        let given = |name: &str| r.attributes.iter().find(|a| a.name == name);
        let dimensions = &self.schemes.dimensions[2..];
        for dimension in dimensions {
            if let Some(a) = given(&dimension.name)
                && a.value != NONE
                && dimension.check(&a.value).is_err()
            {
                return Err("UnknownValue".into());
            }
        }
        if dimensions.iter().any(|d| given(&d.name).is_none()) {
            return Err("Missing".into());
        }
        Ok(())
    }

    fn give_back(
        &mut self,
        (member, exposure, key): (&str, &str, &str),
        operation: &Operation,
        take: impl Fn(&mut Exposure) -> bool,
    ) -> Result<Answer, String> {
        let id = (member.to_owned(), exposure.to_owned(), key.to_owned());
        if let Some(before) = self.before(&id, operation)? {
            return Ok(before);
        }
        let row =
            self.exposures.get_mut(&(member.to_owned(), exposure.to_owned())).ok_or("UnknownExposure")?;
        let (before, minute) = (row.reserved + row.outstanding, self.now_us.div_euclid(MINUTE));
        if !take(row) {
            return Err("TooMuch".into());
        }
        if before > 0 && row.reserved + row.outstanding == 0 {
            row.closed = Some(minute);
        }
        self.close_large();
        self.sequence += 1;
        let answer = Answer { sequence: self.sequence, ..Answer::default() };
        self.done.insert(id, (operation.clone(), answer.clone()));
        Ok(answer)
    }

    fn answer(
        &mut self,
        id: (String, String, String),
        operation: Operation,
        exposure: &(String, String),
        grown: bool,
    ) -> Answer {
        self.sequence += 1;
        let row = self.exposures[exposure].clone();
        let after = self.subjects(&exposure.0, &row.customer);
        let large = self.recognise(&after, grown);
        let touched = self.touched(&exposure.0, &row);
        let warnings = touched.into_iter().filter(|c| c.used_fen > c.warning_fen).collect();
        let answer = Answer { sequence: self.sequence, warnings, large };
        self.done.insert(id, (operation, answer.clone()));
        answer
    }

    fn line(&self, member: &str) -> i64 {
        let place = self.schemes.members.iter().position(|m| m == member);
        self.schemes.large_fen[place.unwrap()]
    }

    fn used(&self, (member, is_customer, id): &Subject) -> i64 {
        let is = |m: &String, row: &Exposure| {
            m == member
                && if *is_customer {
                    row.customer == *id
                } else {
                    self.groups.get(&(m.clone(), row.customer.clone())) == Some(id)
                }
        };
        self.exposures
            .iter()
            .filter(|((m, _), row)| is(m, row))
            .map(|(_, row)| row.reserved + row.outstanding)
            .sum()
    }

    /// The customer and its group, with what they use.
    fn subjects(&self, member: &str, customer: &str) -> Vec<(Subject, i64)> {
        let mut subjects = vec![(member.to_owned(), true, customer.to_owned())];
        let group = self.groups.get(&(member.to_owned(), customer.to_owned()));
        subjects.extend(group.map(|group| (member.to_owned(), false, group.clone())));
        subjects.into_iter().map(|s| (s.clone(), self.used(&s))).collect()
    }

    /// Number of the large exposure that it is.
    fn open(&self, subject: &Subject) -> Option<u32> {
        let at = self.large.iter().position(|l| l.open && l.subject == *subject)?;
        Some(at as u32 + 1)
    }

    fn see(&mut self, member: &str, is_customer: bool, id: &str) {
        let subject = (member.to_owned(), is_customer, id.to_owned());
        if !self.seen.contains(&subject) {
            self.seen.push(subject);
        }
    }

    /// `grown`: they use more than before.
    fn recognise(&mut self, after: &[(Subject, i64)], grown: bool) -> Vec<u32> {
        self.close_large();
        let mut new = Vec::new();
        for (subject, used) in after {
            match self.open(subject) {
                Some(number) if grown => self.events.push((self.sequence, number, LargeChange::Grown, *used)),
                None if *used > self.line(&subject.0) => {
                    self.large.push(Large { subject: subject.clone(), open: true, reference: None });
                    let number = self.large.len() as u32;
                    self.events.push((self.sequence, number, LargeChange::Recognised, *used));
                    new.push(number);
                }
                _ => {}
            }
        }
        new
    }

    /// Of those that fell below their line.
    fn close_large(&mut self) {
        let open: Vec<bool> =
            self.large.iter().map(|l| l.open && self.used(&l.subject) > self.line(&l.subject.0)).collect();
        self.large.iter_mut().zip(open).for_each(|(large, open)| large.open = open);
    }

    /// What a scheme's counter is apart by for an exposure; None: it is not about it.
    fn key(&self, scheme: usize, member: &str, row: &Exposure) -> Option<(String, Vec<Attribute>)> {
        let scheme = &self.schemes.schemes[scheme];
        let value = |dimension: u32| {
            let name = &self.schemes.dimensions[dimension as usize].name;
            row.attributes.iter().find(|a| a.name == *name).map(|a| a.value.clone())
        };
        for condition in &scheme.conditions {
            let dimension = &self.schemes.dimensions[condition.dimension as usize];
            match value(condition.dimension) {
                Some(v) if v == NONE => return None,
                // What is not known, or not any more, may be one of them.
                Some(v) if dimension.check(&v).is_err() => {}
                Some(v) if !condition.any_of.iter().any(|above| dimension.is_under(&v, above)) => {
                    return None;
                }
                _ => {}
            }
        }
        let mut per = Vec::new();
        for p in &scheme.per {
            let dimension = &self.schemes.dimensions[p.dimension as usize];
            let level =
                p.level.checked_sub(1).map(|level| format!(".{}", dimension.levels()[level as usize]));
            let name = format!("{}{}", dimension.name, level.unwrap_or_default());
            let value = match p.dimension {
                CUSTOMER => row.customer.clone(),
                GROUP => self.groups.get(&(member.to_owned(), row.customer.clone()))?.clone(),
                _ => match value(p.dimension) {
                    // It is counted apart, and so is what is no value any more.
                    None => String::new(),
                    Some(v) if v == NONE => return None,
                    Some(v) if dimension.check(&v).is_err() => v,
                    Some(v) => dimension.at_level(&v, p.level),
                },
            };
            per.push(Attribute::new(name, value));
        }
        let member = if scheme.scope() == Scope::Federation { "" } else { member };
        Some((member.to_owned(), per))
    }

    /// Counters in force that an exposure touches, in order of scheme.
    fn touched(&self, member: &str, row: &Exposure) -> Vec<CounterUse> {
        let mut touched = Vec::new();
        for (at, scheme) in self.schemes.schemes.iter().enumerate() {
            let in_force = scheme.from_us <= self.now_us && self.now_us < scheme.to_us;
            let Some((of, per)) = self.key(at, member, row).filter(|_| in_force) else { continue };
            let same = |m: &str, other: &Exposure| {
                self.key(at, m, other).is_some_and(|k| k == (of.clone(), per.clone()))
            };
            let all = self.exposures.iter().filter(|((m, _), other)| same(m, other));
            let used_fen = all.map(|(_, other)| other.reserved + other.outstanding).sum();
            let place = self.schemes.members.iter().position(|m| m == member).unwrap();
            let lines = scheme.lines[if scheme.scope() == Scope::Federation { 0 } else { place }];
            touched.push(CounterUse {
                limit: scheme.id.clone(),
                member: of,
                per,
                used_fen,
                warning_fen: lines.warning_fen,
                hard_fen: lines.hard_fen,
            });
        }
        touched
    }

    /// How the counters stand that a reservation would touch.
    pub fn outlook(&self, r: &Reserve) -> Result<Vec<CounterUse>, String> {
        self.check_reserve(r).map(|()| self.touched(&r.member, &Exposure::of(r)))
    }

    fn check_room(&self, member: &str, row: &Exposure, fen: i64) -> Result<(), String> {
        let over = self.touched(member, row).into_iter().filter(|c| c.used_fen + fen > c.hard_fen);
        let over: Vec<_> = over
            .map(|counter| Breach { shortfall_fen: counter.used_fen + fen - counter.hard_fen, counter })
            .collect();
        if over.is_empty() { Ok(()) } else { Err(kind(&Refusal::Breached(over))) }
    }

    /// All exposures, by member and id.
    pub fn states(&self) -> BTreeMap<(String, String), ExposureState> {
        let state = |member: &String, row: &Exposure| ExposureState {
            member: member.clone(),
            exposure: row.id.clone(),
            customer: row.customer.clone(),
            group: self.groups.get(&(member.clone(), row.customer.clone())).cloned(),
            attributes: row.attributes.clone(),
            reserved_fen: row.reserved,
            outstanding_fen: row.outstanding,
            expires_us: (row.expires > 0 && row.reserved > 0).then_some(row.expires * MINUTE),
        };
        self.exposures.iter().map(|(key, row)| (key.clone(), state(&key.0, row))).collect()
    }
}

/// A refusal as the model tells it.
pub fn kind(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Breached(_) => format!("{refusal:?}"),
        other => {
            let text = format!("{other:?}");
            text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
        }
    }
}
