//! The generations of the online store: which there are, and going back to one.

use std::{path::Path, time::SystemTime};

use anyhow::bail;
use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Table};
use indicatif::HumanCount;
use tarim_datamart::Value;
use tarim_features::{
    materialise::Selection,
    store::{EmbeddedStore, Generation, Listed, Part, StoreError},
};

use super::LINES;

/// `--list`.
pub fn list(store: &Path) -> anyhow::Result<()> {
    let all = EmbeddedStore::list(store)?;
    if all.is_empty() {
        bail!(StoreError::Empty { path: store.into() });
    }
    let mut table = Table::new();
    table.load_preset(LINES).set_header(["generation", "as of", "published", "rows", ""]);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for listed in &all {
        let (version, as_of, rows) = match &listed.read {
            Ok((version, generation)) => (version.clone(), times(generation), rows(generation)),
            Err(_) => (listed.number.to_string(), "–".into(), "damaged".into()),
        };
        table.add_row([version, as_of, day_and_time(listed.published), rows, standing(listed).into()]);
    }
    println!("{table}");
    for error in all.iter().filter_map(|listed| listed.read.as_ref().err()) {
        println!("{error}");
    }
    Ok(())
}

/// `--rollback`.
pub fn roll_back(store: &Path, generation: &str) -> anyhow::Result<()> {
    let number = EmbeddedStore::number_of(store, generation)?;
    EmbeddedStore::roll_back(store, number)?;
    println!("generation {number} is the current one again");
    Ok(())
}

/// Says on standard error if what is to be made is older than what it replaces: whoever serves takes it up at once.
pub fn tell_if_older(store: &Path, selection: &Selection, as_of_us: i64) -> anyhow::Result<()> {
    let current = EmbeddedStore::list(store)?.into_iter().find(|listed| listed.is_current);
    let Some(Ok((version, generation))) = current.map(|listed| listed.read) else { return Ok(()) };
    let entities = generation.entities.iter().filter(|(name, _)| match selection {
        Selection::All => true,
        Selection::Entities(names) => names.contains(name),
        Selection::Lists => false,
    });
    let lists = (!matches!(selection, Selection::Entities(_))).then_some(&generation.lists);
    let replaced = entities.map(|(_, part)| part).chain(lists);
    if let Some(newest) = replaced.map(|part| part.as_of_us).max().filter(|newest| *newest > as_of_us) {
        eprintln!(
            "warning: as of {} is before {}, as of which generation {version} is: what became known since will not be known \
             any more",
            Value::Timestamp(as_of_us),
            Value::Timestamp(newest)
        );
    }
    Ok(())
}

/// As of when its parts are: a part that was not made anew is older than the others.
fn times(generation: &Generation) -> String {
    let times = || generation.parts().map(|part| part.as_of_us);
    let (oldest, newest) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
    match oldest == newest {
        true => Value::Timestamp(newest).to_string(),
        false => format!("{} to {}", Value::Timestamp(oldest), Value::Timestamp(newest)),
    }
}

fn rows(generation: &Generation) -> String {
    let rows = |name: &str, part: &Part| format!("{name} {}", HumanCount(part.written.records));
    let entities = generation.entities.iter().map(|(name, part)| rows(name, part));
    entities.chain([rows("lists", &generation.lists)]).collect::<Vec<_>>().join(", ")
}

fn standing(listed: &Listed) -> &'static str {
    match (listed.is_current, listed.is_held) {
        (true, true) => "current, held",
        (true, false) => "current",
        (false, true) => "held",
        (false, false) => "",
    }
}

/// A time of the file system, to the second.
pub fn day_and_time(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
