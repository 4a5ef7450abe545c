//! The gate for one value of one field.

use super::{Broken, order_refs, parse, rules};
use crate::{Type, Value, ValueRef, standards::Field};

impl Field {
    /// Every rule that a value of this field breaks; none means that the gate lets it through.
    pub fn check(&self, value: ValueRef<'_>) -> Vec<Broken> {
        let mut broken = Vec::new();
        match value {
            ValueRef::Null if self.required => broken.push(self.missing()),
            ValueRef::Null => {}
            _ if value.type_of() != Some(self.ty) => broken.push(self.broken(rules::TYPE, || {
                let is = value.type_of().map_or_else(String::new, |t| t.to_string());
                format!("the value is {is}, not {}", self.ty)
            })),
            ValueRef::Utf8(text) => self.check_text(text, &mut broken),
            _ => self.check_range(value, &mut broken),
        }
        broken
    }

    /// Text as a value of this field, with dates and times in ISO 8601; blanks at both ends do not count, and
    /// nothing is NULL. The value is not yet checked.
    pub fn parse<'t>(&self, text: &'t str) -> Result<ValueRef<'t>, Broken> {
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Ok(ValueRef::Null);
        }
        let value = match self.ty {
            Type::Boolean => parse::boolean(text).map(ValueRef::Boolean),
            Type::Int64 => parse::int64(text).map(ValueRef::Int64),
            Type::Float64 => parse::float64(text).map(ValueRef::Float64),
            Type::Utf8 => Some(ValueRef::Utf8(text)),
            Type::Date32 => parse::date32(text).map(ValueRef::Date32),
            Type::Timestamp => parse::timestamp(text).map(ValueRef::Timestamp),
        };
        value.ok_or_else(|| self.not_of_type(text))
    }

    /// Lets a text through, or says every rule that it breaks.
    pub(crate) fn check_text(&self, text: &str, broken: &mut Vec<Broken>) {
        if self.length_min.is_some() || self.length_max.is_some() {
            // A text has no more characters than bytes, so most need no counting.
            let long = self.length_max.is_some_and(|max| text.len() > max && text.chars().count() > max);
            let short = self.length_min.is_some_and(|min| text.len() < min || text.chars().count() < min);
            if long || short {
                broken.push(self.broken(rules::LENGTH, || {
                    let allowed = match (self.length_min, self.length_max) {
                        (Some(min), Some(max)) if min == max => format!("{min}"),
                        (Some(min), Some(max)) => format!("{min} to {max}"),
                        (Some(min), None) => format!("{min} or more"),
                        (None, max) => format!("at most {}", max.unwrap_or_default()),
                    };
                    format!("{} characters, allowed are {allowed}", text.chars().count())
                }));
            }
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|p| !p.regex.is_match(text)) {
            broken.push(
                self.broken(rules::PATTERN, || {
                    format!("{} does not match {}", self.quoted(text), pattern.text)
                }),
            );
        }
        if self.codes.as_ref().is_some_and(|codes| codes.get(text).is_none()) {
            broken
                .push(self.broken(rules::CODES, || format!("{} is not in the code list", self.quoted(text))));
        }
        for check in &self.checks {
            if let Err(why) = check.check(text) {
                broken.push(self.broken(check.name(), || why.into()));
            }
        }
    }

    /// Lets a number, a date or a time through, or says that it is out of range. What is no finite number is out
    /// of every range, and comparisons do not tell; what no calendar has cannot even be written down.
    pub(crate) fn check_range(&self, value: ValueRef<'_>, broken: &mut Vec<Broken>) {
        match value {
            ValueRef::Float64(x) if !x.is_finite() => {
                broken.push(self.broken(rules::TYPE, || format!("{x} is not a finite number")));
                return;
            }
            value if !value.is_of_calendar() => {
                broken.push(self.not_of_calendar(value));
                return;
            }
            _ => {}
        }
        let below = |min: &&Value| order_refs(value, min.as_ref()).is_some_and(|o| o.is_lt());
        let above = |max: &&Value| order_refs(value, max.as_ref()).is_some_and(|o| o.is_gt());
        if let Some(min) = self.min.as_ref().filter(below) {
            broken.push(self.broken(rules::RANGE, || format!("{} is below {min}", self.shown(value))));
        }
        if let Some(max) = self.max.as_ref().filter(above) {
            broken.push(self.broken(rules::RANGE, || format!("{} is above {max}", self.shown(value))));
        }
    }

    /// A text of this field, or of what it is made of, as a message may have it.
    pub(crate) fn quoted(&self, text: &str) -> String {
        if self.withheld { "the value".into() } else { format!("\"{}\"", shorten(text)) }
    }

    /// A value of it, as a message may have it.
    pub(crate) fn shown(&self, value: ValueRef<'_>) -> String {
        if self.withheld { "the value".into() } else { value.to_value().to_string() }
    }

    pub(crate) fn missing(&self) -> Broken {
        self.broken(rules::REQUIRED, || "there is no value".into())
    }

    pub(crate) fn not_of_type(&self, text: &str) -> Broken {
        let what = match self.ty {
            Type::Boolean => "true or false",
            Type::Int64 => "a whole number",
            Type::Float64 => "a finite number",
            Type::Utf8 => "a text",
            Type::Date32 => "a date",
            Type::Timestamp => "a time",
        };
        self.broken(rules::TYPE, || format!("{} is not {what}", self.quoted(text)))
    }

    /// For a date or a time that no calendar has.
    pub(crate) fn not_of_calendar(&self, value: ValueRef<'_>) -> Broken {
        self.broken(rules::TYPE, || format!("{} is not of the years 0 to 9999", self.shown(value)))
    }

    pub(crate) fn broken(&self, rule: &str, what: impl FnOnce() -> String) -> Broken {
        Broken { rule: rule.to_owned(), message: format!("{}: {}", self.name, what()) }
    }
}

/// Enough of a text to find it by.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
