//! The example rulebooks are right, and decide as their cases say.

use std::path::Path;

use tarim_decision::rulebook::{Report, check};

fn report(rulebook: &str) -> Report {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join(rulebook))
}

#[test]
fn rulebooks_are_right_and_raise_no_warning() {
    for rulebook in ["rulebook", "berka/rulebook"] {
        let report = report(rulebook);
        assert!(report.errors.is_empty(), "{rulebook}:\n{}", report.errors);
        assert!(report.warnings.is_empty(), "{rulebook}:\n{}", report.warnings);
    }
}
