//! What stands against a customer: read without waiting for anyone.
//!
//! The table is [`tarim_features::warnings::Table`]: a reader takes no lock and allocates nothing. It sees a group of alerts
//! or none of it, and what it holds stays as it is.

use std::{ops::Deref, sync::Arc};

use tarim_features::warnings::{self, Table};
use tarim_proto::warning::v1::Level;

use crate::lifecycle::{Lifecycle, Record, State, Warning};

/// Handle of a reader; clones read the same.
#[derive(Clone, Default)]
pub struct OpenWarnings(Table<Arc<[Stands]>>);

/// A warning that stands: what there is to count of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stands {
    /// Its number within the member.
    pub number: u32,
    pub level: warnings::Level,
    pub state: State,
    pub count: u32,
    pub first_raised_us: i64,
    pub last_raised_us: i64,
}

/// The warnings that stand against one customer, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Standing(Option<Arc<[Stands]>>);

impl Deref for Standing {
    type Target = [Stands];

    fn deref(&self) -> &[Stands] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl OpenWarnings {
    pub(super) fn new(lifecycle: &Lifecycle) -> Self {
        let open = Self::default();
        let mut edit = open.0.edit();
        for member in lifecycle.members() {
            for (customer, numbers) in member.customers() {
                let records = numbers.filter_map(|n| Some((n, member.get(n)?)));
                let mut standing: Vec<Stands> = records
                    .filter(|(_, record)| record.state.stands())
                    .map(|(number, record)| Stands::of_record(number, record))
                    .collect();
                if !standing.is_empty() {
                    standing.reverse();
                    edit.change(member.name(), customer, |_| Some(standing.into()));
                }
            }
        }
        edit.commit();
        open
    }

    /// What stands against a customer. Nothing, if nobody of that name is known.
    pub fn of(&self, member: &str, customer: &str) -> Standing {
        Standing(self.0.look(member, customer, Arc::clone))
    }

    /// The same in numbers, as policies see it.
    pub fn in_numbers(&self, member: &str, customer: &str) -> warnings::Standing {
        self.0.look(member, customer, |warnings| in_numbers(warnings)).unwrap_or_default()
    }

    /// Shows every customer with warnings that stand, in numbers.
    pub fn each(&self, mut show: impl FnMut(&str, &str, warnings::Standing)) {
        self.0.each(|member, customer, warnings| show(member, customer, in_numbers(warnings)));
    }

    /// How many stand, by state and level, in the order of [`State::ALL`] and [`LEVELS`](warnings::LEVELS).
    pub fn counts(&self) -> [[u64; warnings::LEVELS.len()]; State::ALL.len()] {
        let mut counts = [[0; warnings::LEVELS.len()]; State::ALL.len()];
        self.0.each(|_, _, warnings| {
            for warning in warnings.iter() {
                counts[warning.state as usize][warning.level as usize] += 1;
            }
        });
        counts
    }

    /// Takes new versions of warnings. One at a time: the ledger's writer does, or whoever follows it.
    pub(super) fn publish<'a>(&self, versions: impl Iterator<Item = &'a Arc<Warning>>) {
        let mut edit = self.0.edit();
        for warning in versions {
            let (member, customer) = key(warning);
            edit.change(member, customer, |warnings| {
                let mut warnings = warnings.map_or_else(Vec::new, |warnings| warnings.to_vec());
                match warnings.binary_search_by_key(&warning.number, |w| w.number) {
                    Ok(at) if warning.state.stands() => warnings[at] = Stands::of(warning),
                    Ok(at) => drop(warnings.remove(at)),
                    Err(at) if warning.state.stands() => warnings.insert(at, Stands::of(warning)),
                    Err(_) => {}
                }
                (!warnings.is_empty()).then(|| warnings.into())
            });
        }
        edit.commit();
    }
}

impl Stands {
    pub fn of(warning: &Warning) -> Self {
        Self {
            number: warning.number,
            level: level(warning.level),
            state: warning.state,
            count: warning.count,
            first_raised_us: warning.first_raised_us,
            last_raised_us: warning.last_raised_us,
        }
    }

    fn of_record(number: u32, record: &Record) -> Self {
        Self {
            number,
            level: level(record.level()),
            state: record.state,
            count: record.count,
            first_raised_us: record.first_raised_us,
            last_raised_us: record.last_raised_us,
        }
    }
}

/// Member and customer of a warning.
pub(super) fn key(warning: &Warning) -> (&str, &str) {
    (&warning.member, &warning.customer)
}

fn level(level: Level) -> warnings::Level {
    match level {
        // One without a level is not taken; if there were one, it would be no less than a red one.
        Level::Red | Level::Unspecified => warnings::Level::Red,
        Level::Orange => warnings::Level::Orange,
        Level::Yellow => warnings::Level::Yellow,
        Level::Blue => warnings::Level::Blue,
    }
}

fn in_numbers(warnings: &[Stands]) -> warnings::Standing {
    let mut standing = warnings::Standing::default();
    for warning in warnings {
        let (acknowledged, escalated) = (warning.state != State::Open, warning.state == State::Escalated);
        standing.add(warning.level, acknowledged, escalated, warning.first_raised_us, warning.last_raised_us);
    }
    standing
}
