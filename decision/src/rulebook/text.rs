//! Names, as every file of a rulebook writes them.

use tarim_datamart::{At, Problems};

/// Checks an id or name: `[a-z][a-z0-9_]*`.
pub fn check_name(name: &At<String>, problems: &mut Problems) {
    let mut bytes = name.value.bytes();
    let good = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !good {
        problems.push(name.place.problem(
            format!("`{}` cannot be a name", name.value),
            "use small letters, digits and _, with a letter first",
        ));
    }
}

/// Checks a rule's id: it can stand in a report without quotes.
pub fn check_rule_id(id: &At<String>, problems: &mut Problems) {
    let good = id.value.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && id.value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if !good {
        problems.push(id.place.problem(
            format!("`{}` cannot be a rule's id", id.value),
            "use letters, digits, _, - and ., with a letter first",
        ));
    }
}

/// "a, b, c", for messages that offer what is there.
pub fn offer<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(12);
    names.truncate(12);
    let list = names.join(", ");
    match (list.is_empty(), more) {
        (true, _) => "(there is none)".into(),
        (false, 0) => list,
        (false, more) => format!("{list} and {more} more"),
    }
}
