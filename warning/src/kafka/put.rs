//! Events of others, put on the topic of events as they happen.

use std::time::Duration;

use prost::Message;
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use tarim_proto::event::v1::Event;

use super::{EdgeError, Encoding, Settings};
use crate::feed::Delivered;

/// Longest that the broker may take; whoever stops waits for it.
const CALL: Duration = Duration::from_secs(10);

/// Puts events on a topic.
pub struct EventProducer {
    settings: Settings,
    delivered: Delivered,
    producer: Option<BaseProducer<Delivered>>,
}

impl EventProducer {
    /// A broker that is away is found to be so when something is put.
    pub fn new(settings: Settings) -> Self {
        Self { settings, delivered: Delivered::new("events of exposures"), producer: None }
    }

    /// Puts all of them, in order; returns when the brokers have them. After an error nobody knows which they have: put all again.
    pub fn put(&mut self, events: &[Event]) -> Result<(), EdgeError> {
        let ended = self.try_put(events);
        if ended.is_err() {
            // What it still holds must not come behind what is put next.
            self.producer = None;
        }
        ended
    }

    fn try_put(&mut self, events: &[Event]) -> Result<(), EdgeError> {
        let Self { settings, delivered, producer } = self;
        let producer = match producer {
            Some(producer) => producer,
            None => {
                // A topic that is not there would be waited for, or made with one partition.
                settings.partition_count()?;
                producer.insert(make(settings, delivered)?)
            }
        };
        // Of the producer before.
        let _ = delivered.take_failure();
        let content = Header { key: "content-type", value: Some(Encoding::Protobuf.content_type()) };
        for event in events {
            let (key, payload) = (format!("{}/{}", event.member, event.customer_id), event.encode_to_vec());
            let headers = OwnedHeaders::new_with_capacity(1).insert(content.clone());
            let record = BaseRecord::to(&settings.events).key(&key).payload(&payload).headers(headers);
            producer.send(record).map_err(|(e, _)| settings.failed("cannot send an event")(e))?;
        }
        producer.flush(CALL).map_err(settings.failed("cannot send events"))?;
        match delivered.take_failure() {
            None => Ok(()),
            Some(e) => Err(settings.failed("cannot send events")(e)),
        }
    }
}

fn make(settings: &Settings, delivered: &Delivered) -> Result<BaseProducer<Delivered>, EdgeError> {
    let mut config = settings.client();
    config
        .set("enable.idempotence", "true")
        // As `tarim warn send`: whoever else sends events of the customer finds the same partition.
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", CALL.as_millis().to_string());
    config.create_with_context(delivered.clone()).map_err(settings.failed("cannot make a producer"))
}
