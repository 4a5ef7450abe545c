//! How one kind of file maps to a table, and the reading of `[[source]]`.

use std::collections::HashMap;

use super::{Field, field::check_name};
use crate::{
    Place, Problems, Type, Value,
    gate::dates::DateFormat,
    section::{At, Item, Section, nearest},
};

/// One kind of file that a table is loaded from.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    /// Matches the file's name, without its folder.
    pub files: glob::Pattern,
    pub format: Format,
    pub encoding: Encoding,
    /// Of CSV: an ASCII character each; no quote means that quotes are ordinary characters.
    pub delimiter: u8,
    pub quote: Option<u8>,
    /// Whether the first line of CSV names the columns; else they are `c1`, `c2`, …
    pub header: bool,
    /// How dates and times are written; ISO 8601 when absent.
    pub date_format: Option<DateFormat>,
    pub timestamp_format: Option<DateFormat>,
    /// Fields that do not simply come from the column of their own name.
    pub map: Vec<Mapping>,
    pub place: Place,
}

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    /// One JSON object per line.
    Ndjson,
    Parquet,
}

/// Character encoding of CSV and NDJSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Gb18030,
}

/// Where a field comes from.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub field: String,
    pub origin: Origin,
    pub place: Place,
}

/// What gives a field its value.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A column of the source, read as the field's type.
    Column(String),
    /// The same value in every row.
    Constant(Value),
    /// A column whose texts stand for values; a text that is not listed breaks the rule `mapping`.
    Values { column: String, values: HashMap<String, Value> },
    /// A column of decimal text that is multiplied exactly; a result that is not whole breaks the rule `scale`.
    Scale { column: String, scale: i64 },
    /// DataFusion SQL over the source's columns.
    Sql(String),
}

impl Source {
    /// What a table without `[[source]]` takes: `<table>.csv`, `.ndjson` and `.parquet`, with columns of the
    /// fields' names.
    pub(super) fn by_name(table: &str, place: &Place) -> Vec<Self> {
        let formats = [("csv", Format::Csv), ("ndjson", Format::Ndjson), ("parquet", Format::Parquet)];
        let source = |(extension, format)| Self {
            name: extension_name(format).into(),
            // A table's name has no character that means something to a glob.
            files: glob::Pattern::new(&format!("{table}.{extension}")).unwrap_or_default(),
            format,
            encoding: Encoding::Utf8,
            delimiter: b',',
            quote: Some(b'"'),
            header: true,
            date_format: None,
            timestamp_format: None,
            map: Vec::new(),
            place: place.clone(),
        };
        formats.map(source).into()
    }

    /// Reads one `[[source]]`.
    pub(super) fn read(
        section: Section<'_>,
        fields: &[Field],
        unusable: &[String],
        problems: &mut Problems,
    ) -> Option<Self> {
        let place = section.place();
        let name = section.need_text("name", problems);
        if let Some(name) = &name {
            check_name("source", name, problems);
        }
        let files = section.need_text("files", problems).and_then(|f| read_glob(&f, problems));
        let format = section.need_text("format", problems).and_then(|f| read_format(&f, problems));
        let encoding = section.text("encoding", problems);
        let delimiter = section.text("delimiter", problems);
        let quote = section.text("quote", problems);
        let header = section.boolean("header", problems);
        let date_format = section.text("date_format", problems);
        let timestamp_format = section.text("timestamp_format", problems);
        let map = section.section("map", problems);
        section.finish(problems);

        let mut csv_only = |key: &str, place: Option<&Place>| {
            if let (Some(place), Some(Format::Ndjson | Format::Parquet)) = (place, format) {
                problems.push(place.problem(
                    format!("`{key}` is for CSV"),
                    format!("remove `{key}`, or make the format \"csv\""),
                ));
            }
        };
        csv_only("delimiter", delimiter.as_ref().map(|d| &d.place));
        csv_only("quote", quote.as_ref().map(|q| &q.place));
        csv_only("header", header.as_ref().map(|h| &h.place));
        if let (Some(encoding), Some(Format::Parquet)) = (&encoding, format) {
            problems.push(
                encoding
                    .place
                    .problem("`encoding` is for CSV and NDJSON", "remove it: Parquet texts are UTF-8"),
            );
        }
        let mut mappings: Vec<Mapping> = Vec::new();
        for (field, item) in map.iter().flat_map(Section::entries) {
            if unusable.iter().any(|name| name == field.value) {
                continue;
            }
            let Some(known) = fields.iter().find(|f| f.name == field.value) else {
                let names: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
                let fix = match nearest(field.value, &names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        "name a field of this table: left is the field, right is where it comes from".into()
                    }
                };
                problems.push(field.place.problem(format!("the table has no field `{}`", field.value), fix));
                continue;
            };
            if let Some(origin) = Origin::read(&item, known, problems) {
                mappings.push(Mapping { field: known.name.clone(), origin, place: item.place() });
            }
        }
        Some(Self {
            encoding: encoding.and_then(|e| read_encoding(&e, problems)).unwrap_or(Encoding::Utf8),
            delimiter: delimiter.and_then(|d| read_delimiter(&d, problems)).unwrap_or(b','),
            quote: quote.map_or(Some(b'"'), |q| read_quote(&q, problems)),
            header: header.is_none_or(|h| h.value),
            date_format: date_format.and_then(|f| read_date_format(&f, problems)),
            timestamp_format: timestamp_format.and_then(|f| read_date_format(&f, problems)),
            map: mappings,
            place,
            name: name?.value,
            files: files?,
            format: format?,
        })
    }

    /// How `field` is filled.
    pub fn origin(&self, field: &str) -> Origin {
        match self.map.iter().find(|m| m.field == field) {
            Some(mapping) => mapping.origin.clone(),
            None => Origin::Column(field.to_owned()),
        }
    }
}

impl Origin {
    fn read(item: &Item<'_>, field: &Field, problems: &mut Problems) -> Option<Self> {
        if item.is_text() {
            return item.text(problems).map(|t| Origin::Column(t.value));
        }
        let section = item.section(problems)?;
        let form = |given: &[&str]| given.iter().filter(|k| section.has(k)).count();
        if form(&["constant", "sql", "column"]) != 1 || form(&["values", "scale"]) > 1 {
            problems.push(item.place().problem(
                format!("it is not clear where `{}` comes from", field.name),
                "write one of \"column\", { constant = … }, { column = …, values = { … } }, \
                 { column = …, scale = 100 }, { sql = \"…\" }",
            ));
            return None;
        }
        let origin = if let Some(constant) = section.item("constant") {
            let value = constant.value(field.ty, problems);
            if let Some(value) = &value {
                report_broken("the constant", field, value, problems);
            }
            value.map(|v| Origin::Constant(v.value))
        } else if let Some(sql) = section.text("sql", problems) {
            check_syntax(&sql, problems).map(Origin::Sql)
        } else {
            let column = section.need_text("column", problems)?.value;
            if let Some(values) = section.section("values", problems) {
                Some(Origin::Values { column, values: read_values(field, &values, problems) })
            } else if let Some(scale) = section.integer("scale", problems) {
                check_scale(field, &scale, problems).then_some(Origin::Scale { column, scale: scale.value })
            } else {
                Some(Origin::Column(column))
            }
        };
        section.finish(problems);
        origin
    }
}

fn read_values(field: &Field, values: &Section<'_>, problems: &mut Problems) -> HashMap<String, Value> {
    let mut read = HashMap::new();
    for (text, item) in values.entries() {
        if let Some(value) = item.value(field.ty, problems) {
            report_broken(&format!("the value for \"{}\"", text.value), field, &value, problems);
            read.insert(text.value.to_owned(), value.value);
        }
    }
    read
}

/// What the gate would refuse in every row is a mistake of the standard.
fn report_broken(what: &str, field: &Field, value: &At<Value>, problems: &mut Problems) {
    for broken in field.check(value.value.as_ref()) {
        problems.push(value.place.problem(
            format!("{what} breaks rule {} of `{}`: {}", broken.rule, field.name, broken.message),
            "give a value that the gate lets through",
        ));
    }
}

fn check_scale(field: &Field, scale: &At<i64>, problems: &mut Problems) -> bool {
    let right = field.ty == Type::Int64 && scale.value > 0;
    if !right {
        problems.push(scale.place.problem(
            format!(
                "`scale` makes whole numbers of decimals; `{}` is {} and the scale {}",
                field.name, field.ty, scale.value
            ),
            "use it for a field of type int64, with a scale above 0",
        ));
    }
    right
}

/// The columns of a source are known when a file is opened; that the SQL is SQL can be said before.
fn check_syntax(sql: &At<String>, problems: &mut Problems) -> Option<String> {
    match crate::sql::parse_syntax(&sql.value) {
        Ok(()) => Some(sql.value.clone()),
        Err(why) => {
            problems.push(sql.place.problem(
                format!("`{}` is no SQL expression: {why}", sql.value),
                "correct it; names in capitals or with blanks stand in double quotes",
            ));
            None
        }
    }
}

fn read_glob(text: &At<String>, problems: &mut Problems) -> Option<glob::Pattern> {
    match glob::Pattern::new(&text.value) {
        Ok(pattern) if !text.value.contains('/') => Some(pattern),
        Ok(_) => {
            problems.push(text.place.problem(
                format!("`{}` names a folder", text.value),
                "give a pattern for the file's name alone, such as \"transactions*.csv\"",
            ));
            None
        }
        Err(e) => {
            problems.push(text.place.problem(
                format!("`{}` is no file pattern: {}", text.value, e.msg),
                "use * for any characters, ? for one, [abc] for one of these",
            ));
            None
        }
    }
}

fn extension_name(format: Format) -> &'static str {
    match format {
        Format::Csv => "csv",
        Format::Ndjson => "ndjson",
        Format::Parquet => "parquet",
    }
}

fn read_format(text: &At<String>, problems: &mut Problems) -> Option<Format> {
    let formats = [Format::Csv, Format::Ndjson, Format::Parquet];
    let found = formats.into_iter().find(|f| extension_name(*f) == text.value);
    if found.is_none() {
        problems.push(
            text.place
                .problem(format!("`{}` is no format of a source", text.value), "use csv, ndjson or parquet"),
        );
    }
    found
}

fn read_encoding(text: &At<String>, problems: &mut Problems) -> Option<Encoding> {
    match text.value.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => Some(Encoding::Utf8),
        "gb18030" | "gbk" | "gb2312" => Some(Encoding::Gb18030),
        _ => {
            problems.push(text.place.problem(
                format!("`{}` is no encoding that can be read", text.value),
                "use utf-8 or gb18030 (which also reads GBK and GB 2312)",
            ));
            None
        }
    }
}

fn read_delimiter(text: &At<String>, problems: &mut Problems) -> Option<u8> {
    match text.value.as_bytes() {
        [b] if b.is_ascii() && !matches!(b, b'\n' | b'\r') => Some(*b),
        _ => {
            problems.push(text.place.problem(
                "the delimiter is not one ASCII character",
                "write one, such as \",\" \";\" \"|\" or \"\\t\"",
            ));
            None
        }
    }
}

/// Empty means that quotes are ordinary characters.
fn read_quote(text: &At<String>, problems: &mut Problems) -> Option<u8> {
    match text.value.as_bytes() {
        [] => None,
        [b] if b.is_ascii_graphic() => Some(*b),
        _ => {
            problems.push(
                text.place.problem(
                    "the quote is not one ASCII character",
                    "write '\"', or \"\" if nothing is quoted",
                ),
            );
            None
        }
    }
}

fn read_date_format(text: &At<String>, problems: &mut Problems) -> Option<DateFormat> {
    DateFormat::new(&text.value)
        .map_err(|what| {
            problems.push(
                text.place
                    .problem(what, "use chrono's notation, such as \"%Y-%m-%d\" or \"%Y%m%d %H:%M:%S\""),
            )
        })
        .ok()
}
