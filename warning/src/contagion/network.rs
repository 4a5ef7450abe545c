//! The edges of a datamart, for each rulebook that is in force, loaded anew now and then.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use arc_swap::ArcSwap;
use tarim_datamart::Datamart;
use tarim_features::edges::{Edges, LoadError, load};
use tracing::{error, info};

use crate::rulebook::WarningBook;

/// Edges of a rulebook as they are now.
#[derive(Debug)]
pub struct Live {
    book: Arc<WarningBook>,
    edges: ArcSwap<Edges>,
}

impl Live {
    /// Those that were loaded last.
    pub fn edges(&self) -> Arc<Edges> {
        self.edges.load_full()
    }

    /// Each kind of edges that alerts spread along, and how many there are.
    pub fn counts(&self) -> Vec<(String, usize)> {
        let edges = self.edges.load();
        let all = self.book.edges().edges();
        let counts = self.book.spreads().edges().iter();
        counts.map(|i| (all[*i].name.clone(), edges.count(*i))).collect()
    }

    fn told(&self) -> String {
        let counts = self.counts();
        let counts = counts.iter().map(|(name, n)| format!("{name} {n}"));
        counts.collect::<Vec<_>>().join(", ")
    }
}

/// Where edges come from.
#[derive(Debug)]
enum Source {
    Datamart(PathBuf),
    Given(Arc<Edges>),
}

/// Loads edges, and keeps those that are in use.
#[derive(Debug)]
pub struct Network {
    source: Source,
    /// One for each rulebook that some partition works by.
    live: Mutex<Vec<Arc<Live>>>,
    refreshing: AtomicBool,
}

/// Why there are no edges.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(
        "alerts spread along edges of the datamart ([[spread]] of the warning rules), and there is none in {}: \
         load it (tarim load), name its folder with --datamart, or let nothing spread with --no-contagion", .0.display()
    )]
    None(PathBuf),
    #[error(
        "alerts spread along the edges `{edge}`, and the table `{table}` that they come from was never loaded into {}: \
         load it (tarim load), name the right folder with --datamart, or let nothing spread with --no-contagion",
        folder.display()
    )]
    NeverLoaded { edge: String, table: String, folder: PathBuf },
    #[error("the datamart cannot be read: {0}")]
    Datamart(#[from] tarim_datamart::Error),
    #[error(transparent)]
    Edges(#[from] LoadError),
    #[error("there is no thread left to load edges: {0}")]
    Threads(std::io::Error),
}

impl Network {
    /// Of the datamart in a folder. Nothing is loaded yet.
    pub fn of_datamart(folder: &Path) -> Self {
        Self::new(Source::Datamart(folder.to_path_buf()))
    }

    /// Of edges that somebody has put together; their kinds are those of the rulebook.
    pub fn given(edges: Edges) -> Self {
        Self::new(Source::Given(Arc::new(edges)))
    }

    fn new(source: Source) -> Self {
        Self { source, live: Mutex::default(), refreshing: AtomicBool::new(false) }
    }

    /// The edges of a rulebook. They are loaded when they are asked for first; whoever asks meanwhile waits. None: by this
    /// rulebook no alert spreads.
    pub fn of(&self, book: &Arc<WarningBook>) -> Result<Option<Arc<Live>>, NetworkError> {
        if book.spreads().is_empty() {
            return Ok(None);
        }
        let mut all = self.lock();
        if let Some(live) = all.iter().find(|live| live.book.version() == book.version()) {
            return Ok(Some(live.clone()));
        }
        let edges = ArcSwap::new(self.load(book)?);
        let live = Arc::new(Live { book: book.clone(), edges });
        info!(edges = live.told(), "edges loaded");
        // Of rulebooks that nobody works by any more nothing is kept.
        all.retain(|live| Arc::strong_count(live) > 1);
        all.push(live.clone());
        Ok(Some(live))
    }

    /// Loads all anew, in the background; what is there serves until then. If it cannot be done, it serves on. None: it is
    /// being done, or there is no thread left.
    pub fn refresh(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        if self.refreshing.swap(true, Ordering::AcqRel) {
            return None;
        }
        let network = self.clone();
        let work = move || {
            let all = network.lock().clone();
            for live in all {
                match network.load(&live.book) {
                    Ok(edges) => {
                        live.edges.store(edges);
                        info!(edges = live.told(), "edges loaded anew");
                    }
                    Err(e) => error!("edges are as old as before: {e}"),
                }
            }
            network.refreshing.store(false, Ordering::Release);
        };
        let spawned = thread::Builder::new().name("edges".into()).spawn(work).inspect_err(|e| {
            self.refreshing.store(false, Ordering::Release);
            error!("edges are as old as before: {e}");
        });
        spawned.ok()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, book: &WarningBook) -> Result<Arc<Edges>, NetworkError> {
        match &self.source {
            Source::Given(edges) => Ok(edges.clone()),
            Source::Datamart(folder) => {
                // One that is empty opens too.
                if !folder.is_dir() {
                    return Err(NetworkError::None(folder.clone()));
                }
                let runtime =
                    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
                let runtime = runtime.map_err(NetworkError::Threads)?;
                Ok(Arc::new(runtime.block_on(edges_of(folder, book))?))
            }
        }
    }
}

/// No row of a table is one thing, and a table that nobody loaded is another.
async fn edges_of(folder: &Path, book: &WarningBook) -> Result<Edges, NetworkError> {
    let datamart = Datamart::open(folder, book.standards().clone())?;
    let session = datamart.session().await?;
    let loaded = datamart.loaded(&session).await?;
    for index in book.spreads().edges() {
        let edge = &book.edges().edges()[*index];
        if let Some(table) = edge.tables().find(|table| !loaded.contains(*table)) {
            let (edge, table, folder) = (edge.name.clone(), table.to_owned(), folder.to_path_buf());
            return Err(NetworkError::NeverLoaded { edge, table, folder });
        }
    }
    Ok(load(&session, book.edges(), book.spreads().edges()).await?)
}
