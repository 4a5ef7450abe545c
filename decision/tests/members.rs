//! A federation of 83 members compiles in seconds, because members that agree share their steps; and those that do not share
//! the shape of their programs.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use tarim_decision::rulebook::Rulebook;
use tarim_features::expr::Program;

#[test]
fn eighty_three_members_share_their_steps() {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rulebook")), folder.path());
    for code in 3..=83 {
        let member = folder.path().join(format!("members/{code:03}"));
        fs::create_dir_all(&member).unwrap();
        let region = ["450100", "450200", "450300"][code % 3];
        let text = format!(
            "[member]\nzh = \"社\"\nen = \"member\"\nregion = \"{region}\"\nproducts = [\"salary_loan\", \"farm_loan\"]\n\
             [override.salary_loan]\namount_max_fen = {}\n",
            6_000_000 + code * 10_000
        );
        fs::write(member.join("member.toml"), text).unwrap();
    }
    let start = Instant::now();
    let rulebook = Rulebook::read(folder.path()).unwrap_or_else(|e| panic!("{e}"));
    let took = start.elapsed();
    let counts = rulebook.counts();
    assert_eq!((counts.members, counts.plans), (83, 165));
    // Of 165 plans × 10 steps, only what depends on a region or on a member's own maximum differs: the limit, and the rules
    // of the two control points that see to it.
    assert!(counts.steps < 290, "{} steps are not shared", counts.steps);
    // And that differs by its constants only: for each of two products and nine calls, all members have one shape.
    let mut shapes: Vec<&Program> = Vec::new();
    for program in rulebook.courses().iter().map(|course| &course.program) {
        if !shapes.iter().any(|other| other.shares_shape_with(program)) {
            shapes.push(program);
        }
    }
    assert!(rulebook.courses().len() > 83, "{} courses", rulebook.courses().len());
    assert!(shapes.len() <= 18, "{} shapes of {} courses", shapes.len(), rulebook.courses().len());
    assert!(took < Duration::from_secs(30), "compiling took {took:?}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
