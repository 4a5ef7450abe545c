//! How time is cut into panes.

/// Length of a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    Hour,
    Day,
    /// Of the calendar.
    Month,
}

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

impl Grain {
    pub const ALL: [(&str, Grain); 3] = [("hour", Grain::Hour), ("day", Grain::Day), ("month", Grain::Month)];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, grain)| *grain == self).expect("all are listed").0
    }

    /// The longest that a pane may last, in microseconds.
    pub fn longest_us(self) -> i64 {
        match self {
            Grain::Hour => HOUR_US,
            Grain::Day => DAY_US,
            Grain::Month => 31 * DAY_US,
        }
    }

    /// The pane that a time falls in: hours, days or months since 1970, in UTC. Times so far off that they
    /// have no such number fall in the first or the last pane there is.
    #[inline]
    pub fn pane(self, us: i64) -> i32 {
        let pane = match self {
            Grain::Hour => us.div_euclid(HOUR_US),
            Grain::Day => us.div_euclid(DAY_US),
            Grain::Month => month(us.div_euclid(DAY_US)),
        };
        pane.clamp(i32::MIN.into(), i32::MAX.into()) as i32
    }
}

/// A time, and the panes that it falls in: to find a month takes longer than to read a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    us: i64,
    panes: [i32; Grain::ALL.len()],
}

impl Moment {
    pub fn at(us: i64) -> Self {
        Self { us, panes: Grain::ALL.map(|(_, grain)| grain.pane(us)) }
    }

    pub fn us(&self) -> i64 {
        self.us
    }

    #[inline]
    pub(super) fn pane(&self, grain: Grain) -> i32 {
        self.panes[grain as usize]
    }
}

/// Months since 1970 of a day since 1970-01-01, in the proleptic Gregorian calendar. (Years are counted from March, so that
/// the leap day is a year's last; after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".)
fn month(day: i64) -> i64 {
    /// Days from 0000-03-01 to 1970-01-01.
    const SHIFT: i64 = 719_468;
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let day = day + SHIFT;
    let era = day.div_euclid(DAYS_OF_400_YEARS);
    let of_era = day.rem_euclid(DAYS_OF_400_YEARS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    // March of year 0 is month 2 of it.
    (era * 400 + year_of_era) * 12 + from_march + 2 - 1970 * 12
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};

    use super::*;

    #[test]
    fn months_are_the_calendars() {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for day in (-900_000..900_000).step_by(13).chain(-800..800) {
            let date = epoch + chrono::Duration::days(day);
            let wanted = i64::from(date.year() - 1970) * 12 + i64::from(date.month0());
            assert_eq!(month(day), wanted, "{date}");
        }
    }

    #[test]
    fn a_moment_knows_its_panes() {
        for us in [i64::MIN, -1, 0, 1_780_272_000_000_000, i64::MAX] {
            assert!(Grain::ALL.iter().all(|(_, grain)| Moment::at(us).pane(*grain) == grain.pane(us)));
        }
    }

    #[test]
    fn panes_begin_on_the_grid() {
        assert_eq!(Grain::Hour.pane(HOUR_US - 1), 0);
        assert_eq!(Grain::Hour.pane(HOUR_US), 1);
        assert_eq!(Grain::Day.pane(-1), -1);
        assert_eq!(Grain::Month.pane(31 * DAY_US), 1);
        assert_eq!(Grain::Day.pane(i64::MAX), 106_751_991);
        assert_eq!(Grain::Hour.pane(i64::MIN), i32::MIN, "there is no such pane");
    }
}
