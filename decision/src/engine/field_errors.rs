//! What is wrong with a request: all of it at once, for whoever corrects one mistake a call would call as often.

use std::fmt;

use crate::rulebook::NoPlan;

/// Most errors that are told of one request.
pub const TOLD_MAX: usize = 16;
/// Most bytes of their texts: they go out as headers, for which clients have 8 KiB, in UTF-8 and escaped.
const BYTES_MAX: usize = 1024;
/// Most bytes of one name, which may be whatever was sent, and of what is said of it.
const NAME_MAX: usize = 96;
const MESSAGE_MAX: usize = 512;

/// What is wrong with one field of a request; the caller must correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// `member`, `product`, `application.<field>`, or `application` where a rule over several fields is broken.
    pub field: String,
    pub message: String,
}

impl FieldError {
    /// Of a field of the application.
    pub(super) fn of(field: &str, message: impl Into<String>) -> Self {
        Self { field: format!("application.{field}"), message: message.into() }
    }
}

impl From<NoPlan> for FieldError {
    fn from(e: NoPlan) -> Self {
        let field = match e {
            NoPlan::UnknownMember(_) => "member",
            NoPlan::UnknownProduct(_) | NoPlan::NotOffered { .. } => "product",
        };
        Self { field: field.into(), message: e.to_string() }
    }
}

/// Every field of a request that is wrong. Allocates nothing while there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    told: Vec<FieldError>,
    bytes: usize,
    more: usize,
}

impl FieldErrors {
    /// Adds one. Those that are not told any more are counted.
    pub(super) fn push(&mut self, error: impl FnOnce() -> FieldError) {
        if self.more > 0 || self.told.len() == TOLD_MAX {
            self.more += 1;
            return;
        }
        let FieldError { mut field, mut message } = error();
        shorten(&mut field, NAME_MAX);
        shorten(&mut message, MESSAGE_MAX);
        let bytes = self.bytes + field.len() + message.len();
        if bytes > BYTES_MAX {
            self.more += 1;
            return;
        }
        self.bytes = bytes;
        self.told.push(FieldError { field, message });
    }

    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Nothing, if nothing is wrong.
    pub(super) fn or_ok(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The first of them, each with its field.
    pub fn told(&self) -> &[FieldError] {
        &self.told
    }

    /// How many more there are.
    pub fn more(&self) -> usize {
        self.more
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.told.iter().enumerate() {
            write!(f, "{}{error}", if i == 0 { "" } else { "; " })?;
        }
        match self.more {
            0 => Ok(()),
            1 => write!(f, "; and 1 field more is wrong"),
            more => write!(f, "; and {more} fields more are wrong"),
        }
    }
}

impl std::error::Error for FieldErrors {}

fn shorten(text: &mut String, max: usize) {
    const CUT: &str = "…";
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - CUT.len()));
        text.push_str(CUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(count: usize, name: &str, message: &str) -> FieldErrors {
        let mut errors = FieldErrors::default();
        (0..count).for_each(|n| errors.push(|| FieldError::of(&format!("{n}{name}"), message)));
        errors
    }

    #[test]
    fn so_many_are_told_and_the_others_are_counted() {
        assert_eq!(FieldErrors::default().or_ok(), Ok(()));
        assert_eq!(errors(2, "a", "no").to_string(), "application.0a: no; application.1a: no");
        assert_eq!((errors(16, "a", "no").told().len(), errors(16, "a", "no").more()), (16, 0));
        let many = errors(20, "a", "no");
        assert_eq!((many.told().len(), many.more()), (TOLD_MAX, 4));
        assert!(many.to_string().ends_with("application.15a: no; and 4 fields more are wrong"), "{many}");
        assert!(errors(17, "a", "no").to_string().ends_with("; and 1 field more is wrong"));
    }

    #[test]
    fn whatever_is_sent_they_fit_into_headers() {
        for (name, message) in [("x", "号"), ("号", "x"), ("号", "号")] {
            let long = errors(30, &name.repeat(5000), &message.repeat(5000));
            assert!(!long.is_empty() && long.told().len() + long.more() == 30);
            let told: usize = long.told().iter().map(|e| e.field.len() + e.message.len()).sum();
            assert!(told <= BYTES_MAX && long.to_string().len() < BYTES_MAX + 100);
            assert!(long.told()[0].field.ends_with('…') && long.told()[0].message.ends_with('…'));
        }
    }
}
