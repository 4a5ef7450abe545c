//! What readers see: warnings as they are on disk.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tarim_proto::warning::v1::{Alert, Level};

use super::{
    LedgerError,
    bodies::{Bodies, InFile},
};
use crate::lifecycle::{Id, Lifecycle, Member, Place, Record, State, Warning};

/// All warnings: the one who writes sees what he wrote, readers what is on disk of it. Clones are the same.
#[derive(Clone, Default)]
pub struct Whole(Arc<RwLock<Lifecycle>>);

impl Whole {
    pub fn new(lifecycle: Lifecycle) -> Self {
        Self(Arc::new(RwLock::new(lifecycle)))
    }

    pub fn read(&self) -> RwLockReadGuard<'_, Lifecycle> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, Lifecycle> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Warnings that are durable, and what their alerts say.
#[derive(Clone)]
pub struct View {
    whole: Whole,
    bodies: InFile,
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

/// Warnings that a page looks at, at most: a rare thing is looked for in several calls.
const LOOKED_AT: usize = 100_000;

impl View {
    pub(super) fn new(whole: Whole, bodies: InFile) -> Self {
        Self { whole, bodies }
    }

    /// The file that the alerts are read from.
    pub(super) fn file(&self) -> &InFile {
        &self.bodies
    }

    /// The warning that an alert belongs to.
    pub fn get(&self, member: &str, alert: Id) -> Option<Arc<Warning>> {
        self.whole.read().member(member)?.seen_of_alert(alert)
    }

    /// Whether there is a warning of this member.
    pub fn has(&self, member: &str) -> bool {
        self.whole.read().member(member).is_some()
    }

    /// Members of whom there are warnings, in no order.
    pub fn members(&self) -> Vec<String> {
        self.whole.read().members().map(|member| member.name().to_string()).collect()
    }

    /// Of these warnings of a member those that there are.
    pub fn numbered(&self, member: &str, numbers: impl Iterator<Item = u32>) -> Vec<Arc<Warning>> {
        let whole = self.whole.read();
        whole.member(member).map(|of| numbers.filter_map(|n| of.seen(n)).collect()).unwrap_or_default()
    }

    /// The newest warnings of a member that are wanted, from those opened before number `before`.
    pub fn page(&self, member: &str, filter: &Filter, before: Option<u32>, size: usize) -> Page {
        let whole = self.whole.read();
        let Some(of) = whole.member(member) else { return Page { warnings: Vec::new(), before: None } };
        match &filter.customer {
            None => page(of, (0..of.len().min(before.unwrap_or(u32::MAX))).rev(), filter, size),
            Some(customer) => {
                let older =
                    of.of_customer(customer).skip_while(|n| before.is_some_and(|before| *n >= before));
                page(of, older, filter, size)
            }
        }
    }
}

impl Bodies for View {
    fn body(&self, place: Place) -> Result<Alert, LedgerError> {
        self.bodies.body(place)
    }

    fn warning(&self, member: &str, id: Id) -> Result<Arc<Warning>, LedgerError> {
        self.get(member, id).ok_or(LedgerError::NoWarning { warning: id })
    }
}

/// Those of these warnings that are wanted.
fn page(of: &Member, older: impl Iterator<Item = u32>, filter: &Filter, size: usize) -> Page {
    let mut page = Page { warnings: Vec::new(), before: None };
    let rule = filter.rule.as_ref().map(|rule| of.name_of(rule));
    let wants = |record: &Record| {
        filter.state.is_none_or(|state| state == record.state)
            && filter.at_least.is_none_or(|level| record.level() >= level)
            && rule.is_none_or(|rule| rule == Some(record.subject.rule))
    };
    for (looked_at, number) in older.enumerate() {
        if page.warnings.len() == size || looked_at == LOOKED_AT {
            page.before = Some(number + 1);
            break;
        }
        if of.seen_record(number).is_some_and(wants) {
            page.warnings.extend(of.seen(number));
        }
    }
    page
}
