//! Black, grey and white lists: their definitions.
//!
//! A list is the rows of a table whose field `list` names it. An entry counts while `valid_from <= now <
//! expires_at` (no `valid_from`: since ever; no `expires_at`: for ever), from the time it is known on.
//! A list without any entry of any member was never loaded, and answers *unknown*.

use tarim_datamart::{Place, Problems, SourceText, Standards, Type};

use crate::view::read::{Names, choice, key_field, need_name, same_tokens, table_of};

/// What being on a list means. The policy's rules say what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Black,
    Grey,
    White,
}

impl Effect {
    pub fn name(self) -> &'static str {
        match self {
            Effect::Black => "black",
            Effect::Grey => "grey",
            Effect::White => "white",
        }
    }
}

/// A list of a rulebook.
#[derive(Clone, Debug)]
pub struct List {
    pub name: String,
    pub zh: String,
    pub en: String,
    pub effect: Effect,
    /// Table of its entries.
    pub table: String,
    /// The field that is looked up, of the same name in applications and in the table.
    pub field: String,
    pub place: Place,
}

/// Fields that a table of list entries has, besides the one that is matched.
const FIELDS: [(&str, &[Type]); 6] = [
    ("entry_id", &[Type::Utf8]),
    ("list", &[Type::Utf8]),
    ("reason", &[Type::Utf8]),
    ("source", &[Type::Utf8]),
    ("valid_from", &[Type::Date32, Type::Timestamp]),
    ("expires_at", &[Type::Date32, Type::Timestamp]),
];

impl List {
    /// Reads every `[[list]]` of a file.
    pub(crate) fn read(
        text: &SourceText,
        standards: &Standards,
        names: &mut Names,
        problems: &mut Problems,
    ) -> Vec<Self> {
        let document = match tarim_datamart::Document::parse(text) {
            Ok(document) => document,
            Err(p) => {
                problems.extend(p);
                return Vec::new();
            }
        };
        let root = document.root();
        let mut lists = Vec::new();
        for section in root.sections("list", problems) {
            let place = section.place();
            let name = need_name(&section, "list", names, problems);
            let zh = section.need_text("zh", problems);
            let en = section.need_text("en", problems);
            let effects = [("black", Effect::Black), ("grey", Effect::Grey), ("white", Effect::White)];
            let effect = section.need_text("effect", problems).and_then(|e| choice(&e, &effects, problems));
            let table = section.need_text("table", problems);
            let table = table.and_then(|t| Some((table_of(&t, standards, problems)?, t)));
            let field = section.need_text("match", problems);
            section.finish(problems);
            if let Some((table, named)) = &table {
                for (name, types) in FIELDS {
                    if table.field(name).is_none_or(|f| !types.contains(&f.ty)) {
                        let ty = types.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(" or ");
                        problems.push(named.place.problem(
                            format!("the table `{}` has no field `{name}` of type {ty}", table.name),
                            "add it to the table's standard; every table of list entries has it",
                        ));
                    }
                }
            }
            if let (Some((table, _)), Some(field)) = (&table, &field) {
                key_field(table, field, problems);
                if let Some(applications) = standards.table("applications") {
                    key_field(applications, field, problems);
                    let name = field.value.as_str();
                    same_tokens(&field.place, (applications, name), (*table, name), problems);
                }
            }
            let (Some(name), Some(zh), Some(en), Some(effect), Some((table, _)), Some(field)) =
                (name, zh, en, effect, table, field)
            else {
                continue;
            };
            lists.push(Self {
                name: name.value,
                zh: zh.value,
                en: en.value,
                effect,
                table: table.name.clone(),
                field: field.value,
                place,
            });
        }
        root.finish(problems);
        lists
    }
}
