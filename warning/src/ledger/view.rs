//! What readers see: warnings as they are on disk.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;
use tarim_proto::warning::v1::Level;

use crate::lifecycle::{Id, Lifecycle, State, Warning};

/// All warnings that are durable, by member.
#[derive(Default)]
pub struct View(RwLock<HashMap<String, OfMember>>);

#[derive(Default)]
struct OfMember {
    /// In the order in which they were opened.
    warnings: Vec<Arc<Warning>>,
    by_alert: HashMap<Id, u32>,
    by_customer: HashMap<String, Vec<u32>>,
}

/// Which warnings of a member are wanted; what is None is no matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    pub customer: Option<String>,
    pub state: Option<State>,
    pub at_least: Option<Level>,
    pub rule: Option<String>,
}

/// Some of the warnings that were wanted, the newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub warnings: Vec<Arc<Warning>>,
    /// Where the next page goes on; None: there is nothing more.
    pub before: Option<u32>,
}

/// A new version of a warning, and the alert that brought it, if one did.
pub struct Version {
    pub warning: Arc<Warning>,
    pub alert: Option<Id>,
}

/// Warnings that a page looks at, at most: a rare thing is looked for in several calls.
const LOOKED_AT: usize = 100_000;

impl View {
    pub(super) fn new(lifecycle: &Lifecycle) -> Self {
        let mut members: HashMap<String, OfMember> = HashMap::new();
        for warning in lifecycle.warnings() {
            members.entry_ref(warning.alert.member.as_str()).or_default().put(warning);
        }
        for (alert, warning) in lifecycle.alerts() {
            members
                .entry_ref(warning.alert.member.as_str())
                .or_default()
                .by_alert
                .insert(alert, warning.number);
        }
        Self(RwLock::new(members))
    }

    pub(super) fn publish(&self, versions: &[Version]) {
        let mut members = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for Version { warning, alert } in versions {
            let member = members.entry_ref(warning.alert.member.as_str()).or_default();
            member.put(warning);
            if let Some(alert) = alert {
                member.by_alert.insert(*alert, warning.number);
            }
        }
    }

    /// The warning that an alert belongs to.
    pub fn get(&self, member: &str, alert: Id) -> Option<Arc<Warning>> {
        self.of_member(member, |of| Some(of.warnings[*of.by_alert.get(&alert)? as usize].clone())).flatten()
    }

    /// The newest warnings of a member that are wanted, from those opened before number `before`.
    pub fn page(&self, member: &str, filter: &Filter, before: Option<u32>, size: usize) -> Page {
        let page = self.of_member(member, |of| match &filter.customer {
            None => of.page(0..of.warnings.len() as u32, filter, before, size),
            Some(customer) => {
                let theirs = of.by_customer.get(customer.as_str()).map_or(&[][..], Vec::as_slice);
                of.page(theirs.iter().copied(), filter, before, size)
            }
        });
        page.unwrap_or(Page { warnings: Vec::new(), before: None })
    }

    fn of_member<T>(&self, member: &str, read: impl FnOnce(&OfMember) -> T) -> Option<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(member).map(read)
    }
}

impl OfMember {
    /// Versions of new warnings come in the order of their numbers.
    fn put(&mut self, warning: &Arc<Warning>) {
        match self.warnings.get_mut(warning.number as usize) {
            Some(old) => *old = warning.clone(),
            None => {
                let of_customer = self.by_customer.entry_ref(warning.alert.customer_id.as_str()).or_default();
                of_customer.push(warning.number);
                self.warnings.push(warning.clone());
            }
        }
    }

    fn page(
        &self,
        numbers: impl DoubleEndedIterator<Item = u32>,
        filter: &Filter,
        before: Option<u32>,
        size: usize,
    ) -> Page {
        let mut page = Page { warnings: Vec::new(), before: None };
        let older = numbers.rev().skip_while(|n| before.is_some_and(|before| *n >= before));
        for (looked_at, number) in older.enumerate() {
            if page.warnings.len() == size || looked_at == LOOKED_AT {
                page.before = Some(number + 1);
                break;
            }
            let warning = &self.warnings[number as usize];
            if filter.wants(warning) {
                page.warnings.push(warning.clone());
            }
        }
        page
    }
}

impl Filter {
    fn wants(&self, warning: &Warning) -> bool {
        self.customer.as_ref().is_none_or(|customer| *customer == warning.alert.customer_id)
            && self.state.is_none_or(|state| state == warning.state)
            && self.at_least.is_none_or(|level| warning.level >= level)
            && self.rule.as_ref().is_none_or(|rule| *rule == warning.alert.rule_id)
    }
}
