//! Time goes on, in the log: a tick to every partition, so that whatever waits for an absence need not wait for an event.

use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tarim_proto::event::v1::{Event, Tick, event::Kind};

use super::{CALL, EdgeError, Settings};

/// Writes a tick of the present to each partition.
pub fn tick(settings: &Settings, producer: &BaseProducer) -> Result<(), EdgeError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_us = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    let event = Event { happened_at_us: now_us, kind: Some(Kind::Tick(Tick {})), ..Event::default() };
    let payload = event.encode_to_vec();
    for partition in 0..settings.partition_count()? {
        let record = BaseRecord::<(), [u8]>::to(&settings.events).partition(partition).payload(&payload);
        producer.send(record).map_err(|(e, _)| settings.failed("cannot send a tick")(e))?;
    }
    producer.flush(CALL).map_err(settings.failed("cannot send ticks"))
}

impl Settings {
    /// A producer of ticks.
    pub fn tick_producer(&self) -> Result<BaseProducer, EdgeError> {
        let mut config = self.client();
        config.set("enable.idempotence", "true");
        config.create().map_err(self.failed("cannot make a producer"))
    }
}
