//! The edge of Kafka: exactly once from a topic of events to topics of alerts.
//!
//! ```text
//!  events, partition p ─► consumer ─► Worker ─► alerts, dead letters ─┐
//!                            │           │                            ├─ one transaction
//!                            └───────── offsets ──────────────────────┘
//!          ▲                             │    └─► events of neighbours ─┘      (contagion)
//!          └──── any partition ◄─────────┼───────────────┘
//!                                        └─► snapshots of the state, now and then, on disk
//! ```
//!
//! A partition belongs to one thread with a consumer and a transactional producer of its own; nothing is shared. What a batch of events
//! brings, and how far it has read, are committed in one transaction: a reader of committed messages sees each alert once,
//! whatever crashes.
//!
//! The state is not part of the transaction, and need not be. Whoever starts loads the last snapshot that is not ahead of the
//! committed offset, takes the events from there up to the committed offset *silently*, throwing away the alerts,
//! which are out already, and goes on. The core gives the same alerts for the same events, so what is thrown away is what was sent.
//!
//! Which rulebook held from where on goes with the committed offset: a state that is lost is built again by the rulebook that the log
//! began with, not by the one that was published last.
//!
//! The log also names the generation of the online store whose features rules read: after a crash it is opened again, by its version.
//!
//! A rulebook that an event of the log brings into force may ask for what the state does not have: it is read from the partition
//! again, between two transactions, and the state is written down before any alert of the new rulebook goes out.
//!
//! What alerts spread goes into the topic of events, in the same transaction: each neighbour's partition has it once. Readers of
//! committed events see nothing behind it before its transaction ends: an event may wait for the commit of another partition. Only
//! one group may spread into a topic; others take what it has put there (`--no-contagion`).
//!
//! A second process on the same partition fences the first one off: both have the partition's transactional id. So
//! failing over is starting elsewhere.

mod check;
mod ends;
mod exposition;
mod held;
mod history;
mod partition;
mod put;
mod quiet;
mod reach;
mod run;
mod send;
mod snapshots;
mod spread;
mod ticker;
mod topics;
mod watched;

use std::{path::PathBuf, sync::Arc, time::Duration};

use rdkafka::{ClientConfig, error::KafkaError};
use tarim_datamart::Problems;

use crate::{
    contagion::{Network, NetworkError},
    known::{Known, KnownError},
};

pub use crate::partitioner::Partitioner;

pub use check::check_file;
pub(crate) use partition::format_of;
pub use put::EventProducer;
pub(crate) use quiet::Quiet;
pub use run::{Progress, Running, start};
pub use send::{SendError, send_file};
pub use ticker::{change_features, change_rulebook};
pub use topics::{Created, create, create_compacted, init};

/// How alerts and dead letters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Protobuf,
}

impl Encoding {
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Protobuf => "application/x-protobuf",
        }
    }
}

/// Where events come from, where alerts go, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    pub brokers: String,
    /// Whatever else librdkafka is to be told, for instance how to authenticate.
    pub more: Vec<(String, String)>,
    pub events: String,
    /// Topic of alerts; `{level}` and `{member}` stand for the alert's.
    pub alerts: String,
    pub dead: String,
    /// Consumer group, and the beginning of transactional ids.
    pub group: String,
    pub encoding: Encoding,
    /// Folder of the snapshots.
    pub state: PathBuf,
    /// Folder of published rulebooks, for events that change it.
    pub published: PathBuf,
    /// A transaction is committed after so many events …
    pub events_max: usize,
    /// … or so long after its first one.
    pub interval: Duration,
    /// A snapshot is written after so many events, and every hour in which any came.
    pub snapshot_events: u64,
    /// The partitions to work on; None: all.
    pub partitions: Option<Vec<i32>>,
    /// Stops once all events have been taken that there are, in all of these partitions: what is taken of one may spread
    /// into another.
    pub until_end: bool,
    /// The edges that alerts spread along. None: somebody has said that nothing spreads, whatever the rulebook says.
    pub contagion: Option<Arc<Network>>,
    /// How whoever sends events chooses their partition.
    pub partitioner: Partitioner,
    /// The online store, for rules that read features.
    pub known: Known,
}

/// Why the edge stops.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    #[error("Kafka at {brokers}: {what}")]
    Kafka { brokers: String, what: String, source: Box<KafkaError> },
    #[error(
        "no Kafka answers at {brokers} ({reason})\n    \
         fix: start it, or name one that is there with --brokers or TARIM_KAFKA"
    )]
    NoBroker { brokers: String, reason: String },
    #[error(
        "there is no topic `{0}`; run `tarim warn init` with the same --events, --alerts and --dead, which makes those that are \
         missing"
    )]
    NoTopic(String),
    #[error(
        "alerts go to `{0}`, a topic for each member, and the rulebook has no members: give each a folder in members/, or leave \
         {{member}} out of --alerts"
    )]
    NoMembers(String),
    #[error(
        "the rulebook's alerts spread to neighbours, and with --partitioner any nobody knows into which partition: name the one \
         that senders have, or let nothing spread (--no-contagion)"
    )]
    NoPlaces,
    #[error("cannot wait for the broker: {source}")]
    Runtime { source: std::io::Error },
    #[error("topic `{topic}` has no partition {partition}; it has {count}")]
    NoPartition { topic: String, partition: i32, count: usize },
    #[error(
        "partition {partition}: the events from offset {at} to {first} are gone, and the state would lack them; \
         bring back a snapshot that is not older, or begin anew with another --group and another --state"
    )]
    Gone { partition: i32, at: i64, first: i64 },
    #[error(
        "partition {partition}: group `{group}` has no committed offset, and {folder} has a state at offset {at}: whatever is out \
         already would go out again.\n    \
         If this group wrote it, Kafka has dropped its offset, as it does a week after the last commit \
         (offsets.retention.minutes). Set it again: where the group was stopped orderly, it was {at}; where it was killed, it is \
         behind the last event whose alerts are out:\n    \
         kafka-consumer-groups.sh --bootstrap-server {brokers} --group {group} --topic {topic}:{partition} --reset-offsets \
         --to-offset {at} --execute\n    \
         If it is another group, give it another --state."
    )]
    Forgotten { partition: i32, group: String, topic: String, brokers: String, folder: PathBuf, at: i64 },
    #[error("cannot keep snapshots in {folder}: {source}")]
    Snapshot { folder: PathBuf, source: std::io::Error },
    #[error("partition {partition}: the events change to a rulebook that cannot be taken:\n{problems}")]
    Rulebook { partition: i32, problems: Problems },
    #[error(transparent)]
    Contagion(#[from] NetworkError),
    #[error(transparent)]
    Known(#[from] KnownError),
    #[error("partition {0}: its thread panicked; the log says why")]
    Panicked(i32),
}

impl Settings {
    /// What every client is told.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        for (key, value) in &self.more {
            config.set(key, value);
        }
        config
    }

    fn failed(&self, what: impl Into<String>) -> impl FnOnce(KafkaError) -> EdgeError {
        let (brokers, what) = (self.brokers.clone(), what.into());
        move |source| EdgeError::Kafka {
            brokers,
            what: format!("{what}: {source}"),
            source: Box::new(source),
        }
    }
}

/// Longest that a single call to the broker may take.
const CALL: Duration = Duration::from_secs(30);

#[cfg(test)]
impl Settings {
    /// Of a test: nobody is there, and nothing is written.
    fn nowhere() -> Self {
        let folder = std::env::temp_dir().join("tarim-nothing-is-written-here");
        Self {
            brokers: String::new(),
            more: Vec::new(),
            events: "events".into(),
            alerts: "alerts".into(),
            dead: "dead".into(),
            group: "group".into(),
            encoding: Encoding::Json,
            state: folder.clone(),
            published: folder,
            events_max: 1,
            interval: Duration::from_millis(100),
            snapshot_events: 1,
            partitions: None,
            until_end: false,
            contagion: None,
            partitioner: Partitioner::default(),
            known: Known::default(),
        }
    }
}
