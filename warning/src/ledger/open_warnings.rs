//! What stands against a customer: read without waiting for anyone.
//!
//! The table is [`tarim_features::warnings::Table`]: a reader takes no lock and allocates nothing. It sees a group of alerts
//! or none of it, and what it holds stays as it is.

use std::{ops::Deref, sync::Arc};

use hashbrown::HashMap;
use tarim_features::warnings::{self, Table};
use tarim_proto::warning::v1::Level;

use crate::lifecycle::{State, Warning};

/// Handle of a reader; clones read the same.
#[derive(Clone, Default)]
pub struct OpenWarnings(Table<Arc<[Arc<Warning>]>>);

/// The warnings that stand against one customer, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Standing(Option<Arc<[Arc<Warning>]>>);

impl Deref for Standing {
    type Target = [Arc<Warning>];

    fn deref(&self) -> &[Arc<Warning>] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl OpenWarnings {
    pub(super) fn new<'a>(warnings: impl Iterator<Item = &'a Arc<Warning>>) -> Self {
        let mut customers: HashMap<(&str, &str), Vec<Arc<Warning>>> = HashMap::new();
        for warning in warnings.filter(|w| w.state.stands()) {
            customers.entry(key(warning)).or_default().push(warning.clone());
        }
        let open = Self::default();
        let mut edit = open.0.edit();
        for ((member, customer), mut warnings) in customers {
            warnings.sort_by_key(|w| w.number);
            edit.change(member, customer, |_| Some(warnings.into()));
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

    /// Takes new versions of warnings. One at a time: the ledger's writer does, or whoever follows it.
    pub(super) fn publish<'a>(&self, versions: impl Iterator<Item = &'a Arc<Warning>>) {
        let mut edit = self.0.edit();
        for warning in versions {
            let (member, customer) = key(warning);
            edit.change(member, customer, |warnings| {
                let mut warnings = warnings.map_or_else(Vec::new, |warnings| warnings.to_vec());
                match warnings.binary_search_by_key(&warning.number, |w| w.number) {
                    Ok(at) if warning.state.stands() => warnings[at] = warning.clone(),
                    Ok(at) => drop(warnings.remove(at)),
                    Err(at) if warning.state.stands() => warnings.insert(at, warning.clone()),
                    Err(_) => {}
                }
                (!warnings.is_empty()).then(|| warnings.into())
            });
        }
        edit.commit();
    }
}

/// Member and customer of a warning.
pub(super) fn key(warning: &Warning) -> (&str, &str) {
    (&warning.alert.member, &warning.alert.customer_id)
}

fn in_numbers(warnings: &[Arc<Warning>]) -> warnings::Standing {
    let mut standing = warnings::Standing::default();
    for warning in warnings {
        let level = match warning.level {
            // One without a level is not taken; if there were one, it would be no less than a red one.
            Level::Red | Level::Unspecified => warnings::Level::Red,
            Level::Orange => warnings::Level::Orange,
            Level::Yellow => warnings::Level::Yellow,
            Level::Blue => warnings::Level::Blue,
        };
        let (acknowledged, escalated) = (warning.state != State::Open, warning.state == State::Escalated);
        standing.add(level, acknowledged, escalated, warning.first_raised_us, warning.last_raised_us);
    }
    standing
}
