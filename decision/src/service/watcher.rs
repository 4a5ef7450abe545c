//! Looks for a new rulebook or a new generation of features, and swaps them in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::serving::{LoadError, Serving, Sources};
use crate::journal::Journal;

/// How looking for something new went.
#[derive(Default)]
pub struct Reloads {
    /// What was swapped in.
    pub swaps: AtomicU64,
    /// What is published cannot be served.
    pub failing: AtomicBool,
}

/// What is looked after.
pub struct Watched {
    pub sources: Arc<Sources>,
    pub serving: Arc<ArcSwap<Serving>>,
    pub journal: Arc<Journal>,
    pub health: HealthReporter,
    pub reloads: Arc<Reloads>,
}

/// Looks every `every`, and whenever `now` is notified; counts what it swaps in `swapped`. Ends when
/// `stopping` says so.
///
/// An error is logged once, not every second: what is served goes on being served.
pub async fn watch(
    watched: Watched,
    every: Duration,
    now: Arc<Notify>,
    swapped: watch::Sender<u64>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut logged = String::new();
    // What was served before, for as long as a decision is still made by it.
    let mut former: Vec<Arc<Serving>> = Vec::new();
    loop {
        let asked = tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = now.notified() => true,
            () = tokio::time::sleep(every) => false,
        };
        if !watched.journal.is_open() {
            for service in ["", super::server::SERVICE, super::interception::SERVICE] {
                watched.health.set_service_status(service, ServingStatus::NotServing).await;
            }
        }
        // A rulebook and a generation of features are much to give back: not on a thread that has connections, which is
        // where the last decision by them would do it.
        let unused: Vec<_> = former.extract_if(.., |serving| Arc::strong_count(serving) == 1).collect();
        if !unused.is_empty() {
            tokio::task::spawn_blocking(move || drop(unused));
        }
        let refreshed = watched.refresh().await;
        watched.reloads.failing.store(refreshed.is_err(), Ordering::Relaxed);
        match refreshed {
            Ok(replaced) => {
                let swap = u64::from(replaced.is_some());
                former.extend(replaced);
                watched.reloads.swaps.fetch_add(swap, Ordering::Relaxed);
                logged.clear();
                swapped.send_modify(|count| *count += swap);
            }
            Err(e) if asked || e != logged => {
                let engine = &watched.serving.load().engine;
                tracing::error!(
                    "still serving rulebook {} with features {}: {e}",
                    engine.rulebook().version(),
                    engine.snapshot().version(),
                );
                logged = e;
            }
            Err(_) => {}
        }
    }
}

impl Watched {
    /// Swaps in what is new, if anything is; gives what it replaced.
    async fn refresh(&self) -> Result<Option<Arc<Serving>>, String> {
        let (sources, present) = (self.sources.clone(), self.serving.load_full());
        let refresh = move || sources.refresh(&present);
        let refreshed = tokio::task::spawn_blocking(refresh).await.map_err(|panic| panic.to_string())?;
        let Some(next) = refreshed.map_err(|e: LoadError| e.to_string())? else { return Ok(None) };
        let engine = &next.engine;
        tracing::info!(
            "serving rulebook {} with features {}",
            engine.rulebook().version(),
            engine.snapshot().version()
        );
        Ok(Some(self.serving.swap(Arc::new(next))))
    }
}
