//! What readers have been told today, what waits for them, and which warnings stand: what decisions come to.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;
use tarim_proto::warning::v1::Level;

use super::{
    Budget, Push, What,
    digest::{self, Known, MISFIT, Waited},
};
use crate::lifecycle::{Head, Lifecycle, Place, Warning};

/// How a reader comes to know of an alert, or of an escalation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub at_us: i64,
    pub reader: Arc<str>,
    /// False: it waits for the digest.
    pub at_once: bool,
    /// The local day, and the budget of that day that it takes one of, if it has an end.
    pub day: i32,
    pub budget: Option<Budget>,
}

/// The state, by member. Nothing here asks a rulebook: what was decided is applied, now as after a restart.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    pub(super) members: BTreeMap<Arc<str>, Member>,
    /// Since when something waits.
    pub(super) waits_since_us: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    pub(super) readers: BTreeMap<Arc<str>, Reader>,
    /// Warnings that stand, by number.
    pub(super) standing: HashMap<u32, Watch>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    pub(super) day: i32,
    /// Pushes at once of that day, by budget.
    pub(super) spent: [u32; Budget::COUNT],
    /// By number of the warning.
    pub(super) waits: HashMap<u32, Waited>,
    /// Digests so far.
    pub(super) digests: u32,
}

/// A warning that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Whose it is.
    pub reader: Arc<str>,
    pub level: Level,
    /// When an alert first had that level.
    pub since_us: i64,
}

impl Delivery {
    /// An alert was taken: `warning` is what it belongs to now.
    pub fn alert(&mut self, warning: &Warning, alert: &Head<'_>, body: Place, way: &Way) -> Option<Push> {
        let (member_name, member) = self.member(alert.member);
        let watch = member.standing.entry(warning.number).or_insert_with(|| Watch {
            reader: way.reader.clone(),
            level: Level::Unspecified,
            since_us: way.at_us,
        });
        if watch.level < warning.level {
            (watch.level, watch.since_us) = (warning.level, way.at_us);
        }
        watch.reader = way.reader.clone();
        let what = || What::Alert { warning: warning.id, alert: alert.id, level: alert.level, body };
        if member.goes_at_once(way) {
            return Some(Push::new(&member_name, way, what()));
        }
        member.waits(way, warning.number).add(alert);
        self.waits(way);
        None
    }

    /// A warning changed: it may stand no longer.
    pub fn changed(&mut self, warning: &Warning) {
        if !warning.state.stands()
            && let Some(member) = self.members.get_mut(&*warning.member)
        {
            member.standing.remove(&warning.number);
        }
    }

    /// A warning was passed on to the way's reader.
    pub fn escalated(&mut self, warning: &Arc<Warning>, way: &Way) -> Option<Push> {
        let (member_name, member) = self.member(&warning.member);
        let watch = member.standing.get(&warning.number);
        let (from, since_us) = watch
            .map_or_else(|| (way.reader.clone(), way.at_us), |watch| (watch.reader.clone(), watch.since_us));
        if member.goes_at_once(way) {
            let Warning { id, body, level, count, .. } = **warning;
            let what = What::Escalation { warning: id, body, level, count, from, since_us };
            return Some(Push::new(&member_name, way, what));
        }
        member.waits(way, warning.number).escalate(warning, &from);
        self.waits(way);
        None
    }

    /// All that waits goes out, to every reader: in parts as they were made before, if that is `known`.
    pub fn digest(
        &mut self,
        lifecycle: &Lifecycle,
        at_us: i64,
        mut known: Option<Known<'_>>,
    ) -> Result<Vec<Push>, &'static str> {
        let mut pushes = Vec::new();
        for (name, member) in &mut self.members {
            for (reader, state) in &mut member.readers {
                let waits = std::mem::take(&mut state.waits);
                if waits.is_empty() {
                    continue;
                }
                state.digests += 1;
                let waits = waits.into_iter().map(|(number, waited)| {
                    let warning = lifecycle.warning(name, number);
                    (warning.expect("a warning is never removed"), waited)
                });
                let push = |digest| Push {
                    member: name.clone(),
                    reader: reader.clone(),
                    at_us,
                    what: What::Digest(digest),
                };
                pushes.extend(digest::parts(state.digests, waits, known.as_mut())?.into_iter().map(push));
            }
        }
        if known.is_some_and(|mut known| known.next().is_some()) {
            return Err(MISFIT);
        }
        self.waits_since_us = None;
        Ok(pushes)
    }

    /// Since when something waits for the next digest.
    pub fn waits_since_us(&self) -> Option<i64> {
        self.waits_since_us
    }

    /// How much of a budget a reader has used up on a day.
    pub fn spent(&self, member: &str, reader: &str, day: i32, budget: Budget) -> u32 {
        let reader = self.reader(member, reader).filter(|reader| reader.day == day);
        reader.map_or(0, |reader| reader.spent[budget.index()])
    }

    /// The day whose budgets are a reader's: the calendar's, but if the clock was set back over midnight, still the later one.
    pub fn day(&self, member: &str, reader: &str, day: i32) -> i32 {
        self.reader(member, reader).map_or(day, |reader| if reader.day == day + 1 { reader.day } else { day })
    }

    fn reader(&self, member: &str, reader: &str) -> Option<&Reader> {
        self.members.get(member)?.readers.get(reader)
    }

    /// A warning that stands.
    pub fn standing(&self, member: &str, number: u32) -> Option<&Watch> {
        self.members.get(member)?.standing.get(&number)
    }

    /// All warnings that stand, with their member and number.
    pub fn all_standing(&self) -> impl Iterator<Item = (&Arc<str>, u32, &Watch)> {
        self.members.iter().flat_map(|(name, member)| {
            member.standing.iter().map(move |(number, watch)| (name, *number, watch))
        })
    }

    /// A member's name, kept once.
    pub fn member_name(&self, member: &str) -> Arc<str> {
        self.members.get_key_value(member).map_or_else(|| member.into(), |(name, _)| name.clone())
    }

    /// A reader's name, kept once.
    pub fn name(&self, member: &str, reader: &str) -> Arc<str> {
        let known = self.members.get(member).and_then(|member| member.readers.get_key_value(reader));
        known.map_or_else(|| reader.into(), |(name, _)| name.clone())
    }

    fn waits(&mut self, way: &Way) {
        // The earliest, also if the clock was set back meanwhile.
        self.waits_since_us = Some(self.waits_since_us.map_or(way.at_us, |since| since.min(way.at_us)));
    }

    fn member(&mut self, name: &str) -> (Arc<str>, &mut Member) {
        let name = self.member_name(name);
        (name.clone(), self.members.entry(name).or_default())
    }
}

impl Member {
    /// Takes what the way costs from the budget.
    fn goes_at_once(&mut self, way: &Way) -> bool {
        if let (true, Some(budget)) = (way.at_once, way.budget) {
            let reader = self.reader(&way.reader);
            if reader.day != way.day {
                (reader.day, reader.spent) = (way.day, Default::default());
            }
            reader.spent[budget.index()] += 1;
        }
        way.at_once
    }

    fn waits(&mut self, way: &Way, number: u32) -> &mut Waited {
        self.reader(&way.reader).waits.entry(number).or_default()
    }

    fn reader(&mut self, name: &Arc<str>) -> &mut Reader {
        self.readers.entry(name.clone()).or_default()
    }
}
