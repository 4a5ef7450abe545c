//! What was told and what waits, as bytes: what is written of it, and how it is there again.

use std::io::{self, Read, Write};

use tarim_proto::warning::v1::Level;

use super::{
    Delivery, Digest, Group, Line, Push, What,
    digest::Waited,
    readers::{Member, Reader, Watch},
};
use crate::lifecycle::bytes::{In, Out, wrong};

impl Delivery {
    pub(crate) fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        out.all(self.members.len(), &self.members, |out, (name, member)| {
            out.text(name)?;
            member.write(out)
        })?;
        out.flag(self.waits_since_us.is_some())?;
        out.i64(self.waits_since_us.unwrap_or_default())
    }

    /// What was written.
    pub(crate) fn read(from: &mut In<impl Read>) -> io::Result<Self> {
        let mut delivery = Self::default();
        from.all(|from| {
            delivery.members.insert(from.name()?, Member::read(from)?);
            Ok(())
        })?;
        let (waits, since_us) = (from.flag()?, from.i64()?);
        delivery.waits_since_us = waits.then_some(since_us);
        Ok(delivery)
    }
}

impl Member {
    fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        out.all(self.readers.len(), &self.readers, |out, (name, reader)| {
            out.text(name)?;
            reader.write(out)
        })?;
        out.all(self.standing.len(), &self.standing, |out, (number, watch)| {
            out.u32(*number)?;
            out.text(&watch.reader)?;
            level(out, watch.level)?;
            out.i64(watch.since_us)
        })
    }

    fn read(from: &mut In<impl Read>) -> io::Result<Self> {
        let mut member = Self::default();
        from.all(|from| {
            member.readers.insert(from.name()?, Reader::read(from)?);
            Ok(())
        })?;
        from.all(|from| {
            let number = from.u32()?;
            let (reader, level, since_us) = (from.name()?, read_level(from)?, from.i64()?);
            member.standing.insert(number, Watch { reader, level, since_us });
            Ok(())
        })?;
        Ok(member)
    }
}

impl Reader {
    fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        out.i64(self.day.into())?;
        self.spent.iter().try_for_each(|spent| out.u32(*spent))?;
        out.all(self.waits.len(), &self.waits, |out, (number, waited)| {
            out.u32(*number)?;
            waited.write(out)
        })?;
        out.u32(self.digests)
    }

    fn read(from: &mut In<impl Read>) -> io::Result<Self> {
        let mut reader = Self { day: from.i64()? as i32, ..Self::default() };
        for spent in &mut reader.spent {
            *spent = from.u32()?;
        }
        from.all(|from| {
            reader.waits.insert(from.u32()?, Waited::read(from)?);
            Ok(())
        })?;
        reader.digests = from.u32()?;
        Ok(reader)
    }
}

impl Waited {
    fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        out.u32(self.alerts)?;
        out.u32(self.held_back)?;
        out.i64(self.first_us)?;
        out.i64(self.last_us)?;
        out.flag(self.escalated_from.is_some())?;
        out.text(self.escalated_from.as_deref().unwrap_or_default())
    }

    fn read(from: &mut In<impl Read>) -> io::Result<Self> {
        let (alerts, held_back, first_us, last_us) = (from.u32()?, from.u32()?, from.i64()?, from.i64()?);
        let (escalated, by) = (from.flag()?, from.name()?);
        Ok(Self { alerts, held_back, first_us, last_us, escalated_from: escalated.then_some(by) })
    }
}

impl Push {
    pub(crate) fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        out.text(&self.member)?;
        out.text(&self.reader)?;
        out.i64(self.at_us)?;
        match &self.what {
            What::Alert { warning, alert, level, body } => {
                out.u8(0)?;
                out.id(*warning)?;
                out.id(*alert)?;
                self::level(out, *level)?;
                out.place(*body)
            }
            What::Escalation { warning, body, level, count, from, since_us } => {
                out.u8(1)?;
                out.id(*warning)?;
                out.place(*body)?;
                self::level(out, *level)?;
                out.u32(*count)?;
                out.text(from)?;
                out.i64(*since_us)
            }
            What::Digest(digest) => {
                out.u8(2)?;
                [digest.number, digest.part, digest.parts].into_iter().try_for_each(|n| out.u32(n))?;
                out.all(digest.groups.len(), &digest.groups, |out, group| {
                    out.text(&group.name)?;
                    out.text(&group.customer)?;
                    level(out, group.level)?;
                    out.all(group.lines.len(), &group.lines, |out, line| line.write(out))
                })
            }
        }
    }

    /// What was written.
    pub(crate) fn read(from: &mut In<impl Read>) -> io::Result<Self> {
        let (member, reader, at_us) = (from.name()?, from.name()?, from.i64()?);
        let what = match from.u8()? {
            0 => What::Alert {
                warning: from.id()?,
                alert: from.id()?,
                level: read_level(from)?,
                body: from.place()?,
            },
            1 => What::Escalation {
                warning: from.id()?,
                body: from.place()?,
                level: read_level(from)?,
                count: from.u32()?,
                from: from.name()?,
                since_us: from.i64()?,
            },
            2 => {
                let (number, part, parts) = (from.u32()?, from.u32()?, from.u32()?);
                let mut groups = Vec::new();
                from.all(|from| {
                    let (name, customer, level) = (from.name()?, from.name()?, read_level(from)?);
                    let mut group = Group { name, customer, level, lines: Vec::new() };
                    from.all(|from| {
                        group.lines.push(Line::read(from)?);
                        Ok(())
                    })?;
                    groups.push(group);
                    Ok(())
                })?;
                What::Digest(Digest { number, part, parts, groups })
            }
            _ => return Err(wrong("a push of no kind")),
        };
        Ok(Self { member, reader, at_us, what })
    }
}

impl Line {
    fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        out.id(self.warning)?;
        level(out, self.level)?;
        out.state(self.state)?;
        self.waited.write(out)
    }

    fn read(from: &mut In<impl Read>) -> io::Result<Self> {
        Ok(Self {
            warning: from.id()?,
            level: read_level(from)?,
            state: from.state()?,
            waited: Waited::read(from)?,
        })
    }
}

fn level(out: &mut Out<impl Write>, level: Level) -> io::Result<()> {
    out.u8(level as u8)
}

fn read_level(from: &mut In<impl Read>) -> io::Result<Level> {
    Level::try_from(i32::from(from.u8()?)).map_err(|_| wrong("a level that there is not"))
}
