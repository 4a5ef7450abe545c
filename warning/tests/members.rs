//! Events of members that the rulebook does not have: alerts of nobody's have no topic, and nobody reads them.

use std::{fs, path::Path, sync::Arc};

use serde_json::json;
use tarim_warning::{core::Worker, rulebook::WarningBook};

use crate::support::{self, Record, event, run};

/// The small rulebook, with these members.
fn book_of(members: &[&str]) -> Arc<WarningBook> {
    let folder = tempfile::tempdir().unwrap();
    support::copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook"), folder.path());
    for member in members {
        let folder = folder.path().join("members").join(member);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("member.toml"), "").unwrap();
    }
    Arc::new(WarningBook::read(folder.path()).unwrap_or_else(|p| panic!("{p}")))
}

/// Why an event of a member is refused, in both formats.
fn refused(book: &Arc<WarningBook>, member: &str) -> Option<String> {
    let json = event(
        "e1",
        &format!("{member}/c1"),
        "2026-01-01",
        "collateral_value",
        json!({ "collateral_id": "h1", "value_fen": 1, "loan_balance_fen": 1 }),
    );
    let records = [Record::json(&json), Record::protobuf(&json).unwrap()];
    let reasons = records.map(|record| {
        let out = run(&mut Worker::new(book.clone()), 0, &[record]);
        out[0].dead.first().map(|letter| letter.reason.clone())
    });
    assert_eq!(reasons[0], reasons[1]);
    reasons[0].clone()
}

#[test]
fn a_member_that_the_rulebook_does_not_have_is_refused() {
    let book = book_of(&["001", "002"]);
    assert_eq!(book.members(), ["001", "002"]);
    assert_eq!(refused(&book, "001"), None);
    let reason = refused(&book, "003").unwrap();
    assert!(
        reason.starts_with("member: the rulebook has no member `003`") && reason.contains("members/"),
        "{reason}"
    );
    // Its member is one thing that is wrong; all others are told too.
    let out = run(
        &mut Worker::new(book),
        0,
        &[Record::json(&event("e1", "003/c1", "2026-01-01", "login", json!({ "risk": 7 })))],
    );
    assert!(out[0].dead[0].reason.matches("; ").count() >= 1, "{:?}", out[0].dead);
}

#[test]
fn a_rulebook_without_members_takes_all() {
    assert_eq!(refused(&book_of(&[]), "003"), None);
}
