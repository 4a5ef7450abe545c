//! Counters: how much of each limit is used, and which of them an exposure touches.
//!
//! ```text
//!  attributes of an exposure ──► Plan, once: of each scheme that is about them     fixed: its counter is known
//!                                            whose counter it touches              else: find it by customer, group
//!  reserve ──► plan ──► check all ──► add to all, or refuse and name those without room
//! ```
//!
//! What stands here follows from the exposures and the schemes alone, so it can be built anew beside itself
//! ([`super::recount`]) and compared with itself ([`Counting::totals`]).

mod sight;

use std::{collections::BTreeMap, sync::Arc};

use smallvec::SmallVec;

pub use self::sight::Sight;
use super::{
    column::{Column, fixed},
    index::Index,
    text::Words,
};
use crate::exposure::{
    operation::{Breach, CounterUse, Refusal},
    scheme::{CUSTOMER, Dimension, GROUP, Lines, NONE, Per, SchemeSet, Scope},
    spare::Spare,
    standing::Seen,
};

/// Stands for no member, customer or group.
pub const NOBODY: u32 = u32::MAX;

/// A counter.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    pub used: i64,
    /// Index of its scheme.
    pub scheme: u32,
    /// Word of its member; [`NOBODY`]: of all.
    pub member: u32,
    /// Which of the scheme's lines are its.
    pub lines: u32,
    /// Where in `parts` begins what it is apart by: as many as its scheme has.
    pub parts: u32,
}
fixed!(Counter { used: i64, scheme: u32, member: u32, lines: u32, parts: u32 });

/// Counters of a set of schemes.
#[derive(Clone, Debug)]
pub struct Counting {
    schemes: Arc<SchemeSet>,
    /// By profile.
    plans: Column<Option<Arc<Plan>>>,
    pub counters: Column<Counter>,
    pub parts: Column<u32>,
    pub index: Index,
}

/// The counters that exposures of a profile touch.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    entries: Vec<Entry>,
    /// Why there can be no new ones; None: there can. (Those that were there before these schemes are counted all the same.)
    pub refused: Option<Refusal>,
}

#[derive(Clone, Debug)]
struct Entry {
    scheme: u32,
    member: u32,
    lines: u32,
    /// Its counter, if it hangs on nothing but the profile, and is known.
    fixed: Option<u32>,
    parts: SmallVec<[Part; 4]>,
}

/// What a counter is apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Word(u32),
    Customer,
    Group,
}

/// Whose exposure it is. None: not known to the ledger yet, or no group.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    pub customer: Option<u32>,
    pub group: Option<u32>,
}

/// Tells numbers by name.
pub trait Names {
    fn word(&self, word: u32) -> &str;
    /// [`NOBODY`]: the one who is asking.
    fn customer(&self, customer: u32) -> &str;
    fn group(&self, group: u32) -> &str;
}

/// Entries of a plan with their counters; None: there is none yet, so nothing of it is used.
pub type Touched = SmallVec<[(u32, Option<u32>); 32]>;

impl Counting {
    pub fn new(schemes: Arc<SchemeSet>) -> Self {
        Self {
            schemes,
            plans: Column::default(),
            counters: Column::default(),
            parts: Column::default(),
            index: Index::default(),
        }
    }

    pub fn schemes(&self) -> &Arc<SchemeSet> {
        &self.schemes
    }

    /// Whether new exposures may have these attributes (in order of name).
    fn check_attributes(&self, attributes: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut missing = Vec::new();
        for dimension in self.schemes.dimensions.iter().skip(2) {
            match value_of(attributes, &dimension.name) {
                None => missing.push(dimension.name.clone()),
                Some(NONE) => {}
                Some(value) => dimension.check(value)?,
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Refusal::Missing(missing)) }
    }

    /// Which counters exposures of a member with these attributes (in order of name) touch.
    pub fn plan(&self, member: &str, attributes: &[(&str, &str)], words: &mut Words) -> Plan {
        let place = self.schemes.members.binary_search_by(|code| code.as_str().cmp(member)).ok();
        let mut entries = Vec::new();
        for (number, scheme) in self.schemes.schemes.iter().enumerate() {
            let (member, lines) = match (scheme.scope(), place) {
                (Scope::Federation, _) => (NOBODY, 0),
                (Scope::Member, Some(place)) => (words.intern(member), place as u32),
                // The federation has no such member any more: it has no lines.
                (Scope::Member, None) => continue,
            };
            let about = scheme.conditions.iter().all(|condition| {
                let dimension = &self.schemes.dimensions[condition.dimension as usize];
                match value_of(attributes, &dimension.name) {
                    Some(NONE) => false,
                    // What is not known counts: it may be one of them.
                    None => true,
                    Some(value) if dimension.check(value).is_err() => true,
                    Some(value) => condition.any_of.iter().any(|above| dimension.is_under(value, above)),
                }
            });
            let mut parts = SmallVec::new();
            for per in &scheme.per {
                let dimension = &self.schemes.dimensions[per.dimension as usize];
                match per.dimension {
                    CUSTOMER => parts.push(Part::Customer),
                    GROUP => parts.push(Part::Group),
                    _ => parts.extend(part(dimension, per.level, attributes, words)),
                }
            }
            if about && parts.len() == scheme.per.len() {
                entries.push(Entry { scheme: number as u32, member, lines, fixed: None, parts });
            }
        }
        Plan { entries, refused: self.check_attributes(attributes).err() }
    }

    /// The plan of a profile, if it was made.
    pub fn known_plan(&self, profile: u32) -> Option<&Arc<Plan>> {
        if profile < self.plans.len() { self.plans.get(profile).as_ref() } else { None }
    }

    /// Keeps the plan of a profile, and begins its counters.
    pub fn keep_plan(&mut self, profile: u32, mut plan: Plan) -> Arc<Plan> {
        for entry in &mut plan.entries {
            if entry.parts.iter().all(|part| matches!(part, Part::Word(_))) {
                let nobody = Who { customer: None, group: None };
                entry.fixed = Some(self.find(entry, nobody).unwrap_or_else(|| self.begin(entry, nobody)));
            }
        }
        while self.plans.len() <= profile {
            self.plans.push(None);
        }
        let plan = Arc::new(plan);
        *self.plans.get_mut(profile) = Some(plan.clone());
        plan
    }

    /// The counters that a plan touches.
    pub fn touched(&self, plan: &Plan, who: Who) -> Touched {
        let mut touched = Touched::new();
        for (number, entry) in plan.entries.iter().enumerate() {
            // Who belongs to no group touches no group's counter.
            if who.group.is_some() || !entry.parts.contains(&Part::Group) {
                touched.push((number as u32, entry.fixed.or_else(|| self.find(entry, who))));
            }
        }
        touched
    }

    /// Those of them that have no room for so much more.
    pub fn breaches(
        &self,
        plan: &Plan,
        touched: &Touched,
        who: Who,
        fen: i64,
        now_us: i64,
        names: &dyn Names,
    ) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for (number, counter) in touched {
            let sight = self.sight(&plan.entries[*number as usize], *counter, who, names);
            let (used, hard) = (sight.used_fen(), sight.lines().hard_fen);
            if sight.in_force(now_us) && used.saturating_add(fen) > hard {
                let counter = sight.tell(&mut Spare::default());
                breaches.push(Breach { counter, shortfall_fen: used.saturating_add(fen) - hard });
            }
        }
        breaches
    }

    /// Adds to all of them, and begins those that do not exist.
    pub fn add(&mut self, plan: &Plan, touched: &mut Touched, who: Who, fen: i64) {
        for (number, counter) in touched {
            let at = match *counter {
                Some(at) => at,
                None => {
                    let entry = &plan.entries[*number as usize];
                    // Another entry cannot have begun it: no two of a plan are of one scheme.
                    self.begin(entry, who)
                }
            };
            *counter = Some(at);
            let used = &mut self.counters.get_mut(at).used;
            // The ledger's total fits, and each counter is a part of it.
            *used = used.checked_add(fen).expect("no counter is above the total");
            assert!(*used >= 0, "what is given back was taken");
        }
    }

    /// Those of them that are above their warning line.
    pub fn warnings(&self, touched: &Touched, now_us: i64, names: &dyn Names) -> Vec<CounterUse> {
        let counters = touched.iter().filter_map(|(_, counter)| *counter);
        let above = counters.filter(|counter| {
            let counter = self.counters.get(*counter);
            self.scheme_of(counter).in_force(now_us) && counter.used > self.lines(counter).warning_fen
        });
        above.map(|counter| self.tell(counter, names)).collect()
    }

    /// How all counters stand that a plan touches, of limits in force; those that do not exist yet too.
    pub fn outlook<'a>(
        &'a self,
        plan: &'a Plan,
        who: Who,
        now_us: i64,
        names: &'a dyn Names,
    ) -> SmallVec<[Sight<'a>; 32]> {
        let touched = self.touched(plan, who);
        let sight = |(number, counter): &(u32, Option<u32>)| {
            self.sight(&plan.entries[*number as usize], *counter, who, names)
        };
        touched.iter().map(sight).filter(|sight| sight.in_force(now_us)).collect()
    }

    /// The lines of a counter.
    pub fn lines(&self, counter: &Counter) -> Lines {
        self.scheme_of(counter).lines[counter.lines as usize]
    }

    pub fn scheme_of(&self, counter: &Counter) -> &crate::exposure::scheme::Scheme {
        &self.schemes.schemes[counter.scheme as usize]
    }

    /// How a counter stands.
    pub fn tell(&self, counter: u32, names: &dyn Names) -> CounterUse {
        let counter = self.counters.get(counter);
        let scheme = self.scheme_of(counter);
        let values = scheme.per.iter().zip(counter.parts..).map(|(per, at)| {
            let value = *self.parts.get(at);
            match per.dimension {
                CUSTOMER => names.customer(value),
                GROUP => names.group(value),
                _ => names.word(value),
            }
        });
        let figures = (counter.used, self.lines(counter));
        self.told(counter.scheme, counter.member, values, figures, names, &mut Spare::default())
    }

    /// A counter by the values of what it is per.
    fn told<'v>(
        &self,
        scheme: u32,
        member: u32,
        values: impl Iterator<Item = &'v str>,
        (used_fen, Lines { warning_fen, hard_fen }): (i64, Lines),
        names: &dyn Names,
        spare: &mut Spare,
    ) -> CounterUse {
        let scheme = &self.schemes.schemes[scheme as usize];
        let member = if member == NOBODY { "" } else { names.word(member) };
        let mut told = CounterUse { used_fen, warning_fen, hard_fen, ..spare.counter(&scheme.id, member) };
        for (Per { dimension, level }, value) in scheme.per.iter().zip(values) {
            let dimension = &self.schemes.dimensions[*dimension as usize];
            let mut attribute = spare.attribute(&dimension.name, value);
            if let Some(level) = (*level as usize).checked_sub(1) {
                attribute.name.push('.');
                attribute.name.push_str(dimension.levels()[level]);
            }
            told.per.push(attribute);
        }
        told
    }

    /// What is used of each counter that is used at all, by what it is of, for comparing two.
    pub fn totals(&self) -> BTreeMap<(u32, u32, Vec<u32>), i64> {
        let key = |counter: &Counter| {
            let count = self.scheme_of(counter).per.len() as u32;
            let parts = counter.parts..counter.parts + count;
            (counter.scheme, counter.member, parts.map(|at| *self.parts.get(at)).collect())
        };
        self.counters
            .iter()
            .filter(|counter| counter.used != 0)
            .map(|counter| (key(counter), counter.used))
            .collect()
    }

    /// The counter of an entry.
    fn find(&self, entry: &Entry, who: Who) -> Option<u32> {
        let parts = parts_of(entry, who)?;
        self.index.find(hash(entry.scheme, entry.member, &parts), |at| {
            let counter = self.counters.get(at);
            (counter.scheme, counter.member) == (entry.scheme, entry.member)
                && parts.iter().zip(counter.parts..).all(|(part, at)| part == self.parts.get(at))
        })
    }

    fn begin(&mut self, entry: &Entry, who: Who) -> u32 {
        let parts = parts_of(entry, who).expect("whoever takes something is known");
        let start = self.parts.len();
        for part in &parts {
            self.parts.push(*part);
        }
        let Entry { scheme, member, lines, .. } = *entry;
        let at = self.counters.push(Counter { used: 0, scheme, member, lines, parts: start });
        self.index.insert(hash(scheme, member, &parts), at);
        at
    }
}

/// A value of a dimension as a part; None: it has none. What is not known, or no value, is counted apart.
fn part(dimension: &Dimension, level: u32, attributes: &[(&str, &str)], words: &mut Words) -> Option<Part> {
    Some(Part::Word(match value_of(attributes, &dimension.name) {
        Some(NONE) => return None,
        None => words.intern(""),
        Some(value) if dimension.check(value).is_err() => words.intern(value),
        Some(value) => words.intern(&dimension.at_level(value, level)),
    }))
}

fn value_of<'a>(attributes: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    let at = attributes.binary_search_by(|(other, _)| (*other).cmp(name)).ok()?;
    Some(attributes[at].1)
}

/// Numbers of the parts; None: the customer, or group, is not known, so neither is a counter of it.
fn parts_of(entry: &Entry, who: Who) -> Option<SmallVec<[u32; 8]>> {
    let number = |part: &Part| match *part {
        Part::Word(word) => Some(word),
        Part::Customer => who.customer,
        Part::Group => who.group,
    };
    entry.parts.iter().map(number).collect()
}

/// Of small numbers that the ledger gave itself: nobody can choose them so that they collide.
fn hash(scheme: u32, member: u32, parts: &[u32]) -> u64 {
    let mix = |hash: u64, part: u64| {
        let product = u128::from(hash ^ part) * 0x9e37_79b9_7f4a_7c15;
        (product ^ (product >> 64)) as u64
    };
    let start = mix(0x2545_f491_4f6c_dd1d, u64::from(scheme) << 32 | u64::from(member));
    mix(parts.iter().fold(start, |hash, part| mix(hash, u64::from(*part) + 1)), 0x5851_f42d_4c95_7f2d)
}
