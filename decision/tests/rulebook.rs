//! The small rulebook beside these tests: it reads without a word, and its own cases pass.

use std::path::Path;

use tarim_datamart::Value;
use tarim_decision::{
    rulebook::{Rulebook, check},
    testing,
};

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rulebook"))
}

#[test]
fn the_rulebook_reads_without_a_word() {
    let report = check(folder());
    assert!(report.errors.is_empty(), "{}", report.errors);
    assert!(report.warnings.is_empty(), "{}", report.warnings);
    let (_, counts) = report.read.unwrap();
    assert_eq!((counts.rules, counts.tables, counts.plans), (8, 4, 3));
    assert_eq!(counts.scorecards, 1, "the one of behaviour is the pipeline's");
}

#[test]
fn its_cases_pass() {
    let rulebook = Rulebook::read(folder()).unwrap_or_else(|e| panic!("{e}"));
    let cases = testing::read(&rulebook, folder()).unwrap_or_else(|e| panic!("{e}"));
    assert!(cases.len() >= 9);
    for result in testing::run(&rulebook, &cases) {
        assert!(
            result.mismatches.is_empty(),
            "{}: {:?}\n{:#?}",
            result.case.name,
            result.mismatches,
            result.decision
        );
    }
}

/// A contract's rule shows the credit limit, which its condition does not read.
#[test]
fn what_is_only_shown_is_worked_out_too() {
    let rulebook = Rulebook::read(folder()).unwrap_or_else(|e| panic!("{e}"));
    let mut cases = testing::read(&rulebook, folder()).unwrap_or_else(|e| panic!("{e}"));
    cases.retain(|case| case.name == "for longer than the industry allows");
    let results = testing::run(&rulebook, &cases);
    let reasons = &results[0].decision.as_ref().expect("it is decided").reasons;
    let reason = reasons.iter().find(|reason| reason.id == "C005").expect("it fires");
    let shown: Vec<_> = reason.values.iter().map(|shown| (shown.name.as_str(), &shown.value)).collect();
    let expected = [
        ("application.term_months", &Value::Int64(18)),
        ("industry_term.months", &Value::Int64(12)),
        ("limit.fen", &Value::Int64(9_000_000)),
    ];
    assert_eq!(shown, expected);
}
