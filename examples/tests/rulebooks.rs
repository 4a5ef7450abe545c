//! The example rulebooks are right.

use std::path::Path;

use tarim_datamart::Standards;

#[test]
fn standards_are_right() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for rulebook in ["rulebook", "berka/rulebook"] {
        if let Err(problems) = Standards::read(&here.join(rulebook)) {
            panic!("{rulebook}:\n{problems}");
        }
    }
}
