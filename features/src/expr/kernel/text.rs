//! Functions of texts. What makes a text appends it to a buffer, so that nothing is allocated.

use std::fmt::Write;

use arrow::{
    compute::kernels::cast_utils::Parser,
    datatypes::{Float64Type, Int64Type},
};

/// `utf8 → utf8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextFn {
    Lower,
    Upper,
    /// Without white space at both ends.
    Trim,
}

impl TextFn {
    pub fn apply(self, text: &str, out: &mut String) {
        match self {
            // Whether Σ becomes σ or ς depends on its neighbours; only the standard library's allocating
            // function knows the rule. The one text function that allocates, and only for Greek.
            TextFn::Lower if text.contains('Σ') => out.push_str(&text.to_lowercase()),
            TextFn::Lower => out.extend(text.chars().flat_map(char::to_lowercase)),
            TextFn::Upper => out.extend(text.chars().flat_map(char::to_uppercase)),
            TextFn::Trim => out.push_str(text.trim()),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            TextFn::Lower => "lower",
            TextFn::Upper => "upper",
            TextFn::Trim => "trim",
        }
    }
}

/// `(utf8, utf8) → boolean`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

impl TextTest {
    pub fn apply(self, text: &str, part: &str) -> bool {
        match self {
            TextTest::StartsWith => text.starts_with(part),
            TextTest::EndsWith => text.ends_with(part),
            TextTest::Contains => text.contains(part),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            TextTest::StartsWith => "starts_with",
            TextTest::EndsWith => "ends_with",
            TextTest::Contains => "contains",
        }
    }
}

/// In characters (Unicode code points).
pub fn length(text: &str) -> i64 {
    text.chars().count() as i64
}

/// `count` characters from the `start`-th, counted from 1. As in PostgreSQL, characters before the first
/// count but are not there: `substr('abc', 0, 2)` is `'a'`. A negative count gives the empty text.
pub fn substr(text: &str, start: i64, count: i64) -> &str {
    let end = start.saturating_add(count.max(0));
    let skip = start.max(1) - 1;
    let take = end.saturating_sub(1).saturating_sub(skip).max(0);
    let offset = |text: &str, chars: i64| {
        usize::try_from(chars).ok().and_then(|n| text.char_indices().nth(n)).map_or(text.len(), |(at, _)| at)
    };
    let rest = &text[offset(text, skip)..];
    &rest[..offset(rest, take)]
}

/// A compiled LIKE pattern: `%` is any run of characters, `_` any one, `\` makes the next literal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LikePattern(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Literal(char),
    One,
    Any,
}

impl LikePattern {
    pub fn new(pattern: &str) -> Self {
        let mut pieces = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '%' => Piece::Any,
                '_' => Piece::One,
                // A backslash at the very end stands for itself.
                '\\' => Piece::Literal(chars.next().unwrap_or('\\')),
                c => Piece::Literal(c),
            });
        }
        pieces.dedup_by(|a, b| *a == Piece::Any && *b == Piece::Any);
        Self(pieces)
    }

    /// Whether the whole text matches. Backtracks to the last `%` only, which is enough: what an earlier
    /// `%` could take more of, the last one can take too.
    pub fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut at = 0;
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            match self.0.get(at) {
                Some(Piece::Any) => {
                    at += 1;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                Some(piece) => {
                    if let Some(c) = rest.next()
                        && (*piece == Piece::One || *piece == Piece::Literal(c))
                    {
                        at += 1;
                        continue;
                    }
                }
                None if rest.as_str().is_empty() => return true,
                None => {}
            }
            let Some((after, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            at = *after;
            rest = from.clone();
        }
    }
}

/// A decimal integer, white space around it allowed.
pub fn parse_int(text: &str) -> Option<i64> {
    Int64Type::parse(text)
}

/// A decimal number; NaN (NULL) if it is none.
pub fn parse_float(text: &str) -> f64 {
    Float64Type::parse(text).unwrap_or(f64::NAN)
}

/// true/false, t/f, yes/no, y/n, on/off, 1/0 in any case, white space around it allowed.
pub fn parse_boolean(text: &str) -> Option<bool> {
    let text = text.trim_ascii();
    let any = |words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    if any(&["true", "t", "yes", "y", "on", "1"]) {
        Some(true)
    } else if any(&["false", "f", "no", "n", "off", "0"]) {
        Some(false)
    } else {
        None
    }
}

pub fn write_boolean(value: bool, out: &mut String) {
    out.push_str(if value { "true" } else { "false" });
}

pub fn write_int(value: i64, out: &mut String) {
    write!(out, "{value}").expect("writing to a String succeeds");
}

/// The shortest text that reads back as the same number: `5.0`, `0.1`, `1e300`, `inf`.
pub fn write_float(value: f64, out: &mut String) {
    write!(out, "{value:?}").expect("writing to a String succeeds");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substrings() {
        for (start, count, expected) in [
            (1, 2, "贷a"),
            (2, 1, "a"),
            (0, 2, "贷"),
            (-5, 3, ""),
            (-5, i64::MAX, "贷a款"),
            (2, i64::MAX, "a款"),
            (2, -1, ""),
            (4, 1, ""),
            (i64::MIN, i64::MAX, ""),
            (i64::MAX, i64::MAX, ""),
            (i64::MIN, i64::MIN, ""),
        ] {
            assert_eq!(substr("贷a款", start, count), expected, "{start} {count}");
        }
    }

    #[test]
    fn like() {
        for (text, pattern, expected) in [
            ("", "", true),
            ("", "%", true),
            ("", "_", false),
            ("a", "", false),
            ("abc", "a%c", true),
            ("abcbc", "a%bc", true),
            ("abcbd", "a%bc", false),
            ("公积金贷", "公__贷", true),
            ("公积金贷", "%金%", true),
            ("50%", "50\\%", true),
            ("500", "50\\%", false),
            ("a\\", "a\\", true),
            ("a\nb", "a_b", true),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "%a%a%a%a%a%a%c", false),
        ] {
            assert_eq!(LikePattern::new(pattern).matches(text), expected, "{text:?} LIKE {pattern:?}");
        }
    }

    #[test]
    fn case_mapping_is_the_standard_library_s() {
        for text in ["ÀÉß", "ὈΔΥΣΣΕΎΣ Σ", "ﬃ", "İstanbul", "贷款ABC", "e\u{301}A", ""] {
            let (mut lower, mut upper) = (String::new(), String::new());
            TextFn::Lower.apply(text, &mut lower);
            TextFn::Upper.apply(text, &mut upper);
            assert_eq!((lower, upper), (text.to_lowercase(), text.to_uppercase()));
        }
    }
}
