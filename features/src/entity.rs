//! Entities: what features are about, and how one is recognised.

use std::sync::Arc;

use tarim_datamart::{At, Place, Value};

use crate::{
    row::{Column, Group, Layout, LayoutError, RowBuilder},
    view::{Feature, View, source::Facts},
};

/// Name of column 0 of every entity: whether the entity is known. Never NULL.
pub const KNOWN: &str = "known";

/// A customer, a company, a device: something with a key that features are computed for.
#[derive(Clone, Debug)]
pub struct Entity {
    pub name: String,
    pub zh: String,
    pub en: String,
    /// Table that knows it: it is known from the event time and known-at time of its first row on.
    pub table: String,
    /// The field of that table that is its key, within the member.
    pub key: String,
    /// The field of an application that names it.
    pub application: String,
    /// The field of an event that names it; None: the one that has the name of the application's, where there is one.
    pub event: Option<At<String>>,
    /// Its feature views, in order of file name. View `i` is group `i + 1` of the layout.
    pub views: Vec<View>,
    /// Column 0 is [`KNOWN`], of group 0; then the features of its views, in order.
    pub layout: Arc<Layout>,
    pub place: Place,
    /// The rows of its table, by which it is known.
    pub(crate) facts: Facts,
    definition: String,
    unknown: Arc<[u8]>,
}

/// What `entities.toml` says of an entity.
pub(crate) struct Head {
    pub name: String,
    pub zh: String,
    pub en: String,
    pub table: String,
    pub key: String,
    pub application: String,
    pub event: Option<At<String>>,
    pub place: Place,
}

impl Entity {
    /// Puts an entity and its views together; `definition` is the BLAKE3 of all that its values depend on.
    pub(crate) fn new(
        head: Head,
        facts: Facts,
        views: Vec<View>,
        definition: String,
    ) -> Result<Self, LayoutError> {
        let mut columns = vec![Column::new(KNOWN, tarim_datamart::Type::Boolean)];
        let mut groups = vec![Group { name: String::new(), freshness_us: None }];
        for (i, view) in views.iter().enumerate() {
            groups.push(Group { name: view.name.clone(), freshness_us: view.freshness_us });
            columns.extend(view.features.iter().map(|f| Column {
                name: f.name.clone(),
                ty: f.ty,
                range: f.range,
                codes: f.codes.clone(),
                group: u8::try_from(i + 1).unwrap_or(u8::MAX),
            }));
        }
        let layout = Arc::new(Layout::new(columns, groups)?);
        let unknown = unknown_row(&layout);
        let Head { name, zh, en, table, key, application, event, place } = head;
        Ok(Self {
            name,
            zh,
            en,
            table,
            key,
            application,
            event,
            views,
            layout,
            place,
            facts,
            definition,
            unknown,
        })
    }

    /// The field of an event that names it.
    pub fn event_field(&self) -> &str {
        self.event.as_ref().map_or(&self.application, |event| &event.value)
    }

    /// The packed row of an entity that is not known: [`KNOWN`] is FALSE, all else is NULL, and nothing is
    /// stale, for there is no value to be stale.
    pub fn unknown_row(&self) -> &[u8] {
        &self.unknown
    }

    /// BLAKE3, in hexadecimal, of everything that the values of its rows depend on: tables, keys, times,
    /// SQL, types and defaults. Rows of another definition are not this entity's.
    pub fn definition(&self) -> &str {
        &self.definition
    }

    /// Each feature with the index of its column and its view.
    pub fn features(&self) -> impl Iterator<Item = (usize, &View, &Feature)> {
        let features = self.views.iter().flat_map(|v| v.features.iter().map(move |f| (v, f)));
        features.enumerate().map(|(i, (view, feature))| (i + 1, view, feature))
    }
}

fn unknown_row(layout: &Arc<Layout>) -> Arc<[u8]> {
    let mut row = RowBuilder::new(layout);
    row.set(0, &Value::Boolean(false)).expect("column 0 is `known`, a boolean");
    for group in 1..layout.groups().len() {
        row.set_group_time(group, i64::MAX);
    }
    row.finish().into()
}
