//! What verbs ask whose warning rules may read features of the online store.

use std::path::PathBuf;

use anyhow::Context;
use tarim_datamart::Value;
use tarim_features::store::{KeptGenerations, StoreError};
use tarim_warning::{known::Known, rulebook::WarningBook};

use crate::home::Home;

/// Where the online store is.
#[derive(clap::Args, Clone)]
pub struct Store {
    /// Folder of the online store, whose features warning rules may read [default: store/ in the home]
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
}

/// What is read of it by whoever takes events.
#[derive(clap::Args, Clone)]
pub struct Features {
    #[command(flatten)]
    store: Store,
    /// Generation whose features rules read until the events name another one: its number, or its version, such as
    /// 12-3f9a02bc
    #[arg(long, value_name = "VERSION")]
    features: Option<String>,
    /// Generation to read in the place of those that the events name and the store no longer has: its number, or its
    /// version. Alerts may differ from what they would have been
    #[arg(long, value_name = "VERSION")]
    features_instead: Option<String>,
}

/// Most generations that stay in the store because a pipeline may ask for them again.
#[derive(clap::Args, Clone)]
pub struct Hold {
    /// Generations to keep in the store of those that were put into the log: whoever takes the log again needs them
    #[arg(long, default_value_t = 7, value_name = "GENERATIONS")]
    hold: usize,
}

impl Store {
    fn folder(&self, home: &Home) -> PathBuf {
        self.store.clone().unwrap_or_else(|| home.store())
    }

    /// Finds a generation, or the current one, and sees whether a rulebook can read it; it stays in the store from now on. Gives its
    /// version, and what it tells of itself.
    pub fn hold(
        &self,
        home: &Home,
        book: &WarningBook,
        version: Option<String>,
        hold: &Hold,
    ) -> anyhow::Result<(String, Option<String>)> {
        let known = Known::of(&self.folder(home));
        let kept = known.store.as_ref().context("there is a store")?;
        let version = version.map_or_else(|| kept.current(), |named| kept.version(&named))?;
        let as_of = known.rows(book, &version)?.and_then(|rows| rows.as_of_us());
        kept.hold(&version, hold.hold)?;
        Ok((version, as_of.map(|us| Value::Timestamp(us).to_string())))
    }
}

impl Features {
    /// What a pipeline reads: whatever the log names.
    pub fn of_log(&self, home: &Home) -> anyhow::Result<Known> {
        let folder = self.store.folder(home);
        let none = match KeptGenerations::new(&folder).current() {
            Err(StoreError::Empty { .. }) => true,
            current => current.map(|_| false)?,
        };
        // That there is no store is told of the first rule that reads it; that a generation is gone, of the first one that reads it:
        // a log that names others by now does not need the one that a unit file named once.
        let known = if none { Known::default() } else { Known::of(&folder) };
        Ok(Known { start: self.features.clone(), instead: self.features_instead.clone(), ..known })
    }

    /// What history reads that is run through rules of today: from its beginning the generation that was named, or the current
    /// one, which is told.
    pub fn of_history(&self, home: &Home, book: &WarningBook) -> anyhow::Result<Known> {
        let mut known = self.of_log(home)?;
        known.check(book)?;
        if book.reads().first.is_none() {
            return Ok(known);
        }
        if let (None, Some(store)) = (&known.start, &known.store) {
            known.start = Some(store.current()?);
        }
        if let Some(named) = &known.start
            && let Some(rows) = known.rows(book, named)?
        {
            let version = rows.version();
            let as_of =
                rows.as_of_us().map_or_else(String::new, |us| format!(", as of {}", Value::Timestamp(us)));
            eprintln!(
                "rules read features of generation {version}{as_of}: for earlier events they tell what came later"
            );
        }
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use tarim_features::{row::Dictionary, store::Publication};

    use super::*;

    /// A unit file says `--features 9`: once the log names another one, nobody asks for 9.
    #[test]
    fn a_number_whose_generation_is_gone_stops_nobody_who_does_not_read_it() {
        let scratch = tempfile::tempdir().unwrap();
        let home = Home::at(&scratch.path().join("home"), scratch.path());
        let mut publication = Publication::begin(&home.store()).unwrap();
        let lists = publication.writer(None).unwrap();
        let lists = lists.finish(&Dictionary::new(), &serde_json::json!({ "lists": [] })).unwrap();
        publication.put(None, 0, String::new(), lists);
        publication.commit().unwrap();
        let named = |name: Option<&str>| name.map(str::to_owned);
        for (features, features_instead) in [(Some("9"), None), (Some("9"), Some("12")), (None, Some("12"))] {
            let (features, features_instead) = (named(features), named(features_instead));
            let asked = Features {
                store: Store { store: None },
                features: features.clone(),
                features_instead: features_instead.clone(),
            };
            let known = asked.of_log(&home).unwrap();
            assert!(known.store.is_some());
            assert_eq!((known.start, known.instead), (features, features_instead));
        }
    }
}
