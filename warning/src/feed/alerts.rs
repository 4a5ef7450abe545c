//! Alerts in: committed records, from where the ledger has read to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};

use super::{
    file::alert_of,
    kafka::{Edge, FeedError},
    reach::Reach,
};
use crate::{
    kafka::{Quiet, format_of},
    ledger::Position,
    lifecycle::NewAlert,
    service::Clock,
};

/// Most records that are handed over together.
const BATCH: usize = 2000;

/// So often topics and partitions are looked for that were not there before.
const LOOK: Duration = Duration::from_secs(5);

/// Longest that a question to the broker may take: not long, since whoever stops waits for it.
const ASK: Duration = Duration::from_secs(5);

/// Of a partition: alerts that were read, and the offset after the last one.
type Read = BTreeMap<(String, i32), (Vec<NewAlert>, i64)>;

/// Reads until it is told to stop.
pub fn run(edge: &Edge) -> Result<(), FeedError> {
    let consumer = consumer(edge)?;
    let mut assigned = BTreeSet::new();
    let mut looked: Option<Instant> = None;
    let mut reach = Reach::default();
    let (mut read, mut count) = (Read::new(), 0);
    while !edge.stopping() {
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            // Before it is looked which topics there are: what comes on one that is made meanwhile is of later.
            let at_us = Clock::System.now_us();
            assign(edge, &consumer, &mut assigned, &mut reach)?;
            ask(edge, &consumer, &assigned, at_us, &mut reach)?;
            looked = Some(Instant::now());
        }
        // What is there already is taken together; then it is handed over, however little it is.
        let wait = if count == 0 { Duration::from_millis(100) } else { Duration::ZERO };
        let more = match consumer.poll(wait) {
            None => false,
            Some(Err(e)) => return Err(edge.failed("cannot read alerts")(e)),
            Some(Ok(message)) => {
                let partition = (message.topic().to_owned(), message.partition());
                let (alerts, next) = read.entry(partition).or_default();
                *next = message.offset() + 1;
                count += 1;
                let payload = message.payload().unwrap_or_default();
                match alert_of(format_of(&message), payload, &edge.settings.inspections, &edge.settings.clock)
                {
                    Ok(alert) => alerts.push(alert),
                    // It will be no alert however often it is read.
                    Err(what) => {
                        edge.fed.rejected.fetch_add(1, Ordering::Relaxed);
                        let (topic, partition, offset) =
                            (message.topic(), message.partition(), message.offset());
                        tracing::error!(
                            topic,
                            partition,
                            offset,
                            "this record is no alert, and is left out: {what}"
                        );
                    }
                }
                count < BATCH
            }
        };
        if !more && count > 0 {
            hand_over(edge, std::mem::take(&mut read))?;
            edge.fed.taken.fetch_add(count as u64, Ordering::Relaxed);
            count = 0;
        }
        // All that the consumer gave is on disk.
        if count == 0 {
            if reach.is_behind() {
                note(edge, &consumer, &mut reach)?;
            }
            if let Some(at_us) = reach.reached() {
                edge.ledger.heard(at_us);
            }
        }
    }
    Ok(())
}

/// To the ledger, each partition with its offset; returns when all is durable.
fn hand_over(edge: &Edge, read: Read) -> Result<(), FeedError> {
    let (sender, receiver) = mpsc::channel();
    for ((topic, partition), (alerts, next)) in read {
        let sender = sender.clone();
        let at = Position { topic, partition, next };
        // Who waits is there until all are told.
        edge.ledger.take(alerts, Some(at), move |taken| _ = sender.send(taken));
    }
    drop(sender);
    for taken in receiver {
        taken.map_err(FeedError::Ledger)?;
    }
    // A writer that ended drops what it was handed untold.
    if edge.ledger.is_open() {
        Ok(())
    } else {
        edge.ledger.take_now(Vec::new(), None).map(drop).map_err(FeedError::Ledger)
    }
}

fn consumer(edge: &Edge) -> Result<BaseConsumer<Quiet>, FeedError> {
    let mut config = edge.client();
    config
        .set("group.id", &edge.settings.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // An alert whose transaction was aborted never was.
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest");
    config.create_with_context(Quiet).map_err(edge.failed("cannot make a consumer"))
}

/// Takes on the partitions that it has not yet, each from where the ledger has read to.
fn assign(
    edge: &Edge,
    consumer: &BaseConsumer<Quiet>,
    assigned: &mut BTreeSet<(String, i32)>,
    reach: &mut Reach,
) -> Result<(), FeedError> {
    let metadata =
        consumer.fetch_metadata(None, ASK).map_err(edge.failed("cannot ask for the topics of alerts"))?;
    let mut new = TopicPartitionList::new();
    for (topic, partition) in edge.settings.partitions(&metadata) {
        if !assigned.insert((topic.clone(), partition)) {
            continue;
        }
        let (first, end) = consumer
            .fetch_watermarks(&topic, partition, ASK)
            .map_err(edge.failed("cannot ask for the first offset of a topic of alerts"))?;
        let read = edge.ledger.position(&topic, partition);
        if let Some(read) = read.filter(|read| *read < first) {
            tracing::error!(
                topic,
                partition,
                "alerts from offset {read} to {first} are gone before they were read"
            );
        }
        if let Some(read) = read.filter(|read| *read > end) {
            tracing::error!(
                topic,
                partition,
                "it was read up to offset {read}, and ends at {end}: it was made anew, and is read from its beginning"
            );
        }
        let at = begins(read, (first, end));
        tracing::info!(topic, partition, at, "alerts are read");
        reach.read(&topic, partition, at);
        let added = new.add_partition_offset(&topic, partition, Offset::Offset(at));
        added.map_err(edge.failed("cannot read a topic of alerts"))?;
    }
    if assigned.is_empty() {
        tracing::warn!("there is no topic `{}` yet; `tarim warn init` makes them", edge.settings.alerts);
    }
    if new.count() > 0 {
        consumer.incremental_assign(&new).map_err(edge.failed("cannot read the topics of alerts"))?;
    }
    Ok(())
}

/// Where reading begins of what reaches from one offset to another. What was read of a topic that was made anew does not count.
fn begins(read: Option<i64>, (first, end): (i64, i64)) -> i64 {
    read.filter(|read| (first..=end).contains(read)).unwrap_or(first)
}

/// Notes how far the consumer is. Behind the last alert that it gave stand marks of transactions, which it passes over: its
/// position is behind them once they have come (librdkafka 2.12, `rd_kafka_op_handle_std`).
fn note(edge: &Edge, consumer: &BaseConsumer<Quiet>, reach: &mut Reach) -> Result<(), FeedError> {
    let positions = consumer.position().map_err(edge.failed("cannot tell how far alerts are read"))?;
    for element in positions.elements() {
        // It has none before anything came: then it is where reading began.
        if let Offset::Offset(next) = element.offset() {
            reach.read(element.topic(), element.partition(), next);
        }
    }
    Ok(())
}

/// Asks where the partitions end, so that it is known up to when all alerts have been read. Without any, nothing is.
fn ask(
    edge: &Edge,
    consumer: &BaseConsumer<Quiet>,
    assigned: &BTreeSet<(String, i32)>,
    at_us: i64,
    reach: &mut Reach,
) -> Result<(), FeedError> {
    if assigned.is_empty() {
        return Ok(());
    }
    let failed = || edge.failed("cannot ask for the ends of the topics of alerts");
    let mut list = TopicPartitionList::new();
    for (topic, partition) in assigned {
        list.add_partition_offset(topic, *partition, Offset::End).map_err(failed())?;
    }
    // The time that is asked for is the end.
    let list = consumer.offsets_for_times(list, ASK).map_err(failed())?;
    let mut ends = BTreeMap::new();
    for element in list.elements() {
        element.error().map_err(failed())?;
        if let Offset::Offset(end) = element.offset() {
            ends.insert((element.topic().to_owned(), element.partition()), end);
        }
    }
    // One that was not told could have more.
    if ends.len() == assigned.len() {
        reach.asked(at_us, ends);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::begins;

    #[test]
    fn reading_begins_where_it_ended_if_that_is_there() {
        for (read, reaches, at) in [
            (None, (0, 5), 0),
            (None, (3, 5), 3),
            (Some(4), (3, 5), 4),
            (Some(5), (3, 5), 5),
            (Some(2), (3, 5), 3),
            // The topic was made anew.
            (Some(6), (0, 5), 0),
        ] {
            assert_eq!(begins(read, reaches), at, "{read:?} of {reaches:?}");
        }
    }
}
