//! A counter as it is looked at. Most are never told, so it has numbers, and is named only when it is.

use super::{Counting, Entry, NOBODY, Names, Part, Who};
use crate::exposure::{
    operation::CounterUse,
    scheme::{CUSTOMER, Lines, Per, Scheme},
    spare::Spare,
    standing::Seen,
};

/// A counter that a plan touches, as it stands.
pub struct Sight<'a> {
    counting: &'a Counting,
    names: &'a dyn Names,
    entry: &'a Entry,
    who: Who,
    used_fen: i64,
}

impl Counting {
    /// `counter`: None: there is none yet, so nothing of it is used.
    pub(super) fn sight<'a>(
        &'a self,
        entry: &'a Entry,
        counter: Option<u32>,
        who: Who,
        names: &'a dyn Names,
    ) -> Sight<'a> {
        let used_fen = counter.map_or(0, |counter| self.counters.get(counter).used);
        Sight { counting: self, names, entry, who, used_fen }
    }
}

impl Sight<'_> {
    pub(super) fn in_force(&self, at_us: i64) -> bool {
        self.scheme().in_force(at_us)
    }

    fn scheme(&self) -> &Scheme {
        &self.counting.schemes.schemes[self.entry.scheme as usize]
    }

    fn value(&self, part: Part) -> &str {
        match part {
            Part::Word(word) => self.names.word(word),
            Part::Customer => self.names.customer(self.who.customer.unwrap_or(NOBODY)),
            Part::Group => self.names.group(self.who.group.unwrap_or(NOBODY)),
        }
    }
}

impl Seen for Sight<'_> {
    fn used_fen(&self) -> i64 {
        self.used_fen
    }

    fn lines(&self) -> Lines {
        self.scheme().lines[self.entry.lines as usize]
    }

    fn limit(&self) -> &str {
        &self.scheme().id
    }

    fn is_of_customer(&self) -> bool {
        matches!(self.scheme().per[..], [Per { dimension: CUSTOMER, .. }])
    }

    fn tell(&self, spare: &mut Spare) -> CounterUse {
        let Entry { scheme, member, parts, .. } = self.entry;
        let values = parts.iter().map(|part| self.value(*part));
        let figures = (self.used_fen, self.lines());
        self.counting.told(*scheme, *member, values, figures, self.names, spare)
    }
}
