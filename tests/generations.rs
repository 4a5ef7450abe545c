//! `tarim materialize` as a user runs it: what it does not publish, and the generations to go back to.

use crate::installation::Installation;

/// Versions that the store lists, each with its line.
fn listed(installation: &Installation) -> Vec<(String, String)> {
    let table = installation.run(&["materialize", "--list"]);
    let lines = table.lines().filter(|line| line.contains("customer 3") || line.contains("customer 0"));
    lines
        .map(|line| (line.split_whitespace().next().expect("a version").to_owned(), line.to_owned()))
        .collect()
}

#[test]
fn a_generation_that_knows_nobody_any_more_is_not_published() {
    let installation = Installation::new();
    let before = listed(&installation);
    assert_eq!(before.len(), 1);
    assert!(before[0].1.contains("2026-06-30T00:00:00Z") && before[0].1.contains("current"), "{before:?}");
    for (as_of, said) in [
        ("2010-01-01", "nothing is known of the entity \"customer\""),
        ("2999-01-01", "--as-of 2999-01-01T00:00:00Z is yet to come"),
    ] {
        let told = installation.fails(&["materialize", "--as-of", as_of]);
        assert!(told.contains(said) && told.contains("--force"), "{told}");
        assert_eq!(listed(&installation), before, "{as_of}");
    }
    for as_of in ["2010-01-01", "2999-01-01"] {
        installation.run(&["materialize", "--as-of", as_of, "--force"]);
    }
    assert_eq!(listed(&installation).len(), 3);
}

#[test]
fn an_older_time_is_told() {
    let installation = Installation::new();
    for (args, told) in [
        (&["--as-of", "2026-05-31"][..], true),
        (&["--as-of", "2026-05-31"], false),
        (&["--as-of", "2026-04-30", "--lists-only"], true),
        (&["--as-of", "2026-06-30"], false),
    ] {
        let output = installation.output(&[&["materialize"], args].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("will not be known any more"), told, "{args:?}: {said}");
    }
}

#[test]
fn one_goes_back_to_a_generation_by_its_number_or_its_version() {
    let installation = Installation::new();
    installation.run(&["materialize", "--as-of", "2026-06-30"]);
    let [first, second] = &listed(&installation)[..] else { panic!("two generations") };
    assert!(first.0.starts_with("1-") && second.1.contains("current"), "{first:?} {second:?}");
    for (name, number) in [(first.0.as_str(), "1"), ("2", "2"), ("1", "1"), (second.0.as_str(), "2")] {
        let said = installation.run(&["materialize", "--rollback", name]);
        assert_eq!(said, format!("generation {number} is the current one again\n"));
        let current = listed(&installation).into_iter().find(|(_, line)| line.contains("current"));
        assert!(current.expect("one is").0.starts_with(&format!("{number}-")), "{name}");
    }
    for (name, said) in [
        ("7", "generation 7 is not in the online store; it has 1, 2"),
        ("1-00000000", "has no generation 1-00000000"),
        ("first", "is no version of a generation"),
    ] {
        let told = installation.fails(&["materialize", "--rollback", name]);
        assert!(told.contains(said), "{told}");
    }
}
