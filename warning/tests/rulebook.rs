//! The example rulebook's warnings can be read, and are about all that they should be.

use std::{collections::BTreeSet, path::Path};

use tarim_warning::rulebook::WarningBook;

/// What rules have to cover, each with how many must, and which these are.
const THEMES: [(&str, usize, &[&str]); 11] = [
    ("repayment behaviour", 10, &["R-"]),
    ("use of funds", 5, &["F-"]),
    ("fan-in", 2, &["T-001", "T-002"]),
    ("fan-out", 1, &["T-003"]),
    ("structuring", 1, &["T-004"]),
    ("rapid pass-through", 1, &["T-005"]),
    ("dormant, then active", 1, &["T-006"]),
    ("bureau", 5, &["B-"]),
    ("legal", 5, &["L-"]),
    ("guarantor", 3, &["G-001", "K-001", "K-002"]),
    ("industry", 3, &["Y-"]),
];

#[test]
fn the_example_rulebook_is_sound_and_covers_all_themes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rulebook");
    let book = WarningBook::read(&folder).unwrap_or_else(|p| panic!("{p}"));
    assert!(book.streams().windows().len() >= 40, "{} windows", book.streams().windows().len());
    let ids: BTreeSet<&str> = book.rules().iter().map(|rule| rule.id.as_str()).collect();
    for (theme, least, begin) in THEMES {
        let of = ids.iter().filter(|id| begin.iter().any(|b| id.starts_with(b))).count();
        assert!(of >= least, "{theme}: {of} rules of {least}");
    }
    assert!(ids.len() >= 40, "{} rules", ids.len());
    for rule in book.rules() {
        assert!(!rule.zh.is_ascii() && rule.en.is_ascii(), "{} says it in both languages", rule.id);
        assert!(!rule.group.is_empty(), "{} is of no group", rule.id);
    }
}
