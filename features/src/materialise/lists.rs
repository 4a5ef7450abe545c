//! The part of the lists: entries by list, member and value.

use std::time::Instant;

use datafusion::{
    arrow::{
        array::{Array, AsArray, RecordBatch, StringArray},
        datatypes::TimestampMicrosecondType,
    },
    prelude::{SessionContext, ident},
};
use futures::TryStreamExt;

use super::{ListsReport, MaterialiseError, Progress};
use crate::{
    spine::{entries_at, loaded_since},
    store::{Entry, ListAbout, ListsAbout, Publication, StoreError, encode_entries, write_lists},
    view::FeatureSet,
};

/// Makes the part of all lists.
pub(super) async fn lists_part(
    session: &SessionContext,
    features: &FeatureSet,
    as_of_us: i64,
    publication: &mut Publication,
    progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<ListsReport, MaterialiseError> {
    let start = Instant::now();
    let mut file = publication.writer(None)?;
    let mut about = ListsAbout { lists: Vec::new() };
    let mut done = 0;
    for list in features.lists() {
        let since = loaded_since(session, features, &list.table).await?;
        let loaded = since.iter().any(|(name, us)| *name == list.name && *us <= as_of_us);
        let mut counted = ListAbout { name: list.name.clone(), loaded, entries: 0 };
        let entries = entries_at(session, features, list, as_of_us).await?;
        let order = vec![ident("member").sort(true, false), ident("value").sort(true, false)];
        let mut batches = entries.sort(order)?.execute_stream().await?;
        let mut run = Run::default();
        while let Some(batch) = batches.try_next().await? {
            let (members, values): (&StringArray, &StringArray) =
                (batch.column(0).as_string(), batch.column(1).as_string());
            for i in (0..batch.num_rows()).filter(|i| values.is_valid(*i)) {
                let key = (members.value(i), values.value(i));
                if (run.member.as_str(), run.value.as_str()) != key {
                    run.write(&list.name, |key, payload| file.push(key, payload))?;
                    (run.member, run.value) = (key.0.to_owned(), key.1.to_owned());
                }
                run.entries.push(OwnedEntry::read(&batch, i));
                counted.entries += 1;
            }
            progress(Progress::Entries { done: done + counted.entries });
        }
        run.write(&list.name, |key, payload| file.push(key, payload))?;
        done += counted.entries;
        about.lists.push(counted);
    }
    let written = write_lists(file, &about)?;
    let lists = about.lists.into_iter().map(|l| (l.name, l.loaded.then_some(l.entries))).collect();
    let report = ListsReport { lists, bytes: written.bytes, took: start.elapsed() };
    publication.put(None, as_of_us, features.lists_definition().to_owned(), written);
    Ok(report)
}

/// Entries of one member and value, while they come in one after the other.
#[derive(Default)]
struct Run {
    member: String,
    value: String,
    entries: Vec<OwnedEntry>,
    payload: Vec<u8>,
}

impl Run {
    fn write(
        &mut self,
        list: &str,
        push: impl FnOnce(&[&str], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        self.payload.clear();
        let mut entries: Vec<Entry<'_>> = self.entries.iter().map(OwnedEntry::entry).collect();
        encode_entries(&mut entries, &mut self.payload);
        push(&[list, &self.member, &self.value], &self.payload)?;
        self.entries.clear();
        Ok(())
    }
}

struct OwnedEntry {
    entry_id: String,
    reason: Option<String>,
    source: Option<String>,
    valid_from_us: i64,
    expires_at_us: i64,
}

impl OwnedEntry {
    /// A row of what [`entries_at`] gives.
    fn read(batch: &RecordBatch, i: usize) -> Self {
        let text = |column: usize| {
            let texts: &StringArray = batch.column(column).as_string();
            texts.is_valid(i).then(|| texts.value(i).to_owned())
        };
        let time = |column: usize| {
            let times = batch.column(column).as_primitive::<TimestampMicrosecondType>();
            times.is_valid(i).then(|| times.value(i))
        };
        Self {
            entry_id: text(2).unwrap_or_default(),
            reason: text(3),
            source: text(4),
            valid_from_us: time(5).unwrap_or(i64::MIN),
            expires_at_us: time(6).unwrap_or(i64::MAX),
        }
    }

    fn entry(&self) -> Entry<'_> {
        Entry {
            entry_id: &self.entry_id,
            reason: self.reason.as_deref(),
            source: self.source.as_deref(),
            valid_from_us: self.valid_from_us,
            expires_at_us: self.expires_at_us,
        }
    }
}
