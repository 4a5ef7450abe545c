//! Every value that a table or a scorecard can look at, as an integer *key*.
//!
//! ```text
//!   boolean  false, true          → 0, 1
//!   int64    i                    → i
//!   float64  x                    → its rank among the floats (−0 and +0 have one rank)
//!   date32   day                  → day          timestamp  µs → µs
//!   utf8     a text that is named → its number   any other text → −1
//! ```
//!
//! The map keeps order, so every cell that an analyst can write (`A|B`, `[0,10)`, `>=5`) is a set of
//! closed ranges of keys, matching is two integer comparisons, and what a table covers can be worked
//! out exactly: `[0,9]` and `[10,20]` meet for int64 and leave a gap for float64.

use hashbrown::HashMap;
use tarim_datamart::{Type, Value, value::date};
use tarim_features::expr::{Answers, ExprId, OTHER_TEXT};

/// What values a column of cells can meet.
#[derive(Clone, Debug)]
pub struct Domain {
    ty: Type,
    /// Texts that are named, in order of first naming; a text's key is its index.
    texts: Vec<String>,
    keys: HashMap<String, i64>,
    /// What is known of the texts that can occur.
    texts_known: Known,
}

/// What is known of the texts that can occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Nothing,
    /// The first so many of the domain, and no others: a cell that names another is a slip.
    All(usize),
    /// The first so many of the domain; a cell may be there for others to come.
    Now(usize),
}

impl Domain {
    /// All values of a type.
    pub fn new(ty: Type) -> Self {
        Self { ty, texts: Vec::new(), keys: HashMap::new(), texts_known: Known::Nothing }
    }

    /// The texts given, and no others: the codes of a field, the grades of a scorecard.
    pub fn of_texts(texts: Vec<String>) -> Self {
        Self { texts_known: Known::All(texts.len()), ..Self::named(texts) }
    }

    /// The texts given are those that can occur as things are; cells may name others: members' regions.
    pub fn of_texts_now(texts: Vec<String>) -> Self {
        Self { texts_known: Known::Now(texts.len()), ..Self::named(texts) }
    }

    fn named(texts: Vec<String>) -> Self {
        let keys = texts.iter().cloned().zip(0..).collect();
        Self { ty: Type::Utf8, texts, keys, texts_known: Known::Nothing }
    }

    pub fn ty(&self) -> Type {
        self.ty
    }

    /// True when every text that can occur is known beforehand.
    pub fn is_closed(&self) -> bool {
        self.texts_known != Known::Nothing
    }

    /// First and last key that a value can have.
    pub fn bounds(&self) -> (i64, i64) {
        match self.ty {
            Type::Boolean => (0, 1),
            Type::Float64 => (float_key(f64::NEG_INFINITY), float_key(f64::INFINITY)),
            Type::Utf8 => match self.texts_known {
                Known::Nothing => (OTHER_TEXT, self.texts.len() as i64 - 1),
                Known::All(n) | Known::Now(n) => (0, n as i64 - 1),
            },
            Type::Date32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
            Type::Int64 | Type::Timestamp => (i64::MIN, i64::MAX),
        }
    }

    /// Key of a text.
    pub fn text_key(&self, text: &str) -> i64 {
        self.keys.get(text).copied().unwrap_or(OTHER_TEXT)
    }

    /// Key of a text that a cell names; None if it can never occur.
    pub fn name_text(&mut self, text: &str) -> Option<i64> {
        match self.text_key(text) {
            OTHER_TEXT if matches!(self.texts_known, Known::All(_)) => None,
            OTHER_TEXT => {
                let key = self.texts.len() as i64;
                self.texts.push(text.to_owned());
                self.keys.insert(text.to_owned(), key);
                Some(key)
            }
            key => Some(key),
        }
    }

    /// The texts that are named.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Key of a value; None when it is unknown (NULL or NaN).
    pub fn key(&self, value: &Value) -> Option<i64> {
        match value {
            Value::Null => None,
            Value::Boolean(b) => Some(i64::from(*b)),
            Value::Int64(i) => Some(*i),
            Value::Float64(x) => known_float_key(*x),
            Value::Utf8(s) => Some(self.text_key(s)),
            Value::Date32(d) => Some(i64::from(*d)),
            Value::Timestamp(t) => Some(*t),
        }
    }

    /// Key of what an expression says; None when it is unknown.
    #[inline(always)]
    pub fn ask(&self, answers: &impl Answers, id: ExprId) -> Option<i64> {
        match answers.integer(id) {
            Some(key) => key,
            None => self.ask_by_type(answers, id),
        }
    }

    #[inline(never)]
    fn ask_by_type(&self, answers: &impl Answers, id: ExprId) -> Option<i64> {
        match self.ty {
            Type::Boolean => answers.truth(id).map(i64::from),
            Type::Int64 => answers.int(id),
            Type::Float64 => answers.float(id).and_then(known_float_key),
            Type::Utf8 => answers.text_key(id, |text| self.text_key(text)),
            Type::Date32 => answers.date(id).map(i64::from),
            Type::Timestamp => answers.timestamp(id),
        }
    }

    /// A range of keys, for people: `[0, 10)`, `A or B`, `any other text`.
    pub fn describe(&self, first: i64, last: i64) -> String {
        let (min, max) = self.bounds();
        match self.ty {
            Type::Boolean if first != last => "true or false".into(),
            Type::Boolean => (first == 1).to_string(),
            Type::Utf8 => (first..=last)
                .map(|k| usize::try_from(k).map_or("any other text", |i| self.texts[i].as_str()))
                .collect::<Vec<_>>()
                .join(" or "),
            // The successor of a float has no short name, so its ranges are half open.
            Type::Float64 => {
                let (open, from) = boundary(first);
                let (shut, to) = boundary(last.saturating_add(1));
                match (first == min, last == max) {
                    (true, true) => "any number".into(),
                    (true, false) => format!("{} {to}", if shut { "<=" } else { "<" }),
                    (false, true) => format!("{} {from}", if open { ">" } else { ">=" }),
                    (false, false) if first == last => self.one(first),
                    (false, false) => {
                        format!("{}{from},{to}{}", if open { "(" } else { "[" }, if shut { "]" } else { ")" })
                    }
                }
            }
            _ => match (first == min, last == max) {
                (true, true) => "any value".into(),
                (true, false) => format!("<= {}", self.one(last)),
                (false, true) => format!(">= {}", self.one(first)),
                (false, false) if first == last => self.one(first),
                (false, false) => format!("[{},{}]", self.one(first), self.one(last)),
            },
        }
    }

    fn one(&self, key: i64) -> String {
        match self.ty {
            Type::Float64 => key_float(key).to_string(),
            Type::Date32 => match i32::try_from(key).ok().and_then(date) {
                Some(d) => d.to_string(),
                None => format!("day {key}"),
            },
            Type::Timestamp => Value::Timestamp(key).to_string(),
            _ => key.to_string(),
        }
    }
}

/// Names the point just before `key`, preferring the float of fewer digits: (is it after the float?, the float).
fn boundary(key: i64) -> (bool, f64) {
    let (at, before) = (key_float(key), key_float(key.saturating_sub(1)));
    if before.to_string().len() < at.to_string().len() { (true, before) } else { (false, at) }
}

/// Rank of a float: monotone, and one for both zeros. NaN has none.
pub fn known_float_key(x: f64) -> Option<i64> {
    (!x.is_nan()).then(|| float_key(x))
}

fn float_key(x: f64) -> i64 {
    let bits = x.to_bits() as i64;
    let magnitude = bits & i64::MAX;
    if bits < 0 { -magnitude } else { magnitude }
}

fn key_float(key: i64) -> f64 {
    let magnitude = f64::from_bits(key.unsigned_abs());
    if key < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_keys_keep_order_and_come_back() {
        let floats =
            [f64::NEG_INFINITY, -1e300, -1.5, -f64::MIN_POSITIVE, 0.0, 5e-324, 1.0, 1.5, f64::INFINITY];
        for pair in floats.windows(2) {
            assert!(float_key(pair[0]) < float_key(pair[1]), "{pair:?}");
        }
        for x in floats {
            assert_eq!(key_float(float_key(x)), x);
        }
        assert_eq!(float_key(-0.0), float_key(0.0));
        assert_eq!(known_float_key(f64::NAN), None);
    }

    #[test]
    fn ranges_read_as_an_analyst_would_write_them() {
        let floats = Domain::new(Type::Float64);
        let (min, max) = floats.bounds();
        assert_eq!(floats.describe(min, float_key(0.0) - 1), "< 0");
        assert_eq!(floats.describe(min, float_key(0.0)), "<= 0");
        assert_eq!(floats.describe(float_key(10.0) + 1, max), "> 10");
        assert_eq!(floats.describe(float_key(0.1), float_key(0.3) - 1), "[0.1,0.3)");
        let mut texts = Domain::new(Type::Utf8);
        texts.name_text("A");
        assert_eq!(texts.describe(-1, 0), "any other text or A");
    }
}
