//! How far a partition is, for whoever watches.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use tarim_proto::warning::v1::{Alert, Level};

use crate::{core::Losses, rulebook::WarningBook};

/// What a partition has done since the process began. What is counted is committed.
#[derive(Debug, Default)]
pub struct Watched {
    pub events: AtomicU64,
    pub alerts: AtomicU64,
    pub dead: AtomicU64,
    /// Why those are dead letters, and episodes of patterns that were forgotten to make room.
    pub unreadable: AtomicU64,
    pub invalid: AtomicU64,
    pub late: AtomicU64,
    pub misplaced: AtomicU64,
    pub displaced: AtomicU64,
    /// Events that alerts have spread, and alerts with too many neighbours.
    pub spread: AtomicU64,
    pub cut: AtomicU64,
    pub transactions: AtomicU64,
    /// Time of all commits, in nanoseconds.
    pub committing_ns: AtomicU64,
    /// Events that were taken silently.
    pub silent: AtomicU64,
    /// Attempts that began anew from the last snapshot.
    pub restarts: AtomicU64,
    /// The first offset that is not committed.
    pub offset: AtomicI64,
    /// The latest time of an event that is committed, in microseconds since 1970; 0: there was none.
    pub event_us: AtomicI64,
    pub customers: AtomicU64,
    /// While history is read again: how many records have been read, and of how many.
    pub refilled: AtomicU64,
    pub to_refill: AtomicU64,
    waits: AtomicBool,
    named: Mutex<Named>,
}

/// What goes by names.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Version of the rulebook that holds, and of the generation of features; empty: none.
    pub rulebook: String,
    pub features: String,
    /// Alerts by rule and level. Rules that hold are there before their first one: a rate begins with what was before it.
    pub raised: BTreeMap<(String, Level), u64>,
}

/// What the open transaction brings: counted when it is committed.
#[derive(Debug, Default)]
pub struct Tally {
    pub events: u64,
    pub alerts: u64,
    pub dead: u64,
    pub lost: Losses,
    pub spread: u64,
    pub cut: u64,
    raised: BTreeMap<(String, Level), u64>,
}

impl Watched {
    /// Makes a call that may wait for the broker for long, and cannot be cut short.
    pub fn waiting<T>(&self, call: impl FnOnce() -> T) -> T {
        self.waits.store(true, Ordering::Relaxed);
        let answer = call();
        self.waits.store(false, Ordering::Relaxed);
        answer
    }

    /// Is it in such a call?
    pub fn is_waiting(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// A transaction is committed: what it brought, that it reaches up to `offset` and `event_us`, and how long that took.
    pub fn committed(&self, tally: &mut Tally, offset: i64, event_us: i64, took: Duration) {
        let Tally { events, alerts, dead, lost, spread, cut, raised } = mem::take(tally);
        let Losses { unreadable, invalid, late, misplaced, displaced } = lost;
        let add = |to: &AtomicU64, n: u64| _ = to.fetch_add(n, Ordering::Relaxed);
        add(&self.events, events);
        add(&self.alerts, alerts);
        add(&self.dead, dead);
        add(&self.unreadable, unreadable);
        add(&self.invalid, invalid);
        add(&self.late, late);
        add(&self.misplaced, misplaced);
        add(&self.displaced, displaced);
        add(&self.spread, spread);
        add(&self.cut, cut);
        add(&self.transactions, 1);
        add(&self.committing_ns, took.as_nanos() as u64);
        self.event_us.store(event_us, Ordering::Relaxed);
        if !raised.is_empty() {
            let named = &mut self.named().raised;
            raised.into_iter().for_each(|(rule, n)| *named.entry(rule).or_default() += n);
        }
        // Last: whoever sees how far it is sees what was on the way.
        self.offset.store(offset, Ordering::Release);
    }

    pub fn holds(&self, book: &WarningBook, features: Option<&str>) {
        let mut named = self.named();
        book.version().clone_into(&mut named.rulebook);
        features.unwrap_or_default().clone_into(&mut named.features);
        for rule in book.rules() {
            named.raised.entry((rule.id.clone(), rule.level.wire())).or_default();
        }
    }

    pub fn named(&self) -> MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    pub fn alert(&mut self, alert: &Alert) {
        self.alerts += 1;
        // Alerts are few, and mostly of rules that have raised before.
        *self.raised.entry((alert.rule_id.clone(), alert.level())).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn rules_are_told_before_their_first_alert() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook");
        let book = WarningBook::read(&folder).unwrap_or_else(|p| panic!("{p}"));
        let watched = Watched::default();
        watched.holds(&book, None);
        let (rule, level) = (book.rules()[0].id.clone(), book.rules()[0].level.wire());
        let count = || watched.named().raised.get(&(rule.clone(), level)).copied();
        assert_eq!((count(), watched.named().raised.len()), (Some(0), book.rules().len()));
        let mut tally = Tally::default();
        tally.alert(&Alert { rule_id: rule.clone(), level: level.into(), ..Alert::default() });
        watched.committed(&mut tally, 1, 1, Duration::ZERO);
        // What is counted stays when another rulebook holds.
        watched.holds(&book, Some("a generation"));
        assert_eq!((count(), watched.named().raised.len()), (Some(1), book.rules().len()));
    }
}
