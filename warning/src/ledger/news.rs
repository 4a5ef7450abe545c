//! Customers against whom something else stands than before, for whoever tells it to others.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::open_warnings::key;
use crate::lifecycle::Warning;

/// A member and a customer of it.
pub type Customer = (String, String);

/// Whom something has changed for since somebody asked last. Each is there once, however often it changed: what stands
/// against them now is asked of [`super::OpenWarnings`].
#[derive(Default)]
pub struct News {
    noted: Mutex<Noted>,
    more: Condvar,
}

#[derive(Default)]
struct Noted {
    /// Nobody asks before it is wanted, and nothing is noted.
    wanted: bool,
    closed: bool,
    customers: HashSet<Customer>,
}

impl News {
    /// From now on changes are noted.
    pub fn begin(&self) {
        self.noted().wanted = true;
    }

    /// Whom something has changed for; waits so long for the first. None: nothing changes any more.
    pub fn take(&self, wait: Duration) -> Option<HashSet<Customer>> {
        let none = |noted: &mut Noted| !noted.closed && noted.customers.is_empty();
        let waited = self.more.wait_timeout_while(self.noted(), wait, none);
        let (mut noted, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let customers = mem::take(&mut noted.customers);
        if customers.is_empty() && noted.closed { None } else { Some(customers) }
    }

    pub(super) fn note<'a>(&self, versions: impl Iterator<Item = &'a Arc<Warning>>) {
        let mut noted = self.noted();
        if noted.wanted {
            let customers = versions.map(|warning| key(warning));
            noted.customers.extend(customers.map(|(m, c)| (m.to_owned(), c.to_owned())));
            self.more.notify_all();
        }
    }

    pub(super) fn close(&self) {
        self.noted().closed = true;
        self.more.notify_all();
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
