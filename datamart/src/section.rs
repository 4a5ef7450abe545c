//! Reading a TOML text key by key, so that every problem in it is found, not the first.
//!
//! `serde` stops at the first mistake. A [`Section`] is one table of a text: the reader asks it for each
//! key that it knows, gets `None` with a [`Problem`](crate::Problem) where the value is missing or of the wrong type, goes on,
//! and at the end [`Section::finish`] names every key that nobody asked for.
//!
//! ```
//! # use std::path::Path;
//! # use tarim_datamart::{Document, Problems, SourceText};
//! let text = SourceText::new(Path::new("a.toml"), "[table]\nname = 'x'\ncolour = 'red'\n");
//! let document = Document::parse(&text).unwrap();
//! let mut problems = Problems::default();
//! let root = document.root();
//! let table = root.need_section("table", &mut problems).unwrap();
//! assert_eq!(table.need_text("name", &mut problems).unwrap().value, "x");
//! table.finish(&mut problems);
//! root.finish(&mut problems);
//! assert_eq!(problems.to_string().lines().next(), Some("a.toml:3: unknown key `colour` in [table]"));
//! ```

use std::{cell::RefCell, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Place, Problems, SourceText, Type, Value, gate::parse};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct At<T> {
    pub value: T,
    pub place: Place,
}

impl<T> At<T> {
    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { value: f(self.value), place: self.place }
    }
}

/// A parsed TOML text.
pub struct Document<'t> {
    text: &'t SourceText,
    root: Spanned<DeTable<'t>>,
}

impl<'t> Document<'t> {
    /// Parses the text; all syntax errors are reported.
    pub fn parse(text: &'t SourceText) -> Result<Self, Problems> {
        let (root, errors) = DeTable::parse_recoverable(text.text());
        let mut problems = Problems::default();
        for e in &errors {
            problems.push(text.place(e.span().map_or(0, |s| s.start)).problem(
                format!("this is not TOML: {}", e.message().trim()),
                "correct the TOML (RULEBOOK.md shows the form of each file)",
            ));
        }
        problems.or(Self { text, root })
    }

    /// The keys outside of any table.
    pub fn root(&self) -> Section<'_> {
        Section::new(self.text, self.root.get_ref(), 0, "the file".into())
    }
}

/// One table of a text, while it is read.
pub struct Section<'d> {
    text: &'d SourceText,
    table: &'d DeTable<'d>,
    start: usize,
    title: String,
    asked: RefCell<Vec<&'static str>>,
}

impl<'d> Section<'d> {
    fn new(text: &'d SourceText, table: &'d DeTable<'d>, start: usize, title: String) -> Self {
        Self { text, table, start, title, asked: RefCell::default() }
    }

    /// Where the section begins.
    pub fn place(&self) -> Place {
        self.text.place(self.start)
    }

    /// Every key with its value, for sections whose keys are names that the author chose.
    pub fn entries(&self) -> impl Iterator<Item = (At<&'d str>, Item<'d>)> {
        self.table.iter().map(|(key, value)| {
            let name: &str = key.get_ref();
            let item = Item { text: self.text, name: name.to_owned(), start: key.span().start, value };
            (At { value: name, place: item.place() }, item)
        })
    }

    /// Whether the section has the key.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The section's `name`, if it has one, without asking for it.
    pub(crate) fn name(&self) -> Option<String> {
        self.table.get("name")?.get_ref().as_str().map(str::to_owned)
    }

    /// The value of a key, of any type.
    pub fn item(&self, key: &'static str) -> Option<Item<'d>> {
        self.asked.borrow_mut().push(key);
        let (name, value) = self.table.get_key_value(key)?;
        Some(Item { text: self.text, name: key.to_owned(), start: name.span().start, value })
    }

    /// The value of a key that must be there.
    pub fn need(&self, key: &'static str, problems: &mut Problems) -> Option<Item<'d>> {
        let item = self.item(key);
        if item.is_none() {
            problems.push(self.place().problem(
                format!("{} lacks the key `{key}`", self.title),
                format!("add `{key} = …` (RULEBOOK.md shows an example)"),
            ));
        }
        item
    }

    /// A text.
    pub fn text(&self, key: &'static str, problems: &mut Problems) -> Option<At<String>> {
        self.item(key)?.text(problems)
    }

    /// A text that must be there.
    pub fn need_text(&self, key: &'static str, problems: &mut Problems) -> Option<At<String>> {
        self.need(key, problems)?.text(problems)
    }

    /// A boolean.
    pub fn boolean(&self, key: &'static str, problems: &mut Problems) -> Option<At<bool>> {
        self.item(key)?.boolean(problems)
    }

    /// An integer.
    pub fn integer(&self, key: &'static str, problems: &mut Problems) -> Option<At<i64>> {
        self.item(key)?.integer(problems)
    }

    /// A list of texts; empty when the key is absent.
    pub fn texts(&self, key: &'static str, problems: &mut Problems) -> Vec<At<String>> {
        self.item(key).map_or_else(Vec::new, |item| item.texts(problems))
    }

    /// A sub-table, `[key]`.
    pub fn section(&self, key: &'static str, problems: &mut Problems) -> Option<Section<'d>> {
        self.item(key)?.section(problems)
    }

    /// A sub-table that must be there.
    pub fn need_section(&self, key: &'static str, problems: &mut Problems) -> Option<Section<'d>> {
        self.need(key, problems)?.section(problems)
    }

    /// An array of tables, `[[key]]`; empty when there is none.
    pub fn sections(&self, key: &'static str, problems: &mut Problems) -> Vec<Section<'d>> {
        let Some(item) = self.item(key) else { return Vec::new() };
        let DeValue::Array(array) = item.value.get_ref() else {
            item.wrong_type(&format!("an array of tables, `[[{key}]]`"), problems);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for element in array.iter() {
            match element.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section::new(self.text, table, element.span().start, format!("[[{key}]]")))
                }
                _ => item.wrong_type(&format!("an array of tables, `[[{key}]]`"), problems),
            }
        }
        sections
    }

    /// Reports every key that was never asked for.
    pub fn finish(self, problems: &mut Problems) {
        let asked = self.asked.into_inner();
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if asked.contains(&name) {
                continue;
            }
            let fix = match nearest(name, &asked) {
                Some(near) => format!("remove it, or did you mean `{near}`?"),
                None => "remove it, or correct its spelling (RULEBOOK.md lists every key)".into(),
            };
            let place = self.text.place(key.span().start);
            problems.push(place.problem(format!("unknown key `{name}` in {}", self.title), fix));
        }
    }
}

/// The value of one key.
#[derive(Clone)]
pub struct Item<'d> {
    text: &'d SourceText,
    name: String,
    start: usize,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'d> Item<'d> {
    /// Where the key stands (of an element of a list: where the element stands).
    pub fn place(&self) -> Place {
        self.text.place(self.start)
    }

    fn at<T>(&self, value: T) -> At<T> {
        At { value, place: self.place() }
    }

    fn wrong_type(&self, wanted: &str, problems: &mut Problems) {
        let is = self.value.get_ref().type_str();
        let article = if is.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
        problems.push(self.place().problem(
            format!("`{}` is {article} {is}, not {wanted}", self.name),
            format!("write {wanted} (RULEBOOK.md shows an example)"),
        ));
    }

    /// Whether it is a text.
    pub fn is_text(&self) -> bool {
        self.value.get_ref().is_str()
    }

    /// Whether it is a table, inline or not.
    pub fn is_section(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// Whether it is a list without elements.
    pub fn is_empty_list(&self) -> bool {
        self.value.get_ref().as_array().is_some_and(|array| array.is_empty())
    }

    /// Whether it is TRUE or FALSE.
    pub fn is_boolean(&self) -> bool {
        self.value.get_ref().is_bool()
    }

    /// As a text.
    pub fn text(&self, problems: &mut Problems) -> Option<At<String>> {
        match self.value.get_ref() {
            DeValue::String(s) => Some(self.at(s.to_string())),
            _ => {
                self.wrong_type("a text in quotes", problems);
                None
            }
        }
    }

    /// As a boolean.
    pub fn boolean(&self, problems: &mut Problems) -> Option<At<bool>> {
        match self.value.get_ref() {
            DeValue::Boolean(b) => Some(self.at(*b)),
            _ => {
                self.wrong_type("true or false", problems);
                None
            }
        }
    }

    /// As an integer.
    pub fn integer(&self, problems: &mut Problems) -> Option<At<i64>> {
        let parsed = match self.value.get_ref() {
            DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).ok(),
            _ => None,
        };
        if parsed.is_none() {
            self.wrong_type("an integer", problems);
        }
        parsed.map(|i| self.at(i))
    }

    /// As a list of texts.
    pub fn texts(&self, problems: &mut Problems) -> Vec<At<String>> {
        self.items(problems).iter().filter_map(|item| item.text(problems)).collect()
    }

    /// As a list of values of any type.
    pub fn items(&self, problems: &mut Problems) -> Vec<Item<'d>> {
        let DeValue::Array(array) = self.value.get_ref() else {
            self.wrong_type("a list, `[…]`", problems);
            return Vec::new();
        };
        let element = |value: &'d Spanned<DeValue<'d>>| {
            let Range { start, .. } = value.span();
            Item { text: self.text, name: self.name.clone(), start, value }
        };
        array.iter().map(element).collect()
    }

    /// As a table.
    pub fn section(&self, problems: &mut Problems) -> Option<Section<'d>> {
        match self.value.get_ref() {
            DeValue::Table(table) => {
                let title = format!("[{}]", self.name);
                Some(Section::new(self.text, table, self.start, title))
            }
            _ => {
                self.wrong_type("a table", problems);
                None
            }
        }
    }

    /// As a value of `ty`: dates and timestamps are TOML's own or texts in ISO 8601, a float may be written
    /// as an integer.
    pub fn value(&self, ty: Type, problems: &mut Problems) -> Option<At<Value>> {
        let written = match (self.value.get_ref(), ty) {
            (DeValue::Boolean(b), Type::Boolean) => return Some(self.at(Value::Boolean(*b))),
            (DeValue::Integer(i), Type::Int64 | Type::Float64) if i.radix() == 10 => i.as_str().to_owned(),
            (DeValue::Float(f), Type::Float64) => f.as_str().to_owned(),
            (DeValue::String(s), Type::Utf8) => return Some(self.at(Value::Utf8(s.to_string()))),
            (DeValue::String(s), Type::Date32 | Type::Timestamp) => s.to_string(),
            (DeValue::Datetime(d), Type::Date32 | Type::Timestamp) => d.to_string(),
            _ => String::new(),
        };
        let parsed = parse::value(ty, &written).filter(|_| !written.is_empty());
        match parsed {
            Some(value) => return Some(self.at(value)),
            None if written.is_empty() => self.wrong_type(example_of(ty), problems),
            None => {
                let (name, wanted) = (&self.name, example_of(ty));
                let what = format!("`{name}` is {written}, which is not {wanted}");
                problems.push(self.place().problem(what, format!("write {wanted}")));
            }
        }
        None
    }
}

fn example_of(ty: Type) -> &'static str {
    match ty {
        Type::Boolean => "true or false",
        Type::Int64 => "an integer",
        Type::Float64 => "a number",
        Type::Utf8 => "a text in quotes",
        Type::Date32 => "a date such as \"2026-01-31\"",
        Type::Timestamp => "a time such as \"2026-01-31T10:00:00Z\"",
    }
}

/// The name among `known` that `name` is probably a misspelling of.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = name.chars().count() / 3 + 1;
    let best = known.iter().map(|k| (distance(name, k), *k)).min()?;
    (best.0 <= limit).then_some(best.1)
}

/// Levenshtein's edit distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
