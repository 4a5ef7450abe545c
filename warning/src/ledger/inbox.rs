//! What readers find in their inboxes: pushes as they are on disk, those of the last months. Older ones are on their topic.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    sync::{Arc, PoisonError, RwLock},
};

use hashbrown::{HashMap, hash_map::Entry};

use tarim_proto::warning::v1::Level;

use crate::{
    delivery::{Kind, Push, What},
    lifecycle::{
        Id, Names, Place, Rows,
        bytes::{In, Out},
    },
};

/// The pushes of the last months, by member.
#[derive(Default)]
pub struct Inbox(RwLock<HashMap<Arc<str>, OfMember>>);

#[derive(Default)]
struct OfMember {
    /// In the order in which they were made.
    pushes: Rows<Kept>,
    /// Number of the first of them: so many were forgotten. A push keeps its number.
    first: u32,
    by_reader: HashMap<u32, VecDeque<u32>>,
    /// Readers, by number.
    readers: Names,
}

/// A push of a member as it is kept. Most are of one alert each: nothing is allocated for them.
#[derive(Clone)]
struct Kept {
    at_us: i64,
    reader: u32,
    what: KeptWhat,
}

#[derive(Clone)]
enum KeptWhat {
    Alert { warning: Id, alert: Id, body: Place, level: Level },
    Other(Arc<Push>),
}

/// Which pushes of a member are wanted; what is None is no matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PushFilter {
    pub reader: Option<String>,
    pub kind: Option<Kind>,
}

/// Some of the pushes that were wanted, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PushPage {
    pub pushes: Vec<Arc<Push>>,
    /// Where the next page goes on; None: there is nothing more.
    pub before: Option<u32>,
}

/// Pushes that a page looks at, at most, and lines of digests that it has, about.
const LOOKED_AT: usize = 100_000;
const LINES: usize = 5_000;

impl Inbox {
    pub(super) fn put(&self, pushes: &[Arc<Push>]) {
        if pushes.is_empty() {
            return;
        }
        let mut members = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for push in pushes {
            let member = members.entry(push.member.clone()).or_default();
            member.put(push);
        }
    }

    /// Forgets the pushes that were made before a time.
    pub(super) fn forget(&self, before_us: i64) {
        let mut members = self.0.write().unwrap_or_else(PoisonError::into_inner);
        members.values_mut().for_each(|member| member.forget(before_us));
    }

    /// To whom of a member something was pushed that is still here, in no order.
    pub fn readers(&self, member: &str) -> Vec<String> {
        let members = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let of = members.get(member);
        of.map_or_else(Vec::new, |of| {
            of.by_reader.keys().map(|reader| of.readers.text(*reader).to_string()).collect()
        })
    }

    /// The newest pushes of a member that are wanted, from those made before number `before`.
    pub fn page(&self, member: &str, filter: &PushFilter, before: Option<u32>, size: usize) -> PushPage {
        let members = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some((member, of)) = members.get_key_value(member) else { return PushPage::default() };
        match &filter.reader {
            None => of.page(member, of.first..of.end().min(before.unwrap_or(u32::MAX)), filter, size),
            Some(reader) => {
                let theirs = of.readers.find(reader).and_then(|reader| of.by_reader.get(&reader));
                let Some(theirs) = theirs else { return PushPage::default() };
                let end = before.map_or(theirs.len(), |before| theirs.partition_point(|n| *n < before));
                of.page(member, theirs.range(..end).copied(), filter, size)
            }
        }
    }
}

/// The inboxes as they were at one time, to be written while they go on.
pub struct Copy(Vec<(Arc<str>, u32, Rows<Kept>, Names)>);

impl Inbox {
    /// A copy. It takes little time: chunks are shared until they change.
    pub(super) fn copy(&self) -> Copy {
        let members = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let copy = |(name, of): (&Arc<str>, &OfMember)| {
            (name.clone(), of.first, of.pushes.clone(), of.readers.clone())
        };
        Copy(members.iter().map(copy).collect())
    }

    /// What was written.
    pub(super) fn read(from: &mut In<impl Read>) -> io::Result<Self> {
        let mut members = HashMap::new();
        from.all(|from| {
            let (name, first) = (from.name()?, from.u32()?);
            let mut of = OfMember { first, pushes: Rows::behind(first), ..OfMember::default() };
            from.all(|from| {
                of.put(&Arc::new(Push::read(from)?));
                Ok(())
            })?;
            members.insert(name, of);
            Ok(())
        })?;
        Ok(Self(RwLock::new(members)))
    }
}

impl Copy {
    pub fn write(&self, out: &mut Out<impl Write>) -> io::Result<()> {
        out.all(self.0.len(), &self.0, |out, (name, first, pushes, readers)| {
            out.text(name)?;
            out.u32(*first)?;
            out.all(pushes.iter().count(), pushes.iter(), |out, kept| kept.push(name, readers).write(out))
        })
    }
}

impl Kept {
    fn kind(&self) -> Kind {
        match &self.what {
            KeptWhat::Alert { .. } => Kind::Alert,
            KeptWhat::Other(push) => push.kind(),
        }
    }

    fn push(&self, member: &Arc<str>, readers: &Names) -> Arc<Push> {
        match &self.what {
            KeptWhat::Alert { warning, alert, body, level } => Arc::new(Push {
                member: member.clone(),
                reader: readers.text(self.reader).clone(),
                at_us: self.at_us,
                what: What::Alert { warning: *warning, alert: *alert, level: *level, body: *body },
            }),
            KeptWhat::Other(push) => push.clone(),
        }
    }
}

impl OfMember {
    fn put(&mut self, push: &Arc<Push>) {
        let reader = self.readers.number(&push.reader);
        let what = match push.what {
            What::Alert { warning, alert, level, body } => KeptWhat::Alert { warning, alert, body, level },
            _ => KeptWhat::Other(push.clone()),
        };
        let number = self.pushes.push(Kept { at_us: push.at_us, reader, what });
        if number >= self.first {
            self.by_reader.entry(reader).or_default().push_back(number);
        }
    }

    /// Number of the next push.
    fn end(&self) -> u32 {
        self.pushes.len()
    }

    fn forget(&mut self, before_us: i64) {
        // A clock may have been set back: what is behind one that is kept is kept.
        while let Some(push) = self.pushes.get(self.first).filter(|push| push.at_us < before_us) {
            self.first += 1;
            if let Entry::Occupied(mut theirs) = self.by_reader.entry(push.reader) {
                theirs.get_mut().pop_front();
                if theirs.get().is_empty() {
                    theirs.remove();
                }
            }
        }
        self.pushes.forget(self.first);
    }

    /// The newest of these.
    fn page(
        &self,
        member: &Arc<str>,
        numbers: impl DoubleEndedIterator<Item = u32>,
        filter: &PushFilter,
        size: usize,
    ) -> PushPage {
        let (mut page, mut lines) = (PushPage::default(), 0);
        for (looked_at, number) in numbers.rev().enumerate() {
            if page.pushes.len() == size || looked_at == LOOKED_AT || lines >= LINES {
                page.before = Some(number + 1);
                break;
            }
            let kept = &self.pushes[number];
            if filter.kind.is_none_or(|kind| kind == kept.kind()) {
                let push = kept.push(member, &self.readers);
                lines += push.lines();
                page.pushes.push(push);
            }
        }
        page
    }
}
