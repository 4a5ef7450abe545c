//! The warnings of a member.

use std::{hash::BuildHasher, sync::Arc};

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use super::{
    Head, Id, NewChange, Place, State, Step, Warning,
    names::Names,
    record::{self, Answer, Record, Subject},
    rows::Rows,
};

/// The warnings of a member. Nothing of one is ever looked up with another's.
#[derive(Debug, Default)]
pub struct Member {
    pub(super) name: Arc<str>,
    pub(super) names: Names,
    /// In the order in which they were opened.
    pub(super) warnings: Rows<Record>,
    /// Alerts that opened nothing: their ids, and the warning that each belongs to.
    pub(super) repeats: Rows<(Id, u32)>,
    /// Every alert that was taken: number of the warning that it opened, or [`REPEAT`] and the number of the repeat.
    pub(super) alerts: HashTable<u32>,
    /// Warnings that stand, by their subject: an alert of the same is a repeat.
    pub(super) standing: HashTable<u32>,
    /// The latest warning of each customer.
    pub(super) latest: HashMap<u32, u32>,
    /// Requests, and what each was answered.
    pub(super) answers: Rows<(Arc<str>, Answer)>,
    /// Numbers of the answers, by request.
    pub(super) requests: HashTable<u32>,
    pub(super) hasher: DefaultHashBuilder,
    unseen: Unseen,
}

/// What readers do not see yet.
#[derive(Debug, Default)]
struct Unseen {
    /// Warnings as they were; None: they were not there.
    before: HashMap<u32, Option<Record>>,
    alerts: HashSet<Id>,
}

pub(super) const REPEAT: u32 = 1 << 31;

impl Member {
    pub fn new(name: Arc<str>) -> Self {
        Self { name, ..Self::default() }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn len(&self) -> u32 {
        self.warnings.len()
    }

    /// The warning that an alert belongs to, which was taken.
    pub fn of_alert(&self, id: Id) -> Option<u32> {
        let found = self.alerts.find(self.hasher.hash_one(id), |entry| self.id(*entry) == id)?;
        Some(if found & REPEAT == 0 { *found } else { self.repeats[found & !REPEAT].1 })
    }

    fn id(&self, entry: u32) -> Id {
        id_of(&self.warnings, &self.repeats, entry)
    }

    /// The warning that an alert repeats; None: none stands.
    pub fn repeated_by(&self, alert: &Head<'_>) -> Option<u32> {
        let find = |text| self.names.find(text);
        let (customer, rule, key) = (find(alert.customer)?, find(alert.rule)?, find(alert.key)?);
        let subject = Subject { customer, rule, key };
        let hash = self.hasher.hash_one(subject);
        self.standing.find(hash, |number| self.warnings[*number].subject == subject).copied()
    }

    /// An alert of a warning that stands.
    pub fn repeat(&mut self, number: u32, alert: &Head<'_>) -> Arc<Warning> {
        self.touch(number);
        let repeat = self.repeats.push((alert.id, number));
        self.know(alert.id, repeat | REPEAT);
        if let Some(record) = self.warnings.get_mut(number) {
            record.repeat(alert);
        }
        self.shown(number)
    }

    /// An alert that opens one.
    pub fn open(&mut self, alert: &Head<'_>, body: Place) -> Arc<Warning> {
        let number = self.warnings.len();
        self.touch(number);
        let mut name = |text| self.names.number(text);
        let (customer, rule, key) = (name(alert.customer), name(alert.rule), name(alert.key));
        let (group, subject) = (name(alert.group), Subject { customer, rule, key });
        let before = self.latest.insert(customer, number).map_or(0, |before| before + 1);
        self.warnings.push(Record::opened(alert, body, subject, group, before));
        self.know(alert.id, number);
        let Self { warnings, standing, hasher, .. } = self;
        let hash_of = |number: &u32| hasher.hash_one(warnings[*number].subject);
        standing.insert_unique(hasher.hash_one(subject), number, hash_of);
        self.shown(number)
    }

    fn know(&mut self, id: Id, entry: u32) {
        self.unseen.alerts.insert(id);
        let Self { warnings, repeats, alerts, hasher, .. } = self;
        let hash_of = |entry: &u32| hasher.hash_one(id_of(warnings, repeats, *entry));
        alerts.insert_unique(hasher.hash_one(id), entry, hash_of);
    }

    /// Makes a change, which the state allows. `request`: it is answered the same if it is asked again.
    pub fn change(&mut self, number: u32, change: &NewChange) -> Arc<Warning> {
        let step = self.step(number, change.to, (&change.by, &change.why), change.at_us, None);
        self.take(number, step);
        // A warning that is closed stood aside when it was disposed: another may stand since.
        if !change.to.stands() {
            let hash = self.hasher.hash_one(self.warnings[number].subject);
            if let Ok(entry) = self.standing.find_entry(hash, |stands| *stands == number) {
                entry.remove();
            }
        }
        let answer =
            self.answers.push((change.request.as_str().into(), self.warnings[number].answer(number)));
        let Self { answers, requests, hasher, .. } = self;
        let hash_of = |answer: &u32| hasher.hash_one(&*answers[*answer].0);
        requests.insert_unique(hash_of(&answer), answer, hash_of);
        self.shown(number)
    }

    /// Passes one on to a role; the state stays as it is.
    pub fn pass_on(&mut self, number: u32, to: &str, by: &str, at_us: i64, why: &str) -> Arc<Warning> {
        let step = self.step(number, self.warnings[number].state, (by, why), at_us, Some(to));
        self.take(number, step);
        self.shown(number)
    }

    fn step(
        &mut self,
        number: u32,
        to: State,
        (by, why): (&str, &str),
        at_us: i64,
        role: Option<&str>,
    ) -> record::Step {
        let from = self.warnings[number].state;
        let mut name = |text| self.names.number(text);
        let to_role = role.map_or(0, |role| name(role) + 1);
        record::Step { at_us, by: name(by), why: name(why), to_role, from, to }
    }

    fn take(&mut self, number: u32, step: record::Step) {
        self.touch(number);
        if let Some(record) = self.warnings.get_mut(number) {
            record.step(step);
        }
    }

    pub fn answer(&self, request: &str) -> Option<&Answer> {
        let hash = self.hasher.hash_one(request);
        let found = self.requests.find(hash, |answer| *self.answers[*answer].0 == *request)?;
        Some(&self.answers[*found].1)
    }

    /// The warning as it was answered then, if it is the same that is asked for now. The time is not asked for but given.
    pub fn answered(&self, answer: &Answer, change: &NewChange) -> Option<Arc<Warning>> {
        let record = self.warnings[answer.number].as_answered(answer);
        let warning = self.show(answer.number, &record);
        let step = warning.history.last()?;
        let same = (step.to, &*step.by, &*step.why) == (change.to, change.by.as_str(), change.why.as_str());
        same.then_some(warning)
    }

    pub fn get(&self, number: u32) -> Option<&Record> {
        self.warnings.get(number)
    }

    /// As it is now, for whoever writes.
    pub fn shown(&self, number: u32) -> Arc<Warning> {
        self.show(number, &self.warnings[number])
    }

    fn show(&self, number: u32, record: &Record) -> Arc<Warning> {
        let name = |number: u32| self.names.text(number).clone();
        let step = |step: &record::Step| Step {
            from: step.from,
            to: step.to,
            by: name(step.by),
            at_us: step.at_us,
            why: name(step.why),
            escalated_to: step.to_role.checked_sub(1).map(name),
        };
        let Subject { customer, rule, key } = record.subject;
        Arc::new(Warning {
            id: record.id,
            number,
            member: self.name.clone(),
            customer: name(customer),
            rule: name(rule),
            key: name(key),
            group: name(record.group),
            body: record.body,
            text: record.text,
            level: record.level(),
            state: record.state,
            count: record.count,
            first_raised_us: record.first_raised_us,
            last_raised_us: record.last_raised_us,
            history: record.steps().iter().map(step).collect(),
            inspection: record.inspection(),
        })
    }

    /// Customers, and the numbers of their warnings, the newest first.
    pub fn customers(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = u32>)> {
        self.latest.iter().map(|(name, latest)| (&**self.names.text(*name), self.chain(Some(*latest))))
    }

    fn chain(&self, latest: Option<u32>) -> impl Iterator<Item = u32> {
        std::iter::successors(latest, |number| self.warnings[*number].before.checked_sub(1))
    }

    /// Before a warning changes.
    fn touch(&mut self, number: u32) {
        let warnings = &self.warnings;
        self.unseen.before.entry(number).or_insert_with(|| warnings.get(number).cloned());
    }

    /// All is to be seen.
    pub fn settle(&mut self) {
        self.unseen.before.clear();
        self.unseen.alerts.clear();
    }
}

/// What readers see: everything as it was when all was last [settled](Member::settle).
impl Member {
    pub fn seen(&self, number: u32) -> Option<Arc<Warning>> {
        Some(self.show(number, self.seen_record(number)?))
    }

    pub fn seen_of_alert(&self, id: Id) -> Option<Arc<Warning>> {
        if self.unseen.alerts.contains(&id) {
            return None;
        }
        self.seen(self.of_alert(id)?)
    }

    pub fn seen_record(&self, number: u32) -> Option<&Record> {
        match self.unseen.before.get(&number) {
            Some(before) => before.as_ref(),
            None => self.warnings.get(number),
        }
    }

    /// Numbers of a customer's warnings, the newest first, also of those that are not seen.
    pub fn of_customer(&self, customer: &str) -> impl Iterator<Item = u32> {
        let latest = self.names.find(customer).and_then(|name| self.latest.get(&name).copied());
        self.chain(latest)
    }

    /// Number of a text, if any warning has it.
    pub fn name_of(&self, text: &str) -> Option<u32> {
        self.names.find(text)
    }
}

pub(super) fn id_of(warnings: &Rows<Record>, repeats: &Rows<(Id, u32)>, entry: u32) -> Id {
    if entry & REPEAT == 0 { warnings[entry].id } else { repeats[entry & !REPEAT].0 }
}
