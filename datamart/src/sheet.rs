//! What a spreadsheet saves in the place of a value that it could not compute.

use crate::{Place, Problem};

/// The errors of Excel and of what is like it, whatever its language.
const ERRORS: [&str; 9] =
    ["#REF!", "#N/A", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"];

/// Checks the cells of a row. An error that were read as a text would be a code, or a bin, that no value ever has.
pub fn computed<'c>(cells: impl IntoIterator<Item = &'c str>, place: &Place) -> Result<(), Problem> {
    match cells.into_iter().map(str::trim).find(|cell| is_error(cell)) {
        None => Ok(()),
        Some(cell) => Err(place.problem(
            format!("a cell is {cell}: the spreadsheet could not compute it"),
            "correct its formula, or write the value itself, and save the sheet again as CSV UTF-8",
        )),
    }
}

/// Also `Err:508`, as LibreOffice writes those that Excel has no name for.
fn is_error(cell: &str) -> bool {
    let numbered = |digits: &str| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
    ERRORS.contains(&cell) || cell.strip_prefix("Err:").is_some_and(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_texts_that_look_like_them() {
        let place = Place { file: "codes/x.csv".into(), line: 3 };
        for cell in ERRORS.into_iter().chain([" #N/A ", "Err:508"]) {
            let problem = computed(["01", cell, "car"], &place).unwrap_err().to_string();
            assert!(
                problem.starts_with("codes/x.csv:3: a cell is ") && problem.contains(cell.trim()),
                "{problem}"
            );
        }
        assert_eq!(computed(["#", "#1", "N/A", "REF", "Err:", "Err:5081", "#REF", ""], &place), Ok(()));
    }
}
