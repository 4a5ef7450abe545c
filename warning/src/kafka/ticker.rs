//! Time goes on, in the log: a tick to every partition, so that whatever waits for an absence need not wait for an event.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use prost::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tarim_proto::event::v1::{Event, FeaturesChange, RulebookChange, Tick, event::Kind};

use super::{CALL, EdgeError, Settings};
use crate::feed::Delivered;

/// From one look whether a tick is due, or whether to stop, to the next.
const LOOK: Duration = Duration::from_millis(200);

/// Puts a tick on each partition every so often, the first one after that time, until it is told to stop.
pub fn run(settings: &Settings, producer: &BaseProducer<Delivered>, every: Duration, stop: &AtomicBool) {
    let mut ticked = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if ticked.elapsed() < every {
            thread::sleep(LOOK);
            continue;
        }
        // A broker that is away is no reason to stop: the next tick says the same, and more.
        if let Err(e) = tick(settings, producer) {
            tracing::warn!("no tick: {e}");
        }
        ticked = Instant::now();
    }
}

/// Writes a tick of the present to each partition.
fn tick(settings: &Settings, producer: &BaseProducer<Delivered>) -> Result<(), EdgeError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_us = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    let tick = Event { happened_at_us: now_us, kind: Some(Kind::Tick(Tick {})), ..Event::default() };
    to_all(settings, producer, "a tick", tick)
}

/// Says in each partition that from here on the rulebook of a version holds, and, if one is named, that its rules read the
/// features of this generation.
pub fn change_rulebook(
    settings: &Settings,
    producer: &BaseProducer<Delivered>,
    version: &str,
    features: Option<&str>,
) -> Result<(), EdgeError> {
    let features = features.map(str::to_owned);
    let kind = Kind::Rulebook(RulebookChange { version: version.to_owned(), features });
    let what = format!("the change to rulebook {version}");
    to_all(settings, producer, &what, Event { kind: Some(kind), ..Event::default() })
}

/// Says in each partition that from here on the features of a generation are read.
pub fn change_features(
    settings: &Settings,
    producer: &BaseProducer<Delivered>,
    version: &str,
) -> Result<(), EdgeError> {
    let kind = Kind::Features(FeaturesChange { version: version.to_owned() });
    let what = format!("the change to features of generation {version}");
    to_all(settings, producer, &what, Event { kind: Some(kind), ..Event::default() })
}

/// Returns when the brokers have it in all partitions.
fn to_all(
    settings: &Settings,
    producer: &BaseProducer<Delivered>,
    what: &str,
    event: Event,
) -> Result<(), EdgeError> {
    let cannot = format!("cannot send {what} to all partitions");
    // Of a call before.
    let _ = producer.context().take_failures();
    let payload = event.encode_to_vec();
    let partitions = settings.partition_count()?;
    for partition in 0..partitions {
        let record = BaseRecord::<(), [u8]>::to(&settings.events).partition(partition).payload(&payload);
        producer.send(record).map_err(|(e, _)| settings.failed(cannot.as_str())(e))?;
    }
    producer.flush(CALL).map_err(settings.failed(cannot.as_str()))?;
    // That nothing is under way any more does not mean that it has arrived.
    match producer.context().take_failures() {
        None => Ok(()),
        Some((e, lost)) => Err(settings.failed(format!("{cannot}: {lost} of {partitions} lack it"))(e)),
    }
}

impl Settings {
    /// A producer of ticks.
    pub fn tick_producer(&self) -> Result<BaseProducer<Delivered>, EdgeError> {
        let mut config = self.client();
        config.set("enable.idempotence", "true");
        config
            .create_with_context(Delivered::new("ticks and changes"))
            .map_err(self.failed("cannot make a producer"))
    }
}
