//! The values that a feature may have: `range` and `codes`.

use tarim_datamart::{At, Item, Problems, Section, Type, Value};

/// The keys as they stand in a section.
pub struct Items<'d> {
    range: Option<Item<'d>>,
    codes: Option<Item<'d>>,
}

/// What they say.
pub struct Bounds {
    /// Least and greatest value, both included; of a date in days since 1970-01-01.
    pub range: Option<(i64, i64)>,
    /// All values; empty: any.
    pub codes: Vec<String>,
}

impl<'d> Items<'d> {
    pub fn of(section: &Section<'d>) -> Self {
        Self { range: section.item("range"), codes: section.item("codes") }
    }

    /// Reads them for a feature of a type, whose default must be within them.
    pub fn read(self, ty: Type, default: Option<&At<Value>>, problems: &mut Problems) -> Bounds {
        let range = self.range.and_then(|item| range(&item, ty, problems));
        let codes = self.codes.map_or_else(Vec::new, |item| codes(&item, ty, problems));
        if let (Some(At { value, place }), Some((low, high))) = (default, &range)
            && number(value).is_some_and(|n| Some(n) < number(low) || Some(n) > number(high))
        {
            problems.push(place.problem(
                format!("the default {value} is outside the range {low} to {high}"),
                "widen the range, or choose a default inside it",
            ));
        }
        if let Some(At { value: Value::Utf8(text), place }) = default
            && !(codes.is_empty() || codes.contains(text))
        {
            problems.push(place.problem(
                format!("the default {text:?} is none of the codes"),
                "add it to the codes, or choose one of them",
            ));
        }
        let range = range.and_then(|(low, high)| Some((number(&low)?, number(&high)?)));
        Bounds { range, codes }
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int64(i) => Some(*i),
        Value::Date32(days) => Some(i64::from(*days)),
        _ => None,
    }
}

fn range(item: &Item<'_>, ty: Type, problems: &mut Problems) -> Option<(Value, Value)> {
    if !matches!(ty, Type::Int64 | Type::Date32) {
        let what = format!("`range` is for int64 and date32 features; this one is {ty}");
        problems.push(item.place().problem(what, "remove `range`"));
        return None;
    }
    let ends: Vec<Value> =
        item.items(problems).iter().filter_map(|end| end.value(ty, problems)).map(|end| end.value).collect();
    match &ends[..] {
        [low, high] if number(low) <= number(high) => Some((low.clone(), high.clone())),
        _ => {
            let (what, fix) = match ty {
                Type::Date32 => (
                    "a range is two dates, the earlier first",
                    "write `range = [\"2000-01-01\", \"2099-12-31\"]`; both ends are included",
                ),
                _ => (
                    "a range is two integers, the lower first",
                    "write `range = [0, 100]`; both ends are included",
                ),
            };
            problems.push(item.place().problem(what, fix));
            None
        }
    }
}

fn codes(item: &Item<'_>, ty: Type, problems: &mut Problems) -> Vec<String> {
    if ty != Type::Utf8 {
        let what = format!("`codes` is for utf8 features; this one is {ty}");
        problems.push(item.place().problem(what, "remove `codes`"));
        return Vec::new();
    }
    let mut codes: Vec<String> = Vec::new();
    for At { value, place } in item.texts(problems) {
        if codes.contains(&value) {
            problems.push(place.problem(format!("the code {value:?} stands twice"), "remove one of them"));
        } else {
            codes.push(value);
        }
    }
    if item.is_empty_list() {
        problems.push(item.place().problem("there are no codes", "name them, or remove `codes`"));
    }
    codes
}
