//! The lender's days, and the times of its digests.

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Local time at a fixed distance from UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Local time less UTC, in microseconds.
    offset_us: i64,
    /// When digests go out, in microseconds since local midnight: ascending, and not empty.
    digests_us: Vec<i64>,
}

impl Calendar {
    /// `digests_us`: since local midnight, less than a day; at least one.
    pub fn new(offset_us: i64, mut digests_us: Vec<i64>) -> Self {
        assert!(!digests_us.is_empty(), "what waits would wait for ever");
        digests_us.sort_unstable();
        Self { offset_us, digests_us }
    }

    /// The local day of a time, counted from 1970-01-01.
    pub fn day(&self, at_us: i64) -> i32 {
        // Microseconds of an i64 are less than 2^27 days.
        at_us.saturating_add(self.offset_us).div_euclid(DAY_US) as i32
    }

    /// The first digest after a time; one at that very time is not.
    pub fn digest_after(&self, at_us: i64) -> i64 {
        let local = at_us.saturating_add(self.offset_us);
        let (day, since) = (local.div_euclid(DAY_US), local.rem_euclid(DAY_US));
        let today = self.digests_us.iter().find(|digest| **digest > since);
        let digest = today.copied().unwrap_or(DAY_US + self.digests_us[0]);
        day.saturating_mul(DAY_US).saturating_add(digest).saturating_sub(self.offset_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn days_and_digests_are_local() {
        let china = Calendar::new(8 * HOUR, vec![16 * HOUR + HOUR / 2, 8 * HOUR + HOUR / 2]);
        for (at, day, digest) in [
            (0, 0, HOUR / 2),                            // 08:00 of the first day
            (HOUR / 2, 0, 8 * HOUR + HOUR / 2),          // 08:30 itself: the next one is 16:30
            (HOUR / 2 - 1, 0, HOUR / 2),                 // just before
            (8 * HOUR + HOUR / 2, 0, DAY_US + HOUR / 2), // 16:30: tomorrow's first
            (16 * HOUR - 1, 0, DAY_US + HOUR / 2),       // the last of the day
            (16 * HOUR, 1, DAY_US + HOUR / 2),           // midnight
            (-9 * HOUR, -1, HOUR / 2),                   // 23:00 the day before
        ] {
            assert_eq!((china.day(at), china.digest_after(at)), (day, digest), "{at}");
        }
        let america = Calendar::new(-5 * HOUR, vec![0]);
        assert_eq!((america.day(0), america.digest_after(0)), (-1, 5 * HOUR));
    }

    #[test]
    fn the_ends_of_time_are_no_panic() {
        let calendar = Calendar::new(8 * HOUR, vec![0]);
        for at in [i64::MIN, i64::MAX] {
            let _ = (calendar.day(at), calendar.digest_after(at));
        }
    }
}
