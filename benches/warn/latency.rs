//! From an event that is sent to its alert that is read, at a steady rate. Each alert says by the id of its event when that was meant
//! to be sent, so that waiting is counted too.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use prost::Message as _;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};
use tarim_benches::fixture::{
    MEMBER,
    warn::{LOUD_FEN, WarnBook},
};
use tarim_proto::{
    event::v1::{Event, Transaction, event::Kind},
    warning::v1::Alert,
};

/// One event of so many is of a customer of its own, and large enough to fire.
const LOUD: u64 = 200;
/// The rule that fires on it.
const LOUD_RULE: &str = "loud";
/// What comes before counts as warming up.
const WARM: Duration = Duration::from_secs(3);

/// What came of the events.
pub struct Told {
    /// Nanoseconds of each alert after the warm-up, sorted; at least one.
    pub took: Vec<u64>,
    /// Alerts that had to come, warm-up included, and those of them that did not.
    pub wanted: u64,
    pub missing: u64,
}

/// Sends so many events, and reads alerts until all have come or none does any more.
pub fn measure(brokers: &str, name: &str, per_second: u64, seconds: u64) -> anyhow::Result<Told> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "1")
        .set("compression.type", "lz4")
        // Where the pipeline looks for them.
        .set("partitioner", "murmur2_random")
        .create()?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", format!("{name}-reader"))
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "5")
        .create()?;
    let topic = format!("{name}.alerts");
    let metadata = consumer.fetch_metadata(Some(&topic), Duration::from_secs(30))?;
    let partitions = metadata.topics().first().map_or(0, |t| t.partitions().len()) as i32;
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(&topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let events: Vec<Event> = WarnBook { windows: 0, rules: 0, customers: 100_000 }.events(100_000).collect();
    let transaction = events.iter().find_map(|e| match &e.kind {
        Some(Kind::Transaction(t)) => Some(t.clone()),
        _ => None,
    });
    let transaction = transaction.context("most events are transactions")?;
    let now_us = chrono::Utc::now().timestamp_micros();
    let start = Instant::now();
    let wanted = (per_second * seconds).div_ceil(LOUD);
    let reader = thread::spawn(move || {
        // By when its event was due; of one that comes again the first counts.
        let (mut taken, mut last) = (HashMap::new(), Instant::now());
        while (taken.len() as u64) < wanted && last.elapsed() < Duration::from_secs(20) {
            let message = match consumer.poll(Duration::from_millis(100)) {
                None => continue,
                Some(Ok(message)) => message,
                Some(Err(e)) => {
                    eprintln!("the reader of alerts: {e}");
                    continue;
                }
            };
            let Ok(alert) = Alert::decode(message.payload().unwrap_or_default()) else { continue };
            let sent =
                alert.events.last().and_then(|e| e.event_id.strip_prefix("loud-")?.parse::<u64>().ok());
            if let Some(sent) = sent.filter(|_| alert.rule_id == LOUD_RULE) {
                taken.entry(sent).or_insert((start.elapsed().as_nanos() as u64).saturating_sub(sent));
                last = Instant::now();
            }
        }
        taken
    });
    for i in 0..per_second * seconds {
        let due = Duration::from_nanos(1_000_000_000 / per_second * i);
        while start.elapsed() < due {
            // Whoever only waits leaves the processor to those who are measured.
            thread::sleep(Duration::from_micros(500));
            producer.poll(Duration::ZERO);
        }
        let mut event = events[(i % events.len() as u64) as usize].clone();
        event.happened_at_us = now_us + due.as_micros() as i64;
        event.event_id = format!("e{i}");
        if i % LOUD == 0 {
            event.event_id = format!("loud-{}", due.as_nanos());
            event.customer_id = format!("loud{i}");
            event.kind =
                Some(Kind::Transaction(Transaction { amount_fen: Some(LOUD_FEN), ..transaction.clone() }));
        }
        let (key, payload) = (format!("{MEMBER}/{}", event.customer_id), event.encode_to_vec());
        let record = BaseRecord::to("bench.events").key(&key).payload(&payload);
        producer.send(record).map_err(|(e, _)| e)?;
    }
    producer.flush(Duration::from_secs(30))?;
    let taken = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
    let missing = wanted.saturating_sub(taken.len() as u64);
    let warm = WARM.as_nanos() as u64;
    let mut took: Vec<u64> =
        taken.into_iter().filter(|(sent, _)| *sent >= warm).map(|(_, took)| took).collect();
    ensure!(
        !took.is_empty(),
        "of {wanted} alerts {missing} did not come, and none after the warm-up of {WARM:?} did"
    );
    took.sort_unstable();
    Ok(Told { took, wanted, missing })
}
