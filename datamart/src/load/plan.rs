//! How the columns of one file become the fields of a table: the source's mapping, resolved.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef};

use super::{LoadError, source::Reader};
use crate::{
    Field, Source, Table, Type, Value,
    gate::RowChecks,
    sql::{self, Compiled},
    standards::{Format, Origin},
};

/// Everything that a row goes through, worked out once per file. Owns what it needs, so that it can move to a
/// thread of its own.
pub(crate) struct Plan {
    pub fields: Vec<FieldPlan>,
    pub schema: SchemaRef,
    pub source: Source,
    pub checks: RowChecks,
    /// Positions of the fields that no two rows may share.
    pub unique: Vec<usize>,
    /// The member that every row must be of, if the load was told one.
    pub member: Option<String>,
    /// Columns of the source that are read.
    pub columns: Vec<SourceColumn>,
    /// Fields that nothing in the file fills.
    pub absent: Vec<String>,
    /// Columns of the file that fill nothing.
    pub ignored: Vec<String>,
}

pub(crate) struct FieldPlan {
    pub field: Field,
    pub feed: Feed,
}

/// What fills a field; columns are positions in [`Plan::columns`].
pub(crate) enum Feed {
    Nothing,
    Column(usize),
    Constant(Value),
    Values { column: usize, values: HashMap<String, Value> },
    Scale { column: usize, scale: i64 },
    Sql(SqlFeed),
}

impl Feed {
    /// The columns that it reads.
    fn columns(&self) -> &[usize] {
        match self {
            Self::Nothing | Self::Constant(_) => &[],
            Self::Column(column) | Self::Values { column, .. } | Self::Scale { column, .. } => {
                std::slice::from_ref(column)
            }
            Self::Sql(sql) => &sql.columns,
        }
    }
}

/// An expression over some columns of the source, all of them text.
pub(crate) struct SqlFeed {
    pub compiled: Compiled,
    pub schema: SchemaRef,
    pub columns: Vec<usize>,
}

/// A column of the source that is read.
pub(crate) struct SourceColumn {
    pub name: String,
    /// The kind of personal text that it holds: a quarantined row shows a token of it.
    pub personal: Option<String>,
}

impl Plan {
    /// Resolves the mapping of `source` for the file that `reader` has open.
    pub fn new(
        table: &Table,
        source: &Source,
        reader: &Reader,
        member: Option<&str>,
    ) -> Result<Self, LoadError> {
        let checks = RowChecks::compile(table).map_err(LoadError::Standard)?;
        let mut plan = Self {
            fields: Vec::with_capacity(table.fields.len()),
            schema: table.schema(),
            source: source.clone(),
            checks,
            unique: Vec::new(),
            member: member.map(str::to_owned),
            columns: Vec::new(),
            absent: Vec::new(),
            ignored: Vec::new(),
        };
        for field in &table.fields {
            let mut field = field.clone();
            // What the load was told fills the member wherever the file says none.
            if let Some(member) = member.filter(|_| field.name == "member" && !maps(source, "member")) {
                field.default = Some(Value::Utf8(member.to_owned()));
            }
            let feed = plan.feed(table, source, &field, reader)?;
            plan.fields.push(FieldPlan { field, feed });
        }
        for plan_of in &mut plan.fields {
            let personal = |column: &usize| plan.columns[*column].personal.is_some();
            plan_of.field.withheld |= plan_of.feed.columns().iter().any(personal);
        }
        let position = |name: &&str| table.fields.iter().position(|f| f.name == *name);
        plan.unique = table.unique().iter().filter_map(position).collect();
        if let Some(columns) = reader.columns() {
            let ignored = columns.iter().filter(|c| !plan.columns.iter().any(|used| used.name == **c));
            plan.ignored = ignored.cloned().collect();
        }
        Ok(plan)
    }

    /// Names of the columns to read.
    pub fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|c| c.name.clone()).collect()
    }

    fn feed(
        &mut self,
        table: &Table,
        source: &Source,
        field: &Field,
        reader: &Reader,
    ) -> Result<Feed, LoadError> {
        let mapped = maps(source, &field.name);
        let missing = |column: &str| LoadError::Column {
            table: table.name.clone(),
            field: field.name.clone(),
            column: column.to_owned(),
            columns: shown(reader.columns().unwrap_or_default(), table, source),
        };
        Ok(match source.origin(&field.name) {
            Origin::Constant(value) => Feed::Constant(value),
            Origin::Column(column) => match self.column(&column, field, reader)? {
                Some(position) => Feed::Column(position),
                None if mapped => return Err(missing(&column)),
                None => self.unmapped(field).ok_or_else(|| missing(&column))?,
            },
            Origin::Values { column, values } => {
                let position = self.column(&column, field, reader)?.ok_or_else(|| missing(&column))?;
                Feed::Values { column: position, values }
            }
            Origin::Scale { column, scale } => {
                let position = self.column(&column, field, reader)?.ok_or_else(|| missing(&column))?;
                Feed::Scale { column: position, scale }
            }
            Origin::Sql(sql) => {
                let names = sql::columns_of(&sql);
                let mut columns = Vec::with_capacity(names.len());
                for name in &names {
                    columns.push(self.column(name, field, reader)?.ok_or_else(|| missing(name))?);
                }
                let text = |name: &String| ArrowField::new(name, DataType::Utf8, true);
                let schema = Schema::new(names.iter().map(text).collect::<Vec<_>>());
                let compiled = sql::expression(&sql, &schema).and_then(|compiled| {
                    keeps_its_value(&compiled.ty, field.ty)?;
                    Ok(compiled)
                });
                let compiled = compiled.map_err(|why| LoadError::Sql {
                    table: table.name.clone(),
                    field: field.name.clone(),
                    sql,
                    why,
                })?;
                Feed::Sql(SqlFeed { compiled, schema: schema.into(), columns })
            }
        })
    }

    /// A field that the mapping does not name and that the file has no column for. None: it must be filled.
    fn unmapped(&mut self, field: &Field) -> Option<Feed> {
        if let Some(default) = &field.default {
            return Some(Feed::Constant(default.clone()));
        }
        self.absent.push(field.name.clone());
        (!field.required).then_some(Feed::Nothing)
    }

    /// Position among the columns that are read of one that `field` needs; None if the file has it not.
    fn column(&mut self, name: &str, field: &Field, reader: &Reader) -> Result<Option<usize>, LoadError> {
        if let Some(columns) = reader.columns() {
            match columns.iter().filter(|c| *c == name).count() {
                0 => return Ok(None),
                1 => {}
                _ => return Err(LoadError::TwiceInHeader { column: name.to_owned() }),
            }
        }
        let position = match self.columns.iter().position(|c| c.name == name) {
            Some(position) => position,
            None => {
                self.columns.push(SourceColumn { name: name.to_owned(), personal: None });
                self.columns.len() - 1
            }
        };
        if field.personal {
            self.columns[position].personal = Some(field.kind.clone());
        }
        Ok(Some(position))
    }
}

/// A cast of what an expression gives to the field's type must neither cut anything off nor make another thing of it, as a date
/// of a number: whoever means that has to write it. A text is read as the source's texts are.
fn keeps_its_value(computed: &DataType, field: Type) -> Result<(), String> {
    let fraction = match computed {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => *scale > 0,
        other => other.is_floating(),
    };
    let point_in_time = matches!(computed, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
    let keeps = match field {
        Type::Utf8 => true,
        Type::Boolean => *computed == DataType::Boolean,
        Type::Int64 => computed.is_numeric() && !fraction,
        Type::Float64 => computed.is_numeric(),
        Type::Date32 | Type::Timestamp => point_in_time,
    };
    if keeps || computed.is_string() || computed.is_null() {
        return Ok(());
    }
    let span = matches!(computed, DataType::Duration(_) | DataType::Interval(_));
    let write = match field {
        Type::Boolean => "a comparison, such as … <> 0",
        Type::Date32 => "to_date(CAST(… AS VARCHAR), '%Y%m%d'), with the format that it has",
        Type::Timestamp => "to_timestamp(…) if it counts seconds since 1970",
        Type::Int64 | Type::Float64 if span => "date_part('day', …) for its days",
        Type::Int64 if point_in_time => "CAST(date_part('epoch', …) AS BIGINT) for its seconds since 1970",
        Type::Float64 if point_in_time => "date_part('epoch', …) for its seconds since 1970",
        Type::Int64 if fraction => "CAST(round(…) AS BIGINT)",
        Type::Int64 => "CAST(… AS BIGINT)",
        Type::Float64 => "CAST(… AS DOUBLE)",
        Type::Utf8 => "CAST(… AS VARCHAR)",
    };
    let gives = if fraction { format!("a fraction ({computed})") } else { computed.to_string() };
    Err(format!("it gives {gives}, and the field is {field}: write {write}"))
}

/// Whether the source's mapping names the field.
fn maps(source: &Source, field: &str) -> bool {
    source.map.iter().any(|m| m.field == field)
}

/// A file's columns, for an error. Of a CSV that lacks its header they are the first row of data: where a table
/// has personal fields, they are shown only if all look like names, else those alone that the standard names.
fn shown(columns: &[String], table: &Table, source: &Source) -> String {
    let personal = table.fields.iter().any(|field| field.personal);
    let may_be_data = personal && source.format == Format::Csv && source.header;
    let known = |name: &str| table.field(name).is_some() || source.map.iter().any(|m| reads(&m.origin, name));
    if !may_be_data || columns.iter().all(|name| known(name) || looks_like_a_name(name)) {
        return columns.join(", ");
    }
    let known: Vec<&str> = columns.iter().map(String::as_str).filter(|name| known(name)).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let count = columns.len();
    format!("{count} columns, of which the standard names {known}; others are not shown: they may be data")
}

fn reads(origin: &Origin, name: &str) -> bool {
    match origin {
        Origin::Column(c) | Origin::Values { column: c, .. } | Origin::Scale { column: c, .. } => c == name,
        Origin::Sql(sql) => sql::columns_of(sql).iter().any(|c| c == name),
        Origin::Constant(_) => false,
    }
}

/// As programs name columns: `birth_number`. A row of data nearly always has a number, a date, or nothing in
/// some cell.
fn looks_like_a_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
