//! Functions of dates (days since 1970-01-01) and timestamps (microseconds since then, UTC).
//!
//! All of them take integers, so that the row program keeps dates and timestamps in one bank. The
//! calendar is the proleptic Gregorian one as far as `chrono` reaches (262,143 years either way); what lies
//! beyond is NULL.

use std::fmt::Write;

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

const DAY_US: i64 = 86_400_000_000;

/// A field of a date or a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Year,
    Quarter,
    Month,
    /// ISO 8601 week.
    Week,
    Day,
    /// Day of the week, Sunday is 0.
    Dow,
    /// Day of the week, Monday is 1 and Sunday 7.
    IsoDow,
    /// Day of the year, from 1.
    Doy,
    Hour,
    Minute,
    /// Whole seconds.
    Second,
}

impl Part {
    pub const ALL: [(&'static str, Part); 11] = [
        ("year", Part::Year),
        ("quarter", Part::Quarter),
        ("month", Part::Month),
        ("week", Part::Week),
        ("day", Part::Day),
        ("dow", Part::Dow),
        ("isodow", Part::IsoDow),
        ("doy", Part::Doy),
        ("hour", Part::Hour),
        ("minute", Part::Minute),
        ("second", Part::Second),
    ];

    fn of(self, at: NaiveDateTime) -> i64 {
        match self {
            Part::Year => i64::from(at.year()),
            Part::Quarter => i64::from(at.month0() / 3 + 1),
            Part::Month => i64::from(at.month()),
            Part::Week => i64::from(at.iso_week().week()),
            Part::Day => i64::from(at.day()),
            Part::Dow => i64::from(at.weekday().num_days_from_sunday()),
            Part::IsoDow => i64::from(at.weekday().number_from_monday()),
            Part::Doy => i64::from(at.ordinal()),
            Part::Hour => i64::from(at.hour()),
            Part::Minute => i64::from(at.minute()),
            Part::Second => i64::from(at.second()),
        }
    }
}

/// `date32 | timestamp → int64 | date32 | timestamp`, all as integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntFn {
    DatePart(Part),
    TimestampPart(Part),
    DateToTimestamp,
    TimestampToDate,
    /// A date plus a constant interval: months first (the day is cut to the month's length), then days.
    ShiftDate {
        months: i32,
        days: i32,
    },
    /// A timestamp plus a constant interval: months, then days, then microseconds.
    ShiftTimestamp {
        months: i32,
        days: i32,
        us: i64,
    },
}

impl IntFn {
    pub fn apply(self, x: i64) -> Option<i64> {
        match self {
            IntFn::DatePart(part) => Some(part.of(day(x)?.into())),
            IntFn::TimestampPart(part) => Some(part.of(moment(x)?)),
            IntFn::DateToTimestamp => date_to_timestamp(x),
            IntFn::TimestampToDate => Some(timestamp_to_date(x)),
            IntFn::ShiftDate { months, days } => {
                Some(i64::from(shift_date(day(x)?, months, days)?.to_epoch_days()))
            }
            IntFn::ShiftTimestamp { months, days, us } => {
                let at = moment(x)?;
                let shifted = shift_date(at.date(), months, days)?.and_time(at.time());
                shifted.checked_add_signed(TimeDelta::microseconds(us)).and_then(micros)
            }
        }
    }
}

/// `(date32 | timestamp, the same) → int64`. The later one comes first, as in Oracle and DB2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Between {
    /// Days from the second date to the first.
    Days,
    /// Whole months from the second date to the first, towards zero: a month is whole once its day of the
    /// month is reached, or the month's end (2026-02-28 is one month after 2026-01-31).
    Months,
    /// Whole seconds from the second timestamp to the first, towards zero.
    Seconds,
}

impl Between {
    pub fn apply(self, later: i64, earlier: i64) -> Option<i64> {
        match self {
            Between::Days => later.checked_sub(earlier),
            Between::Months => months_between(day(later)?, day(earlier)?),
            Between::Seconds => Some(later.checked_sub(earlier)? / 1_000_000),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Between::Days => "days_between",
            Between::Months => "months_between",
            Between::Seconds => "seconds_between",
        }
    }
}

fn months_between(later: NaiveDate, earlier: NaiveDate) -> Option<i64> {
    if later < earlier {
        return months_between(earlier, later).map(|m| -m);
    }
    let month = |d: NaiveDate| i64::from(d.year()) * 12 + i64::from(d.month0());
    let months = month(later) - month(earlier);
    let reached = earlier.checked_add_months(Months::new(u32::try_from(months).ok()?))? <= later;
    Some(if reached { months } else { months - 1 })
}

/// Midnight of a date; None if microseconds do not reach that far.
fn date_to_timestamp(days: i64) -> Option<i64> {
    days.checked_mul(DAY_US)
}

/// The day of a timestamp.
fn timestamp_to_date(us: i64) -> i64 {
    us.div_euclid(DAY_US)
}

/// `2026-01-31` or `20260131`, followed or not by a time of day, which is dropped.
pub fn parse_date(text: &str) -> Option<i64> {
    let (date, rest) = leading_date(text.trim_ascii())?;
    (rest.is_empty() || time_of_day(rest).is_some()).then(|| i64::from(date.to_epoch_days()))
}

/// A date as above, alone (midnight) or followed by `T` or a space, `10:30`, `10:30:15` or
/// `10:30:15.123456`, and `Z`, `+08:00` or nothing (UTC).
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, rest) = leading_date(text.trim_ascii())?;
    if rest.is_empty() {
        return micros(date.into());
    }
    let (time, offset) = time_of_day(rest)?;
    micros(date.and_time(time).checked_sub_signed(offset)?)
}

fn leading_date(text: &str) -> Option<(NaiveDate, &[u8])> {
    let bytes = text.as_bytes();
    let (dashed, len) = if bytes.get(4) == Some(&b'-') { (true, 10) } else { (false, 8) };
    let (date, rest) = bytes.split_at_checked(len)?;
    let (month, day_of_month) = if dashed {
        (date[7] == b'-').then_some(())?;
        (&date[5..7], &date[8..10])
    } else {
        (&date[4..6], &date[6..8])
    };
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(digits(&date[..4])?).ok()?,
        digits(month)?,
        digits(day_of_month)?,
    )?;
    Some((date, rest))
}

/// `T10:30:15.25+08:00` → the time, and how far its zone is ahead of UTC.
fn time_of_day(bytes: &[u8]) -> Option<(NaiveTime, TimeDelta)> {
    let rest = bytes.strip_prefix(b"T").or_else(|| bytes.strip_prefix(b" "))?;
    let (hour, minute, mut rest) = hour_minute(rest)?;
    let (mut second, mut us) = (0, 0);
    if let Some(after) = rest.strip_prefix(b":") {
        second = digits(after.get(..2)?)?;
        rest = &after[2..];
        if let Some(after) = rest.strip_prefix(b".") {
            let len = after.iter().take_while(|b| b.is_ascii_digit()).count();
            let kept = len.min(6);
            us = digits(after.get(..kept).filter(|d| !d.is_empty())?)? * 10u32.pow(6 - kept as u32);
            rest = &after[len..];
        }
    }
    let time = NaiveTime::from_hms_micro_opt(hour, minute, second, us)?;
    let offset = match rest {
        b"" | b"Z" => TimeDelta::zero(),
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let (hours, minutes, after) = hour_minute(zone)?;
            (after.is_empty() && hours < 24 && minutes < 60).then_some(())?;
            let ahead = TimeDelta::minutes(i64::from(hours * 60 + minutes));
            if *sign == b'+' { ahead } else { -ahead }
        }
        _ => return None,
    };
    Some((time, offset))
}

fn hour_minute(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let [a, b, b':', c, d, rest @ ..] = bytes else { return None };
    Some((digits(&[*a, *b])?, digits(&[*c, *d])?, rest))
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
}

/// ISO 8601; false (and nothing written) for a day beyond the calendar.
pub fn write_date(days: i64, out: &mut String) -> bool {
    let Some(date) = day(days) else { return false };
    write!(out, "{date}").expect("writing to a String succeeds");
    true
}

/// ISO 8601 without a zone, the fraction as long as it needs to be; false as above.
pub fn write_timestamp(us: i64, out: &mut String) -> bool {
    let Some(at) = moment(us) else { return false };
    write!(out, "{at:?}").expect("writing to a String succeeds");
    true
}

fn day(days: i64) -> Option<NaiveDate> {
    NaiveDate::from_epoch_days(i32::try_from(days).ok()?)
}

fn moment(us: i64) -> Option<NaiveDateTime> {
    Some(DateTime::from_timestamp_micros(us)?.naive_utc())
}

/// None if microseconds do not reach that far.
fn micros(at: NaiveDateTime) -> Option<i64> {
    let at = at.and_utc();
    at.timestamp().checked_mul(1_000_000)?.checked_add(i64::from(at.timestamp_subsec_micros()))
}

fn shift_date(date: NaiveDate, months: i32, days: i32) -> Option<NaiveDate> {
    let by = Months::new(months.unsigned_abs());
    let shifted = if months >= 0 { date.checked_add_months(by)? } else { date.checked_sub_months(by)? };
    shifted.checked_add_signed(TimeDelta::days(i64::from(days)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> i64 {
        parse_date(text).unwrap()
    }

    #[test]
    fn dates_and_times_are_read() {
        assert_eq!(parse_date("1970-01-02"), Some(1));
        assert_eq!(parse_date(" 19700102 "), Some(1));
        assert_eq!(parse_date("1969-12-31T23:59:59Z"), Some(-1));
        for bad in [
            "",
            "2026-02-29",
            "2026-1-31",
            "2026/01/31",
            "2026-01-31x",
            "20260131x",
            "99999-01-01",
            "２０２６0131",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
        let us = |text| parse_timestamp(text);
        assert_eq!(us("1970-01-01T00:00:01.5"), Some(1_500_000));
        assert_eq!(us("1970-01-01 08:00+08:00"), Some(0));
        assert_eq!(us("1969-12-31T23:59:59.9999999Z"), Some(-1));
        for bad in ["1970-01-01T", "1970-01-01T25:00", "1970-01-01T00:00:00.", "1970-01-01T00:00:00 Z"] {
            assert_eq!(us(bad), None, "{bad}");
        }
    }

    #[test]
    fn texts_read_back() {
        for us in [0, -1, 1, 1_790_000_000_123_456, -62_135_596_800_000_000] {
            let mut text = String::new();
            assert!(write_timestamp(us, &mut text));
            assert_eq!(parse_timestamp(&text), Some(us), "{text}");
        }
        let mut out = String::new();
        assert!(!write_date(i64::from(i32::MAX), &mut out) && out.is_empty());
        assert!(!write_timestamp(i64::MIN, &mut out) && out.is_empty());
    }

    #[test]
    fn months_are_whole_once_their_day_is_reached() {
        for (later, earlier, months) in [
            ("2026-02-28", "2026-01-31", 1),
            ("2026-02-27", "2026-01-31", 0),
            ("2026-03-30", "2026-01-31", 1),
            ("2026-03-31", "2026-01-31", 2),
            ("2026-01-31", "2026-02-28", -1),
            ("2027-01-15", "2026-01-15", 12),
            ("2027-01-14", "2026-01-15", 11),
        ] {
            assert_eq!(Between::Months.apply(d(later), d(earlier)), Some(months), "{later} {earlier}");
        }
    }

    #[test]
    fn nothing_overflows() {
        let extremes =
            [i64::MIN, i64::MAX, i64::from(i32::MIN), i64::from(i32::MAX), 0, 95_026_236, -96_465_293];
        for x in extremes {
            for f in Part::ALL
                .into_iter()
                .flat_map(|(_, p)| [IntFn::DatePart(p), IntFn::TimestampPart(p)])
                .chain([
                    IntFn::DateToTimestamp,
                    IntFn::TimestampToDate,
                    IntFn::ShiftDate { months: i32::MIN, days: i32::MAX },
                    IntFn::ShiftTimestamp { months: i32::MAX, days: i32::MIN, us: i64::MIN },
                    IntFn::ShiftTimestamp { months: 0, days: 0, us: i64::MAX },
                ])
            {
                f.apply(x);
            }
            for y in extremes {
                for f in [Between::Days, Between::Months, Between::Seconds] {
                    f.apply(x, y);
                }
            }
        }
    }
}
