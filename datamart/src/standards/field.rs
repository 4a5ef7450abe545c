//! A field of a table, and the reading of `[[field]]`.

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;

use super::CodeList;
use crate::{
    Place, Problems, Type, Value,
    checks::Builtin,
    section::{At, Item, Section, nearest},
};

/// What a field is called, holds and must satisfy. Its checks are in [`crate::gate`].
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub zh: String,
    pub en: String,
    pub ty: Type,
    /// NULL breaks the rule `required`. Key fields, the event time and the known-at time always are.
    pub required: bool,
    /// Tokenised at the gate.
    pub personal: bool,
    /// Messages do not repeat its value: it is personal, or, while a file is loaded, made of a column that is.
    pub withheld: bool,
    /// What its tokens stand for: fields of one kind give one text the same token, whatever their names.
    /// `personal = "phone"` says it; else it is the first built-in check, else the field's name.
    pub kind: String,
    /// Fewest and most characters.
    pub length_min: Option<usize>,
    pub length_max: Option<usize>,
    /// Smallest and largest value, of the field's type.
    pub min: Option<Value>,
    pub max: Option<Value>,
    /// The whole value must match.
    pub pattern: Option<Pattern>,
    pub codes: Option<Arc<CodeList>>,
    pub checks: Vec<Builtin>,
    /// Taken when a source gives nothing.
    pub default: Option<Value>,
    pub place: Place,
}

/// A regular expression for whole values, with the text that it was given as.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub text: String,
    pub regex: Regex,
}

impl Field {
    /// The field `member`, which every table has by itself.
    pub(super) fn member(place: Place) -> Self {
        Self {
            name: "member".into(),
            zh: "法人行社".into(),
            en: "member".into(),
            ty: Type::Utf8,
            required: true,
            personal: false,
            withheld: false,
            kind: "member".into(),
            length_min: None,
            length_max: None,
            min: None,
            max: None,
            pattern: None,
            codes: None,
            checks: Vec::new(),
            default: None,
            place,
        }
    }

    /// Reads one `[[field]]`. None if it has no usable name or type; lesser problems leave a field, so that
    /// what refers to it is checked too.
    pub(super) fn read(
        section: Section<'_>,
        codes: &BTreeMap<String, Arc<CodeList>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let place = section.place();
        let name = section.need_text("name", problems);
        if let Some(name) = &name {
            check_name("field", name, problems);
        }
        let zh = section.need_text("zh", problems);
        let en = section.need_text("en", problems);
        let ty = section.need_text("type", problems).and_then(|t| read_type(&t, problems));
        let required = section.boolean("required", problems).is_some_and(|b| b.value);
        let personal = section.item("personal");
        let length_min = section.integer("length_min", problems).and_then(|l| length(l, problems));
        let length_max = section.integer("length_max", problems).and_then(|l| length(l, problems));
        let (min, max, default) = (section.item("min"), section.item("max"), section.item("default"));
        let pattern = section.text("pattern", problems).and_then(|p| read_pattern(&p, problems));
        let inline = section.item("codes");
        let list = section.text("code_list", problems);
        let checks = section.texts("checks", problems);
        section.finish(problems);
        let (name, ty) = (name?.value, ty?);

        let mut text_only = |key: &str, given: Option<Place>| {
            if let Some(place) = given.filter(|_| ty != Type::Utf8) {
                problems.push(place.problem(
                    format!("`{key}` is for fields of type utf8; `{name}` is {ty}"),
                    format!("remove `{key}`, or make the type \"utf8\""),
                ));
            }
        };
        text_only("length_min", length_min.as_ref().map(|l| l.place.clone()));
        text_only("length_max", length_max.as_ref().map(|l| l.place.clone()));
        text_only("pattern", pattern.as_ref().map(|p| p.place.clone()));
        text_only("codes", inline.as_ref().map(Item::place));
        text_only("code_list", list.as_ref().map(|l| l.place.clone()));
        text_only("checks", checks.first().map(|c| c.place.clone()));
        if let (Some(low), Some(high)) = (&length_min, &length_max)
            && low.value > high.value
        {
            problems.push(high.place.problem(
                format!("length_max {} is below length_min {}", high.value, low.value),
                "exchange the two",
            ));
        }

        let bounds = [min, max].map(|bound| bound.and_then(|b| read_bound(&name, ty, &b, problems)));
        let [min, max] = bounds;
        if let (Some(low), Some(high)) = (&min, &max)
            && crate::gate::order(&low.value, &high.value) == Some(std::cmp::Ordering::Greater)
        {
            problems.push(
                high.place
                    .problem(format!("max {} is below min {}", high.value, low.value), "exchange the two"),
            );
        }
        let checks: Vec<Builtin> = checks.iter().filter_map(|check| read_check(check, problems)).collect();
        let codes = match (inline, list) {
            (Some(_), Some(list)) => {
                problems.push(list.place.problem(
                    "a field has `codes` and `code_list`",
                    "keep one: codes inline, or the name of a file in standards/codes",
                ));
                None
            }
            (Some(item), None) => {
                item.section(problems).map(|section| Arc::new(CodeList::inline(&name, section, problems)))
            }
            (None, Some(list)) => find_list(&list, codes, problems),
            (None, None) => None,
        };
        let (personal, kind) = match personal {
            Some(item) => read_personal(&name, ty, &item, problems),
            None => (false, None),
        };
        let kind =
            kind.or_else(|| checks.first().map(|c| c.name().to_owned())).unwrap_or_else(|| name.clone());
        let default = default.and_then(|item| item.value(ty, problems));
        let field = Self {
            zh: zh.map_or_else(String::new, |t| t.value),
            en: en.map_or_else(String::new, |t| t.value),
            ty,
            required,
            personal,
            withheld: personal,
            kind,
            length_min: length_min.map(|l| l.value),
            length_max: length_max.map(|l| l.value),
            min: min.map(|b| b.value),
            max: max.map(|b| b.value),
            pattern: pattern.map(|p| p.value),
            codes,
            checks,
            default: default.as_ref().map(|d| d.value.clone()),
            place,
            name,
        };
        if let Some(default) = default {
            for broken in field.check(default.value.as_ref()) {
                problems.push(default.place.problem(
                    format!(
                        "the default of `{}` breaks its own rule {}: {}",
                        field.name, broken.rule, broken.message
                    ),
                    "give a default that the gate lets through",
                ));
            }
        }
        Some(field)
    }
}

/// A name is `[a-z][a-z0-9_]*`: it is a name in SQL and of a folder, without quotes.
pub(super) fn check_name(what: &str, name: &At<String>, problems: &mut Problems) {
    let mut bytes = name.value.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
    if !first || !bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        problems.push(name.place.problem(
            format!("`{}` is no name for a {what}", name.value),
            "use lower-case letters, digits and _, starting with a letter",
        ));
    }
}

fn read_type(text: &At<String>, problems: &mut Problems) -> Option<Type> {
    const TYPES: [(&str, Type); 6] = [
        ("boolean", Type::Boolean),
        ("int64", Type::Int64),
        ("float64", Type::Float64),
        ("utf8", Type::Utf8),
        ("date32", Type::Date32),
        ("timestamp", Type::Timestamp),
    ];
    let found = TYPES.iter().find(|t| t.0 == text.value).map(|t| t.1);
    if found.is_none() {
        problems.push(text.place.problem(
            format!("`{}` is no type", text.value),
            "use boolean, int64, float64, utf8, date32 or timestamp",
        ));
    }
    found
}

fn length(length: At<i64>, problems: &mut Problems) -> Option<At<usize>> {
    match usize::try_from(length.value) {
        Ok(value) => Some(At { value, place: length.place }),
        Err(_) => {
            problems
                .push(length.place.problem("a length is negative", "give a length of 0 or more characters"));
            None
        }
    }
}

fn read_pattern(text: &At<String>, problems: &mut Problems) -> Option<At<Pattern>> {
    match Regex::new(&format!("^(?:{})$", text.value)) {
        Ok(regex) => {
            let pattern = Pattern { text: text.value.clone(), regex };
            Some(At { value: pattern, place: text.place.clone() })
        }
        Err(e) => {
            let why = e.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            problems.push(text.place.problem(
                format!("the pattern `{}` is no regular expression: {why}", text.value),
                "correct it (syntax of the Rust crate regex); in TOML, write it in single quotes",
            ));
            None
        }
    }
}

fn read_bound(name: &str, ty: Type, item: &Item<'_>, problems: &mut Problems) -> Option<At<Value>> {
    if matches!(ty, Type::Boolean | Type::Utf8) {
        problems.push(item.place().problem(
            format!("`min` and `max` are for numbers, dates and timestamps; `{name}` is {ty}"),
            "remove it; for texts use length_min, length_max, pattern or codes",
        ));
        return None;
    }
    item.value(ty, problems)
}

fn read_check(name: &At<String>, problems: &mut Problems) -> Option<Builtin> {
    let found = Builtin::named(&name.value);
    if found.is_none() {
        let known = Builtin::ALL.map(Builtin::name);
        let fix = match nearest(&name.value, &known) {
            Some(near) => format!("did you mean `{near}`? Built in are {}", known.join(", ")),
            None => format!("built in are {}", known.join(", ")),
        };
        problems.push(name.place.problem(format!("unknown check `{}`", name.value), fix));
    }
    found
}

fn find_list(
    name: &At<String>,
    codes: &BTreeMap<String, Arc<CodeList>>,
    problems: &mut Problems,
) -> Option<Arc<CodeList>> {
    let found = codes.get(&name.value).cloned();
    if found.is_none() {
        let known: Vec<&str> = codes.keys().map(String::as_str).collect();
        let fix = match nearest(&name.value, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write standards/codes/{}.csv with the columns code, zh, en", name.value),
        };
        problems.push(name.place.problem(format!("there is no code list `{}`", name.value), fix));
    }
    // One that could not be read has been reported.
    found.filter(|list| !list.codes().is_empty())
}

/// `personal = true`, or `personal = "<kind>"`.
fn read_personal(name: &str, ty: Type, item: &Item<'_>, problems: &mut Problems) -> (bool, Option<String>) {
    let (personal, kind) = if item.is_text() {
        let kind = item.text(problems);
        if let Some(kind) = &kind {
            check_name("kind of personal text", kind, problems);
        }
        (true, kind.map(|k| k.value))
    } else {
        (item.boolean(problems).is_some_and(|b| b.value), None)
    };
    if personal && ty != Type::Utf8 {
        problems.push(item.place().problem(
            format!("only texts can be tokenised; `{name}` is {ty}"),
            "make the type \"utf8\", or leave the field out of the datamart",
        ));
        return (false, None);
    }
    (personal, kind)
}
