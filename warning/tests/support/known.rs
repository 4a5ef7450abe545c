//! The small rulebook with entities and rules that read features of them (`tests/known`), and stores of made-up generations.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use tarim_datamart::{Type, Value, gate::parse};
use tarim_features::{
    row::{Dictionary, RowBuilder},
    store::{EntityAbout, Publication},
};
use tarim_warning::{core::Worker, known::Known, rulebook::WarningBook};

use super::copy;

/// The rulebook.
pub fn book() -> Arc<WarningBook> {
    static BOOK: OnceLock<Arc<WarningBook>> = OnceLock::new();
    let read = || Arc::new(WarningBook::read(folder().path()).unwrap_or_else(|p| panic!("{p}")));
    BOOK.get_or_init(read).clone()
}

/// The same, in a folder that may be changed.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in ["rulebook", "known"] {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(part), folder.path());
    }
    folder
}

/// What is known of entities: by entity, `member/key` and column. `at`, if it is there, is the time of all its views.
pub type Rows = BTreeMap<String, toml::Table>;

/// A store.
pub struct Store {
    folder: tempfile::TempDir,
    pub known: Known,
    /// Versions of its generations, in order.
    pub versions: Vec<String>,
}

impl Store {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let known = Known::of(folder.path());
        Self { folder, known, versions: Vec::new() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Publishes a generation. Rows are named `customer 001/c1`.
    pub fn publish(&mut self, book: &WarningBook, as_of_us: i64, rows: &Rows) -> String {
        let mut publication = Publication::begin(self.folder.path()).unwrap();
        for entity in book.entities().set().entities() {
            let mut file = publication.writer(Some(&entity.name)).unwrap();
            let mut dictionary = Dictionary::clone(entity.layout.codes());
            let mut row = RowBuilder::new(&entity.layout);
            for (name, columns) in rows {
                let (of, key) = name.split_once(' ').expect("entity and key");
                if of != entity.name {
                    continue;
                }
                let (member, key) = key.split_once('/').unwrap_or(("001", key));
                row.clear();
                row.set(0, &Value::Boolean(true)).unwrap();
                let time = |text: &toml::Value| text.as_str().and_then(parse::timestamp).expect("a time");
                let at_us = columns.get("at").map_or(as_of_us, time);
                for group in 1..entity.layout.groups().len() {
                    row.set_group_time(group, at_us);
                }
                for (column, value) in columns.iter().filter(|(name, _)| *name != "at") {
                    let index = entity.layout.index(column).unwrap_or_else(|| panic!("no {column}"));
                    match (entity.layout.columns()[index].ty, value) {
                        (Type::Int64, value) => {
                            row.set(index, &Value::Int64(value.as_integer().unwrap())).unwrap();
                        }
                        (Type::Float64, value) => {
                            let number = value.as_float().or(value.as_integer().map(|i| i as f64));
                            row.set(index, &Value::Float64(number.unwrap())).unwrap();
                        }
                        (Type::Utf8, value) => {
                            let code = dictionary.intern(value.as_str().unwrap());
                            row.set_text_code(index, code).unwrap();
                        }
                        (ty, _) => panic!("no {ty} in tests"),
                    }
                }
                file.push(&[member, key], row.finish()).unwrap();
            }
            let written = file.finish(&dictionary, &EntityAbout::of(entity)).unwrap();
            publication.put(Some(&entity.name), as_of_us, entity.definition().to_owned(), written);
        }
        // No list is read here.
        let lists = publication.writer(None).unwrap();
        let written = lists.finish(&Dictionary::new(), &serde_json::json!({ "lists": [] })).unwrap();
        let definition = book.entities().set().lists_definition().to_owned();
        publication.put(None, as_of_us, definition, written);
        let version = publication.commit().unwrap();
        self.versions.push(version.clone());
        version
    }

    /// A worker that was given nothing yet but its state.
    pub fn begin(&self, mut worker: Worker) -> Worker {
        self.known.begin(&mut worker).unwrap_or_else(|e| panic!("{e}"));
        worker
    }
}
