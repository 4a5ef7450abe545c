//! All partitions, a thread each.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use prometheus_client::registry::Registry;
use tracing::{error, warn};

use super::{
    EdgeError, Settings,
    ends::Ends,
    exposition::Exposition,
    partition::{Attempt, End},
    ticker,
    watched::Watched,
};
use crate::{contagion::Network, rulebook::WarningBook};

/// The edge at work.
pub struct Running {
    partitions: Vec<Partition>,
    stop: Arc<AtomicBool>,
    /// Since when it is known that they are to stop.
    stopped: OnceLock<Instant>,
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

/// How long whoever stops waits for the broker: one that is there has answered by then.
const GRACE: Duration = Duration::from_secs(2);

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
        Partition::start(partition, settings.clone(), book.clone(), ends.clone(), stop.clone())
    });
    let edges = live.map_or_else(Vec::new, |live| live.counts());
    let (partitions, network) = (partitions.collect(), settings.contagion.clone());
    let stopped = OnceLock::new();
    Ok(Running { partitions, stop: stop.clone(), stopped, network, edges, settings: settings.clone() })
}

impl Partition {
    fn start(
        number: i32,
        settings: Settings,
        book: Arc<WarningBook>,
        ends: Arc<Ends>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let watched = Arc::new(Watched::default());
        let of_thread = watched.clone();
        let work =
            move || guarded(number, &stop, || work(&settings, &book, number, &of_thread, (&ends, &stop)));
        let thread = thread::Builder::new().name(format!("warn-{number}")).spawn(work);
        Self { number, watched, thread: thread.expect("the system has a thread left") }
    }
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
        let attempt = watched.waiting(|| Attempt::new(settings, book, partition, watched, (ends, stop)));
        let end = match attempt {
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
        self.stopped.get_or_init(Instant::now);
    }

    /// Puts a tick on every partition of the topic so often until it is told to stop, on a thread of its own: whoever looks for a
    /// signal does not wait for the broker.
    pub fn tick_every(&self, every: Duration) -> Result<(), EdgeError> {
        let (settings, stop) = (self.settings.clone(), self.stop.clone());
        let producer = settings.tick_producer()?;
        let work = move || ticker::run(&settings, &producer, every, &stop);
        // Nobody waits for it to end: a tick that does not go out is no loss.
        let thread = thread::Builder::new().name("warn-ticks".into()).spawn(work);
        thread.map(drop).expect("the system has a thread left");
        Ok(())
    }

    /// The kinds of edges that alerts spread along, and how many there were at the start.
    pub fn edges(&self) -> &[(String, usize)] {
        &self.edges
    }

    /// Versions of the rulebooks that hold: of one, unless a change is under way. None: not all partitions have begun.
    pub fn rulebooks(&self) -> Option<BTreeSet<String>> {
        let held = self.partitions.iter().map(|p| p.watched.named().rulebook.clone());
        let held: BTreeSet<String> = held.collect();
        (!held.contains("")).then_some(held)
    }

    /// Loads the edges anew, in the background.
    pub fn refresh_edges(&self) {
        if let Some(network) = &self.network {
            network.refresh();
        }
    }

    /// Have all ended? One that still waits for the broker a while after they were told to stop is not waited for.
    pub fn has_ended(&self) -> bool {
        self.partitions
            .iter()
            .all(|p| p.thread.is_finished() || (p.watched.is_waiting() && self.is_overdue()))
    }

    fn is_overdue(&self) -> bool {
        // It may be that nobody said so, but that one has failed.
        self.stop.load(Ordering::Relaxed) && self.stopped.get_or_init(Instant::now).elapsed() >= GRACE
    }

    /// All that can be watched, for Prometheus.
    pub fn registry(&self) -> Result<Registry, EdgeError> {
        let partitions = self.partitions.iter().map(|p| (p.number, p.watched.clone())).collect();
        Ok(Exposition::new(&self.settings, partitions)?.registry())
    }

    pub fn progress(&self) -> Progress {
        self.partitions.iter().fold(Progress::default(), |sum, p| sum.and(&p.watched))
    }

    /// Waits until all [have ended](Running::has_ended); the first error, if there is one. What a partition that is not waited for
    /// has not committed is taken again, as after a crash, and so it may be left at its call.
    pub fn ended(self) -> Result<Progress, EdgeError> {
        while !self.has_ended() {
            thread::sleep(Duration::from_millis(5));
        }
        let mut first = None;
        let mut progress = Progress::default();
        for Partition { number, watched, thread } in self.partitions {
            if !thread.is_finished() {
                warn!(partition = number, "the broker does not answer; what is not committed is taken again");
                progress = progress.and(&watched);
                continue;
            }
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
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A broker that takes connections, and never says anything.
    struct Mute(TcpListener);

    impl Mute {
        fn new() -> Self {
            Self(TcpListener::bind("127.0.0.1:0").unwrap())
        }

        /// Waits until somebody asks it something.
        fn asked(&self) -> TcpStream {
            self.0.accept().unwrap().0
        }

        fn settings(&self) -> Settings {
            Settings { brokers: self.0.local_addr().unwrap().to_string(), ..Settings::nowhere() }
        }
    }

    fn running(settings: Settings) -> Running {
        let (stop, stopped) = (Arc::default(), OnceLock::new());
        Running { partitions: Vec::new(), stop, stopped, network: None, edges: Vec::new(), settings }
    }

    /// Well below the time for which a call waits for the broker.
    const SOON: Duration = Duration::from_secs(15);

    #[test]
    fn whoever_waits_for_a_broker_that_is_away_is_not_waited_for() {
        let broker = Mute::new();
        let mut running = running(broker.settings());
        let rulebook = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook");
        let book = Arc::new(WarningBook::read(&rulebook).unwrap());
        let (settings, ends) = (running.settings.clone(), Arc::new(Ends::new(&[0])));
        running.partitions.push(Partition::start(0, settings, book, ends, running.stop.clone()));
        let _connection = broker.asked();
        assert!(!running.has_ended());
        let told = Instant::now();
        running.stop();
        assert_eq!(running.ended().unwrap(), Progress::default());
        assert!(told.elapsed() >= GRACE && told.elapsed() < SOON, "{:?}", told.elapsed());
    }

    #[test]
    fn a_partition_that_does_something_else_is_waited_for() {
        let mut running = running(Mute::new().settings());
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let watched = Arc::new(Watched::default());
        let thread = thread::spawn(move || gone.recv().map_err(|_| EdgeError::Panicked(0)));
        running.partitions.push(Partition { number: 0, watched, thread });
        running.stop.store(true, Ordering::Relaxed);
        running.stopped = OnceLock::from(Instant::now() - 2 * GRACE);
        assert!(!running.has_ended(), "it may be writing its state");
        go.send(()).unwrap();
        running.ended().unwrap();
    }

    #[test]
    fn what_holds_is_told_once_all_have_begun() {
        let mut running = running(Settings::nowhere());
        let rulebook = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook");
        let book = WarningBook::read(&rulebook).unwrap_or_else(|p| panic!("{p}"));
        for number in 0..2 {
            let thread = thread::spawn(|| Ok(()));
            running.partitions.push(Partition { number, watched: Arc::default(), thread });
        }
        running.partitions[1].watched.holds(&book, None);
        assert_eq!(running.rulebooks(), None);
        running.partitions[0].watched.holds(&book, None);
        assert_eq!(running.rulebooks(), Some([book.version().to_owned()].into()));
    }

    #[test]
    fn a_tick_keeps_nobody_from_stopping() {
        let broker = Mute::new();
        let running = running(broker.settings());
        running.tick_every(Duration::ZERO).unwrap();
        let _connection = broker.asked();
        let told = Instant::now();
        running.stop();
        running.ended().unwrap();
        assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
    }

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
