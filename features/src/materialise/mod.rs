//! Materialising: the features of everybody who is known at one time, into a generation of the store.
//!
//! ```text
//!  plan ([`crate::spine`]) ── batches ──> packed rows ──> part file ──┐
//!  list entries ── sorted batches ──────> entries ─────> part file ──┼──> commit
//!  parts of the former generation that are not made anew ────────────┘
//! ```
//!
//! Batches stream from the plan into the file, so memory holds what the plan's joins need and 16 bytes a
//! row; large tables are taken some members at a time, which bounds the former.

mod lists;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use datafusion::{
    arrow::{
        array::{Array, AsArray, RecordBatch, StringArray},
        datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType},
    },
    error::DataFusionError,
    prelude::SessionContext,
};
use futures::TryStreamExt;
use tarim_datamart::{Type, Value};

use crate::{
    entity::{Entity, KNOWN},
    row::{CellError, Dictionary, RowBuilder},
    spine::{Moment, member_counts, rows_at},
    store::{EntityAbout, Generation, Publication, StoreError},
    view::{FeatureSet, source::with_versions},
};

/// Entities of one run of an entity's plan: whole members, up to about this many. The state of 76
/// aggregates takes some 10 KiB an entity, so a run stays within a few GiB.
const CHUNK: u64 = 200_000;

/// What to make anew; the rest is taken from the former generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    All,
    /// Some entities, by name.
    Entities(Vec<String>),
    Lists,
}

/// How far a materialisation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Rows of an entity that are written, of how many.
    Rows { entity: &'a str, done: u64, of: u64 },
    /// Entries of lists that are written.
    Entries { done: u64 },
    /// Everything is written; the generation is being published.
    Publishing,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct MaterialiseReport {
    /// Version of the snapshot, as decisions will name it.
    pub version: String,
    pub as_of_us: i64,
    /// Entities made anew, in the order of the rulebook.
    pub entities: Vec<EntityReport>,
    /// None if the lists were not made anew.
    pub lists: Option<ListsReport>,
}

/// What was made of an entity.
#[derive(Clone, Debug)]
pub struct EntityReport {
    pub name: String,
    pub rows: u64,
    pub features: usize,
    /// Of the whole part: rows, keys, index and dictionary.
    pub bytes: u64,
    /// Of one packed row.
    pub row_bytes: usize,
    /// NULLs among all values, 0 to 1; 0 if there are none.
    pub null_share: f64,
    pub took: Duration,
}

/// What was made of the lists.
#[derive(Clone, Debug)]
pub struct ListsReport {
    /// Name and number of entries; None: never loaded.
    pub lists: Vec<(String, Option<u64>)>,
    pub bytes: u64,
    pub took: Duration,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum MaterialiseError {
    #[error("there is no entity {name:?}; the rulebook has {known}")]
    UnknownEntity { name: String, known: String },
    #[error(
        "the online store has no {what} of this rulebook to go with; run `tarim materialize` for everything"
    )]
    Incomplete { what: String },
    #[error(
        "as of {as_of} nothing is known of {what}{before}: nothing was published\n    fix: name the time that is meant with \
         --as-of, or load what is missing; --force publishes it all the same"
    )]
    Emptied { as_of: Value, what: String, before: &'static str },
    #[error("{entity} {key:?} of member {member}: {error}")]
    Cell { entity: String, member: String, key: String, error: Box<CellError> },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("features cannot be computed: {0}")]
    DataFusion(#[from] DataFusionError),
}

/// Makes a generation of what was known at `as_of_us` (microseconds since 1970-01-01T00:00:00Z) and
/// publishes it in `folder`. `session` has the tables of the datamart. On an error nothing is published.
pub async fn materialise(
    session: &SessionContext,
    features: &FeatureSet,
    as_of_us: i64,
    folder: &Path,
    selection: &Selection,
    progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<MaterialiseReport, MaterialiseError> {
    make(session, features, as_of_us, folder, selection, true, progress).await
}

/// The same, but what takes away all that is known of an entity, or the entries of all lists, is an error, as is a first generation
/// with nothing in it: a wrong time gives such a one, and whoever serves takes it up at once.
pub async fn materialise_unless_emptied(
    session: &SessionContext,
    features: &FeatureSet,
    as_of_us: i64,
    folder: &Path,
    selection: &Selection,
    progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<MaterialiseReport, MaterialiseError> {
    make(session, features, as_of_us, folder, selection, false, progress).await
}

async fn make(
    session: &SessionContext,
    features: &FeatureSet,
    as_of_us: i64,
    folder: &Path,
    selection: &Selection,
    may_be_emptied: bool,
    progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<MaterialiseReport, MaterialiseError> {
    let mut publication = Publication::begin(folder)?;
    let chosen = choose(features, selection, publication.former())?;
    let session = with_versions(session, features.tables()).await?;
    publication.retain(|name| features.entity(name).is_some());
    let mut entities = Vec::new();
    for entity in chosen {
        entities.push(entity_part(&session, entity, as_of_us, &mut publication, progress).await?);
    }
    let lists = match selection {
        Selection::Entities(_) => None,
        _ => Some(lists::lists_part(&session, features, as_of_us, &mut publication, progress).await?),
    };
    if !may_be_emptied {
        check_emptied(publication.former(), as_of_us, &entities, lists.as_ref())?;
    }
    progress(Progress::Publishing);
    let version = publication.commit()?;
    Ok(MaterialiseReport { version, as_of_us, entities, lists })
}

/// Whether somebody, or some entry of a list, was known before and nobody is now.
fn check_emptied(
    former: Option<&Generation>,
    as_of_us: i64,
    entities: &[EntityReport],
    lists: Option<&ListsReport>,
) -> Result<(), MaterialiseError> {
    let entries = lists.map(|lists| lists.lists.iter().filter_map(|(_, entries)| *entries).sum::<u64>());
    let (what, before) = match former {
        None if entities.iter().all(|entity| entity.rows == 0) && entries.unwrap_or(0) == 0 => {
            ("anybody".to_owned(), "")
        }
        None => return Ok(()),
        Some(former) => {
            let had = |name: &str| former.entities.get(name).is_some_and(|part| part.written.records > 0);
            let emptied = entities.iter().filter(|entity| entity.rows == 0 && had(&entity.name));
            let mut emptied: Vec<String> =
                emptied.map(|entity| format!("the entity {:?}", entity.name)).collect();
            if entries == Some(0) && former.lists.written.records > 0 {
                emptied.push("the lists".into());
            }
            (emptied.join(", "), ", of which the current generation knows something")
        }
    };
    if what.is_empty() {
        return Ok(());
    }
    Err(MaterialiseError::Emptied { as_of: Value::Timestamp(as_of_us), what, before })
}

/// The entities to make. What is not made must be there already, of the same definition.
fn choose<'f>(
    features: &'f FeatureSet,
    selection: &Selection,
    former: Option<&Generation>,
) -> Result<Vec<&'f Entity>, MaterialiseError> {
    let all: Vec<&Entity> = features.entities().iter().collect();
    let chosen = match selection {
        Selection::All => return Ok(all),
        Selection::Lists => Vec::new(),
        Selection::Entities(names) => {
            if let Some(name) = names.iter().find(|n| features.entity(n).is_none()) {
                let known = all.iter().map(|e| e.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(MaterialiseError::UnknownEntity { name: name.clone(), known });
            }
            if former.is_none_or(|f| f.lists.definition != features.lists_definition()) {
                return Err(MaterialiseError::Incomplete { what: "lists".into() });
            }
            all.iter().copied().filter(|e| names.contains(&e.name)).collect()
        }
    };
    for entity in all {
        let kept = chosen.iter().any(|c: &&Entity| c.name == entity.name)
            || former
                .and_then(|f| f.entities.get(&entity.name))
                .is_some_and(|p| p.definition == entity.definition());
        if !kept {
            return Err(MaterialiseError::Incomplete {
                what: format!("rows of the entity {:?}", entity.name),
            });
        }
    }
    Ok(chosen)
}

async fn entity_part(
    session: &SessionContext,
    entity: &Entity,
    as_of_us: i64,
    publication: &mut Publication,
    progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<EntityReport, MaterialiseError> {
    let start = Instant::now();
    let counts = member_counts(session, entity, as_of_us).await?;
    let of = counts.iter().map(|(_, n)| n).sum();
    let mut file = publication.writer(Some(&entity.name))?;
    let mut packer = Packer::new(entity);
    for members in chunks(counts) {
        let moment = Moment::All { as_of_us, members };
        let mut batches = rows_at(session, entity, &moment).await?.execute_stream().await?;
        while let Some(batch) = batches.try_next().await? {
            packer.pack(&batch, |key, row| file.push(key, row))?;
            progress(Progress::Rows { entity: &entity.name, done: file.records(), of });
        }
    }
    let written = file.finish(&packer.dictionary, &EntityAbout::of(entity))?;
    let features = entity.layout.columns().len() - 1;
    let values = written.records * features as u64;
    let report = EntityReport {
        name: entity.name.clone(),
        rows: written.records,
        features,
        bytes: written.bytes,
        row_bytes: entity.layout.fixed_len(),
        null_share: if values == 0 { 0.0 } else { packer.nulls as f64 / values as f64 },
        took: start.elapsed(),
    };
    publication.put(Some(&entity.name), as_of_us, entity.definition().to_owned(), written);
    Ok(report)
}

/// Members by the run in which they are made. One run for everybody names nobody.
fn chunks(counts: Vec<(String, u64)>) -> Vec<Vec<String>> {
    if counts.iter().map(|(_, n)| n).sum::<u64>() <= CHUNK {
        return vec![Vec::new()];
    }
    let mut chunks = Vec::new();
    let mut room = 0;
    for (member, n) in counts {
        if chunks.is_empty() || n > room {
            chunks.push(Vec::new());
            room = CHUNK;
        }
        room = room.saturating_sub(n);
        chunks.last_mut().expect("a chunk was begun").push(member);
    }
    chunks
}

/// Packs batches of the columns that [`rows_at`] gives.
struct Packer<'e> {
    entity: &'e Entity,
    row: RowBuilder,
    dictionary: Dictionary,
    nulls: u64,
}

impl<'e> Packer<'e> {
    fn new(entity: &'e Entity) -> Self {
        let dictionary = Dictionary::clone(entity.layout.codes());
        Self { entity, row: RowBuilder::new(&entity.layout), dictionary, nulls: 0 }
    }

    fn pack(
        &mut self,
        batch: &RecordBatch,
        mut write: impl FnMut(&[&str], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), MaterialiseError> {
        let (members, keys): (&StringArray, &StringArray) =
            (batch.column(0).as_string(), batch.column(1).as_string());
        let values = self.entity.layout.columns().len() - 1;
        let known = self.entity.layout.index(KNOWN).expect("every entity has `known`");
        for i in 0..batch.num_rows() {
            self.row.clear();
            let (member, key) = (members.value(i), keys.value(i));
            let set = self.row.set_bool(known, true).and_then(|()| self.set_values(batch, i));
            set.map_err(|error| {
                let (member, key, error) = (member.to_owned(), key.to_owned(), Box::new(error));
                MaterialiseError::Cell { entity: self.entity.name.clone(), member, key, error }
            })?;
            for group in 1..self.entity.layout.groups().len() {
                let times = batch.column(1 + values + group).as_primitive::<TimestampMicrosecondType>();
                self.row.set_group_time(group, times.value(i));
            }
            write(&[member, key], self.row.finish())?;
        }
        Ok(())
    }

    fn set_values(&mut self, batch: &RecordBatch, i: usize) -> Result<(), CellError> {
        for (at, column) in self.entity.layout.columns().iter().enumerate().skip(1) {
            let values = batch.column(1 + at);
            if values.is_null(i) {
                self.nulls += 1;
                continue;
            }
            match column.ty {
                Type::Boolean => self.row.set_bool(at, values.as_boolean().value(i))?,
                Type::Int64 => self.row.set_int(at, values.as_primitive::<Int64Type>().value(i))?,
                Type::Float64 => self.row.set_float(at, values.as_primitive::<Float64Type>().value(i))?,
                Type::Date32 => self.row.set_date(at, values.as_primitive::<Date32Type>().value(i))?,
                Type::Timestamp => {
                    self.row.set_timestamp(at, values.as_primitive::<TimestampMicrosecondType>().value(i))?;
                }
                Type::Utf8 => {
                    let text = values.as_string::<i32>().value(i);
                    if column.codes.is_empty() {
                        self.row.set_text_code(at, self.dictionary.intern(text))?;
                    } else {
                        self.row.set_text(at, text)?;
                    }
                }
            }
        }
        Ok(())
    }
}
