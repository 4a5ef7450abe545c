//! Hearing what stands: a thread of the decision service.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
};
use tarim_features::warnings::Feed;

use super::{
    record::{self, STAMP, Stamp},
    view::View,
};
use crate::{core::Position, kafka::Quiet};

/// Where to hear.
#[derive(Clone, Debug)]
pub struct Settings {
    pub brokers: String,
    /// Whatever else librdkafka is to be told, for instance how to authenticate.
    pub more: Vec<(String, String)>,
    pub topic: String,
}

/// Why nothing can be heard.
#[derive(Debug, thiserror::Error)]
pub enum HearError {
    #[error("Kafka at {brokers}: {what}: {source}")]
    Kafka { brokers: String, what: &'static str, source: KafkaError },
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// Hears until it is dropped.
pub struct Hearing {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Most records that are shown together.
const BATCH: usize = 2000;

/// So often partitions are looked for that were not there before.
const LOOK: Duration = Duration::from_secs(5);

/// Longest that a question to the broker may take: not long, since whoever stops waits for it.
const ASK: Duration = Duration::from_secs(5);

/// Before another attempt, so that a broker that is away is not asked all the time.
const PAUSE: Duration = Duration::from_millis(500);

/// Reads the topic from its beginning, and goes on. A broker or a topic that is not there is waited for; nothing is known
/// until there is the whole.
///
/// # Errors
/// Settings that librdkafka does not take.
pub fn hear(settings: Settings, feed: Feed) -> Result<Hearing, HearError> {
    // What is wrong with the settings is told at once.
    drop(consumer(&settings)?);
    let stop = Arc::<AtomicBool>::default();
    let stopped = stop.clone();
    let mut view = View::new(feed);
    let run = move || {
        // What was taken stays: another attempt takes it again, and a repeat changes nothing.
        while let Err(e) = attempt(&settings, &mut view, &stopped) {
            if stopped.load(Ordering::Acquire) {
                return;
            }
            tracing::warn!("warnings are not heard, and soon nothing is known of them: {e}; tried again");
            thread::sleep(PAUSE);
        }
    };
    let thread = thread::Builder::new().name("warnings".into()).spawn(run)?;
    Ok(Hearing { stop, thread: Some(thread) })
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that hears warnings panicked");
        }
    }
}

fn attempt(settings: &Settings, view: &mut View, stop: &AtomicBool) -> Result<(), HearError> {
    let consumer = consumer(settings)?;
    let mut assigned = BTreeSet::new();
    let mut looked: Option<Instant> = None;
    let mut gathered = 0;
    while !stop.load(Ordering::Acquire) {
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            assign(settings, &consumer, &mut assigned)?;
            looked = Some(Instant::now());
        }
        // What is there already is shown together; then it is shown, however little it is.
        let wait = if gathered == 0 { Duration::from_millis(100) } else { Duration::ZERO };
        let more = match consumer.poll(wait) {
            None => false,
            Some(Err(e)) => return Err(settings.failed("cannot read what stands")(e)),
            Some(Ok(message)) => {
                gathered += 1;
                take(view, &message);
                gathered < BATCH
            }
        };
        if !more && gathered > 0 {
            view.show();
            gathered = 0;
        }
    }
    Ok(())
}

fn take(view: &mut View, message: &BorrowedMessage<'_>) {
    let stamp = message.headers().and_then(|h| h.iter().find(|h| h.key == STAMP)).and_then(|h| h.value);
    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
    let at = Position { partition, offset };
    match record::read(message.key().unwrap_or_default(), stamp, message.payload()) {
        Ok(record) => view.take(at, record),
        Err(what) => {
            match record::customer(message.key().unwrap_or_default()) {
                Some((member, customer)) => {
                    tracing::error!(
                        topic,
                        partition,
                        offset,
                        "what stands against `{member}/{customer}` cannot be read, and until it can, nothing is known of \
                         warnings: {what}\n    fix: run a `tarim warn serve` of this release, or put a record with this \
                         key and no payload on this partition"
                    );
                    view.spoil(at, member, customer, stamp.and_then(Stamp::read));
                }
                // It is about no customer.
                None => tracing::error!(topic, partition, offset, "this record is left out: {what}"),
            }
        }
    }
}

fn consumer(settings: &Settings) -> Result<BaseConsumer<Quiet>, HearError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers);
    for (key, value) in &settings.more {
        config.set(key, value);
    }
    config
        // librdkafka wants one; nothing is committed to it.
        .set("group.id", "tarim-serve-warnings")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest");
    config.create_with_context(Quiet).map_err(settings.failed("cannot make a consumer"))
}

/// Takes on the partitions that it has not yet, from their beginning.
fn assign(
    settings: &Settings,
    consumer: &BaseConsumer<Quiet>,
    assigned: &mut BTreeSet<i32>,
) -> Result<(), HearError> {
    let metadata = consumer.fetch_metadata(None, ASK);
    let metadata = metadata.map_err(settings.failed("cannot ask for the topic of what stands"))?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == settings.topic);
    let mut new = TopicPartitionList::new();
    for partition in topic.iter().flat_map(|topic| topic.partitions()) {
        if assigned.insert(partition.id()) {
            let added = new.add_partition_offset(&settings.topic, partition.id(), Offset::Beginning);
            added.map_err(settings.failed("cannot read the topic of what stands"))?;
        }
    }
    if assigned.is_empty() {
        tracing::warn!("there is no topic `{}` yet; `tarim warn init` makes it", settings.topic);
    }
    if new.count() > 0 {
        consumer.incremental_assign(&new).map_err(settings.failed("cannot read the topic of what stands"))?;
    }
    Ok(())
}

impl Settings {
    fn failed(&self, what: &'static str) -> impl FnOnce(KafkaError) -> HearError {
        let brokers = self.brokers.clone();
        move |source| HearError::Kafka { brokers, what, source }
    }
}
