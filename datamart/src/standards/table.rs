//! A table of the datamart, and the reading of `standards/<table>.toml`.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef};

use super::{CodeList, Field, Source, field::check_name};
use crate::{
    Place, Problems, SourceText, Type,
    checks::Builtin,
    gate::rules,
    section::{At, Document, Section, nearest},
    sql,
};

/// One table: its fields, the checks of a whole row, and the files that it is loaded from.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub zh: String,
    pub en: String,
    /// Fields that are unique together within a member (with `known_at`, if the table is versioned).
    pub key: Vec<String>,
    /// When a fact happened: a date32 or timestamp field.
    pub event_time: String,
    /// When the lender came to know it.
    pub known_at: String,
    /// The same key may come again with another `known_at`: a correction.
    pub versioned: bool,
    /// `member` first, then as the standard lists them.
    pub fields: Vec<Field>,
    pub checks: Vec<RowCheck>,
    pub sources: Vec<Source>,
    pub place: Place,
}

/// A rule over a whole row; broken only where it is FALSE.
#[derive(Clone, Debug)]
pub struct RowCheck {
    pub id: String,
    pub zh: String,
    pub en: String,
    /// DataFusion SQL over the table's fields, of type boolean.
    pub sql: String,
    pub place: Place,
}

impl Table {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// Arrow schema: `member` first, then the fields. All columns may be NULL: `required` is a rule of the
    /// gate, so that a standard can change it without rewriting the table.
    pub fn schema(&self) -> SchemaRef {
        let field = |f: &Field| ArrowField::new(&f.name, f.ty.arrow(), true);
        Arc::new(Schema::new(self.fields.iter().map(field).collect::<Vec<_>>()))
    }

    /// The fields that no two rows may share: member, key, and for a versioned table the known-at time.
    pub fn unique(&self) -> Vec<&str> {
        let mut names = vec!["member"];
        names.extend(self.key.iter().map(String::as_str));
        if self.versioned {
            names.push(&self.known_at);
        }
        names.dedup();
        names
    }

    /// Reads a whole file. None if it has no table that could be used.
    pub(super) fn read(
        text: &SourceText,
        codes: &BTreeMap<String, Arc<CodeList>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(wrong) => {
                problems.extend(wrong);
                return None;
            }
        };
        let root = document.root();
        let head = root.need_section("table", problems);
        let mut fields = vec![Field::member(text.place(0))];
        // Fields that cannot be used: what refers to them is not reported on top.
        let mut unusable: Vec<String> = Vec::new();
        for section in root.sections("field", problems) {
            let name = section.name();
            let Some(field) = Field::read(section, codes, problems) else {
                unusable.extend(name);
                continue;
            };
            match fields.iter().find(|f| f.name == field.name) {
                Some(_) if field.name == "member" => problems.push(field.place.problem(
                    "the field `member` is there by itself",
                    "remove this [[field]]; [source.map] may still say where member comes from",
                )),
                Some(first) => problems.push(field.place.problem(
                    format!("the field `{}` is already defined in line {}", field.name, first.place.line),
                    "rename or remove one of the two",
                )),
                None => fields.push(field),
            }
        }
        let checks = root.sections("check", problems);
        let sources = root.sections("source", problems);
        root.finish(problems);
        let head = Head::read(head?, text, &mut fields, &unusable, problems)?;

        let mut table = Self {
            name: head.name,
            zh: head.zh,
            en: head.en,
            key: head.key,
            event_time: head.event_time,
            known_at: head.known_at,
            versioned: head.versioned,
            fields,
            checks: Vec::new(),
            sources: Vec::new(),
            place: head.place,
        };
        let schema = unusable.is_empty().then(|| table.schema());
        for section in checks {
            let Some(check) = RowCheck::read(section, schema.as_deref(), problems) else { continue };
            match table.checks.iter().find(|c| c.id == check.id) {
                Some(first) => problems.push(check.place.problem(
                    format!("the check `{}` is already defined in line {}", check.id, first.place.line),
                    "rename or remove one of the two",
                )),
                None => table.checks.push(check),
            }
        }
        for section in sources {
            let Some(source) = Source::read(section, &table.fields, &unusable, problems) else { continue };
            match table.sources.iter().find(|s| s.name == source.name) {
                Some(first) => problems.push(source.place.problem(
                    format!("the source `{}` is already defined in line {}", source.name, first.place.line),
                    "rename or remove one of the two",
                )),
                None => table.sources.push(source),
            }
        }
        if table.sources.is_empty() {
            table.sources = Source::by_name(&table.name, &table.place);
        }
        Some(table)
    }
}

/// The keys of `[table]`.
struct Head {
    name: String,
    zh: String,
    en: String,
    key: Vec<String>,
    event_time: String,
    known_at: String,
    versioned: bool,
    place: Place,
}

impl Head {
    fn read(
        section: Section<'_>,
        text: &SourceText,
        fields: &mut [Field],
        unusable: &[String],
        problems: &mut Problems,
    ) -> Option<Self> {
        let place = section.place();
        let name = section.need_text("name", problems);
        let zh = section.need_text("zh", problems);
        let en = section.need_text("en", problems);
        let key_item = section.need("key", problems);
        let event_time = section.need_text("event_time", problems);
        let known_at = section.text("known_at", problems);
        let versioned = section.boolean("versioned", problems).is_some_and(|b| b.value);
        section.finish(problems);

        if let Some(name) = &name {
            check_table_name(name, text, problems);
        }
        let key = match &key_item {
            Some(item) => item.texts(problems),
            None => Vec::new(),
        };
        if let Some(item) = key_item.filter(|item| item.is_empty_list()) {
            problems.push(item.place().problem("the key is empty", "name the fields that identify a row"));
        }
        for field in key.iter().filter(|k| !unusable.contains(&k.value)) {
            find("key", field, fields, None, problems);
        }
        let times = Some([Type::Date32, Type::Timestamp]);
        for (what, field) in [("event_time", &event_time), ("known_at", &known_at)] {
            if let Some(field) = field.as_ref().filter(|f| !unusable.contains(&f.value)) {
                find(what, field, fields, times, problems);
            }
        }
        let event_time = event_time?.value;
        Some(Self {
            name: name?.value,
            zh: zh?.value,
            en: en?.value,
            key: key.into_iter().map(|k| k.value).collect(),
            known_at: known_at.map_or_else(|| event_time.clone(), |k| k.value),
            event_time,
            versioned,
            place,
        })
    }
}

/// A field that the table's head names must exist and have the right type, and is required by that.
fn find(
    what: &str,
    name: &At<String>,
    fields: &mut [Field],
    types: Option<[Type; 2]>,
    problems: &mut Problems,
) {
    let names: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
    let near = nearest(&name.value, &names).map(str::to_owned);
    let Some(field) = fields.iter_mut().find(|f| f.name == name.value) else {
        let fix = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("name a [[field]] of this table, or add `{}`", name.value),
        };
        problems.push(name.place.problem(format!("`{what}` names `{}`, which is no field", name.value), fix));
        return;
    };
    if let Some(types) = types.filter(|t| !t.contains(&field.ty)) {
        problems.push(name.place.problem(
            format!("`{what}` names `{}`, which is {}", name.value, field.ty),
            format!("name a field of type {} or {}", types[0], types[1]),
        ));
    }
    field.required = true;
}

fn check_table_name(name: &At<String>, text: &SourceText, problems: &mut Problems) {
    check_name("table", name, problems);
    let stem = text.path().file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    if stem != name.value {
        problems.push(name.place.problem(
            format!("the table `{}` stands in a file named {stem}.toml", name.value),
            format!("rename the file to {}.toml, or the table to \"{stem}\"", name.value),
        ));
    }
    if name.value == "loads" || name.value.starts_with("quarantine_") {
        problems.push(name.place.problem(
            format!("`{}` is a name that the datamart uses itself", name.value),
            "choose another: `loads` and `quarantine_…` are tables about loads",
        ));
    }
}

impl RowCheck {
    /// Without a schema, because a field cannot be used, the SQL is left unchecked.
    fn read(section: Section<'_>, schema: Option<&Schema>, problems: &mut Problems) -> Option<Self> {
        let place = section.place();
        let id = section.need_text("id", problems);
        let zh = section.need_text("zh", problems);
        let en = section.need_text("en", problems);
        let sql = section.need_text("sql", problems);
        section.finish(problems);
        if let Some(id) = &id {
            let well_formed = !id.value.is_empty()
                && id.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            if !well_formed {
                problems.push(id.place.problem(
                    format!("`{}` is no name for a check", id.value),
                    "use letters, digits, _ and -",
                ));
            }
            if rules::ALL.contains(&id.value.as_str()) || Builtin::named(&id.value).is_some() {
                problems.push(id.place.problem(
                    format!("`{}` is the name of a rule that is built in", id.value),
                    "choose another name, so that a quality report can tell the two apart",
                ));
            }
        }
        let sql = sql?;
        match schema.map(|schema| sql::expression(&sql.value, schema)) {
            None => {}
            Some(Ok(compiled)) if compiled.ty == DataType::Boolean => {}
            Some(Ok(compiled)) => problems.push(sql.place.problem(
                format!("a check says TRUE or FALSE; `{}` is {}", sql.value, compiled.ty),
                "write a condition, such as `amount_fen > 0`",
            )),
            Some(Err(why)) => problems.push(sql.place.problem(
                format!("`{}` cannot be checked: {why}", sql.value),
                "use the fields of this table and DataFusion's SQL",
            )),
        }
        Some(Self { id: id?.value, zh: zh?.value, en: en?.value, sql: sql.value, place })
    }
}
