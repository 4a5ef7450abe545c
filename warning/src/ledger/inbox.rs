//! What readers find in their inboxes: pushes as they are on disk.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;

use crate::delivery::{Kind, Push};

/// All pushes, by member.
#[derive(Default)]
pub struct Inbox(RwLock<HashMap<Arc<str>, OfMember>>);

#[derive(Default)]
struct OfMember {
    /// In the order in which they were made.
    pushes: Vec<Arc<Push>>,
    by_reader: HashMap<Arc<str>, Vec<u32>>,
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
            let number = member.pushes.len() as u32;
            member.by_reader.entry(push.reader.clone()).or_default().push(number);
            member.pushes.push(push.clone());
        }
    }

    /// The newest pushes of a member that are wanted, from those made before number `before`.
    pub fn page(&self, member: &str, filter: &PushFilter, before: Option<u32>, size: usize) -> PushPage {
        let members = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(of) = members.get(member) else { return PushPage::default() };
        match &filter.reader {
            None => of.page(0..of.pushes.len() as u32, filter, before, size),
            Some(reader) => {
                let theirs = of.by_reader.get(reader.as_str()).map_or(&[][..], Vec::as_slice);
                let end = before.map_or(theirs.len(), |before| theirs.partition_point(|n| *n < before));
                of.page(theirs[..end].iter().copied(), filter, before, size)
            }
        }
    }
}

impl OfMember {
    fn page(
        &self,
        numbers: impl DoubleEndedIterator<Item = u32>,
        filter: &PushFilter,
        before: Option<u32>,
        size: usize,
    ) -> PushPage {
        let (mut page, mut lines) = (PushPage::default(), 0);
        let older = numbers.rev().skip_while(|n| before.is_some_and(|before| *n >= before));
        for (looked_at, number) in older.enumerate() {
            if page.pushes.len() == size || looked_at == LOOKED_AT || lines >= LINES {
                page.before = Some(number + 1);
                break;
            }
            let push = &self.pushes[number as usize];
            if filter.kind.is_none_or(|kind| kind == push.kind()) {
                lines += push.lines();
                page.pushes.push(push.clone());
            }
        }
        page
    }
}
