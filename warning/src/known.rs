//! What an edge gives a worker of the online store: the generation that the log names, and no other.
//!
//! ```text
//!  log:  features 12 ── events ── features 13 ── events ── rulebook B, features 14 ── …
//!            │                        │                         │
//!            ▼                        ▼                         ▼
//!        Known::give              Known::give        Known::prepare ─► history ─► Swap::make
//! ```
//!
//! Which generation is read is part of the log, as the rulebook is, so that whoever takes the log again finds the same values. Before
//! the first change of the log, the one holds that somebody has named at the start; if nobody has, no event of the log is taken
//! that rules might ask a feature for. The store's current generation is never read because it happens to be the newest.

use std::{path::Path, sync::Arc};

use tarim_features::store::{KeptGenerations, KeptRows, StoreError};
use tracing::warn;

use crate::{
    core::{Backfill, Worker},
    rulebook::{ReadBy, WarningBook},
};

/// The online store, and what is read of it at the start.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// None: rules must read no features.
    pub store: Option<Arc<KeptGenerations>>,
    /// The generation that holds before the log names one: its version, or its number alone. Whoever reads none of it does not need
    /// it to be there.
    pub start: Option<String>,
    /// The generation that is read in the place of one that the log names and the store no longer has; named as that of the start.
    pub instead: Option<String>,
}

/// Why features cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    #[error(
        "{}: rule {} reads {}, and there is no online store: name its folder with --store; `tarim materialize` makes one",
        .0.place, .0.rule, .0.feature
    )]
    NoStore(Box<ReadBy>),
    #[error(
        "{}: rule {} reads {}, and nothing in the log says of which generation: run `tarim warn features` before events are \
         sent; for those that are there already, start with --features and the version of a generation",
        .0.place, .0.rule, .0.feature
    )]
    Blind(Box<ReadBy>),
    #[error(
        "{}: rule {} reads {} of generation {version}, which cannot be read: {source}. Bring it back into the store, or \
         start with --features-instead and the version of one that is there: it is then read in the place of those that are gone, \
         and alerts may differ from what they would have been",
        by.place, by.rule, by.feature
    )]
    Gone { by: Box<ReadBy>, version: String, source: Box<StoreError> },
    #[error(
        "{}: rule {} reads {} of generation {version}, which cannot be read: {source}",
        by.place, by.rule, by.feature
    )]
    Store { by: Box<ReadBy>, version: String, source: Box<StoreError> },
}

/// Another rulebook, with what it reads, ready to come into force.
pub struct Swap {
    book: Arc<WarningBook>,
    version: Option<String>,
    rows: Option<Arc<KeptRows>>,
    /// What is to be filled from history first.
    pub history: Option<Backfill>,
}

impl Known {
    /// Of the store in a folder.
    pub fn of(folder: &Path) -> Self {
        Self { store: Some(Arc::new(KeptGenerations::new(folder))), ..Self::default() }
    }

    /// Whether rules that read features have a store to read them from, before anything is taken.
    pub fn check(&self, book: &WarningBook) -> Result<(), KnownError> {
        match (&book.reads().first, &self.store) {
            (Some(by), None) => Err(KnownError::NoStore(by.clone().into())),
            _ => Ok(()),
        }
    }

    /// Gives a worker that begins the rows that its state was left with, or those of the start.
    pub fn begin(&self, worker: &mut Worker) -> Result<(), KnownError> {
        self.check(worker.book())?;
        match (worker.features().map(str::to_owned), &self.start) {
            (Some(version), _) => self.give(worker, &version),
            (None, Some(named)) => self.give_named(worker, named),
            (None, None) => Ok(()),
        }
    }

    /// The same for a generation that the log does not name: the worker knows it by its version.
    fn give_named(&self, worker: &mut Worker, named: &str) -> Result<(), KnownError> {
        let version = self.store.as_ref().and_then(|store| store.version(named).ok());
        match (self.rows(worker.book(), named)?, version) {
            (Some(rows), version) => {
                let version = version.unwrap_or_else(|| rows.version().to_owned());
                worker.know(&version, rows);
            }
            (None, Some(version)) => worker.know_of(&version),
            // Nobody reads it, and it is gone.
            (None, None) => {}
        }
        Ok(())
    }

    /// From here on the worker reads this generation.
    pub fn give(&self, worker: &mut Worker, version: &str) -> Result<(), KnownError> {
        match self.rows(worker.book(), version)? {
            Some(rows) => worker.know(version, rows),
            None => worker.know_of(version),
        }
        Ok(())
    }

    /// The rows that a rulebook reads of a generation, which is named by its version or its number; None: it reads none.
    pub fn rows(&self, book: &WarningBook, version: &str) -> Result<Option<Arc<KeptRows>>, KnownError> {
        self.check(book)?;
        let (Some(by), Some(store)) = (&book.reads().first, &self.store) else { return Ok(None) };
        let open =
            |named: &str| store.open(&store.version(named)?, book.entities().set(), &book.reads().entities);
        let (by, named) = (Box::new(by.clone()), version.to_owned());
        match (open(version), &self.instead) {
            (Ok(rows), _) => Ok(Some(rows)),
            (Err(StoreError::Gone { .. }), Some(instead)) => {
                warn!(
                    generation = version,
                    instead, "features that are gone: others are read, as was asked for"
                );
                let wrong =
                    |source| KnownError::Store { by, version: instead.clone(), source: Box::new(source) };
                open(instead).map(Some).map_err(wrong)
            }
            (Err(source @ StoreError::Gone { .. }), None) => {
                Err(KnownError::Gone { by, version: named, source: source.into() })
            }
            (Err(source), _) => Err(KnownError::Store { by, version: named, source: source.into() }),
        }
    }

    /// Another rulebook is about to come into force, with the features of a generation, or else of the one that is read.
    pub fn prepare(
        &self,
        worker: &Worker,
        book: Arc<WarningBook>,
        features: Option<&str>,
    ) -> Result<Swap, KnownError> {
        let version = features.or(worker.features()).map(str::to_owned);
        let rows = version.as_ref().map(|version| self.rows(&book, version)).transpose()?.flatten();
        if let (Some(by), None) = (&book.reads().first, &rows) {
            return Err(KnownError::Blind(by.clone().into()));
        }
        let mut history = worker.backfill(&book);
        if let (Some(history), Some(version), Some(rows)) = (&mut history, &version, &rows) {
            history.know(version, rows.clone());
        }
        Ok(Swap { book, version, rows, history })
    }

    /// No event was taken, for nobody has said what rules read.
    pub fn blind(book: &WarningBook) -> Result<(), KnownError> {
        book.reads().first.as_ref().map_or(Ok(()), |by| Err(KnownError::Blind(by.clone().into())))
    }
}

impl Swap {
    /// Brings it into force; its history has been filled.
    pub fn make(self, worker: &mut Worker) {
        worker.swap(self.book, self.history);
        match (self.version, self.rows) {
            (Some(version), Some(rows)) => worker.know(&version, rows),
            (Some(version), None) => worker.know_of(&version),
            (None, _) => {}
        }
    }
}
