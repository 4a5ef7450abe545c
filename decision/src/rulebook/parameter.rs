//! Parameters: named constants of the federation or a product, and how far a member may move them.

use tarim_datamart::{At, Item, Place, Problems, Section, Type, Value, gate::order};
use tarim_models::keys::texts;

use super::text::check_name;

/// A parameter with the federation's value.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    pub zh: String,
    pub en: String,
    pub ty: Type,
    pub value: Value,
    pub bounds: Bounds,
    pub place: Place,
}

/// How far a member may move a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Bounds {
    /// Not opened to members.
    Closed,
    /// From the first to the second, both included.
    Range(Value, Value),
    Choices(Vec<String>),
}

/// Reads the `[parameter.*]` of a file.
pub fn read(root: &Section<'_>, problems: &mut Problems) -> Vec<Parameter> {
    let Some(all) = root.section("parameter", problems) else { return Vec::new() };
    let entries = all.entries();
    entries
        .filter_map(|(name, item)| one(name.map(str::to_owned), item.section(problems)?, problems))
        .collect()
}

fn one(name: At<String>, section: Section<'_>, problems: &mut Problems) -> Option<Parameter> {
    check_name(&name, problems);
    let what = format!("parameter `{}`", name.value);
    let texts = texts(&section, &what, problems);
    let value = section.need("value", problems).and_then(|item| any_value(&item, problems));
    let ty = value.as_ref().and_then(|v| v.value.type_of());
    let bounds = bounds(&section, &name, ty, problems);
    section.finish(problems);
    let ((zh, en), value, ty, bounds) = (texts?, value?, ty?, bounds?);
    let parameter = Parameter { name: name.value, zh, en, ty, value: value.value, bounds, place: name.place };
    if parameter.bounds != Bounds::Closed
        && let Err(why) = parameter.admits(&parameter.value)
    {
        let what = format!("the federation's own value of `{}` is {why}", parameter.name);
        problems.push(value.place.problem(what, "move the value or its bounds"));
    }
    Some(parameter)
}

/// Reads min and max, or choices. None if they make no sense; then there is a problem.
fn bounds(
    section: &Section<'_>,
    name: &At<String>,
    ty: Option<Type>,
    problems: &mut Problems,
) -> Option<Bounds> {
    let (min, max, choices) = (section.item("min"), section.item("max"), section.item("choices"));
    let ty = ty?;
    match (min, max, choices) {
        (None, None, None) => Some(Bounds::Closed),
        (Some(min), Some(_), None) if matches!(ty, Type::Utf8 | Type::Boolean) => {
            let fix = "use choices = [\"A\", \"B\"] for texts";
            problems.push(min.place().problem(format!("a {ty} has no range"), fix));
            None
        }
        (Some(min), Some(max), None) => {
            let (min, max) = (min.value(ty, problems), max.value(ty, problems));
            let (min, max) = (min?, max?);
            if order(&min.value, &max.value).is_some_and(|o| o.is_gt()) {
                problems.push(min.place.problem(
                    format!("the min of `{}` ({}) lies above its max ({})", name.value, min.value, max.value),
                    "exchange them, or correct one",
                ));
                return None;
            }
            Some(Bounds::Range(min.value, max.value))
        }
        (None, None, Some(choices)) if ty == Type::Utf8 => {
            Some(Bounds::Choices(choices.texts(problems).into_iter().map(|c| c.value).collect()))
        }
        (None, None, Some(choices)) => {
            let what = format!("choices are for texts, and this is a {ty}");
            problems.push(choices.place().problem(what, "use min and max"));
            None
        }
        _ => {
            problems.push(name.place.problem(
                format!("parameter `{}` has half a range", name.value),
                "give both min and max, or only choices, or none of them (then members may not move it)",
            ));
            None
        }
    }
}

/// A value of whichever type it is written in.
fn any_value(item: &Item<'_>, problems: &mut Problems) -> Option<At<Value>> {
    // Each type is asked for in turn; what they have against the others' values is not a problem.
    let types = [Type::Boolean, Type::Int64, Type::Float64, Type::Utf8, Type::Date32, Type::Timestamp];
    let found = types.iter().find_map(|ty| item.value(*ty, &mut Problems::default()));
    if found.is_none() {
        problems.push(item.place().problem(
            "this is no single value",
            "write true, a number, a text in quotes, a date or a UTC time",
        ));
    }
    found
}

impl Parameter {
    /// May a member set this value? The error completes "the value is …".
    pub fn admits(&self, value: &Value) -> Result<(), String> {
        match &self.bounds {
            Bounds::Closed => Err("not opened to members".into()),
            Bounds::Range(min, max) => {
                let not_below = order(min, value).is_some_and(|o| o.is_le());
                let not_above = order(value, max).is_some_and(|o| o.is_le());
                if not_below && not_above { Ok(()) } else { Err(format!("{value}, outside {min} to {max}")) }
            }
            Bounds::Choices(choices) => match value {
                Value::Utf8(text) if choices.contains(text) => Ok(()),
                _ => Err(format!("{value}, none of {}", choices.join(", "))),
            },
        }
    }
}
