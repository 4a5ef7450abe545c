//! Where a ledger and the groups of its customers come from.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tarim_datamart::Problems;
use tarim_features::edges;

use super::Outbox;
use crate::exposure::{Config, KEYS_KEPT, Ledger, LedgerError};

/// Opens the ledger.
pub type OpenLedger = dyn Fn(Config) -> Result<Ledger, LedgerError> + Send + Sync;

/// Where a ledger is.
pub struct ExposureSource {
    pub(super) open: Box<OpenLedger>,
    /// There is something in it, so it is opened whatever the rulebook says.
    pub(super) found: bool,
    pub(super) groups: Option<GroupSource>,
    pub(super) keys_kept: Duration,
    /// It is taken once, by the thread that tells.
    pub(super) events: Arc<Mutex<Option<Outbox>>>,
}

/// Where groups of connected customers come from, and how often they are looked at anew.
#[derive(Clone, Debug)]
pub struct GroupSource {
    /// Folder of the datamart.
    pub datamart: PathBuf,
    pub every: Duration,
}

impl ExposureSource {
    /// In a folder, which is made if a rulebook has limits.
    pub fn of_folder(folder: &Path) -> Self {
        let has_any = |folder: &Path| {
            let mut names = std::fs::read_dir(folder).into_iter().flatten().flatten();
            names.any(|entry| entry.path().extension().is_some_and(|e| e == "segment" || e == "snapshot"))
        };
        let (found, folder) = (has_any(folder), folder.to_path_buf());
        Self::new(Box::new(move |config| Ledger::open(&folder, config)), found)
    }

    /// Of any kind; `found`: there is something in it.
    pub fn new(open: Box<OpenLedger>, found: bool) -> Self {
        Self { open, found, groups: None, keys_kept: KEYS_KEPT, events: Arc::default() }
    }

    /// It is known for so long what was done to an exposure that was closed.
    pub fn with_keys_kept(self, keys_kept: Duration) -> Self {
        Self { keys_kept, ..self }
    }

    /// With groups. Without, customers stay in the groups that they are in.
    pub fn with_groups(self, groups: GroupSource) -> Self {
        Self { groups: Some(groups), ..self }
    }

    /// With somebody to tell of large exposures. Without, whoever wants to know asks.
    pub fn with_events(self, events: Outbox) -> Self {
        Self { events: Arc::new(Mutex::new(Some(events))), ..self }
    }
}

/// Why exposures cannot be kept as the rulebook says.
#[derive(Debug, thiserror::Error)]
pub enum ExposureError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(
        "exposure limits count groups of customers by edges of the datamart, and there is none in {}\n    fix: load it \
         (tarim load), name its folder with --datamart, or leave groups as they are with --no-groups", .0.display()
    )]
    NoDatamart(PathBuf),
    #[error(
        "exposure limits count groups of customers by the edges `{edge}`, and the table `{table}` that they come from was \
         never loaded into {}\n    fix: load it (tarim load), name the right folder with --datamart, or leave groups \
         as they are with --no-groups", folder.display()
    )]
    NeverLoaded { edge: String, table: String, folder: PathBuf },
    #[error("the edges of the rulebook:\n{0}")]
    Rulebook(Problems),
    #[error("the datamart cannot be read: {0}")]
    Datamart(#[from] tarim_datamart::Error),
    #[error(transparent)]
    Edges(#[from] edges::LoadError),
    #[error("{0}")]
    Events(String),
    #[error(
        "--now {now} is {ahead} seconds ahead of this machine's clock, and the exposure ledger holds {operations} operations: \
         its time would go on from then, for good, and what expires by then would be released\n    fix: leave --now out, \
         give a time that has passed, or try it on a copy (--home)"
    )]
    Future { now: String, ahead: i64, operations: u64 },
    #[error("groups of customers cannot be told: {0}")]
    Thread(String),
}
