//! What decisions are made with at present, and how it is replaced while they are made.
//!
//! A rulebook and a generation of features belong together: rows are laid out by the rulebook's
//! definitions. So both are looked at together and swapped as one. Every decision takes the pair once
//! and keeps it to its end. If a new pair does not fit or cannot be read, the former one goes on.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tarim_datamart::{Problems, Tokeniser};
use tarim_features::{
    store::{OnlineStore, StoreError},
    view::FeatureSet,
    warnings::Warnings,
};

use super::{ExposureSource, rule_hits::RuleHits};
use crate::{
    engine::{DecisionScratch, Engine, Inputs, Look},
    metrics::Sharded,
    rulebook::{PublishError, Rulebook, current, intact},
};

/// Opens the online store for the features of a rulebook.
pub type OpenStore = dyn Fn(Arc<FeatureSet>) -> Result<Arc<dyn OnlineStore>, StoreError> + Send + Sync;

/// Where rulebooks and features come from.
pub struct Sources {
    published: PathBuf,
    open_store: Box<OpenStore>,
    tokeniser: Arc<Tokeniser>,
    warnings: Option<Warnings>,
    exposures: Option<Arc<ExposureSource>>,
}

/// Why a rulebook and features cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Nothing is published, or it cannot be read.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The published rulebook is damaged, or was changed: it was checked before it was published.
    #[error("the published rulebook {}:\n{problems}", folder.display())]
    Rulebook {
        /// The version's folder.
        folder: PathBuf,
        /// What is wrong.
        problems: Problems,
    },
    /// The features are missing, damaged, or were computed by other definitions.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A rulebook and a generation of features, bound together.
pub struct Serving {
    pub engine: Engine,
    /// Counts the rules of this rulebook.
    pub hits: RuleHits,
    folder: PathBuf,
    store: Arc<dyn OnlineStore>,
    /// Each thread takes what was given back on it, mostly by itself: what is worked out in is warm in its core's cache.
    /// Dropped with the pair: rows that were read hold on to their generation.
    idle: Sharded<Mutex<Vec<Work>>>,
}

/// So much to work in is kept for each thread: more than it has in hand at once but in a rush.
const IDLE_MAX: usize = 64;

/// What one decision is worked out in, reused from one to the next.
#[derive(Default)]
pub struct Work {
    pub inputs: Inputs,
    pub scratch: DecisionScratch,
    pub look: Look,
}

impl Serving {
    /// Where its rulebook is published.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Lends out something to work in, for longer than one piece of work: see [`Serving::give_back`].
    pub fn lend(&self) -> Work {
        self.idle.mine().lock().expect("not poisoned").pop().unwrap_or_default()
    }

    /// What was lent. It may come back on another thread, time and again, which then has enough for itself.
    pub fn give_back(&self, work: Work) {
        let mut idle = self.idle.mine().lock().expect("not poisoned");
        if idle.len() < IDLE_MAX {
            idle.push(work);
        }
    }

    /// Lends out something to work in.
    pub fn work<T>(&self, run: impl FnOnce(&mut Work) -> T) -> T {
        let mut work = self.lend();
        let result = run(&mut work);
        self.give_back(work);
        result
    }
}

impl Sources {
    /// `published` is the folder of published rulebooks with its `CURRENT`.
    pub fn new(published: &Path, open_store: Box<OpenStore>, tokeniser: Arc<Tokeniser>) -> Self {
        Self { published: published.into(), open_store, tokeniser, warnings: None, exposures: None }
    }

    /// With what stands against customers. Without, all of it is unknown.
    pub fn with_warnings(self, warnings: Warnings) -> Self {
        Self { warnings: Some(warnings), ..self }
    }

    /// With a ledger of exposures. Without, nothing of them can be asked.
    pub fn with_exposures(self, exposures: ExposureSource) -> Self {
        Self { exposures: Some(Arc::new(exposures)), ..self }
    }

    /// Where the ledger of exposures is.
    pub fn exposures(&self) -> Option<&Arc<ExposureSource>> {
        self.exposures.as_ref()
    }

    /// What stands against customers, if somebody tells it.
    pub fn warnings(&self) -> Option<&Warnings> {
        self.warnings.as_ref()
    }

    /// The key that personal fields are tokenised with.
    pub fn tokeniser(&self) -> &Arc<Tokeniser> {
        &self.tokeniser
    }

    /// Loads what is current.
    pub fn load(&self) -> Result<Serving, LoadError> {
        let folder = current(&self.published)?;
        let rulebook = read(&folder)?;
        let store = (self.open_store)(features(&rulebook))?;
        Ok(self.bind(folder, Arc::new(rulebook), store, None))
    }

    /// Loads what has become current since `present`; None: nothing new.
    pub fn refresh(&self, present: &Serving) -> Result<Option<Serving>, LoadError> {
        let folder = current(&self.published)?;
        if folder == present.folder {
            present.store.reload()?;
            let changed = present.store.snapshot().version() != present.engine.snapshot().version();
            let rulebook = present.engine.rulebook().clone();
            let bind = || self.bind(folder, rulebook, present.store.clone(), Some(present));
            return Ok(changed.then(bind));
        }
        let rulebook = read(&folder)?;
        let former = present.engine.rulebook().features();
        // A change of policy alone, the usual case, does not read the features again.
        let store = match same_definitions(rulebook.features(), former) {
            true => {
                present.store.reload()?;
                present.store.clone()
            }
            false => (self.open_store)(features(&rulebook))?,
        };
        Ok(Some(self.bind(folder, Arc::new(rulebook), store, Some(present))))
    }

    fn bind(
        &self,
        folder: PathBuf,
        rulebook: Arc<Rulebook>,
        store: Arc<dyn OnlineStore>,
        former: Option<&Serving>,
    ) -> Serving {
        let hits = RuleHits::new(&rulebook, former.map(|former| &former.hits));
        let engine = Engine::new(rulebook, store.snapshot(), self.tokeniser.clone());
        let engine = engine.with_warnings(self.warnings.clone());
        Serving { engine, hits, folder, store, idle: Sharded::new(Mutex::default) }
    }
}

/// Reads a published rulebook, if it is what was published.
fn read(folder: &Path) -> Result<Rulebook, LoadError> {
    let rulebook = intact(folder).and_then(|()| Rulebook::read(folder));
    rulebook.map_err(|problems| LoadError::Rulebook { folder: folder.into(), problems })
}

fn features(rulebook: &Rulebook) -> Arc<FeatureSet> {
    Arc::new(rulebook.features().clone())
}

/// Are rows and lists that were made for one of them good for the other?
fn same_definitions(a: &FeatureSet, b: &FeatureSet) -> bool {
    let entities = |set: &FeatureSet| -> Vec<(String, String)> {
        set.entities().iter().map(|e| (e.name.clone(), e.definition().to_owned())).collect()
    };
    let lists =
        |set: &FeatureSet| -> Vec<String> { set.lists().iter().map(|list| list.name.clone()).collect() };
    entities(a) == entities(b) && a.lists_definition() == b.lists_definition() && lists(a) == lists(b)
}
