//! The warnings of a member as bytes: what is written of them, and how they are there again.

use std::{
    hash::BuildHasher as _,
    io::{self, Read, Write},
    sync::Arc,
};

use hashbrown::HashTable;

use tarim_proto::warning::v1::Level;

use super::{
    Id, Inspection, Lifecycle, Step, Warning,
    bytes::{In, Out, wrong},
    member::{Member, REPEAT, id_of},
    names::Names,
    record::{Answer, Record},
    rows::Rows,
};

/// All warnings as they were at one time, to be written while they go on.
pub struct Copy(Vec<MemberCopy>);

struct MemberCopy {
    name: Arc<str>,
    texts: Rows<Arc<str>>,
    warnings: Rows<Record>,
    repeats: Rows<(Id, u32)>,
    answers: Rows<(Arc<str>, Answer)>,
}

impl Lifecycle {
    /// A copy, of what is settled. It takes little time: chunks are shared until they change.
    pub(crate) fn copy(&self) -> Copy {
        Copy(self.members.values().map(Member::copy).collect())
    }

    /// What was written.
    pub(crate) fn read(from: &mut In<impl Read>) -> io::Result<Self> {
        let mut lifecycle = Self::default();
        from.all(|from| {
            let member = Member::read(from)?;
            lifecycle.members.insert(member.name().clone(), member);
            Ok(())
        })?;
        Ok(lifecycle)
    }
}

impl Copy {
    pub fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        out.all(self.0.len(), &self.0, |out, member| member.write(out))
    }
}

impl MemberCopy {
    fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        let Self { name, texts, warnings, repeats, answers } = self;
        out.text(name)?;
        out.all(texts.len() as usize, texts.iter(), |out, text| out.text(text))?;
        out.all(warnings.len() as usize, warnings.iter(), |out, record| record.write(out))?;
        out.all(repeats.len() as usize, repeats.iter(), |out, (id, number)| {
            out.id(*id)?;
            out.u32(*number)
        })?;
        out.all(answers.len() as usize, answers.iter(), |out, (request, answer)| {
            out.text(request)?;
            answer.write(out)
        })
    }
}

impl Member {
    fn copy(&self) -> MemberCopy {
        MemberCopy {
            name: self.name.clone(),
            texts: self.names.texts().clone(),
            warnings: self.warnings.clone(),
            repeats: self.repeats.clone(),
            answers: self.answers.clone(),
        }
    }

    fn read(from: &mut In<impl Read>) -> io::Result<Self> {
        let mut member = Member::new(from.name()?);
        let mut texts = Rows::default();
        from.all(|from| {
            texts.push(from.text()?.into());
            Ok(())
        })?;
        let names = texts.len();
        member.names = Names::of(texts);
        from.all(|from| {
            let record = Record::read(from, names)?;
            if record.before > member.warnings.len() {
                return Err(wrong("a warning that is before itself"));
            }
            member.warnings.push(record);
            Ok(())
        })?;
        let warnings = member.warnings.len();
        from.all(|from| {
            let (id, number) = (from.id()?, from.u32()?);
            if number >= warnings {
                return Err(wrong("a repeat of no warning"));
            }
            member.repeats.push((id, number));
            Ok(())
        })?;
        from.all(|from| {
            let answer = (from.text()?.into(), Answer::read(from)?);
            if answer.1.number >= warnings {
                return Err(wrong("an answer about no warning"));
            }
            member.answers.push(answer);
            Ok(())
        })?;
        member.index();
        Ok(member)
    }

    /// Makes the tables that things are looked up in.
    fn index(&mut self) {
        let Self { warnings, repeats, alerts, standing, latest, requests, answers, hasher, .. } = self;
        let hash_of = |entry: &u32| hasher.hash_one(id_of(warnings, repeats, *entry));
        *alerts = HashTable::with_capacity((warnings.len() + repeats.len()) as usize);
        for entry in (0..warnings.len()).chain((0..repeats.len()).map(|repeat| repeat | REPEAT)) {
            alerts.insert_unique(hash_of(&entry), entry, hash_of);
        }
        let hash_of = |number: &u32| hasher.hash_one(warnings[*number].subject);
        for (number, record) in (0..).zip(warnings.iter()) {
            latest.insert(record.subject.customer, number);
            if record.state.stands() {
                standing.insert_unique(hash_of(&number), number, hash_of);
            }
        }
        let hash_of = |number: &u32| hasher.hash_one(&*answers[*number].0);
        for number in 0..answers.len() {
            requests.insert_unique(hash_of(&number), number, hash_of);
        }
    }
}

impl Warning {
    pub(crate) fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        out.id(self.id)?;
        out.u32(self.number)?;
        let names = [&self.member, &self.customer, &self.rule, &self.key, &self.group];
        names.into_iter().try_for_each(|name| out.text(name))?;
        out.place(self.body)?;
        out.u32(self.text)?;
        out.u8(self.level as u8)?;
        out.state(self.state)?;
        out.u32(self.count)?;
        out.i64(self.first_raised_us)?;
        out.i64(self.last_raised_us)?;
        out.flag(self.inspection.is_some())?;
        out.i64(self.inspection.map_or(0, |inspection| inspection.due_at_us))?;
        out.flag(self.inspection.is_some_and(|inspection| inspection.done))?;
        out.all(self.history.len(), &self.history, |out, step| {
            out.state(step.from)?;
            out.state(step.to)?;
            out.text(&step.by)?;
            out.i64(step.at_us)?;
            out.text(&step.why)?;
            out.flag(step.escalated_to.is_some())?;
            out.text(step.escalated_to.as_deref().unwrap_or_default())
        })
    }

    /// What was written.
    pub(crate) fn read(from: &mut In<impl Read>) -> io::Result<Self> {
        let (id, number) = (from.id()?, from.u32()?);
        let (member, customer, rule) = (from.name()?, from.name()?, from.name()?);
        let (key, group, body, text) = (from.name()?, from.name()?, from.place()?, from.u32()?);
        let level = Level::try_from(i32::from(from.u8()?)).map_err(|_| wrong("a level that there is not"))?;
        let (state, count) = (from.state()?, from.u32()?);
        let (first_raised_us, last_raised_us) = (from.i64()?, from.i64()?);
        let (owed, due_at_us, done) = (from.flag()?, from.i64()?, from.flag()?);
        let inspection = owed.then_some(Inspection { due_at_us, done });
        let mut history = Vec::new();
        from.all(|from| {
            let (before, to, by) = (from.state()?, from.state()?, from.name()?);
            let (at_us, why, passed_on, role) = (from.i64()?, from.name()?, from.flag()?, from.name()?);
            history.push(Step { from: before, to, by, at_us, why, escalated_to: passed_on.then_some(role) });
            Ok(())
        })?;
        Ok(Self {
            id,
            number,
            member,
            customer,
            rule,
            key,
            group,
            body,
            text,
            level,
            state,
            count,
            first_raised_us,
            last_raised_us,
            history,
            inspection,
        })
    }
}
