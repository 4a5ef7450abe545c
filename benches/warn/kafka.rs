//! On a real Kafka: the pipeline, and a raw pass-through of the same events by the same client.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::{Value as Json, json};
use tarim_warning::{
    kafka::{self, Encoding, Partitioner, Settings},
    known::Known,
    rulebook::WarningBook,
};

/// Events of a transaction, and how long one may take: as the pipeline has them.
const EVENTS_MAX: usize = 20_000;
const INTERVAL: Duration = Duration::from_millis(100);
/// Longest call to the broker.
const CALL: Duration = Duration::from_secs(60);
/// When nothing has been taken for so long, nothing more is.
const QUIET: Duration = Duration::from_secs(20);

/// Settings of a pipeline over the topic `bench.events`.
pub fn settings(brokers: &str, name: &str, folder: &Path, until_end: bool) -> Settings {
    Settings {
        brokers: brokers.into(),
        more: Vec::new(),
        events: "bench.events".into(),
        alerts: format!("{name}.alerts"),
        dead: format!("{name}.dead"),
        published: folder.join("none"),
        group: name.into(),
        encoding: Encoding::Protobuf,
        state: folder.join(format!("state-{name}")),
        events_max: EVENTS_MAX,
        interval: INTERVAL,
        // Once, at the end.
        snapshot_events: u64::MAX,
        partitions: None,
        until_end,
        contagion: None,
        known: Known::default(),
        partitioner: Partitioner::default(),
    }
}

/// Creates the topics and puts the folder's events on them.
pub fn fill(brokers: &str, folder: &Path, partitions: i32, names: &[String]) -> anyhow::Result<Json> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for name in names {
        let settings = settings(brokers, name, folder, true);
        runtime.block_on(kafka::init(&settings, &[], partitions, 1, None))?;
    }
    let book = WarningBook::read(&folder.join("rulebook"))?;
    let first = names.first().context("a name")?;
    let sent =
        kafka::send_file(&settings(brokers, first, folder, true), &book, &folder.join("events.pb"), |_| {})?;
    Ok(json!({ "events": sent }))
}

/// The pipeline takes all events that there are.
pub fn run(brokers: &str, folder: &Path, name: &str) -> anyhow::Result<Json> {
    let book = Arc::new(WarningBook::read(&folder.join("rulebook"))?);
    let start = Instant::now();
    let running = kafka::start(&settings(brokers, name, folder, true), &book)?;
    let progress = running.ended()?;
    let wall_s = start.elapsed().as_secs_f64();
    Ok(
        json!({ "events": progress.events, "alerts": progress.alerts, "dead": progress.dead, "wall_s": wall_s }),
    )
}

/// Each event goes on to another topic as it came, in transactions with its offset: what Kafka and its client take.
pub fn pass(brokers: &str, partitions: i32, name: &str) -> anyhow::Result<Json> {
    let start = Instant::now();
    let threads: Vec<_> = (0..partitions)
        .map(|partition| {
            let (brokers, name) = (brokers.to_owned(), name.to_owned());
            thread::spawn(move || pass_partition(&brokers, partition, &name))
        })
        .collect();
    let mut events = 0;
    for thread in threads {
        events += thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    }
    Ok(json!({ "events": events, "wall_s": start.elapsed().as_secs_f64() }))
}

fn pass_partition(brokers: &str, partition: i32, name: &str) -> anyhow::Result<u64> {
    const EVENTS: &str = "bench.events";
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("transactional.id", format!("{name}-{partition}"))
        .set("linger.ms", "5")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.messages", "500000")
        .create()?;
    producer.init_transactions(CALL)?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", name)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(EVENTS, partition, Offset::Beginning)?;
    consumer.assign(&assignment)?;
    let to = format!("{name}.alerts");
    let (mut events, mut open) = (0u64, None::<(usize, Instant)>);
    loop {
        let mut ended = false;
        match consumer.poll(Duration::from_millis(50)) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => ended = true,
            Some(Err(e)) => return Err(e.into()),
            Some(Ok(message)) => {
                if open.is_none() {
                    producer.begin_transaction()?;
                }
                let (count, since) = open.unwrap_or((0, Instant::now()));
                let mut record = BaseRecord::to(&to)
                    .key(message.key().unwrap_or_default())
                    .payload(message.payload().unwrap_or_default());
                while let Err((e, back)) = producer.send(record) {
                    anyhow::ensure!(
                        e == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
                        "cannot send: {e}"
                    );
                    record = back;
                    producer.poll(Duration::from_millis(5));
                }
                events += 1;
                open = Some((count + 1, since));
                let full = count + 1 >= EVENTS_MAX || since.elapsed() >= INTERVAL;
                if full {
                    commit(&producer, &consumer, EVENTS, partition, message.offset() + 1)?;
                    open = None;
                }
                continue;
            }
        }
        if ended {
            if open.is_some() {
                let position = consumer.position()?;
                let next = position.elements().first().map(|e| e.offset());
                let Some(Offset::Offset(next)) = next else { anyhow::bail!("the consumer has no position") };
                commit(&producer, &consumer, EVENTS, partition, next)?;
            }
            return Ok(events);
        }
    }
}

fn commit(
    producer: &BaseProducer,
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    next: i64,
) -> anyhow::Result<()> {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, partition, Offset::Offset(next))?;
    let group = consumer.group_metadata().context("a consumer of a group")?;
    producer.send_offsets_to_transaction(&offsets, &group, CALL)?;
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
    }
    producer.commit_transaction(CALL)?;
    Ok(())
}

/// How long alerts take from when their event was sent, at so many events a second: nanoseconds of each, sorted.
pub fn latency(brokers: &str, folder: &Path, per_second: u64, seconds: u64) -> anyhow::Result<Json> {
    let name = "latency";
    let book = Arc::new(WarningBook::read(&folder.join("rulebook"))?);
    // What is there already is taken first.
    kafka::start(&settings(brokers, name, folder, true), &book)?.ended()?;
    let running = kafka::start(&settings(brokers, name, folder, false), &book)?;
    let told = super::latency::measure(brokers, name, per_second, seconds)?;
    // Behind the last event with an alert are others; they are taken too, or known not to be.
    let (mut taken, mut last) = (0, Instant::now());
    while taken < per_second * seconds && last.elapsed() < QUIET && !running.has_ended() {
        thread::sleep(Duration::from_millis(10));
        let now = running.progress().events;
        if now > taken {
            (taken, last) = (now, Instant::now());
        }
    }
    running.stop();
    let progress = running.ended()?;
    let took = &told.took;
    let quantile = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    Ok(json!({
        "sent": per_second * seconds,
        "taken": progress.events,
        "dead": progress.dead,
        "alerts_wanted": told.wanted,
        "alerts_missing": told.missing,
        "alerts": took.len(),
        "p50_ns": quantile(0.5),
        "p99_ns": quantile(0.99),
        "interval_ns": INTERVAL.as_nanos() as u64,
    }))
}
