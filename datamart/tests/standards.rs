//! Broken standards: each case of `data/broken_standards.toml` changes one thing of a sound standard and says
//! where the problem is and what it says.

use std::{fs, path::Path};

use serde::Deserialize;
use tarim_datamart::{Standards, Type, Value};

#[derive(Deserialize)]
struct Cases {
    sound: String,
    codes: String,
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Text of the sound standard (of the code list, if `in_codes`) that is replaced; absent: appended.
    replace: Option<String>,
    with: String,
    #[serde(default)]
    in_codes: bool,
    /// `line: what`, one for each problem, in order.
    expect: Vec<String>,
}

fn cases() -> Cases {
    toml::from_str(include_str!("data/broken_standards.toml")).expect("the cases are TOML")
}

fn rulebook(table: &str, codes: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "standards/loans.toml", table);
    write(folder.path(), "standards/codes/purpose.csv", codes);
    folder
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("has a folder")).expect("made");
    fs::write(path, text).expect("written");
}

#[test]
fn a_sound_standard_is_read_whole() {
    let cases = cases();
    let folder = rulebook(&cases.sound, &cases.codes);
    let standards = Standards::read(folder.path()).unwrap_or_else(|p| panic!("{p}"));
    let table = standards.table("loans").expect("the table is there");
    let names: Vec<&str> = table.fields.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["member", "loan_id", "id_number", "purpose", "amount_fen", "signed_on", "known_at"]);
    assert_eq!(table.unique(), ["member", "loan_id"]);
    assert!(table.field("signed_on").expect("a field").required, "the event time is required by itself");
    assert_eq!(table.field("id_number").expect("a field").kind, "gb11643");
    let amount = table.field("amount_fen").expect("a field");
    assert_eq!((amount.ty, &amount.min), (Type::Int64, &Some(Value::Int64(1))));
    let purpose = table.field("purpose").and_then(|f| f.codes.as_ref()).expect("a code list");
    assert_eq!(purpose.get("02").map(|c| (c.zh.as_str(), c.en.as_str())), Some(("购车", "car")));
    assert_eq!(standards.hash().len(), 64);
}

#[test]
fn every_broken_standard_is_named_with_line_and_remedy() {
    let cases = cases();
    for case in &cases.case {
        let (mut table, mut codes) = (cases.sound.clone(), cases.codes.clone());
        let text = if case.in_codes { &mut codes } else { &mut table };
        match &case.replace {
            Some(old) => {
                assert_eq!(text.matches(old.as_str()).count(), 1, "{}: `{old}` must stand once", case.name);
                *text = text.replace(old, &case.with);
            }
            None => text.push_str(&case.with),
        }
        let folder = rulebook(&table, &codes);
        let problems = Standards::read(folder.path()).expect_err(&case.name);
        let found: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.place.line, p.what)).collect();
        assert_eq!(found, case.expect, "{}", case.name);
        assert!(problems.iter().all(|p| !p.fix.is_empty()), "{}: a problem has no remedy", case.name);
    }
}

/// What an editor keeps beside a file is no standard, and no part of what a load is told to be checked by.
#[test]
fn hidden_files_and_backups_are_no_standards() {
    let cases = cases();
    let folder = rulebook(&cases.sound, &cases.codes);
    let read = || Standards::read(folder.path()).unwrap_or_else(|p| panic!("{p}"));
    let before = read().hash().to_owned();
    for name in [".#loans.toml", ".loans.toml", "loans.toml~", "codes/.#purpose.csv", "codes/purpose.csv~"] {
        write(folder.path(), &format!("standards/{name}"), "half a li");
    }
    assert_eq!(read().hash(), before);
}

#[test]
fn a_rulebook_without_standards_is_a_problem() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let problems = Standards::read(folder.path()).expect_err("nothing is there");
    assert!(problems.to_string().starts_with("standards: cannot read the folder"), "{problems}");
}
