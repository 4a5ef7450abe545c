//! `tarim rulebook` as a user runs it.

use crate::installation::Installation;

#[test]
fn a_check_says_what_was_counted_and_that_all_is_well() {
    let installation = Installation::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/rulebook");
    let said = installation.run(&["rulebook", "check", "--rulebook", example]);
    let count = |what: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(what));
        line.map(str::trim).unwrap_or_else(|| panic!("{what} is not told: {said}")).to_owned()
    };
    // Three, as examples/README.md has it.
    assert_eq!(count("scorecards of applications"), "2");
    assert_eq!(count("scorecards of behaviour"), "1");
    let last = said.lines().last().expect("it says something");
    let tests = last.strip_suffix(" tests passed; no problems").expect("all is well");
    assert!(tests.parse::<usize>().expect("a number") > 50, "{last}");
}

#[test]
fn published_rulebooks_are_listed_with_their_times() {
    let installation = Installation::new();
    let said = installation.run(&["rulebook", "publish", "--list"]);
    let line = said.lines().find(|line| line.contains("current")).expect("one is current");
    let words: Vec<&str> = line.split_whitespace().collect();
    let [version, published, "current"] = words[..] else { panic!("{line}") };
    assert!(installation.path("home/rulebooks").join(version).is_dir(), "{line}");
    let published = published.parse::<chrono::DateTime<chrono::Utc>>().expect("a time");
    assert!(published <= chrono::Utc::now(), "{line}");
}
