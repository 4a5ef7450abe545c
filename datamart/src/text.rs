//! Text of a rulebook and what is wrong with it.
//!
//! Whoever reads a rulebook file reports [`Problem`]s, never the first only: an analyst mends ten
//! mistakes in one go. A problem names the file, the line, what is wrong, and how to fix it.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// One text file of a rulebook, with its path relative to the rulebook's root.
#[derive(Clone, Debug)]
pub struct SourceText {
    path: Arc<Path>,
    text: Arc<str>,
    /// Where lines begin, but for the first: whoever reads a file asks for the place of every value in it.
    lines: Arc<[usize]>,
}

impl SourceText {
    /// Reads `root/relative`. A file that is not UTF-8 is a problem, not a panic.
    pub fn read(root: &Path, relative: &Path) -> Result<Self, Problem> {
        let bytes = std::fs::read(root.join(relative)).map_err(|e| Problem {
            place: Place::file(relative),
            what: format!("cannot read the file: {e}"),
            fix: "create it, or correct the name and its permissions".into(),
        })?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let valid = e.utf8_error().valid_up_to();
            let line = e.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count() + 1;
            Problem {
                place: Place { file: relative.into(), line },
                what: "the file is not UTF-8".into(),
                fix: "save it as UTF-8 (a spreadsheet calls this \"CSV UTF-8\")".into(),
            }
        })?;
        // Spreadsheets write a byte-order mark; nobody means it as part of the first name.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Ok(Self::new(relative, &text))
    }

    /// A text that is already in memory, for tests and embedded rulebooks.
    pub fn new(path: &Path, text: &str) -> Self {
        let lines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { path: path.into(), text: text.into(), lines: lines.collect() }
    }

    /// Path relative to the rulebook's root.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of a byte offset, as a line counted from 1.
    pub fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|begins| *begins <= offset) + 1;
        Place { file: self.path.to_path_buf(), line }
    }

    /// Parses the whole text as TOML into `T`; errors carry the line.
    pub fn toml<T: serde::de::DeserializeOwned>(&self) -> Result<T, Problem> {
        toml::from_str(&self.text).map_err(|e| {
            let what = e.message().trim().to_owned();
            let fix = if what.contains("unknown field") {
                "remove the key or correct its spelling (RULEBOOK.md lists every key)"
            } else if what.contains("missing field") {
                "add the key (RULEBOOK.md shows an example)"
            } else {
                "correct the TOML (RULEBOOK.md shows the form of each file)"
            };
            Problem { place: self.place(e.span().map_or(0, |s| s.start)), what, fix: fix.into() }
        })
    }
}

/// Where in a rulebook: a file relative to its root and a line counted from 1 (0: the whole file).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
}

impl Place {
    /// The file as a whole.
    pub fn file(path: &Path) -> Self {
        Self { file: path.to_path_buf(), line: 0 }
    }

    /// A problem at this place.
    pub fn problem(&self, what: impl Into<String>, fix: impl Into<String>) -> Problem {
        Problem { place: self.clone(), what: what.into(), fix: fix.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// One thing wrong with a rulebook.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub place: Place,
    pub what: String,
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    fix: {}", self.place, self.what, self.fix)
    }
}

impl std::error::Error for Problem {}

/// Everything wrong with a rulebook, sorted by place. Empty means nothing is.
#[derive(Clone, Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, other: Problems) {
        self.0.extend(other.0);
    }

    /// Keeps the value of `result`, or its problem.
    pub fn take<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|p| self.push(p)).ok()
    }

    /// `value` if nothing is wrong, else all problems in order of place.
    pub fn or<T>(self, value: T) -> Result<T, Problems> {
        if self.0.is_empty() { Ok(value) } else { Err(self.in_order()) }
    }

    /// All of them in order of place, each once.
    pub fn in_order(mut self) -> Self {
        self.0.sort();
        self.0.dedup();
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for p in &self.0 {
            writeln!(f, "{p}")?;
        }
        write!(f, "{} problem{}", self.0.len(), if self.0.len() == 1 { "" } else { "s" })
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_line_of_its_offset() {
        for text in ["", "a", "\n", "a\nbc\n\nd", "表\n名\n"] {
            let source = SourceText::new(Path::new("x.toml"), text);
            for offset in 0..text.len() + 2 {
                let before = &text.as_bytes()[..offset.min(text.len())];
                let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
                assert_eq!(source.place(offset).line, line, "{text:?} at {offset}");
            }
        }
    }
}
