//! All partitions, a thread each.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use prometheus_client::registry::Registry;
use tracing::{error, warn};

use super::{
    EdgeError, Settings,
    ends::Ends,
    exposition::Exposition,
    partition::{Attempt, End},
    watched::Watched,
};
use crate::{contagion::Network, rulebook::WarningBook};

/// The edge at work.
pub struct Running {
    partitions: Vec<Partition>,
    stop: Arc<AtomicBool>,
    network: Option<Arc<Network>>,
    edges: Vec<(String, usize)>,
    settings: Settings,
}

/// One of its threads.
struct Partition {
    number: i32,
    watched: Arc<Watched>,
    thread: JoinHandle<Result<(), EdgeError>>,
}

/// How far all partitions are together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub events: u64,
    pub alerts: u64,
    pub dead: u64,
    pub transactions: u64,
    pub silent: u64,
    pub customers: u64,
    /// While history is read again for a new rulebook: how many records have been read, and of how many.
    pub refilled: u64,
    pub to_refill: u64,
    /// Events that alerts have spread to neighbours.
    pub spread: u64,
    /// Alerts with more neighbours than the rulebook lets through.
    pub cut: u64,
}

/// Before another attempt, so that a broker that is away is not asked all the time.
const PAUSE: Duration = Duration::from_millis(500);

/// Starts to work on the partitions.
pub fn start(settings: &Settings, book: &Arc<WarningBook>) -> Result<Running, EdgeError> {
    let count = settings.partition_count()?;
    let partitions = settings.partitions.clone().unwrap_or_else(|| (0..count).collect());
    if let Some(partition) = partitions.iter().find(|p| !(0..count).contains(*p)) {
        let (topic, partition) = (settings.events.clone(), *partition);
        return Err(EdgeError::NoPartition { topic, partition, count: count as usize });
    }
    settings.ensure_topics(book)?;
    settings.check_timestamps();
    // Before anything is taken: a datamart that is not there must not be found out in the midst of it.
    let live = settings.live(book)?;
    settings.known.check(book)?;
    let stop = Arc::new(AtomicBool::new(false));
    let ends = Arc::new(Ends::new(&partitions));
    let partitions = partitions.into_iter().map(|partition| {
        let watched = Arc::new(Watched::default());
        let (settings, book, stop, ends) = (settings.clone(), book.clone(), stop.clone(), ends.clone());
        let of_thread = watched.clone();
        let work = move || {
            guarded(partition, &stop, || work(&settings, &book, partition, &of_thread, (&ends, &stop)))
        };
        let thread = thread::Builder::new().name(format!("warn-{partition}")).spawn(work);
        Partition { number: partition, watched, thread: thread.expect("the system has a thread left") }
    });
    let edges = live.map_or_else(Vec::new, |live| live.counts());
    let (partitions, network) = (partitions.collect(), settings.contagion.clone());
    Ok(Running { partitions, stop: stop.clone(), network, edges, settings: settings.clone() })
}

/// Does the work of a partition, and tells all to stop if it fails or panics: a partition that nobody works on would be
/// missed, so all stop, and whoever watches starts anew.
fn guarded(
    partition: i32,
    stop: &AtomicBool,
    work: impl FnOnce() -> Result<(), EdgeError>,
) -> Result<(), EdgeError> {
    // What it was at work on is dropped with it: nobody sees that half done.
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(EdgeError::Panicked(partition)));
    if result.is_err() {
        stop.store(true, Ordering::Relaxed);
    }
    result
}

/// Works on a partition, from one attempt to the next.
fn work(
    settings: &Settings,
    book: &Arc<WarningBook>,
    partition: i32,
    watched: &Watched,
    (ends, stop): (&Ends, &AtomicBool),
) -> Result<(), EdgeError> {
    while !stop.load(Ordering::Relaxed) {
        let end = match Attempt::new(settings, book, partition, watched, (ends, stop)) {
            Ok(attempt) => attempt.run(stop),
            Err(e @ EdgeError::Kafka { .. }) => End::Again(e),
            Err(e) => End::Fatal(e),
        };
        match end {
            End::Done => break,
            End::Again(e) => {
                warn!(partition, "begins anew from the last snapshot: {e}");
                watched.restarts.fetch_add(1, Ordering::Relaxed);
            }
            End::Fatal(e) => {
                error!(partition, "stops: {e}");
                return Err(e);
            }
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

impl Running {
    /// Asks all to commit what they have, write their state, and end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Were they asked to, or did one fail?
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The kinds of edges that alerts spread along, and how many there were at the start.
    pub fn edges(&self) -> &[(String, usize)] {
        &self.edges
    }

    /// Loads the edges anew, in the background.
    pub fn refresh_edges(&self) {
        if let Some(network) = &self.network {
            network.refresh();
        }
    }

    /// Have all ended?
    pub fn has_ended(&self) -> bool {
        self.partitions.iter().all(|p| p.thread.is_finished())
    }

    /// All that can be watched, for Prometheus.
    pub fn registry(&self) -> Result<Registry, EdgeError> {
        let partitions = self.partitions.iter().map(|p| (p.number, p.watched.clone())).collect();
        Ok(Exposition::new(&self.settings, partitions)?.registry())
    }

    pub fn progress(&self) -> Progress {
        self.partitions.iter().fold(Progress::default(), |sum, p| sum.and(&p.watched))
    }

    /// Waits until all have ended; the first error, if there is one.
    pub fn ended(self) -> Result<Progress, EdgeError> {
        let mut first = None;
        let mut progress = Progress::default();
        for Partition { number, watched, thread } in self.partitions {
            let result = thread.join().unwrap_or(Err(EdgeError::Panicked(number)));
            first = first.or(result.err());
            progress = progress.and(&watched);
        }
        first.map_or(Ok(progress), Err)
    }
}

impl Progress {
    fn and(self, watched: &Watched) -> Self {
        let now = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Self {
            events: self.events + now(&watched.events),
            alerts: self.alerts + now(&watched.alerts),
            dead: self.dead + now(&watched.dead),
            transactions: self.transactions + now(&watched.transactions),
            silent: self.silent + now(&watched.silent),
            customers: self.customers + now(&watched.customers),
            refilled: self.refilled + now(&watched.refilled),
            to_refill: self.to_refill + now(&watched.to_refill),
            spread: self.spread + now(&watched.spread),
            cut: self.cut + now(&watched.cut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_ends_badly_stops_all() {
        let ended = |work: fn() -> Result<(), EdgeError>| {
            let stop = AtomicBool::new(false);
            let said = guarded(3, &stop, work).err().map(|e| e.to_string());
            (stop.into_inner(), said)
        };
        assert_eq!(ended(|| Ok(())), (false, None));
        let (stopped, said) = ended(|| Err(EdgeError::NoPlaces));
        assert!(stopped && said == Some(EdgeError::NoPlaces.to_string()));
        let (stopped, said) = ended(|| panic!("as a test wants it"));
        assert!(stopped && said == Some(EdgeError::Panicked(3).to_string()));
    }
}
