//! A warning as it is kept.

use std::io::{self, Read, Write};

use tarim_proto::warning::v1::Level;

use super::{
    Head, Id, Inspection, Place, State,
    bytes::{In, Out, wrong},
};

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

    /// One alert more, and those that its rule held back before it.
    pub fn repeat(&mut self, alert: &Head<'_>) {
        self.level = self.level.max(alert.level as u8);
        self.count = self.count.saturating_add(1).saturating_add(alert.repeats);
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

    pub fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        out.id(self.id)?;
        out.i64(self.first_raised_us)?;
        out.i64(self.last_raised_us)?;
        out.i64(self.inspect_by_us)?;
        out.place(self.body)?;
        let Subject { customer, rule, key } = self.subject;
        let Self { group, text, count, before, .. } = *self;
        [customer, rule, key, group, text, count, before].into_iter().try_for_each(|n| out.u32(n))?;
        out.u8(self.level)?;
        out.state(self.state)?;
        out.flag(self.inspected)?;
        out.all(self.steps().len(), self.steps(), |out, step| step.write(out))
    }

    /// What was written, of a member that has so many names.
    pub fn read(from: &mut In<impl Read>, names: u32) -> io::Result<Self> {
        let (id, first_raised_us, last_raised_us) = (from.id()?, from.i64()?, from.i64()?);
        let (inspect_by_us, body) = (from.i64()?, from.place()?);
        let subject = Subject { customer: from.u32()?, rule: from.u32()?, key: from.u32()? };
        let (group, text, count, before) = (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
        let (level, state, inspected) = (from.u8()?, from.state()?, from.flag()?);
        let mut steps = Steps::default();
        from.all(|from| {
            steps.0.push(Step::read(from, names)?);
            Ok(())
        })?;
        let Subject { customer, rule, key } = subject;
        if [customer, rule, key, group].iter().any(|name| *name >= names) {
            return Err(wrong("a warning without a name"));
        }
        steps.0.shrink_to_fit();
        let steps = (!steps.0.is_empty()).then(|| Box::new(steps));
        Ok(Self {
            id,
            first_raised_us,
            last_raised_us,
            inspect_by_us,
            steps,
            body,
            subject,
            group,
            text,
            count,
            before,
            level,
            state,
            inspected,
        })
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

impl Step {
    fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        out.i64(self.at_us)?;
        [self.by, self.why, self.to_role].into_iter().try_for_each(|n| out.u32(n))?;
        out.state(self.from)?;
        out.state(self.to)
    }

    fn read(from: &mut In<impl Read>, names: u32) -> io::Result<Self> {
        let (at_us, by, why, to_role) = (from.i64()?, from.u32()?, from.u32()?, from.u32()?);
        if by >= names || why >= names || to_role > names {
            return Err(wrong("a step without a name"));
        }
        Ok(Self { at_us, by, why, to_role, from: from.state()?, to: from.state()? })
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

impl Answer {
    pub fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        [self.number, self.steps, self.count].into_iter().try_for_each(|n| out.u32(n))?;
        let times = [self.first_raised_us, self.last_raised_us, self.inspect_by_us];
        times.into_iter().try_for_each(|n| out.i64(n))?;
        out.u8(self.level)?;
        out.flag(self.inspected)
    }

    pub fn read(from: &mut In<impl Read>) -> io::Result<Self> {
        Ok(Self {
            number: from.u32()?,
            steps: from.u32()?,
            count: from.u32()?,
            first_raised_us: from.i64()?,
            last_raised_us: from.i64()?,
            inspect_by_us: from.i64()?,
            level: from.u8()?,
            inspected: from.flag()?,
        })
    }
}
