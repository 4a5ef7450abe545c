//! The example rulebook's warnings can be read.

use std::path::Path;

use tarim_warning::rulebook::WarningBook;

#[test]
fn the_example_rulebook_is_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rulebook");
    let book = WarningBook::read(&folder).unwrap_or_else(|p| panic!("{p}"));
    assert!(book.rules().len() >= 40, "{} rules", book.rules().len());
    assert!(book.streams().windows().len() >= 40, "{} windows", book.streams().windows().len());
}
