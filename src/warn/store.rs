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
        let known = if none { Known::default() } else { Known::of(&folder) };
        let version = |named: &Option<String>| match (named, &known.store) {
            (Some(named), Some(store)) => store.version(named).map(Some),
            // That there is no store is told of the first rule that reads it.
            (named, _) => Ok(named.clone()),
        };
        let (start, instead) = (version(&self.features)?, version(&self.features_instead)?);
        Ok(Known { start, instead, ..known })
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
        if let Some(version) = &known.start {
            let as_of = known.rows(book, version)?.and_then(|rows| rows.as_of_us());
            let as_of = as_of.map_or_else(String::new, |us| format!(", as of {}", Value::Timestamp(us)));
            eprintln!(
                "rules read features of generation {version}{as_of}: for earlier events they tell what came later"
            );
        }
        Ok(known)
    }
}
