//! Words of messages: SQL quoted, and what an unknown name may have meant.

use tarim_datamart::nearest;

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
    let known: Vec<&str> = known.into_iter().collect();
    nearest(word, &known).map(|n| format!("did you mean {n}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_be_meant_is_suggested() {
        let names = ["age", "agency", "monthly_income_fen"];
        assert_eq!(suggestion("agee", names).as_deref(), Some("did you mean age?"));
        assert_eq!(
            suggestion("monthly_incomes_fen", names).as_deref(),
            Some("did you mean monthly_income_fen?")
        );
        assert_eq!(suggestion("dpd", names), None);
    }
}
