//! `tests/*.toml` of a rulebook: what is known, and what must come of it.
//!
//! A case is decided by the same engine as a request. It names what is known and nothing else: an entity
//! that is not named is unknown, a feature that is not named is NULL, a list that is not named misses, and a warning
//! that is not named does not stand.

mod case;
mod exposed;
mod run;
mod warned;

use std::path::Path;

use tarim_datamart::Problems;

pub use self::{
    case::{Case, Expected, read},
    run::{Mismatch, TestResult, run},
};
use crate::rulebook::Rulebook;

/// How many cases were run, and those that cannot be read or that fail, as problems of the rulebook.
pub fn problems(rulebook: &Rulebook, folder: &Path) -> (usize, Problems) {
    let cases = match read(rulebook, folder) {
        Ok(cases) => cases,
        Err(problems) => return (0, problems),
    };
    let mut problems = Problems::default();
    for result in run(rulebook, &cases) {
        let wrong: Vec<String> = result.mismatches.iter().map(Mismatch::to_string).collect();
        if !wrong.is_empty() {
            problems.push(result.case.place.problem(
                format!("the test \"{}\" fails: {}", result.case.name, wrong.join("; ")),
                "correct the policy, or the test if it expects the wrong thing (`tarim rulebook test` shows more)",
            ));
        }
    }
    (cases.len(), problems)
}
