//! The gate for single values and rows, as an application's fields meet it; and tokens.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::common::Home;
use proptest::prelude::*;
use tarim_datamart::{Broken, Field, RowChecks, Tokeniser, Value, ValueRef, gate::parse};

const STANDARD: &str = r#"
[table]
name = "applications"
zh = "申请"
en = "applications"
key = ["application_id"]
event_time = "applied_at"
[[field]]
name = "application_id"
zh = "申请号"
en = "application"
type = "utf8"
length_max = 4
[[field]]
name = "applied_at"
zh = "申请时间"
en = "applied at"
type = "timestamp"
[[field]]
name = "amount_fen"
zh = "金额"
en = "amount"
type = "int64"
min = 1
max = 100
[[field]]
name = "share"
zh = "比例"
en = "share"
type = "float64"
max = 1
[[field]]
name = "id_number"
zh = "身份证号"
en = "identity number"
type = "utf8"
personal = true
checks = ["gb11643"]
pattern = "[0-9X]+"
[[field]]
name = "guarantor"
zh = "担保人身份证号"
en = "guarantor's identity number"
type = "utf8"
personal = true
checks = ["gb11643"]
[[field]]
name = "mobile"
zh = "手机"
en = "mobile"
type = "utf8"
personal = "phone"
[[check]]
id = "share-of-amount"
zh = "有金额才有比例"
en = "no share without an amount"
sql = "share IS NULL OR amount_fen IS NOT NULL"
"#;

fn home() -> Home {
    Home::new(&[("applications", STANDARD)])
}

fn rules(broken: &[Broken]) -> Vec<&str> {
    broken.iter().map(|b| b.rule.as_str()).collect()
}

#[test]
fn a_value_is_checked_by_every_rule_of_its_field() {
    let home = home();
    let table = home.mart.standards().table("applications").expect("a table");
    let field = |name: &str| table.field(name).expect("a field");
    let text = |s: &str| Value::Utf8(s.into());
    let cases: [(&Field, Value, &[&str]); 13] = [
        (field("application_id"), text("a1"), &[]),
        (field("application_id"), text("申请一二三"), &["length"]),
        (field("application_id"), Value::Null, &["required"]),
        (field("application_id"), Value::Int64(1), &["type"]),
        (field("amount_fen"), Value::Null, &[]),
        (field("amount_fen"), Value::Int64(0), &["range"]),
        (field("amount_fen"), Value::Int64(101), &["range"]),
        (field("amount_fen"), Value::Float64(1.0), &["type"]),
        (field("share"), Value::Float64(f64::NAN), &["type"]),
        (field("share"), Value::Float64(f64::INFINITY), &["type"]),
        (field("share"), Value::Float64(-1e300), &[]),
        (field("id_number"), text("11010519491231002X"), &[]),
        (field("id_number"), text("11010519491231002x"), &["pattern", "gb11643"]),
    ];
    for (field, value, expected) in cases {
        let broken = field.check(value.as_ref());
        assert_eq!(rules(&broken), expected, "{} {value:?}", field.name);
        let told = broken.iter().any(|b| field.personal && b.message.contains("110105"));
        assert!(!told, "a personal value is told: {broken:?}");
    }
    assert_eq!(field("amount_fen").parse(" 17 ").map(ValueRef::to_value), Ok(Value::Int64(17)));
    assert_eq!(field("amount_fen").parse("  ").map(ValueRef::to_value), Ok(Value::Null));
    assert!(field("amount_fen").parse("1.5").is_err_and(|b| b.rule == "type"));
}

#[test]
fn a_row_is_checked_as_a_whole() {
    let home = home();
    let table = home.mart.standards().table("applications").expect("a table");
    let checks = RowChecks::compile(table).expect("compiles");
    let mut row = vec![Value::Null; table.fields.len()];
    assert_eq!(checks.check(|i| row[i].as_ref()), []);
    let share = table.fields.iter().position(|f| f.name == "share").expect("a field");
    row[share] = Value::Float64(0.5);
    assert_eq!(rules(&checks.check(|i| row[i].as_ref())), ["share-of-amount"]);
    row[share - 1] = Value::Int64(1);
    assert_eq!(checks.check(|i| row[i].as_ref()), []);
}

#[test]
fn dates_that_nanoseconds_cannot_count_are_checked_against_times() {
    const LOANS: &str = r#"
[table]
name = "loans"
zh = "贷款"
en = "loans"
key = ["loan_id"]
event_time = "signed_at"
[[field]]
name = "loan_id"
zh = "贷款编号"
en = "loan id"
type = "utf8"
[[field]]
name = "signed_at"
zh = "签约时间"
en = "signed at"
type = "timestamp"
[[field]]
name = "due_on"
zh = "到期日"
en = "due on"
type = "date32"
[[check]]
id = "compared"
zh = "先签约后到期"
en = "signed before it is due"
sql = "signed_at < due_on"
[[check]]
id = "cast"
zh = "先签约后到期"
en = "signed before it is due"
sql = "least(CAST(due_on AS TIMESTAMP), signed_at) = signed_at AND signed_at > '1970-01-01 00:00:00'"
"#;
    let home = Home::new(&[("loans", LOANS)]);
    let table = home.mart.standards().table("loans").expect("a table");
    let checks = RowChecks::compile(table).expect("compiles");
    const DAY_US: i64 = 86_400_000_000;
    // 9999-12-31, and 0001-01-01.
    for (signed_us, due, broken) in [
        (20_000 * DAY_US, 2_932_896, &[][..]),
        (20_000 * DAY_US, -719_162, &["compared", "cast"]),
        (2_932_896 * DAY_US - 1, 2_932_896, &[]),
        (2_932_896 * DAY_US, 2_932_896, &["compared"]),
        (-719_162 * DAY_US, 20_000, &["cast"]),
    ] {
        let row = [Value::Null, Value::Null, Value::Timestamp(signed_us), Value::Date32(due)];
        let found = checks.check(|i| row[i].as_ref());
        assert_eq!(rules(&found), broken, "{signed_us} {due}");
        assert!(found.iter().all(|b| !b.message.contains("cannot be computed")), "{found:?}");
    }
}

#[test]
fn one_person_has_one_token_in_every_table_and_kinds_differ() {
    let home = home();
    let table = home.mart.standards().table("applications").expect("a table");
    let kind = |name: &str| table.field(name).expect("a field").kind.as_str();
    assert_eq!([kind("id_number"), kind("guarantor"), kind("mobile")], ["gb11643", "gb11643", "phone"]);
    let tokens = Tokeniser::with_key([1; 32]);
    assert_eq!(tokens.token("gb11643", "x"), tokens.token("gb11643", "x"));
    assert!(tokens.token("gb11643", "x").starts_with("gb11643:"));
    assert_eq!(tokens.token("phone", "x").len(), "phone:".len() + 32);
    assert_ne!(tokens.token("phone", "x")[6..], tokens.token("gb11643", "x")[8..]);
    assert_ne!(tokens.token("phone", "x"), Tokeniser::with_key([2; 32]).token("phone", "x"));
}

#[test]
fn the_key_is_made_once_and_is_its_owners_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("keys/token.key");
    // Whoever did not say that there is nothing yet is told that it is lost: with another key nobody would be on a list.
    let Err(error) = Tokeniser::open(&path) else { panic!("a key was made up") };
    assert!(error.to_string().contains("restore the file from your backup") && !path.exists(), "{error}");
    let token = Tokeniser::open_or_create(&path).expect("made").token("phone", "1");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).expect("readable");
    assert!(text.trim_end().len() == 64 && text.trim_end().bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
    for open in [Tokeniser::open, Tokeniser::open_or_create] {
        assert_eq!(open(&path).expect("read").token("phone", "1"), token);
    }
    assert_eq!(fs::read_dir(folder.path().join("keys")).expect("a folder").count(), 1, "no draft is left");
    fs::write(&path, "not a key").expect("written");
    let Err(error) = Tokeniser::open(&path) else { panic!("a damaged key was taken") };
    assert!(error.to_string().contains("the token key is damaged"), "{error}");
}

proptest! {
    /// A decimal that is written with two digits comes back exactly, whatever stands before the point.
    #[test]
    fn scaling_is_exact(fen in any::<i64>()) {
        let sign = if fen < 0 { "-" } else { "" };
        let text = format!("{sign}{}.{:02}", fen.unsigned_abs() / 100, fen.unsigned_abs() % 100);
        prop_assert_eq!(parse::scaled(&text, 100), Ok(fen));
    }

    #[test]
    fn no_text_is_too_odd_for_the_gate(text in any::<String>()) {
        let home = home();
        for field in &home.mart.standards().table("applications").expect("a table").fields {
            if let Ok(value) = field.parse(&text) {
                field.check(value);
            }
        }
    }
}
