//! What stands against customers, and up to which time that is known.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Standing, Table};

/// As of when, while the whole is not there.
const NEVER: i64 = i64::MIN;

/// Reads what stands against customers; clones read the same.
#[derive(Clone)]
pub struct Warnings(Arc<Shared>);

struct Shared {
    standing: Table<Standing>,
    stale_after_us: i64,
    /// Everything that was known then is in the table. Microseconds since 1970-01-01T00:00:00Z.
    as_of_us: AtomicI64,
    /// Records that were read.
    read: AtomicU64,
}

impl Warnings {
    /// What stands against a customer. None: it is not known, for there is no whole yet, or nothing was heard for too long.
    pub fn of(&self, member: &str, customer: &str) -> Option<Standing> {
        self.of_at(member, customer, now_us())
    }

    /// As [`Warnings::of`], for whoever has looked at the clock, which is of this machine.
    pub fn of_at(&self, member: &str, customer: &str, now_us: i64) -> Option<Standing> {
        // First the time, then the table, which is at least as new.
        let known = self.is_known_at(now_us);
        known.then(|| self.0.standing.look(member, customer, |s| *s).unwrap_or_default())
    }

    /// Is it known what stands?
    pub fn is_known(&self) -> bool {
        self.is_known_at(now_us())
    }

    fn is_known_at(&self, now_us: i64) -> bool {
        // A time far ahead is a clock that is wrong somewhere: it would seem new long after the feed has died.
        let as_of_us = self.0.as_of_us.load(Ordering::Acquire);
        as_of_us != NEVER && now_us.abs_diff(as_of_us) <= self.0.stale_after_us.unsigned_abs()
    }

    /// Time since the last moment up to which everything is known; None: there never was one.
    pub fn age(&self) -> Option<Duration> {
        let as_of_us = self.0.as_of_us.load(Ordering::Acquire);
        let age = || Duration::from_micros(now_us().saturating_sub(as_of_us).max(0).unsigned_abs());
        (as_of_us != NEVER).then(age)
    }

    /// Customers with warnings that stand.
    pub fn customers(&self) -> usize {
        self.0.standing.customers()
    }

    /// Records of the source that were read.
    pub fn read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }
}

/// The writer's side of [`Warnings`]. There is one.
pub struct Feed(Arc<Shared>);

impl Feed {
    /// Nothing is known yet. What is known is not after `stale_after`, counted from the time that [`Feed::heard`] was told last.
    pub fn new(stale_after: Duration) -> Self {
        let stale_after_us = i64::try_from(stale_after.as_micros()).unwrap_or(i64::MAX);
        Self(Arc::new(Shared {
            standing: Table::default(),
            stale_after_us,
            as_of_us: AtomicI64::new(NEVER),
            read: AtomicU64::new(0),
        }))
    }

    pub fn warnings(&self) -> Warnings {
        Warnings(self.0.clone())
    }

    /// Takes what stands against customers now.
    pub fn put<'k>(&self, standings: impl IntoIterator<Item = (&'k str, &'k str, Standing)>) {
        let mut edit = self.0.standing.edit();
        for (member, customer, standing) in standings {
            edit.change(member, customer, |_| (standing.open() > 0).then_some(standing));
        }
        edit.commit();
    }

    /// Forgets the customers that `stays` does not want to keep.
    pub fn retain(&self, mut stays: impl FnMut(&str, &str) -> bool) {
        let mut gone = Vec::new();
        self.0.standing.each(|member, customer, _| {
            if !stays(member, customer) {
                gone.push((member.to_owned(), customer.to_owned()));
            }
        });
        self.put(gone.iter().map(|(member, customer)| (&**member, &**customer, Standing::default())));
    }

    /// Counts records that were read.
    pub fn count(&self, records: u64) {
        self.0.read.fetch_add(records, Ordering::Relaxed);
    }

    /// Everything that was known at this time has been [put](Feed::put). It does not go back, but from a time so far ahead
    /// that nothing is known by it: a clock was wrong, and would keep out what is heard for as long as it was ahead.
    pub fn heard(&self, as_of_us: i64) {
        self.heard_at(as_of_us, now_us());
    }

    /// As [`Feed::heard`], for whoever has looked at the clock, which is of this machine.
    fn heard_at(&self, as_of_us: i64, now_us: i64) {
        // Nobody else writes it.
        let held = self.0.as_of_us.load(Ordering::Acquire);
        if as_of_us > held || held.saturating_sub(now_us) > self.0.stale_after_us {
            self.0.as_of_us.store(as_of_us, Ordering::Release);
        }
    }

    /// What there is is not the whole (any more): nothing is known until something is [heard](Feed::heard) again.
    pub fn lost(&self) {
        self.0.as_of_us.store(NEVER, Ordering::Release);
    }
}

/// What the clock of this machine says, in microseconds since 1970-01-01T00:00:00Z.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn red() -> Standing {
        let mut standing = Standing::default();
        standing.add(Level::Red, false, false, 1, 1);
        standing
    }

    #[test]
    fn unknown_is_not_none() {
        let feed = Feed::new(Duration::from_secs(300));
        let warnings = feed.warnings();
        feed.put([("001", "c1", red())]);
        assert_eq!(warnings.of_at("001", "c1", 0), None, "the whole is not there yet");
        feed.heard(100 * MINUTE);
        assert_eq!(warnings.of_at("001", "c1", 105 * MINUTE), Some(red()));
        assert_eq!(warnings.of_at("001", "c2", 105 * MINUTE), Some(Standing::default()));
        assert_eq!(warnings.of_at("001", "c1", 105 * MINUTE + 1), None, "nothing was heard for too long");
        assert_eq!(warnings.of_at("001", "c1", 94 * MINUTE), None, "a clock is wrong");
        feed.heard(99 * MINUTE);
        assert_eq!(warnings.of_at("001", "c1", 105 * MINUTE), Some(red()), "it does not go back");
        feed.put([("001", "c1", Standing::default())]);
        assert_eq!(warnings.of_at("001", "c1", 105 * MINUTE), Some(Standing::default()));
        assert_eq!(warnings.customers(), 0);
        feed.lost();
        assert_eq!(warnings.of_at("001", "c1", 105 * MINUTE), None);
    }

    #[test]
    fn a_clock_that_was_ahead_is_forgotten() {
        let feed = Feed::new(Duration::from_secs(300));
        let (warnings, now) = (feed.warnings(), 100 * MINUTE);
        feed.heard_at(now + 5 * MINUTE, now);
        feed.heard_at(now, now);
        assert!(warnings.of_at("001", "c1", now + 10 * MINUTE).is_some(), "it is not far ahead, and stays");
        feed.heard_at(now + 1000 * MINUTE, now);
        assert_eq!(warnings.of_at("001", "c1", now), None);
        feed.heard_at(now, now);
        assert!(warnings.of_at("001", "c1", now).is_some());
        feed.heard_at(now - MINUTE, now);
        assert!(warnings.of_at("001", "c1", now + 5 * MINUTE).is_some(), "it does not go back");
    }

    #[test]
    fn who_does_not_stay_is_forgotten() {
        let feed = Feed::new(Duration::from_secs(300));
        feed.put([("001", "c1", red()), ("001", "c2", red()), ("002", "c1", red())]);
        feed.retain(|member, customer| (member, customer) == ("001", "c2"));
        feed.heard(0);
        let open = |member: &str, customer: &str| feed.warnings().of_at(member, customer, 0).unwrap().open();
        assert_eq!([open("001", "c1"), open("001", "c2"), open("002", "c1")], [0, 1, 0]);
        assert_eq!(feed.warnings().customers(), 1);
    }
}
