//! Days and times as counts, and their text.
//!
//! Millions of rows carry two or three dates each; the text of every day that can occur is made once.

use std::{fmt, sync::LazyLock};

use chrono::{Datelike, NaiveDate};

/// A day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i32);

/// A second, counted from 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

/// First day that has a text: nobody in the bank is born before.
const FIRST: i32 = -12_053; // 1937-01-01
/// Number of days that have a text: to 2073.
const COUNT: i32 = 50_000;

static TEXTS: LazyLock<Vec<String>> =
    LazyLock::new(|| (FIRST..FIRST + COUNT).map(|d| Day(d).date().to_string()).collect());

impl Day {
    /// A day of the calendar.
    pub fn of(date: NaiveDate) -> Self {
        Day(date.num_days_from_ce() - EPOCH_FROM_CE)
    }

    /// The day as a calendar date.
    pub fn date(self) -> NaiveDate {
        NaiveDate::from_num_days_from_ce_opt(self.0 + EPOCH_FROM_CE)
            .expect("a day of this or the last century")
    }

    /// ISO 8601, `2026-06-30`.
    pub fn iso(self) -> &'static str {
        &TEXTS[usize::try_from(self.0 - FIRST).expect("nothing happens before 1937")]
    }

    /// `months` later (earlier if negative), on the same day of the month or the month's last.
    pub fn plus_months(self, months: i32) -> Self {
        let date = self.date();
        let month = date.year() * 12 + date.month0() as i32 + months;
        let (year, month) = (month.div_euclid(12), month.rem_euclid(12) as u32 + 1);
        let last = (date.day() > 28).then_some(()).map_or(date.day(), |()| {
            (28..=date.day()).rev().find(|d| NaiveDate::from_ymd_opt(year, month, *d).is_some()).unwrap_or(28)
        });
        Day::of(NaiveDate::from_ymd_opt(year, month, last).expect("a day that every month has"))
    }

    /// First day of its month.
    pub fn month_start(self) -> Self {
        Day(self.0 - self.date().day0() as i32)
    }

    /// A second of this day.
    pub fn at(self, second: u32) -> Time {
        Time(i64::from(self.0) * 86_400 + i64::from(second))
    }
}

impl std::ops::Add<i32> for Day {
    type Output = Day;
    fn add(self, days: i32) -> Day {
        Day(self.0 + days)
    }
}

impl std::ops::Sub for Day {
    type Output = i32;
    fn sub(self, other: Day) -> i32 {
        self.0 - other.0
    }
}

impl Time {
    /// The day it falls on (UTC).
    pub fn day(self) -> Day {
        Day(self.0.div_euclid(86_400) as i32)
    }

    /// Second of its day.
    pub fn second(self) -> u32 {
        self.0.rem_euclid(86_400) as u32
    }
}

/// ISO 8601, UTC, `2026-06-30T08:00:00Z`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.second();
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{}T{h:02}:{m:02}:{s:02}Z", self.day().iso())
    }
}

/// Days from 0001-01-01 (day 1) to 1970-01-01.
const EPOCH_FROM_CE: i32 = 719_163;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_months() {
        assert_eq!(Day(0).iso(), "1970-01-01");
        let day = |text: &str| Day::of(text.parse().unwrap());
        assert_eq!(day("2026-06-30").iso(), "2026-06-30");
        assert_eq!(day("2024-01-31").plus_months(1).iso(), "2024-02-29");
        assert_eq!(day("2026-01-15").plus_months(-1).iso(), "2025-12-15");
        assert_eq!(day("2026-06-30").month_start().iso(), "2026-06-01");
        assert_eq!(day("2026-06-30").at(86_399).day().iso(), "2026-06-30");
        assert_eq!(Day(FIRST).iso(), "1937-01-01");
        assert_eq!(day("2026-06-30").at(29_107).to_string(), "2026-06-30T08:05:07Z");
    }
}
