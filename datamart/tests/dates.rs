//! Dates: our loop for notations of fixed width and chrono say the same.

use chrono::{Datelike, NaiveDate, NaiveDateTime};
use proptest::prelude::*;
use tarim_datamart::gate::{dates::DateFormat, parse};

const DATES: [&str; 6] = ["%Y-%m-%d", "%y%m%d", "%Y%m%d", "%d/%m/%Y", "%F", "%Y年%m月%d日"];
const TIMES: [&str; 5] = ["%Y-%m-%d %H:%M:%S", "%y%m%d %H:%M:%S", "%Y%m%d%H%M%S", "%Y%m%d%H%M", "%FT%T"];

/// Whether what chrono reads as of this year is a date to us: a text with all the digits of its notation, or one
/// with fewer of a later year, if something stands between the numbers.
fn is_read(year: i32, text: &str, format: &str) -> bool {
    let (digits, length, side_by_side) = match format {
        "%y%m%d" => (6, 6, true),
        "%Y%m%d" => (8, 8, true),
        "%y%m%d %H:%M:%S" => (12, 15, true),
        "%Y%m%d%H%M%S" => (14, 14, true),
        "%Y%m%d%H%M" => (12, 12, true),
        "%Y-%m-%d" | "%F" | "%d/%m/%Y" => (8, 10, false),
        "%Y-%m-%d %H:%M:%S" | "%FT%T" => (14, 19, false),
        _ => return year >= 1000,
    };
    let whole = text.len() == length && text.bytes().filter(u8::is_ascii_digit).count() == digits;
    whole || (!side_by_side && year >= 1000)
}

/// Texts near dates: digits, signs, blanks and what stands between.
fn near_a_date() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{6,8}", "[0-9]{4}[-/年 ][0-9]{1,2}[-/月 ][ 0-9]{1,2}日?", "[-+ 0-9:/T]{0,20}"]
}

proptest! {
    #[test]
    fn a_date_that_chrono_writes_is_read(days in 0..40_000_i32, format in prop::sample::select(&DATES[..])) {
        let date = NaiveDate::from_epoch_days(days).expect("a date");
        let text = date.format(format).to_string();
        let expected = NaiveDate::parse_from_str(&text, format).ok().map(|d| d.to_epoch_days());
        prop_assert_eq!(DateFormat::new(format).expect("a format").date(&text), expected);
    }

    #[test]
    fn what_is_read_of_any_text_is_what_chrono_reads(text in near_a_date(), format in prop::sample::select(&DATES[..])) {
        let expected = NaiveDate::parse_from_str(&text, format).ok();
        let expected = expected.filter(|d| is_read(d.year(), &text, format)).map(|d| d.to_epoch_days());
        prop_assert_eq!(DateFormat::new(format).expect("a format").date(&text), expected);
    }

    #[test]
    fn a_time_that_chrono_writes_is_read(second in 0..4_000_000_000_i64, format in prop::sample::select(&TIMES[..])) {
        let time = chrono::DateTime::from_timestamp_secs(second).expect("a time").naive_utc();
        let text = time.format(format).to_string();
        let expected = NaiveDateTime::parse_from_str(&text, format).ok().map(|t| t.and_utc().timestamp_micros());
        prop_assert_eq!(DateFormat::new(format).expect("a format").timestamp(&text), expected);
    }

    #[test]
    fn what_is_read_of_any_text_with_a_time_is_what_chrono_reads(
        text in "[0-9]{2,4}-?[0-9]{2}-?[0-9]{2}[ T]?[0-9]{2}:?[0-9]{2}:?[0-9]{2}", format in prop::sample::select(&TIMES[..]),
    ) {
        let expected = NaiveDateTime::parse_from_str(&text, format).ok();
        let expected = expected.filter(|t| is_read(t.year(), &text, format));
        let expected = expected.map(|t| t.and_utc().timestamp_micros());
        prop_assert_eq!(DateFormat::new(format).expect("a format").timestamp(&text), expected);
    }

    #[test]
    fn iso_8601_is_read_as_chrono_reads_it(micros in 0..4_000_000_000_000_000_i64, hours in -12..=14_i32) {
        let zone = chrono::FixedOffset::east_opt(hours * 3600).expect("an offset");
        let time = chrono::DateTime::from_timestamp_micros(micros).expect("a time").with_timezone(&zone);
        prop_assert_eq!(parse::timestamp(&time.to_rfc3339()), Some(micros));
    }
}

#[test]
fn times_that_are_not_whole_or_not_times_are_refused() {
    let day = 1_769_817_600_000_000;
    let good = [
        ("2026-01-31", day),
        ("2026-01-31T00:00", day),
        ("2026-01-31 00:00:00", day),
        ("2026-01-31T08:00:00+08:00", day),
        ("2026-01-31T08:00:00+0800", day),
        ("2026-01-31T08:00:00+08", day),
        ("2026-01-30T19:30:00-04:30", day),
        ("2026-01-31T00:00:00.000001Z", day + 1),
        ("2026-01-31T00:00:00.000001999Z", day + 1),
        ("2026-01-31T00:00:00.5", day + 500_000),
    ];
    for (text, expected) in good {
        assert_eq!(parse::timestamp(text), Some(expected), "{text}");
    }
    for text in [
        "",
        "2026",
        "2026-01",
        "2026-02-29",
        "2026-01-31T",
        "2026-01-31T24:00:00Z",
        "2026-01-31T10:60:00Z",
        "2026-01-31T10:00:00.Z",
        "2026-01-31T10:00:00+25:00",
        "2026-01-31T10:00:00ZZ",
        "26-01-31",
        "2026/01/31",
        "2026-01-31T10",
        " 2026-01-31",
        "20260131",
    ] {
        assert_eq!(parse::timestamp(text), None, "{text}");
    }
}

#[test]
fn a_year_of_two_digits_is_refused_where_the_notation_has_four() {
    for (format, text) in [
        ("%Y-%m-%d", "26-01-31"),
        ("%F", "26-1-31"),
        ("%F", "026-1-31"),
        ("%d/%m/%Y", "31/01/26"),
        ("%Y年%m月%d日", "26年1月31日"),
        ("%Y-%m-%d %H:%M:%S", "26-01-31 10:00:00"),
        ("%FT%T", "26-01-31T10:00:00"),
    ] {
        let format = DateFormat::new(format).expect("a format");
        assert_eq!((format.date(text), format.timestamp(text)), (None, None), "{} {text}", format.as_str());
    }
    let date = DateFormat::new("%Y-%m-%d").expect("a format").date("2026-1-31");
    assert_eq!(date, parse::date32("2026-01-31"));
}

#[test]
fn formats_that_do_not_give_a_day_are_refused() {
    for format in ["", "%Y", "%H:%M", "%Q", "%Y-%m", "day %d of %B"] {
        assert!(DateFormat::new(format).is_err(), "{format}");
    }
    assert!(DateFormat::new("%d %B %Y").is_ok());
}

/// A time that is read by a notation is in UTC: an offset would be read and dropped.
#[test]
fn formats_with_an_offset_are_refused() {
    for format in ["%Y-%m-%d %H:%M:%S%z", "%FT%T%:z", "%Y-%m-%d %Z", "%+"] {
        let why = DateFormat::new(format).expect_err(format);
        assert!(why.contains("has an offset or a time zone"), "{why}");
    }
}

/// What is read of a time of day is not dropped.
#[test]
fn formats_with_half_a_time_of_day_are_refused() {
    for format in ["%Y%m%d%H", "%Y-%m-%d %I:%M", "%F %M", "%F %S", "%F %p"] {
        let why = DateFormat::new(format).expect_err(format);
        assert!(why.contains("without hours"), "{why}");
    }
    for format in ["%F %I:%M %p", "%F %R", "%F %r", "%F"] {
        assert!(DateFormat::new(format).is_ok(), "{format}");
    }
}

#[test]
fn a_time_of_hours_and_minutes_alone_lacks_no_digit() {
    let format = DateFormat::new("%Y%m%d%H%M").expect("a format");
    assert!(format.has_time());
    assert_eq!(format.timestamp("202601311005"), parse::timestamp("2026-01-31T10:05"));
    for text in ["20260131105", "2026013110", "20260131 1005", "202601312405", "20260131100500"] {
        assert_eq!(format.timestamp(text), None, "{text}");
    }
}
