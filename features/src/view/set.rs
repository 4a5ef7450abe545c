//! All features and lists of a rulebook, checked against its standards.

use std::{collections::HashMap, path::Path, sync::Arc};

use datafusion::{logical_expr::LogicalPlan, prelude::SessionContext};
use futures::executor::block_on;
use tarim_datamart::{At, Place, Problems, SourceText, Standards, Table, Type};

use super::{
    Feature, View, aggregate,
    read::{self, Names, RawView, near_or},
    source::{self, FactTable, Facts, Refusal, Source, first_line, type_of},
};
use crate::{
    entity::Entity,
    list::List,
    row::{Column, Layout, LayoutError},
};

/// Entities, feature views and lists of a rulebook.
#[derive(Clone, Debug)]
pub struct FeatureSet {
    entities: Vec<Entity>,
    lists: Vec<List>,
    list_layout: Arc<Layout>,
    /// Every table that an entity, a view or a list reads.
    tables: Vec<FactTable>,
    lists_definition: String,
}

impl FeatureSet {
    /// Reads `features/` and `lists/` of a rulebook. Everything that is wrong is reported, with its place:
    /// SQL is planned against the standards, so that what can be read can be run.
    pub fn read(rulebook: &Path, standards: &Standards) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let files = Path::new("features");
        let (mut heads, mut raw) = (Vec::new(), Vec::new());
        let mut names = Names::default();
        for path in read::toml_files(rulebook, files, &mut problems) {
            let Some(text) = problems.take(SourceText::read(rulebook, &path)) else { continue };
            if path.file_stem().is_some_and(|stem| stem == "entities") {
                heads = read::entities(&text, standards, &mut problems);
            } else {
                raw.extend(read::view(&text, &mut names, &mut problems));
            }
        }
        let mut names = Names::default();
        let mut lists = Vec::new();
        for path in read::toml_files(rulebook, Path::new("lists"), &mut problems) {
            let Some(text) = problems.take(SourceText::read(rulebook, &path)) else { continue };
            lists.extend(List::read(&text, standards, &mut names, &mut problems));
        }
        if standards.table("applications").is_none() && !(heads.is_empty() && lists.is_empty()) {
            problems.push(Place::file(Path::new("standards")).problem(
                "the table `applications` is missing: entities and lists are named by its fields",
                "write standards/applications.toml",
            ));
        }
        let planner = Planner::new(standards).map_err(|e| {
            Place::file(files).problem(first_line(&e), "this is a defect of Tarim: report it")
        })?;
        let mut views: HashMap<String, Vec<View>> = HashMap::new();
        for raw in raw {
            let known: Vec<&str> = heads.iter().map(|h| h.name.as_str()).collect();
            let Some(head) = heads.iter().find(|h| h.name == raw.entity.value) else {
                problems.push(raw.entity.place.problem(
                    format!("there is no entity `{}`", raw.entity.value),
                    near_or(&raw.entity.value, &known, || "add it to features/entities.toml".into()),
                ));
                continue;
            };
            let (entity, key) = (raw.entity.value.clone(), head.key.clone());
            // Of a SELECT it is not known which field its key comes from.
            if let (Some(facts), Some(table)) =
                (standards.table(&raw.source.value), standards.table(&head.table))
            {
                let own = raw.key.as_ref();
                let place = own.map_or(&raw.source.place, |own| &own.place);
                let own = own.map_or(key.as_str(), |own| own.value.as_str());
                read::same_tokens(place, (facts, own), (table, key.as_str()), &mut problems);
            }
            let view = planner.view(raw, &key, &mut problems);
            views.entry(entity).or_default().extend(view);
        }
        let mut tables = Vec::new();
        let mut entities = Vec::new();
        for head in heads {
            let views = views.remove(&head.name).unwrap_or_default();
            check_names(&views, &mut problems);
            let Some(table) = standards.table(&head.table) else { continue };
            let own = known_by(table, &head.key);
            tables.extend(own.tables.clone());
            tables.extend(views.iter().flat_map(|v| v.facts.tables.clone()));
            let definition = entity_definition(&head, &views, standards);
            let place = head.place.clone();
            match Entity::new(head, own, views, definition) {
                Ok(entity) => entities.push(entity),
                // Each of these names has been reported where it stands.
                Err(LayoutError::Repeated(_)) => {}
                Err(e) => problems.push(place.problem(e.to_string(), "change the entity's feature views")),
            }
        }
        tables.extend(lists.iter().filter_map(|l| standards.table(&l.table)).map(FactTable::new));
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        tables.dedup();
        let columns = lists.iter().map(|l| Column::new(l.name.clone(), Type::Boolean)).collect();
        let layout = Layout::new(columns, Vec::new());
        let layout =
            layout.map_err(|e| Place::file(Path::new("lists")).problem(e.to_string(), "use fewer lists"));
        let Some(list_layout) = problems.take(layout).map(Arc::new) else { return Err(problems) };
        let lists_definition = lists_definition(&lists, standards);
        problems.or(Self { entities, lists, list_layout, tables, lists_definition })
    }

    /// In the order of `entities.toml`.
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    pub fn entity(&self, name: &str) -> Option<&Entity> {
        self.entities.iter().find(|e| e.name == name)
    }

    /// In order of file name, and in a file as they stand.
    pub fn lists(&self) -> &[List] {
        &self.lists
    }

    /// The relation `list` of expressions: one boolean per list, in order.
    pub fn list_layout(&self) -> &Arc<Layout> {
        &self.list_layout
    }

    /// BLAKE3, in hexadecimal, of everything that the entries of the lists depend on.
    pub fn lists_definition(&self) -> &str {
        &self.lists_definition
    }

    pub(crate) fn tables(&self) -> &[FactTable] {
        &self.tables
    }
}

/// An entity is known from its first row on, the very moment included: whoever registers and applies at
/// once is known.
fn known_by(table: &Table, key: &str) -> Facts {
    Facts {
        source: Source::Table(table.name.clone()),
        tables: vec![FactTable::new(table)],
        key: key.to_owned(),
        event_time: table.event_time.clone(),
        known_at: table.known_at.clone(),
        inclusive: true,
    }
}

/// A time that is unknown would be that of the computation, so that old values were new.
fn is_always_told(timestamp: &aggregate::Value) -> Result<(), Refusal> {
    match timestamp.overflows {
        Some(_) => Err(Refusal::new(
            "`timestamp` computes with integers, and is unknown where no int64 holds the result",
            "make it of times alone, such as max(booked_at), and compare numbers as they are: a > b, not a - b > 0",
        )),
        None => Ok(()),
    }
}

/// Features of one name in two views of an entity.
fn check_names(views: &[View], problems: &mut Problems) {
    let mut taken: HashMap<&str, &Place> = HashMap::new();
    for feature in views.iter().flat_map(|v| &v.features) {
        if let Some(first) = taken.insert(&feature.name, &feature.sql.place) {
            problems.push(feature.sql.place.problem(
                format!(
                    "a second feature of the entity is named `{}`; the first stands at {first}",
                    feature.name
                ),
                "rename one of them",
            ));
        }
    }
}

/// Plans SQL of views against empty tables of the standards.
struct Planner<'s> {
    standards: &'s Standards,
    session: SessionContext,
}

impl<'s> Planner<'s> {
    fn new(standards: &'s Standards) -> Result<Self, datafusion::error::DataFusionError> {
        let session = SessionContext::new();
        tarim_datamart::register_functions(&session);
        Ok(Self { standards, session: source::with_empty_tables(&session, standards)? })
    }

    /// Checks a view; None if its source is so wrong that its features cannot be looked at.
    fn view(&self, raw: RawView, entity_key: &str, problems: &mut Problems) -> Option<View> {
        let (facts, plan) = self.facts(&raw, entity_key, problems)?;
        let state = self.session.state();
        let scope = match aggregate::scope(&plan) {
            Ok(scope) => scope,
            Err(e) => {
                problems.push(raw.source.place.problem(
                    first_line(&e),
                    format!("a source has no column `{}`, and no two of one name", aggregate::AS_OF),
                ));
                return None;
            }
        };
        let mut check =
            |sql: &super::Sql, ty: Type, is_sound: fn(&aggregate::Value) -> Result<(), Refusal>| {
                let parsed = aggregate::parse(&state, &scope, &facts, &sql.text, ty);
                if let Err(refusal) = parsed.and_then(|value| is_sound(&value)) {
                    problems.push(sql.place.problem(refusal.what, refusal.fix));
                }
            };
        for Feature { sql, ty, .. } in &raw.features {
            check(sql, *ty, |_| Ok(()));
        }
        if let Some(sql) = &raw.timestamp {
            check(sql, Type::Timestamp, is_always_told);
        }
        let RawView { name, zh, en, freshness_us, timestamp, features, place, .. } = raw;
        Some(View { name: name.value, zh, en, facts, freshness_us, timestamp, features, place })
    }

    /// Checks the source of a view and which of its columns say what.
    fn facts(
        &self,
        raw: &RawView,
        entity_key: &str,
        problems: &mut Problems,
    ) -> Option<(Facts, LogicalPlan)> {
        let source = Source::new(&raw.source.value);
        let table = match &source {
            Source::Table(_) => Some(read::table_of(&raw.source, self.standards, problems)?),
            Source::Select(_) => None,
        };
        // A table says itself when its rows happened and became known.
        let mut time = |given: &Option<At<String>>, own: fn(&Table) -> &String, key: &str| {
            let name = given.as_ref().map(|g| g.value.clone()).or_else(|| table.map(|t| own(t).clone()));
            if name.is_none() {
                problems.push(raw.source.place.problem(
                    format!("the source is a SELECT, and the view does not say which column is its {key}"),
                    format!("add `{key} = \"…\"`, a date32 or timestamp column of the SELECT"),
                ));
            }
            name
        };
        let event_time = time(&raw.event_time, |t| &t.event_time, "event_time");
        let known_at = time(&raw.known_at, |t| &t.known_at, "known_at");
        let (event_time, known_at) = (event_time?, known_at?);
        if let (Some(table), Some(given)) = (table, &raw.known_at)
            && given.value != table.known_at
        {
            problems.push(given.place.problem(
                format!("`{}` is not when the rows of `{}` became known", given.value, table.name),
                format!("remove it: the standard of `{}` says that it is `{}`", table.name, table.known_at),
            ));
            return None;
        }
        let plan = match block_on(source::plan(&self.session, &source)) {
            Ok(plan) => plan,
            Err(e) => {
                let fix = "correct the SQL: it reads the tables of the standards";
                let Refusal { what, fix } = source::unplanned(&e, fix);
                problems.push(raw.source.place.problem(what, fix));
                return None;
            }
        };
        let key = raw.key.as_ref().map_or_else(|| entity_key.to_owned(), |k| k.value.clone());
        let mut columns = vec![
            (&raw.key, "member", &[Type::Utf8][..]),
            (&raw.key, key.as_str(), &[Type::Utf8]),
            (&raw.event_time, event_time.as_str(), &[Type::Date32, Type::Timestamp]),
            (&raw.known_at, known_at.as_str(), &[Type::Date32, Type::Timestamp]),
        ];
        let tables = match table {
            Some(table) => vec![table],
            None => match source::check_select(&plan, &known_at, self.standards)
                .and_then(|tables| source::check_types(&self.session, &plan).map(|()| tables))
            {
                Ok(tables) => tables,
                Err(Refusal { what, fix }) => {
                    problems.push(raw.source.place.problem(what, fix));
                    return None;
                }
            },
        };
        if tables.iter().any(|t| t.versioned) {
            columns.push((&None, source::SUPERSEDED_AT, &[Type::Date32, Type::Timestamp]));
        }
        let mut sound = true;
        for (given, name, types) in columns {
            let wanted = || types.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(" or ");
            let what = match type_of(plan.schema(), name) {
                Some(Some(ty)) if types.contains(&ty) => continue,
                Some(_) => format!("the column `{name}` of the source is not {}", wanted()),
                None => format!("the source has no column `{name}`"),
            };
            let place = given.as_ref().map_or(&raw.source.place, |g| &g.place);
            let names: Vec<&str> = plan.schema().fields().iter().map(|f| f.name().as_str()).collect();
            let fix = near_or(name, &names, || format!("name, or select, a {} column", wanted()));
            problems.push(place.problem(what, fix));
            sound = false;
        }
        let tables = tables.into_iter().map(FactTable::new).collect();
        let facts = Facts { source, tables, key, event_time, known_at, inclusive: raw.inclusive };
        sound.then_some((facts, plan))
    }
}

/// Everything that the values of an entity's rows depend on. Texts for people are not part of it, nor is
/// freshness, which is judged when a row is read.
fn entity_definition(head: &crate::entity::Head, views: &[View], standards: &Standards) -> String {
    let mut hash = blake3::Hasher::new();
    let mut feed = |line: String| {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    };
    feed(format!("tarim entity 2 {:?} {:?} {:?}", head.name, head.table, head.key));
    feed(table_definition(standards, &head.table));
    for view in views {
        feed(format!("view {:?} {:?}", view.name, view.facts));
        feed(format!("timestamp {:?}", view.timestamp.as_ref().map(|t| &t.text)));
        for table in &view.facts.tables {
            feed(table_definition(standards, &table.name));
        }
        for f in &view.features {
            let (range, codes) = (f.range, &f.codes);
            feed(format!(
                "feature {:?} {} {:?} {:?} {range:?} {codes:?}",
                f.name, f.ty, f.sql.text, f.default
            ));
        }
    }
    hash.finalize().to_hex().to_string()
}

fn lists_definition(lists: &[List], standards: &Standards) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(b"tarim lists 1\n");
    for list in lists {
        hash.update(format!("{:?} {:?} {:?}\n", list.name, list.table, list.field).as_bytes());
        hash.update(table_definition(standards, &list.table).as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

fn table_definition(standards: &Standards, name: &str) -> String {
    let times = |t: &Table| format!("table {:?} {:?} {:?}", FactTable::new(t), t.event_time, t.known_at);
    standards.table(name).map(times).unwrap_or_default()
}
