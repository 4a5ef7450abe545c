//! Words of messages: SQL quoted, and what an unknown name may have meant.

/// SQL text for a message, cut to a readable length.
pub(super) fn quote(sql: &(impl std::fmt::Display + ?Sized)) -> String {
    const LONGEST: usize = 90;
    let sql = sql.to_string();
    match sql.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("`{}…`", &sql[..at]),
        None => format!("`{sql}`"),
    }
}

/// A suggestion for an unknown word, as the end of a fix.
pub(super) fn suggestion<'c>(word: &str, known: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest(word, known).map(|n| format!("did you mean {n}?"))
}

/// The candidate closest to `name`, if it is close enough to be meant.
fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (name.chars().count() / 3).max(1);
    candidates.into_iter().map(|c| (distance(name, c), c)).filter(|(d, _)| *d <= limit).min().map(|(_, c)| c)
}

/// Fewest insertions, deletions and substitutions that turn `a` into `b` (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_be_meant_is_suggested() {
        let names = ["age", "agency", "monthly_income_fen"];
        assert_eq!(nearest("agee", names), Some("age"));
        assert_eq!(nearest("monthly_incomes_fen", names), Some("monthly_income_fen"));
        assert_eq!(nearest("dpd", names), None);
    }
}
