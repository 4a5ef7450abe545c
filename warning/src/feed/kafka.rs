//! The edges of Kafka at work: a thread that reads alerts, one that tells changes, one that tells pushes, one that tells what
//! stands.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{ClientConfig, error::KafkaError, metadata::Metadata};

use super::{alerts, changes, pushes};
use crate::{
    clock::Clock,
    ledger::{Failure, Ledger},
    lifecycle::Inspections,
    rulebook::Level,
    standing,
};

/// Where alerts come from and changes go.
#[derive(Clone, Debug)]
pub struct Settings {
    pub brokers: String,
    /// Whatever else librdkafka is to be told, for instance how to authenticate.
    pub more: Vec<(String, String)>,
    /// Topic of alerts; `{level}` and `{member}` stand for the alert's.
    pub alerts: String,
    /// Topic of changes.
    pub changes: String,
    /// Topic of what stands against customers.
    pub standing: String,
    /// Topic of pushes.
    pub pushes: String,
    /// Consumer group. Offsets are kept in the ledger, not in it.
    pub group: String,
    pub inspections: Inspections,
    /// What time it is at the desk.
    pub clock: Clock,
}

/// Why an edge stops.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("Kafka at {brokers}: {what}: {source}")]
    Kafka { brokers: String, what: &'static str, source: KafkaError },
    #[error("{0}")]
    Ledger(Failure),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    #[error("the thread of the {0} panicked; the log says why")]
    Panicked(&'static str),
}

/// How far the edges are, for whoever watches.
#[derive(Debug, Default)]
pub struct Fed {
    /// Records that were taken, and those that are no alerts.
    pub taken: AtomicU64,
    pub rejected: AtomicU64,
    /// Changes and pushes on their topics.
    pub sent: AtomicU64,
    pub pushed: AtomicU64,
}

/// The edges at work.
pub struct Feeding {
    fed: Arc<Fed>,
    stop: Arc<AtomicBool>,
    threads: Vec<(&'static str, JoinHandle<Result<(), FeedError>>)>,
}

/// What the threads share.
#[derive(Clone)]
pub struct Edge {
    pub settings: Settings,
    pub ledger: Arc<Ledger>,
    pub fed: Arc<Fed>,
    pub stop: Arc<AtomicBool>,
}

/// Starts to read alerts, and to tell changes, pushes and what stands. A broker that is away is waited for.
pub fn start(settings: Settings, ledger: Arc<Ledger>) -> Result<Feeding, FeedError> {
    let (fed, stop) = (Arc::<Fed>::default(), Arc::<AtomicBool>::default());
    let edge = Edge { settings, ledger, fed: fed.clone(), stop: stop.clone() };
    type Attempt = fn(&Edge) -> Result<(), FeedError>;
    let works: [(&'static str, Attempt); 4] = [
        ("alerts", alerts::run),
        ("changes", changes::run),
        ("pushes", pushes::run),
        ("standing", standing::tell),
    ];
    let mut feeding = Feeding { fed, stop, threads: Vec::new() };
    for (name, attempt) in works {
        let edge = edge.clone();
        let thread = thread::Builder::new().name(name.into()).spawn(move || edge.work(name, attempt))?;
        feeding.threads.push((name, thread));
    }
    Ok(feeding)
}

impl Feeding {
    /// Tells the threads to stop; what is in the outbox is sent before, if the broker takes it.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Did one of them end?
    pub fn has_ended(&self) -> bool {
        self.threads.iter().any(|(_, thread)| thread.is_finished())
    }

    pub fn fed(&self) -> &Arc<Fed> {
        &self.fed
    }

    /// Waits until all have ended; the first error, if there is one.
    pub fn ended(self) -> Result<(), FeedError> {
        let joined = self
            .threads
            .into_iter()
            .map(|(name, thread)| thread.join().unwrap_or(Err(FeedError::Panicked(name))));
        // All are joined, also behind an error.
        joined.collect::<Vec<_>>().into_iter().collect()
    }
}

/// Before another attempt, so that a broker that is away is not asked all the time.
const PAUSE: Duration = Duration::from_millis(500);

impl Edge {
    /// Attempt after attempt: another one may get over whatever Kafka has.
    fn work(&self, name: &str, attempt: impl Fn(&Self) -> Result<(), FeedError>) -> Result<(), FeedError> {
        loop {
            match attempt(self) {
                Err(e @ FeedError::Kafka { .. }) if !self.stopping() => {
                    tracing::warn!(edge = name, "{e}; tried again");
                    thread::sleep(PAUSE);
                }
                // What could not be sent is sent after a restart.
                Err(FeedError::Kafka { .. }) => return Ok(()),
                ended => return ended,
            }
        }
    }

    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.settings.brokers);
        for (key, value) in &self.settings.more {
            config.set(key, value);
        }
        config
    }

    pub fn failed(&self, what: &'static str) -> impl FnOnce(KafkaError) -> FeedError {
        let brokers = self.settings.brokers.clone();
        move |source| FeedError::Kafka { brokers, what, source }
    }
}

impl Settings {
    /// The partitions of all topics that alerts come on.
    pub(super) fn partitions(&self, metadata: &Metadata) -> BTreeSet<(String, i32)> {
        let topics = metadata.topics().iter().filter(|topic| self.is_of_alerts(topic.name()));
        let partitions = topics.flat_map(|topic| {
            topic.partitions().iter().map(|partition| (topic.name().to_owned(), partition.id()))
        });
        partitions.collect()
    }

    /// Can alerts be on it? Members are not known here: any text can be one.
    fn is_of_alerts(&self, topic: &str) -> bool {
        Level::ALL.iter().any(|(level, _)| {
            let name = self.alerts.replace("{level}", level);
            match name.split_once("{member}") {
                None => topic == name,
                // Of a topic that names the member twice the rest is taken as any text, too.
                Some((before, after)) => {
                    let after = after.rsplit("{member}").next().unwrap_or_default();
                    topic.len() > before.len() + after.len()
                        && topic.starts_with(before)
                        && topic.ends_with(after)
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_alerts_are_told_from_others() {
        let settings = |alerts: &str| Settings {
            brokers: String::new(),
            more: Vec::new(),
            alerts: alerts.into(),
            changes: String::new(),
            standing: String::new(),
            pushes: String::new(),
            group: String::new(),
            inspections: Inspections::default(),
            clock: Clock::default(),
        };
        for (alerts, topic, is) in [
            ("tarim.alerts", "tarim.alerts", true),
            ("tarim.alerts", "tarim.alerts.red", false),
            ("tarim.alerts.{level}", "tarim.alerts.red", true),
            ("tarim.alerts.{level}", "tarim.alerts.dead", false),
            ("a.{member}.{level}", "a.001.blue", true),
            ("a.{member}.{level}", "a..blue", false),
            ("a.{member}.{level}", "a.001.dead", false),
            ("{level}-{member}", "red-001", true),
            ("{level}-{member}", "tarim-001", false),
        ] {
            assert_eq!(settings(alerts).is_of_alerts(topic), is, "{alerts}: {topic}");
        }
    }
}
