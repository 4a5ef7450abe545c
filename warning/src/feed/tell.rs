//! What is durable goes to its topic: at least once, in order.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::Value as Json;

use super::{
    delivered::Delivered,
    kafka::{Edge, FeedError},
};
use crate::{
    kafka::Encoding,
    ledger::{LedgerError, Outbox, Unsent},
};

/// What is told, where, and how it looks.
pub struct Tell<'a, T, J> {
    pub topic: &'a str,
    pub outbox: &'a Outbox<T>,
    pub key: fn(&T) -> String,
    /// An error: what it tells of cannot be read any more.
    pub json: J,
    /// Said when it cannot be sent.
    pub failed: &'static str,
}

/// How many are sent, and noted, together.
const BATCH: usize = 1000;

/// So long a broker may take what is sent once all is to stop.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tells until it is told to stop and has told all. `note` is given how far it came, and by how many, once the broker has them.
pub fn tell<T: Clone, J>(edge: &Edge, to: &Tell<'_, T, J>, note: impl Fn(u64, u64)) -> Result<(), FeedError>
where
    J: Fn(&Unsent<T>) -> Result<Json, LedgerError>,
{
    let delivered = Delivered::new("telling");
    let mut config = edge.client();
    config
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("compression.type", "lz4")
        // One that were given up would be overtaken by the next; a broker that is away is waited for.
        .set("message.timeout.ms", "0")
        // The partitioner of the Java client: whoever else looks for a key finds the same partition.
        .set("partitioner", "murmur2_random");
    let producer: BaseProducer<Delivered> =
        config.create_with_context(delivered.clone()).map_err(edge.failed("cannot make a producer"))?;
    let mut told = 0;
    loop {
        let stopping = edge.stopping();
        let wait = if stopping { Duration::ZERO } else { Duration::from_millis(200) };
        let Some(unsent) = to.outbox.after(told, BATCH, wait) else { return Ok(()) };
        let Some(last) = unsent.last() else {
            if stopping {
                return Ok(());
            }
            continue;
        };
        for one in &unsent {
            let payload = (to.json)(one).map_err(|e| FeedError::Ledger(Arc::new(e)))?.to_string();
            let key = (to.key)(&one.what);
            send(&producer, to.topic, &key, &payload).map_err(edge.failed(to.failed))?;
        }
        arrive(edge, &producer);
        let failure = delivered.take_failure();
        // One that is under way still is no better than one that failed: both come again.
        let lost = producer.in_flight_count() > 0;
        if let Some(e) = failure.or(lost.then_some(KafkaError::Canceled)) {
            return Err(edge.failed(to.failed)(e));
        }
        told = last.sequence;
        note(told, unsent.len() as u64);
    }
}

/// Until it is known what became of each. Whoever stops waits for the broker no longer than a little while.
fn arrive(edge: &Edge, producer: &BaseProducer<Delivered>) {
    let mut stopping: Option<Instant> = None;
    while producer.in_flight_count() > 0 && stopping.is_none_or(|since| since.elapsed() < PATIENCE) {
        producer.poll(Duration::from_millis(20));
        if edge.stopping() {
            stopping.get_or_insert_with(Instant::now);
        }
    }
}

fn send(producer: &BaseProducer<Delivered>, topic: &str, key: &str, payload: &str) -> Result<(), KafkaError> {
    let header = Header { key: "content-type", value: Some(Encoding::Json.content_type()) };
    let mut record = BaseRecord::to(topic)
        .key(key)
        .payload(payload)
        .headers(OwnedHeaders::new_with_capacity(1).insert(header));
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            // The queue is full: what is in it goes out first.
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(5));
            }
            Err((e, _)) => return Err(e),
        }
    }
}
