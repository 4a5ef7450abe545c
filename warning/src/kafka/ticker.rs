//! Time goes on, in the log: a tick to every partition, so that whatever waits for an absence need not wait for an event.

use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tarim_proto::event::v1::{Event, FeaturesChange, RulebookChange, Tick, event::Kind};

use super::{CALL, EdgeError, Settings};

/// Writes a tick of the present to each partition.
pub fn tick(settings: &Settings, producer: &BaseProducer) -> Result<(), EdgeError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_us = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    to_all(
        settings,
        producer,
        Event { happened_at_us: now_us, kind: Some(Kind::Tick(Tick {})), ..Event::default() },
    )
}

/// Says in each partition that from here on the rulebook of a version holds, and, if one is named, that its rules read the
/// features of this generation.
pub fn change_rulebook(
    settings: &Settings,
    producer: &BaseProducer,
    version: &str,
    features: Option<&str>,
) -> Result<(), EdgeError> {
    let features = features.map(str::to_owned);
    let kind = Kind::Rulebook(RulebookChange { version: version.to_owned(), features });
    to_all(settings, producer, Event { kind: Some(kind), ..Event::default() })
}

/// Says in each partition that from here on the features of a generation are read.
pub fn change_features(settings: &Settings, producer: &BaseProducer, version: &str) -> Result<(), EdgeError> {
    let kind = Kind::Features(FeaturesChange { version: version.to_owned() });
    to_all(settings, producer, Event { kind: Some(kind), ..Event::default() })
}

fn to_all(settings: &Settings, producer: &BaseProducer, event: Event) -> Result<(), EdgeError> {
    let payload = event.encode_to_vec();
    for partition in 0..settings.partition_count()? {
        let record = BaseRecord::<(), [u8]>::to(&settings.events).partition(partition).payload(&payload);
        producer.send(record).map_err(|(e, _)| settings.failed("cannot send to all partitions")(e))?;
    }
    producer.flush(CALL).map_err(settings.failed("cannot send to all partitions"))
}

impl Settings {
    /// A producer of ticks.
    pub fn tick_producer(&self) -> Result<BaseProducer, EdgeError> {
        let mut config = self.client();
        config.set("enable.idempotence", "true");
        config.create().map_err(self.failed("cannot make a producer"))
    }
}
