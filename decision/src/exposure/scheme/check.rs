//! What is wrong with limits that are right one by one: two of the same reach, and lines that can never be reached
//! because those of a wider limit are.

use tarim_datamart::Problems;

use super::{Scheme, SchemeSet, Scope, read::LimitText};

/// Compares each scheme with each. `texts` are in the order of the schemes.
pub fn run(set: &SchemeSet, texts: &[&LimitText], problems: &mut Problems) {
    for (i, narrow) in set.schemes.iter().enumerate() {
        for (j, wide) in set.schemes.iter().enumerate() {
            if i == j || !is_within(set, narrow, wide) {
                continue;
            }
            let same = is_within(set, wide, narrow);
            if same && i > j {
                problems.push(texts[i].id.place.problem(
                    format!(
                        "limit `{}` is of the same exposures as `{}`, at {}",
                        narrow.id, wide.id, texts[j].id.place
                    ),
                    "keep the stricter one, or let the other begin when it ends",
                ));
            } else if !same && never_binds(narrow, wide) {
                problems.push(texts[i].hard.place.problem(
                    format!(
                        "the hard line of `{}` can never be reached: `{}`, at {}, sums over the same exposures and more, \
                         and its line is not higher",
                        narrow.id, wide.id, texts[j].id.place
                    ),
                    "lower it, or remove the limit",
                ));
            }
        }
    }
}

/// Whether whatever counts to a counter of `narrow` always counts to one and the same counter of `wide`, and while
/// `narrow` is in force so is `wide`.
fn is_within(set: &SchemeSet, narrow: &Scheme, wide: &Scheme) -> bool {
    let scope = narrow.scope() == wide.scope() || wide.scope() == Scope::Federation;
    let time = wide.from_us <= narrow.from_us && narrow.to_us <= wide.to_us;
    // Level 0 is the finest; else a higher one is finer. But not of code lists, whose codes lie at any depth.
    let finer = |a: u32, b: u32| a == b || a == 0 || (b != 0 && a > b);
    let per = wide
        .per
        .iter()
        .all(|w| narrow.per.iter().any(|n| n.dimension == w.dimension && finer(n.level, w.level)));
    let conditions = wide.conditions.iter().all(|w| {
        let dimension = &set.dimensions[w.dimension as usize];
        let of_same = narrow.conditions.iter().filter(|n| n.dimension == w.dimension);
        of_same
            .into_iter()
            .any(|n| n.any_of.iter().all(|value| w.any_of.iter().any(|a| dimension.is_within(value, a))))
    });
    // What has no customer group, or no value at all of a dimension, has no counter of `wide`; nor has it one of
    // `narrow`, which is apart by the same dimension.
    scope && time && per && conditions
}

/// At every member.
fn never_binds(narrow: &Scheme, wide: &Scheme) -> bool {
    let line = |at: usize| match wide.scope() {
        Scope::Federation => wide.lines[0].hard_fen,
        Scope::Member => wide.lines[at].hard_fen,
    };
    narrow.lines.iter().enumerate().all(|(at, lines)| lines.hard_fen >= line(at))
}
