//! Changes out: what is durable goes to the topic of changes, at least once, in order.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};
use serde_json::{Value as Json, json};

use super::kafka::{Edge, FeedError};
use crate::{alert::time, kafka::Encoding, ledger::Unsent};

/// Changes that are sent, and noted, together.
const BATCH: usize = 1000;

/// So long a broker may take what is sent once all is to stop.
const PATIENCE: Duration = Duration::from_secs(3);

/// Keeps the first error of a batch.
#[derive(Clone, Default)]
struct Delivered(Arc<Mutex<Option<KafkaError>>>);

impl ClientContext for Delivered {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!("Kafka, topic of changes: {error}: {reason}");
    }
}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((e, _)) = result {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e.clone());
        }
    }
}

/// Tells changes until it is told to stop and has told all.
pub fn run(edge: &Edge) -> Result<(), FeedError> {
    let delivered = Delivered::default();
    let mut config = edge.client();
    config
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("compression.type", "lz4")
        // One that were given up would be overtaken by the next; a broker that is away is waited for.
        .set("message.timeout.ms", "0")
        // The partitioner of the Java client: whoever else looks for the customer finds the same partition.
        .set("partitioner", "murmur2_random");
    let producer: BaseProducer<Delivered> =
        config.create_with_context(delivered.clone()).map_err(edge.failed("cannot make a producer"))?;
    let mut told = 0;
    loop {
        let stopping = edge.stopping();
        let wait = if stopping { Duration::ZERO } else { Duration::from_millis(200) };
        let Some(changes) = edge.ledger.outbox().after(told, BATCH, wait) else { return Ok(()) };
        let Some(last) = changes.last() else {
            if stopping {
                return Ok(());
            }
            continue;
        };
        for change in &changes {
            send(&producer, &edge.settings.changes, change).map_err(edge.failed("cannot send a change"))?;
        }
        arrive(edge, &producer);
        let failure = delivered.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // One that is under way still is no better than one that failed: both come again.
        let lost = producer.in_flight_count() > 0;
        if let Some(e) = failure.or(lost.then_some(KafkaError::Canceled)) {
            return Err(edge.failed("cannot send changes to their topic, which `tarim warn init` makes")(e));
        }
        told = last.sequence;
        edge.ledger.sent(told);
        edge.fed.sent.fetch_add(changes.len() as u64, Ordering::Relaxed);
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

fn send(producer: &BaseProducer<Delivered>, topic: &str, change: &Unsent) -> Result<(), KafkaError> {
    let alert = &change.warning.alert;
    let key = format!("{}/{}", alert.member, alert.customer_id);
    let payload = change_json(change).to_string();
    let header = Header { key: "content-type", value: Some(Encoding::Json.content_type()) };
    let mut record = BaseRecord::to(topic)
        .key(&key)
        .payload(&payload)
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

/// A change as JSON: the names of the `.proto` file, times in ISO 8601. Of an opening `from` and `by` are null, and `at` is
/// when the alert arose.
pub fn change_json(change: &Unsent) -> Json {
    let Unsent { warning, step, .. } = change;
    let alert = &warning.alert;
    let opening =
        json!({ "from": null, "to": "open", "by": null, "at": time(alert.raised_at_us), "why": null });
    let made = step.checked_sub(1).and_then(|i| warning.history.get(i)).map(|step| {
        json!({
            "from": step.from.name(),
            "to": step.to.name(),
            "by": step.by,
            "at": time(step.at_us),
            "why": step.why,
        })
    });
    let inspection = warning.inspection.map(|inspection| {
        json!({
            "inspection_id": format!("{}-inspection", warning.id),
            "kind": "unscheduled",
            "due_at": time(inspection.due_at_us),
            "done": inspection.done,
        })
    });
    let mut json = json!({
        "change_id": warning.change_id(*step),
        "warning_id": warning.id.to_string(),
        "member": alert.member,
        "customer_id": alert.customer_id,
        "rule_id": alert.rule_id,
        "key": alert.key,
        "level": warning.level.as_str_name().trim_start_matches("LEVEL_").to_lowercase(),
        "count": warning.count,
    });
    if let (Json::Object(json), Json::Object(step)) = (&mut json, made.unwrap_or(opening)) {
        json.extend(step);
        json.insert("inspection".into(), inspection.unwrap_or_default());
    }
    json
}
