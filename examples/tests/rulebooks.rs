//! The example rulebooks are right.

use std::path::Path;

use tarim_datamart::Standards;
use tarim_features::view::FeatureSet;

#[test]
fn standards_and_features_are_right() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for rulebook in ["rulebook", "berka/rulebook"] {
        let folder = here.join(rulebook);
        let standards = Standards::read(&folder).unwrap_or_else(|p| panic!("{rulebook}:\n{p}"));
        if let Err(problems) = FeatureSet::read(&folder, &standards) {
            panic!("{rulebook}:\n{problems}");
        }
    }
}
