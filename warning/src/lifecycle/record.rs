//! A warning as it is kept.

use tarim_proto::warning::v1::Level;

use super::{Head, Id, Inspection, Place, State};

/// A warning, in few bytes: there are tens of millions. Texts are named by their number within the member.
#[derive(Clone, Debug)]
pub struct Record {
    pub id: Id,
    pub first_raised_us: i64,
    pub last_raised_us: i64,
    /// [`NEVER`]: no inspection is owed.
    inspect_by_us: i64,
    /// None: nothing has been done about it.
    steps: Option<Box<Steps>>,
    pub body: Place,
    pub subject: Subject,
    pub group: u32,
    pub text: u32,
    pub count: u32,
    /// The one before it of the same customer, plus one; 0: it is the first.
    pub before: u32,
    /// A [`Level`].
    level: u8,
    pub state: State,
    inspected: bool,
}

/// What tells the warnings of a member that stand apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    pub customer: u32,
    pub rule: u32,
    pub key: u32,
}

#[derive(Clone, Debug, Default)]
pub struct Steps(Vec<Step>);

/// A step as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub at_us: i64,
    pub by: u32,
    pub why: u32,
    /// The role that it was passed on to, plus one; 0: it was not.
    pub to_role: u32,
    pub from: State,
    pub to: State,
}

/// A time that no alert has.
const NEVER: i64 = i64::MIN;

impl Record {
    pub fn opened(alert: &Head<'_>, body: Place, subject: Subject, group: u32, before: u32) -> Self {
        Self {
            id: alert.id,
            first_raised_us: alert.raised_at_us,
            last_raised_us: alert.raised_at_us,
            inspect_by_us: alert.inspect_by_us.unwrap_or(NEVER),
            steps: None,
            body,
            subject,
            group,
            text: alert.text,
            count: 1,
            before,
            level: alert.level as u8,
            state: State::Open,
            inspected: false,
        }
    }

    /// One alert more.
    pub fn repeat(&mut self, alert: &Head<'_>) {
        self.level = self.level.max(alert.level as u8);
        self.count = self.count.saturating_add(1);
        self.first_raised_us = self.first_raised_us.min(alert.raised_at_us);
        self.last_raised_us = self.last_raised_us.max(alert.raised_at_us);
        if self.inspect_by_us == NEVER {
            // One visit is enough, and the first is due the earliest.
            self.inspect_by_us = alert.inspect_by_us.unwrap_or(NEVER);
        }
    }

    /// One step more. The caller has seen that it may.
    pub fn step(&mut self, step: Step) {
        self.inspected |= self.inspect_by_us != NEVER && matches!(step.to, State::Disposed | State::Closed);
        self.state = step.to;
        self.steps.get_or_insert_default().0.push(step);
    }

    pub fn steps(&self) -> &[Step] {
        self.steps.as_deref().map_or(&[], |steps| &steps.0)
    }

    pub fn level(&self) -> Level {
        Level::try_from(i32::from(self.level)).unwrap_or(Level::Unspecified)
    }

    pub fn inspection(&self) -> Option<Inspection> {
        let due_at_us = Some(self.inspect_by_us).filter(|due| *due != NEVER)?;
        Some(Inspection { due_at_us, done: self.inspected })
    }

    /// As it is now, for whoever asks for the same change again.
    pub fn answer(&self, number: u32) -> Answer {
        Answer {
            number,
            steps: self.steps().len() as u32,
            count: self.count,
            first_raised_us: self.first_raised_us,
            last_raised_us: self.last_raised_us,
            inspect_by_us: self.inspect_by_us,
            level: self.level,
            inspected: self.inspected,
        }
    }

    /// As it was when it was answered.
    pub fn as_answered(&self, answer: &Answer) -> Self {
        let mut before = self.clone();
        before.count = answer.count;
        before.first_raised_us = answer.first_raised_us;
        before.last_raised_us = answer.last_raised_us;
        before.inspect_by_us = answer.inspect_by_us;
        before.level = answer.level;
        before.inspected = answer.inspected;
        if let Some(steps) = &mut before.steps {
            steps.0.truncate(answer.steps as usize);
        }
        before.state = before.steps().last().map_or(State::Open, |step| step.to);
        before
    }
}

/// What a request was answered: the warning as it was then, as far as it can have become another since.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub number: u32,
    /// Its last one was the answer.
    pub steps: u32,
    count: u32,
    first_raised_us: i64,
    last_raised_us: i64,
    inspect_by_us: i64,
    level: u8,
    inspected: bool,
}
