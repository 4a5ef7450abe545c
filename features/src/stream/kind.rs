//! Kinds of events, and what their fields are.

use std::sync::Arc;

use tarim_datamart::{Problems, Standards, Table, Type};

use crate::row::{Column, Layout};

/// Before the name of an event's kind, in the name of its table.
pub const TABLE_PREFIX: &str = "event_";
/// The field that says whom an event happened to.
pub const CUSTOMER: &str = "customer_id";

/// A kind of events: one that the standards have a table `event_<kind>` for.
#[derive(Clone, Debug)]
pub struct EventKind {
    pub name: String,
    /// Fields of the table, but for the member: the relation `event` of expressions.
    pub layout: Arc<Layout>,
    /// Columns of the layout: when it happened, when it was known, whom it happened to, its key.
    pub happened_at: usize,
    pub known_at: usize,
    pub customer: usize,
    pub id: usize,
}

impl EventKind {
    /// All kinds that the standards know, in order of name.
    pub(super) fn all(standards: &Standards, problems: &mut Problems) -> Vec<Self> {
        let tables = standards.tables().filter_map(|t| Some((t.name.strip_prefix(TABLE_PREFIX)?, t)));
        let mut kinds: Vec<Self> =
            tables.filter_map(|(name, table)| Self::new(name, table, problems)).collect();
        kinds.sort_by(|a, b| a.name.cmp(&b.name));
        kinds
    }

    fn new(name: &str, table: &Table, problems: &mut Problems) -> Option<Self> {
        let mut columns = Vec::new();
        for field in table.fields.iter().filter(|f| f.name != "member") {
            let mut column = Column::new(&field.name, field.ty);
            // Texts of a code list are one or two bytes in the row, and compared as numbers.
            if let Some(codes) = &field.codes {
                column.codes = codes.codes().iter().map(|c| c.code.clone()).collect();
            }
            columns.push(column);
        }
        let layout = match Layout::new(columns, Vec::new()) {
            Ok(layout) => Arc::new(layout),
            Err(e) => {
                problems.push(table.place.problem(e.to_string(), "change the fields of the standard"));
                return None;
            }
        };
        let mut need = |field: &str, ty: Type| {
            let found = layout.index(field).filter(|i| layout.columns()[*i].ty == ty);
            if found.is_none() {
                problems.push(table.place.problem(
                    format!("the table `{}` of events has no field `{field}` of type {ty}", table.name),
                    "add it: every event says when it happened, when it was known, and to whom it happened",
                ));
            }
            found
        };
        let happened_at = need(&table.event_time, Type::Timestamp);
        let known_at = need(&table.known_at, Type::Timestamp);
        let customer = need(CUSTOMER, Type::Utf8);
        let id = need(table.key.first().map_or("event_id", String::as_str), Type::Utf8);
        Some(Self {
            name: name.to_owned(),
            happened_at: happened_at?,
            known_at: known_at?,
            customer: customer?,
            id: id?,
            layout,
        })
    }
}
