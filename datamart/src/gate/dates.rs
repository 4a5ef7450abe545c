//! Dates and times in the notations of sources.
//!
//! chrono's notation (`%Y-%m-%d`) is what a standard says. chrono parses through a list of items with a
//! general result that it then resolves, a microsecond or more per value; nearly every source writes its
//! dates in digits of fixed width, so a [`DateFormat`] of only those is read by a loop of our own. Where
//! something stands between the numbers, chrono reads what that loop does not accept (`1/2/2026`); where
//! nothing does, nothing else is accepted: chrono would take `2026013` for the third of January. Nor is a year
//! below 1000 taken from chrono, to whom `26-01-31` is a day of the year 26. A property test holds the two equal
//! otherwise.

use std::fmt::Write;

use chrono::format::{Item, StrftimeItems};
use chrono::{Datelike, NaiveDate, NaiveDateTime};

use super::parse::epoch_days;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
/// chrono's `%Y` also takes fewer than four digits: what it reads as an earlier year is a year cut short.
const CHRONO_YEAR_MIN: i32 = 1000;

/// How a source writes its dates or times.
#[derive(Clone, Debug)]
pub struct DateFormat {
    text: String,
    steps: Option<Vec<Step>>,
    /// Whether numbers stand side by side, so that only their width tells them apart.
    fixed_width: bool,
}

/// One part of a notation of fixed width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Year4,
    Year2,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Literal(u8),
}

/// What the steps have read.
#[derive(Clone, Copy)]
struct Parts {
    year: i32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

impl DateFormat {
    /// Takes chrono's notation; says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        if StrftimeItems::new(text).any(|item| item == Item::Error) {
            return Err(format!("`{text}` is not a date format"));
        }
        let Some(written) = written(text) else {
            return Err(format!(
                "`{text}` has an offset or a time zone, which is read only where no format is given, as ISO 8601"
            ));
        };
        // A notation that does not give a whole day would refuse every row.
        if NaiveDate::parse_from_str(&written, text).is_err() {
            return Err(format!("`{text}` does not say year, month and day"));
        }
        // Half a time of day would be read and dropped.
        let whole_time = NaiveDateTime::parse_from_str(&written, text).is_ok();
        if !whole_time && written_at(text, (17, 38, 59)) != Some(written) {
            return Err(format!("`{text}` has a time of day without hours (of 24, or with %p) and minutes"));
        }
        let steps = steps_of(text);
        let number = |step: &Step| !matches!(step, Step::Literal(_));
        let side_by_side = |steps: &Vec<Step>| steps.windows(2).any(|pair| pair.iter().all(number));
        Ok(Self { text: text.to_owned(), fixed_width: steps.as_ref().is_some_and(side_by_side), steps })
    }

    /// The notation, as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it also says a time of day.
    pub fn has_time(&self) -> bool {
        written(&self.text).is_some_and(|text| NaiveDateTime::parse_from_str(&text, &self.text).is_ok())
    }

    /// Days since 1970-01-01.
    pub fn date(&self, text: &str) -> Option<i32> {
        match self.parts(text) {
            Some(p) => epoch_days(p.year, p.month, p.day),
            None if self.fixed_width => None,
            None => NaiveDate::parse_from_str(text, &self.text)
                .ok()
                .filter(|d| d.year() >= CHRONO_YEAR_MIN)
                .map(|d| d.to_epoch_days()),
        }
    }

    /// Microseconds since 1970-01-01T00:00:00Z; a notation without a time of day means the day's first instant.
    pub fn timestamp(&self, text: &str) -> Option<i64> {
        match self.parts(text) {
            Some(p) => instant(epoch_days(p.year, p.month, p.day)?, p.hour, p.minute, p.second),
            None if self.fixed_width => None,
            None => match NaiveDateTime::parse_from_str(text, &self.text) {
                Ok(t) if t.year() < CHRONO_YEAR_MIN => None,
                Ok(t) => Some(t.and_utc().timestamp_micros()),
                Err(_) if self.has_time() => None,
                Err(_) => self.date(text).map(|d| i64::from(d) * DAY_US),
            },
        }
    }

    fn parts(&self, text: &str) -> Option<Parts> {
        let mut parts = Parts { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
        let mut rest = text.as_bytes();
        for step in self.steps.as_ref()? {
            match step {
                Step::Literal(byte) => {
                    let (first, after) = rest.split_first()?;
                    if first != byte {
                        return None;
                    }
                    rest = after;
                }
                Step::Year4 => parts.year = digits(&mut rest, 4)? as i32,
                Step::Year2 => {
                    // As chrono has it: 70–99 are of the twentieth century.
                    let year = digits(&mut rest, 2)? as i32;
                    parts.year = if year < 70 { 2000 + year } else { 1900 + year };
                }
                Step::Month => parts.month = digits(&mut rest, 2)?,
                Step::Day => parts.day = digits(&mut rest, 2)?,
                Step::Hour => parts.hour = digits(&mut rest, 2)?,
                Step::Minute => parts.minute = digits(&mut rest, 2)?,
                Step::Second => parts.second = digits(&mut rest, 2)?,
            }
        }
        let valid = parts.hour < 24 && parts.minute < 60 && parts.second < 60;
        (rest.is_empty() && valid).then_some(parts)
    }
}

/// Some day and time of day in a notation; None if the notation asks for an offset, which such a time has not.
fn written(format: &str) -> Option<String> {
    written_at(format, (4, 5, 6))
}

fn written_at(format: &str, (hour, minute, second): (u32, u32, u32)) -> Option<String> {
    let probe = NaiveDate::from_ymd_opt(2001, 2, 3).and_then(|d| d.and_hms_opt(hour, minute, second))?;
    let mut text = String::new();
    write!(text, "{}", probe.format(format)).ok()?;
    Some(text)
}

/// The steps of a notation, if every part of it has a fixed width and none comes twice.
fn steps_of(format: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut bytes = format.bytes();
    while let Some(byte) = bytes.next() {
        let parts: &[Step] = match byte {
            b'%' => match bytes.next()? {
                b'Y' => &[Step::Year4],
                b'y' => &[Step::Year2],
                b'm' => &[Step::Month],
                b'd' => &[Step::Day],
                b'H' => &[Step::Hour],
                b'M' => &[Step::Minute],
                b'S' => &[Step::Second],
                b'F' => &[Step::Year4, Step::Literal(b'-'), Step::Month, Step::Literal(b'-'), Step::Day],
                b'T' => &[Step::Hour, Step::Literal(b':'), Step::Minute, Step::Literal(b':'), Step::Second],
                _ => return None,
            },
            b if b.is_ascii_graphic() || b == b' ' => &[Step::Literal(b)],
            _ => return None,
        };
        steps.extend_from_slice(parts);
    }
    let once = |wanted: &[Step]| steps.iter().filter(|s| wanted.contains(s)).count();
    let has_time = once(&[Step::Hour]) == 1 && once(&[Step::Minute]) == 1 && once(&[Step::Second]) <= 1;
    let no_time = once(&[Step::Hour, Step::Minute, Step::Second]) == 0;
    let whole_day =
        once(&[Step::Year4, Step::Year2]) == 1 && once(&[Step::Month]) == 1 && once(&[Step::Day]) == 1;
    (whole_day && (has_time || no_time)).then_some(steps)
}

fn digits(rest: &mut &[u8], count: usize) -> Option<u32> {
    let (head, tail) = rest.split_at_checked(count)?;
    let mut number = 0;
    for b in head {
        number = number * 10 + u32::from(b.is_ascii_digit().then(|| b - b'0')?);
    }
    *rest = tail;
    Some(number)
}

fn instant(days: i32, hour: u32, minute: u32, second: u32) -> Option<i64> {
    (hour < 24 && minute < 60 && second < 60)
        .then(|| i64::from(days) * DAY_US + i64::from(hour * 3600 + minute * 60 + second) * SECOND_US)
}

/// `2026-01-31`, in days since 1970-01-01.
pub fn iso_date(text: &str) -> Option<i32> {
    let mut rest = text.as_bytes();
    let days = day(&mut rest)?;
    rest.is_empty().then_some(days)
}

/// `2026-01-31[T10:00[:00[.123456]][Z|+08:00]]`, in microseconds since 1970-01-01T00:00:00Z. A space may stand
/// for the `T`.
pub fn iso_timestamp(text: &str) -> Option<i64> {
    let mut rest = text.as_bytes();
    let days = day(&mut rest)?;
    if rest.is_empty() {
        return Some(i64::from(days) * DAY_US);
    }
    if !take(&mut rest, b'T') && !take(&mut rest, b' ') && !take(&mut rest, b't') {
        return None;
    }
    let hour = digits(&mut rest, 2)?;
    let minute = take(&mut rest, b':').then(|| digits(&mut rest, 2))??;
    let second = if take(&mut rest, b':') { digits(&mut rest, 2)? } else { 0 };
    let mut micros = 0;
    if take(&mut rest, b'.') {
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if !(1..=9).contains(&count) {
            return None;
        }
        let (fraction, tail) = rest.split_at(count);
        rest = tail;
        micros = (0..6).fold(0, |n, i| n * 10 + fraction.get(i).map_or(0, |b| i64::from(b - b'0')));
    }
    let offset = offset_seconds(&mut rest)?;
    rest.is_empty().then_some(())?;
    Some(instant(days, hour, minute, second)? + micros - i64::from(offset) * SECOND_US)
}

/// `Z`, `+08:00`, `+0800`, `+08` or nothing, in seconds east of Greenwich.
fn offset_seconds(rest: &mut &[u8]) -> Option<i32> {
    if rest.is_empty() || take(rest, b'Z') || take(rest, b'z') {
        return Some(0);
    }
    let sign = if take(rest, b'+') {
        1
    } else if take(rest, b'-') {
        -1
    } else {
        return None;
    };
    let hours = digits(rest, 2)?;
    let minutes = if take(rest, b':') || !rest.is_empty() { digits(rest, 2)? } else { 0 };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60) as i32)
}

fn day(rest: &mut &[u8]) -> Option<i32> {
    let year = digits(rest, 4)? as i32;
    let month = take(rest, b'-').then(|| digits(rest, 2))??;
    let day = take(rest, b'-').then(|| digits(rest, 2))??;
    epoch_days(year, month, day)
}

fn take(rest: &mut &[u8], byte: u8) -> bool {
    match rest.split_first() {
        Some((first, tail)) if *first == byte => {
            *rest = tail;
            true
        }
        _ => false,
    }
}
