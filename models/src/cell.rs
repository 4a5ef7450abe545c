//! Cells of decision tables and bins of scorecards: `*`, `A|B`, `7`, `[0,10)`, `>=5`, `true`, `null`.
//!
//! A cell becomes a set of ranges of [keys](crate::domain). Against an unknown value only `*` and
//! `null` have an answer; every other cell is itself unknown.

use tarim_datamart::{Type, gate::parse};

use crate::domain::{Domain, known_float_key};

/// What one input must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Anything, even unknown.
    Any,
    /// Only unknown.
    Null,
    /// One of these keys.
    In(Ranges),
}

impl Cell {
    /// Does the cell match? `key` is None for an unknown value; so is the answer when it depends on it.
    pub fn matches(&self, key: Option<i64>) -> Option<bool> {
        match (self, key) {
            (Cell::Any, _) => Some(true),
            (Cell::Null, key) => Some(key.is_none()),
            (Cell::In(_), None) => None,
            (Cell::In(ranges), Some(key)) => Some(ranges.contains(key)),
        }
    }

    /// Reads a cell. `domain` learns the texts that it names. The error says what is wrong with it.
    pub fn parse(text: &str, domain: &mut Domain) -> Result<Self, String> {
        match text.trim() {
            "" | "*" => Ok(Cell::Any),
            "null" => Ok(Cell::Null),
            text => Ranges::parse(text, domain).map(Cell::In),
        }
    }
}

/// A set of keys: closed ranges, in order, none touching another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges(Box<[(i64, i64)]>);

impl Ranges {
    /// Is the key in one of the ranges?
    pub fn contains(&self, key: i64) -> bool {
        self.0.iter().any(|&(first, last)| first <= key && key <= last)
    }

    /// The ranges, in order.
    pub fn as_slice(&self) -> &[(i64, i64)] {
        &self.0
    }

    /// Reads `A|B`, `1|[5,10)`, `>=5`. Alternatives may not overlap each other's meaning, only repeat it.
    pub fn parse(text: &str, domain: &mut Domain) -> Result<Self, String> {
        let mut ranges = Vec::new();
        for part in text.split('|').map(str::trim) {
            ranges.push(alternative(part, domain)?);
        }
        ranges.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Ok(Self(merged.into()))
    }
}

/// One alternative of a cell as a range of keys.
fn alternative(text: &str, domain: &mut Domain) -> Result<(i64, i64), String> {
    if text.is_empty() {
        return Err("an alternative beside `|` is empty".into());
    }
    match domain.ty() {
        Type::Boolean => match text {
            "true" => Ok((1, 1)),
            "false" => Ok((0, 0)),
            _ => Err(format!("`{text}` is not a boolean: write true, false, null or *")),
        },
        Type::Utf8 => {
            let bare = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')).unwrap_or(text);
            let key = domain.name_text(bare).ok_or_else(|| {
                let all = domain.texts();
                let more = if all.len() > 12 { ", …" } else { "" };
                format!(
                    "`{bare}` never occurs here: the values are {}{more}",
                    all[..all.len().min(12)].join(", ")
                )
            })?;
            Ok((key, key))
        }
        ty => ordered(text, ty, domain.bounds()),
    }
}

/// Which side of a bound belongs to the range.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Closed,
    Open,
}

/// `7`, `[0,10)`, `>=5` over a type that has an order.
fn ordered(text: &str, ty: Type, (min, max): (i64, i64)) -> Result<(i64, i64), String> {
    let (first, last) = if let Some(bound) = text.strip_prefix(">=") {
        (first_key(bound, ty, End::Closed)?, Some(max))
    } else if let Some(bound) = text.strip_prefix("<=") {
        (Some(min), last_key(bound, ty, End::Closed)?)
    } else if let Some(bound) = text.strip_prefix('>') {
        (first_key(bound, ty, End::Open)?, Some(max))
    } else if let Some(bound) = text.strip_prefix('<') {
        (Some(min), last_key(bound, ty, End::Open)?)
    } else if let Some((left, from, to, right)) = interval(text) {
        (
            if from.is_empty() { Some(min) } else { first_key(from, ty, left)? },
            if to.is_empty() { Some(max) } else { last_key(to, ty, right)? },
        )
    } else {
        (first_key(text, ty, End::Closed)?, last_key(text, ty, End::Closed)?)
    };
    match (first, last) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(format!("`{text}` matches no {ty} at all")),
    }
}

/// Splits `[0,10)`; either end may be empty.
fn interval(text: &str) -> Option<(End, &str, &str, End)> {
    let left = match text.chars().next()? {
        '[' => End::Closed,
        '(' => End::Open,
        _ => return None,
    };
    let right = match text.chars().last()? {
        ']' => End::Closed,
        ')' => End::Open,
        _ => return None,
    };
    let (from, to) = text.get(1..text.len() - 1)?.split_once(',')?;
    Some((left, from.trim(), to.trim(), right))
}

/// Smallest key at (or after) a bound; None when there is none.
fn first_key(text: &str, ty: Type, end: End) -> Result<Option<i64>, String> {
    let (at, exact) = bound(text, ty, f64::ceil)?;
    // A bound between two integers was rounded towards the range, so it is inside whatever the bracket.
    Ok(if exact && end == End::Open { at.checked_add(1) } else { Some(at) })
}

/// Largest key at (or before) a bound; None when there is none.
fn last_key(text: &str, ty: Type, end: End) -> Result<Option<i64>, String> {
    let (at, exact) = bound(text, ty, f64::floor)?;
    Ok(if exact && end == End::Open { at.checked_sub(1) } else { Some(at) })
}

/// Key of a bound, and whether the bound is itself a value of the type.
fn bound(text: &str, ty: Type, round: fn(f64) -> f64) -> Result<(i64, bool), String> {
    let text = text.trim();
    let number = |text: &str| -> Result<f64, String> {
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        text.parse().ok().filter(|_| plain).ok_or_else(|| format!("`{text}` is not a number"))
    };
    match ty {
        Type::Int64 => {
            if let Ok(i) = text.parse::<i64>() {
                return Ok((i, true));
            }
            let x = number(text)?;
            // Beyond these a float no longer names one integer.
            if x.abs() >= i64::MAX as f64 {
                return Err(format!("`{text}` is too large for an int64"));
            }
            Ok((round(x) as i64, x.fract() == 0.0))
        }
        Type::Float64 => {
            let x = number(text)?;
            let key = known_float_key(x).filter(|_| x.is_finite());
            Ok((key.ok_or_else(|| format!("`{text}` is too large for a float64"))?, true))
        }
        Type::Date32 => Ok((i64::from(parse_date(text)?), true)),
        Type::Timestamp => Ok((parse_timestamp(text)?, true)),
        Type::Boolean | Type::Utf8 => Err(format!("a {ty} has no order")),
    }
}

/// Days since 1970-01-01 of `2026-01-31`, as the gate reads dates: `26-01-31` may be the year 26 or 2026, and is neither.
pub fn parse_date(text: &str) -> Result<i32, String> {
    parse::date32(text)
        .ok_or_else(|| format!("`{text}` is not a date with all its digits, such as 2026-01-31"))
}

/// Microseconds since 1970 of `2026-01-31T08:00:00Z` (with or without the Z, which is meant) or of a date.
pub fn parse_timestamp(text: &str) -> Result<i64, String> {
    let read = parse::timestamp(text);
    read.ok_or_else(|| {
        format!("`{text}` is not a timestamp with all its digits, such as 2026-01-31T08:00:00Z")
    })
}

#[cfg(test)]
mod tests {
    use tarim_datamart::Value;

    use super::*;

    /// type | cell | values that match | values that do not
    const CASES: &[(Type, &str, &[Value], &[Value])] = &[
        (Type::Int64, "[0,10)", &[Value::Int64(0), Value::Int64(9)], &[Value::Int64(10), Value::Int64(-1)]),
        (Type::Int64, "(0,10]", &[Value::Int64(1), Value::Int64(10)], &[Value::Int64(0)]),
        (Type::Int64, "[5,]", &[Value::Int64(5), Value::Int64(i64::MAX)], &[Value::Int64(4)]),
        (Type::Int64, "(,5)", &[Value::Int64(4), Value::Int64(i64::MIN)], &[Value::Int64(5)]),
        (Type::Int64, ">= 0.5", &[Value::Int64(1)], &[Value::Int64(0)]),
        (Type::Int64, "(0.5,2.5)", &[Value::Int64(1), Value::Int64(2)], &[Value::Int64(0), Value::Int64(3)]),
        (Type::Int64, "1|3|[5,6]", &[Value::Int64(1), Value::Int64(6)], &[Value::Int64(2), Value::Int64(4)]),
        (Type::Float64, "<0", &[Value::Float64(-5e-324)], &[Value::Float64(0.0), Value::Float64(-0.0)]),
        (Type::Float64, "<=0", &[Value::Float64(-0.0), Value::Float64(0.0)], &[Value::Float64(5e-324)]),
        (Type::Float64, ">1e3", &[Value::Float64(f64::INFINITY)], &[Value::Float64(1000.0)]),
        (Type::Boolean, "true", &[Value::Boolean(true)], &[Value::Boolean(false)]),
        (Type::Date32, "[1970-01-02,1970-01-04)", &[Value::Date32(1), Value::Date32(2)], &[Value::Date32(3)]),
        (
            Type::Timestamp,
            "<1970-01-01T00:00:01Z",
            &[Value::Timestamp(999_999)],
            &[Value::Timestamp(1_000_000)],
        ),
    ];

    #[test]
    fn cells_match_what_they_say() {
        for (ty, text, inside, outside) in CASES {
            let mut domain = Domain::new(*ty);
            let cell = Cell::parse(text, &mut domain).unwrap_or_else(|e| panic!("{text}: {e}"));
            for value in *inside {
                assert_eq!(cell.matches(domain.key(value)), Some(true), "{text} and {value}");
            }
            for value in *outside {
                assert_eq!(cell.matches(domain.key(value)), Some(false), "{text} and {value}");
            }
            assert_eq!(cell.matches(domain.key(&Value::Null)), None, "{text} and unknown");
        }
        assert_eq!(Cell::Any.matches(None), Some(true));
        assert_eq!(Cell::Null.matches(None), Some(true));
        assert_eq!(Cell::Null.matches(Some(0)), Some(false));
    }

    /// With a T or a blank, with Z, an offset or nothing, which is UTC; a date is its midnight.
    #[test]
    fn a_time_is_read_however_it_is_written() {
        const EIGHT: i64 = (20_484 * 24 + 8) * 3_600_000_000;
        for text in ["T08:00:00Z", "T08:00:00", " 08:00:00", "T16:00:00+08:00", "T08:00"] {
            assert_eq!(parse_timestamp(&format!("2026-01-31{text}")), Ok(EIGHT), "{text}");
        }
        assert_eq!(parse_timestamp("2026-01-31T08:00:00.25Z"), Ok(EIGHT + 250_000));
        assert_eq!(parse_timestamp("2026-01-31"), Ok(20_484 * 24 * 3_600_000_000));
        assert_eq!(parse_date("2026-01-31"), Ok(20_484));
    }

    #[test]
    fn texts_are_alternatives_and_can_be_quoted() {
        let mut domain = Domain::new(Type::Utf8);
        let cell = Cell::parse("A | 'null'", &mut domain).unwrap();
        let key = |s: &str| domain.key(&Value::Utf8(s.into()));
        assert_eq!(cell.matches(key("A")), Some(true));
        assert_eq!(cell.matches(key("null")), Some(true));
        assert_eq!(cell.matches(key("B")), Some(false));
    }

    #[test]
    fn nonsense_is_refused_and_says_why() {
        for (ty, text, why) in [
            (Type::Int64, "[5,5)", "matches no int64"),
            (Type::Int64, "[10,0]", "matches no int64"),
            (Type::Int64, "2.5", "matches no int64"),
            (Type::Int64, "ten", "not a number"),
            (Type::Float64, "inf", "not a number"),
            (Type::Float64, "1||2", "empty"),
            (Type::Boolean, "yes", "not a boolean"),
            (Type::Date32, "31.01.2026", "not a date"),
            (Type::Date32, "26-01-31", "`26-01-31` is not a date with all its digits"),
            (Type::Date32, "[2026-01-01,26-02-01)", "`26-02-01` is not a date"),
            (Type::Date32, ">=2026-1-31", "`2026-1-31` is not a date"),
            (Type::Date32, "+12026-01-31", "not a date"),
            (Type::Date32, "2026-02-29", "not a date"),
            (Type::Timestamp, "26-01-31", "not a timestamp"),
            (Type::Timestamp, "<26-01-31T08:00:00", "`26-01-31T08:00:00` is not a timestamp"),
        ] {
            let error = Cell::parse(text, &mut Domain::new(ty)).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let mut grades = Domain::of_texts(vec!["A".into(), "B".into()]);
        assert!(Cell::parse("C", &mut grades).unwrap_err().contains("A, B"));
    }
}
