//! Reading `entities.toml` and view files: names, types and times, but not yet what the SQL means.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use tarim_datamart::{
    At, Document, Field, Place, Problems, Section, SourceText, Standards, Table, Type, Value, files_in,
    nearest,
};

use super::{Feature, Sql, bounds, span::parse_span};
use crate::entity::{Head, KNOWN};

/// Names that are taken, with the place that took them.
#[derive(Default)]
pub(crate) struct Names(HashMap<String, Place>);

/// Relations of expressions that are no entities.
const RELATIONS: [&str; 11] = [
    "application",
    "list",
    "warning",
    "param",
    "let",
    "limit",
    "rate",
    "member",
    "event",
    "window",
    "episode",
];

/// What a view file says, before its SQL is looked at.
pub(super) struct RawView {
    pub name: At<String>,
    pub entity: At<String>,
    pub zh: String,
    pub en: String,
    pub source: At<String>,
    pub key: Option<At<String>>,
    pub event_time: Option<At<String>>,
    pub known_at: Option<At<String>>,
    pub inclusive: bool,
    pub freshness_us: Option<i64>,
    pub timestamp: Option<Sql>,
    pub features: Vec<Feature>,
    pub place: Place,
}

/// Reads `entities.toml`.
pub(super) fn entities(text: &SourceText, standards: &Standards, problems: &mut Problems) -> Vec<Head> {
    let Some(document) = parse(text, problems) else { return Vec::new() };
    let root = document.root();
    let mut names = Names::default();
    let mut entities = Vec::new();
    for section in root.sections("entity", problems) {
        let place = section.place();
        let name = need_name(&section, "entity", &mut names, problems);
        let zh = section.need_text("zh", problems);
        let en = section.need_text("en", problems);
        let table = section.need_text("table", problems);
        let table = table.and_then(|t| table_of(&t, standards, problems));
        let key = section.need_text("key", problems);
        let application = section.need_text("application", problems);
        let event = section.text("event", problems);
        section.finish(problems);
        if let Some(name) = name.as_ref().filter(|n| RELATIONS.contains(&n.value.as_str())) {
            problems.push(name.place.problem(
                format!("`{}` cannot name an entity: expressions use it for something else", name.value),
                "choose another name",
            ));
        }
        if let (Some(table), Some(key)) = (table, &key) {
            key_field(table, key, problems);
        }
        if let (Some(applications), Some(field)) = (standards.table("applications"), &application) {
            key_field(applications, field, problems);
            if let (Some(table), Some(key)) = (table, &key) {
                same_tokens(&field.place, (applications, &field.value), (table, &key.value), problems);
            }
        }
        if let (Some(name), Some(zh), Some(en), Some(table), Some(key), Some(application)) =
            (name, zh, en, table, key, application)
        {
            entities.push(Head {
                name: name.value,
                zh: zh.value,
                en: en.value,
                table: table.name.clone(),
                key: key.value,
                application: application.value,
                event,
                place,
            });
        }
    }
    root.finish(problems);
    entities
}

/// Reads a view file.
pub(super) fn view(text: &SourceText, names: &mut Names, problems: &mut Problems) -> Option<RawView> {
    let document = parse(text, problems)?;
    let root = document.root();
    let section = root.need_section("view", problems);
    let view = section.and_then(|section| {
        let place = section.place();
        let name = need_name(&section, "view", names, problems);
        if let Some(name) = &name
            && text.path().file_stem().is_none_or(|stem| *stem != *name.value)
        {
            let file = text.path().file_name().unwrap_or_default().to_string_lossy();
            problems.push(name.place.problem(
                format!("the view `{}` stands in the file {file}", name.value),
                format!("name the file {}.toml, or the view as the file", name.value),
            ));
        }
        let entity = section.need_text("entity", problems);
        let zh = section.need_text("zh", problems);
        let en = section.need_text("en", problems);
        let source = section.need_text("source", problems);
        let key = section.text("key", problems);
        let event_time = section.text("event_time", problems);
        let known_at = section.text("known_at", problems);
        let before = section.text("before", problems);
        let inclusive =
            before.and_then(|b| choice(&b, &[("exclusive", false), ("inclusive", true)], problems));
        let freshness_us = section.text("freshness", problems).and_then(|f| parse_span(&f, problems));
        let timestamp = section.text("timestamp", problems).map(sql);
        section.finish(problems);
        Some(RawView {
            name: name?,
            entity: entity?,
            zh: zh?.value,
            en: en?.value,
            source: source?,
            key,
            event_time,
            known_at,
            inclusive: inclusive.unwrap_or(false),
            freshness_us,
            timestamp,
            features: Vec::new(),
            place,
        })
    });
    let sections = root.sections("feature", problems);
    if sections.is_empty() {
        problems.push(Place::file(text.path()).problem(
            "the view has no features",
            "add a [[feature]] with name, zh, en, type and sql, or remove the file",
        ));
    }
    let features = sections.into_iter().filter_map(|section| feature(section, problems)).collect();
    root.finish(problems);
    Some(RawView { features, ..view? })
}

fn feature(section: Section<'_>, problems: &mut Problems) -> Option<Feature> {
    // Whether a name is taken is a matter of the entity, which may have other views.
    let name = need_name(&section, "feature", &mut Names::default(), problems);
    let zh = section.need_text("zh", problems);
    let en = section.need_text("en", problems);
    const TYPES: [(&str, Type); 6] = [
        ("boolean", Type::Boolean),
        ("int64", Type::Int64),
        ("float64", Type::Float64),
        ("utf8", Type::Utf8),
        ("date32", Type::Date32),
        ("timestamp", Type::Timestamp),
    ];
    let ty = section.need_text("type", problems).and_then(|t| choice(&t, &TYPES, problems));
    let text = section.need_text("sql", problems);
    let default = section.item("default");
    let bounds = bounds::Items::of(&section);
    section.finish(problems);
    if let Some(name) = name.as_ref().filter(|n| n.value == KNOWN) {
        problems.push(
            name.place.problem(
                "`known` cannot name a feature: every entity has it by itself",
                "choose another name",
            ),
        );
    }
    let (name, zh, en, ty, text) = (name?.value, zh?.value, en?.value, ty?, text?);
    let default = default.and_then(|item| item.value(ty, problems));
    let bounds::Bounds { range, codes } = bounds.read(ty, default.as_ref(), problems);
    let default = default.map_or(Value::Null, |d| d.value);
    Some(Feature { name, zh, en, ty, sql: sql(text), default, range, codes })
}

fn sql(text: At<String>) -> Sql {
    Sql { text: text.value, place: text.place }
}

pub(crate) fn parse<'t>(text: &'t SourceText, problems: &mut Problems) -> Option<Document<'t>> {
    Document::parse(text).map_err(|p| problems.extend(p)).ok()
}

/// The `name` of a section: well formed, and not taken.
pub(crate) fn need_name(
    section: &Section<'_>,
    what: &str,
    names: &mut Names,
    problems: &mut Problems,
) -> Option<At<String>> {
    let name = section.need_text("name", problems)?;
    let well_formed = name.value.starts_with(|c: char| c.is_ascii_lowercase())
        && name.value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !well_formed {
        problems.push(name.place.problem(
            format!("`{}` is no well-formed name", name.value),
            "use lower-case letters, digits and _, starting with a letter",
        ));
        return None;
    }
    if let Some(taken) = names.0.get(&name.value) {
        problems.push(name.place.problem(
            format!("a second {what} is named `{}`; the first stands at {taken}", name.value),
            "rename one of them",
        ));
        return None;
    }
    names.0.insert(name.value.clone(), name.place.clone());
    Some(name)
}

/// One of a few words.
pub(crate) fn choice<T: Copy>(
    word: &At<String>,
    choices: &[(&str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let found = choices.iter().find(|(name, _)| *name == word.value);
    if found.is_none() {
        let all = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        problems.push(word.place.problem(
            format!("`{}` is none of the words that may stand here", word.value),
            format!("write one of {all}"),
        ));
    }
    found.map(|(_, value)| *value)
}

/// The table of the standards that is meant.
pub(crate) fn table_of<'s>(
    name: &At<String>,
    standards: &'s Standards,
    problems: &mut Problems,
) -> Option<&'s Table> {
    let table = standards.table(&name.value);
    if table.is_none() {
        let known: Vec<&str> = standards.tables().map(|t| t.name.as_str()).collect();
        problems.push(name.place.problem(
            format!("the standards have no table `{}`", name.value),
            near_or(&name.value, &known, || format!("write standards/{}.toml", name.value)),
        ));
    }
    table
}

/// Checks that a field of a table can be a key: it is there, and it is a text.
pub(crate) fn key_field(table: &Table, name: &At<String>, problems: &mut Problems) {
    match table.field(&name.value) {
        Some(field) if field.ty == Type::Utf8 => {}
        Some(field) => problems.push(name.place.problem(
            format!("`{}` of the table `{}` is {}; a key is utf8", name.value, table.name, field.ty),
            "make the field utf8 in the standard: keys are names, not numbers",
        )),
        None => {
            let known: Vec<&str> = table.fields.iter().map(|f| f.name.as_str()).collect();
            problems.push(name.place.problem(
                format!("the table `{}` has no field `{}`", table.name, name.value),
                near_or(&name.value, &known, || format!("add it to standards/{}.toml", table.name)),
            ));
        }
    }
}

/// Checks that two fields that are looked up by each other can hold the same: both plain text, or tokens of one kind. Else a list
/// would have no hit and let everybody pass, and an entity would be known to nobody, and no one would be told.
pub(crate) fn same_tokens(
    place: &Place,
    (table, field): (&Table, &str),
    (other_table, other_field): (&Table, &str),
    problems: &mut Problems,
) {
    // A field that is not there has been told.
    let (Some(field), Some(other)) = (table.field(field), other_table.field(other_field)) else { return };
    let kind = |field: &Field| field.personal.then(|| field.kind.clone());
    let (own_kind, other_kind) = (kind(field), kind(other));
    if own_kind == other_kind {
        return;
    }
    let holds = |table: &Table, field: &Field, kind: &Option<String>| match kind {
        Some(kind) => format!("`{}` of the table `{}` is a token of kind `{kind}`", field.name, table.name),
        None => format!("`{}` of the table `{}` is plain text", field.name, table.name),
    };
    problems.push(place.problem(
        format!(
            "{}, {}: they are never the same, so nothing would be found",
            holds(table, field, &own_kind),
            holds(other_table, other, &other_kind)
        ),
        format!(
            "write personal = \"{}\" for both, in standards/{}.toml and standards/{}.toml, and load their files anew",
            own_kind.or(other_kind).unwrap_or_default(),
            table.name,
            other_table.name
        ),
    ));
}

/// "did you mean", if something is near.
pub(crate) fn near_or(name: &str, known: &[&str], otherwise: impl FnOnce() -> String) -> String {
    nearest(name, known).map_or_else(otherwise, |near| format!("did you mean `{near}`?"))
}

/// Files with the extension `toml` in a folder of the rulebook, sorted, relative to its root. A folder that
/// is not there is empty.
pub(crate) fn toml_files(rulebook: &Path, folder: &Path, problems: &mut Problems) -> Vec<PathBuf> {
    match files_in(rulebook, folder, "toml") {
        Ok(files) => files,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => {
            problems.push(
                Place::file(folder)
                    .problem(format!("cannot read the folder: {e}"), "correct its permissions"),
            );
            Vec::new()
        }
    }
}
