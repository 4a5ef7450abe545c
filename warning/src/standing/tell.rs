//! Telling what stands: an edge of `tarim warn serve`.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use tarim_features::warnings::Standing;

use super::record::{self, BEAT, Beat, Record, STAMP, Stamp, beat_json, key, standing_json};
use crate::{
    feed::{Delivered, Edge, FeedError},
    kafka::{Encoding, Quiet},
    service::Clock,
};

/// So often it beats, at most.
const BEATS: Duration = Duration::from_secs(1);

/// So often a topic is looked for that is not there, and how many partitions it has.
const LOOK: Duration = Duration::from_secs(5);

/// Longest that a question to the broker may take: not long, since whoever stops waits for it.
const ASK: Duration = Duration::from_secs(5);

/// Tells until it is told to stop. After an error all is told anew, by whoever tries again.
pub fn run(edge: &Edge) -> Result<(), FeedError> {
    let mut teller = Teller::new(edge)?;
    if !teller.await_topic()? {
        return Ok(());
    }
    teller.follow();
    // What changes from here on is news, whatever it was when the whole was told.
    edge.ledger.news().begin();
    let open = edge.ledger.open_warnings();
    let mut failed = None;
    open.each(|member, customer, standing| {
        if failed.is_none() && !edge.stopping() {
            failed = teller.tell(member, customer, &standing).err();
        }
    });
    failed.map_or(Ok(()), Err)?;
    teller.arrive()?;
    while !edge.stopping() {
        // Before the news: by then, what was heard is among them.
        let heard = edge.ledger.heard_at_us();
        let Some(customers) = edge.ledger.news().take(Duration::from_millis(200)) else { break };
        for (member, customer) in &customers {
            teller.tell(member, customer, &open.in_numbers(member, customer))?;
        }
        teller.arrive()?;
        teller.beat(heard)?;
    }
    Ok(())
}

struct Teller<'a> {
    edge: &'a Edge,
    producer: BaseProducer<Delivered>,
    delivered: Delivered,
    last: Stamp,
    beaten: Option<(Instant, i64)>,
    /// Of the topic, and when it was looked.
    partitions: usize,
    looked: Instant,
    /// Members that cannot be told were told of.
    warned: bool,
}

impl<'a> Teller<'a> {
    fn new(edge: &'a Edge) -> Result<Self, FeedError> {
        let delivered = Delivered::new("topic of what stands");
        let mut config = edge.client();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            // A broker that is away is waited for: one record that were given up would be missing.
            .set("message.timeout.ms", "0")
            .set("partitioner", "murmur2_random");
        let producer = config.create_with_context(delivered.clone());
        Ok(Self {
            edge,
            producer: producer.map_err(edge.failed("cannot make a producer"))?,
            delivered,
            last: Stamp { epoch: Clock::System.now_us(), number: 0 },
            beaten: None,
            partitions: 0,
            looked: Instant::now(),
            warned: false,
        })
    }

    /// False: told to stop before there was a topic.
    fn await_topic(&mut self) -> Result<bool, FeedError> {
        let topic = &self.edge.settings.standing;
        let mut said = false;
        loop {
            self.look()?;
            if self.partitions > 0 {
                return Ok(true);
            }
            if !said {
                tracing::warn!(
                    "there is no topic `{topic}`, so nobody on another machine is told what stands; `tarim warn init` makes it"
                );
                said = true;
            }
            let since = Instant::now();
            while since.elapsed() < LOOK {
                if self.edge.stopping() {
                    return Ok(false);
                }
                thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// How many partitions the topic has. (All topics are asked for: to ask for one could make it.)
    fn look(&mut self) -> Result<(), FeedError> {
        let metadata = self.producer.client().fetch_metadata(None, ASK);
        let metadata = metadata.map_err(self.edge.failed("cannot ask for the topic of what stands"))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.edge.settings.standing);
        self.partitions = topic.map_or(0, |topic| topic.partitions().len());
        self.looked = Instant::now();
        Ok(())
    }

    /// Begins behind all who told before: readers do not listen to who seems to be older than they.
    fn follow(&mut self) {
        let latest = self.latest().unwrap_or_else(|e| {
            tracing::warn!("who told before what stands is not known, and the clock is trusted: {e}");
            None
        });
        self.last.epoch = epoch(Clock::System.now_us(), latest);
    }

    /// When the latest began of those whose records the partitions end with; None: they are empty.
    fn latest(&self) -> Result<Option<i64>, FeedError> {
        let edge = self.edge;
        let topic = &edge.settings.standing;
        let failed = || edge.failed("cannot read the ends of the topic of what stands");
        let mut config = edge.client();
        config
            .set("group.id", &edge.settings.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet).map_err(failed())?;
        let (mut ends, mut unread) = (TopicPartitionList::new(), BTreeSet::new());
        for partition in 0..self.partitions as i32 {
            let (first, end) = consumer.fetch_watermarks(topic, partition, ASK).map_err(failed())?;
            if end > first {
                ends.add_partition_offset(topic, partition, Offset::Offset(end - 1)).map_err(failed())?;
                unread.insert(partition);
            }
        }
        consumer.assign(&ends).map_err(failed())?;
        let (mut latest, since) = (None::<i64>, Instant::now());
        while !unread.is_empty() && since.elapsed() < ASK && !edge.stopping() {
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Err(e)) => return Err(failed()(e)),
                Some(Ok(message)) => {
                    unread.remove(&message.partition());
                    latest = latest.max(epoch_of(&message));
                }
            }
        }
        Ok(latest)
    }

    fn tell(&mut self, member: &str, customer: &str, standing: &Standing) -> Result<(), FeedError> {
        let Some(key) = key(member, customer) else {
            if !self.warned {
                tracing::error!(
                    "what stands against customers of member `{member}` is not told: it has a slash"
                );
                self.warned = true;
            }
            return Ok(());
        };
        self.last.number += 1;
        let stamp = self.last.text();
        let payload = standing_json(standing).map(|json| json.to_string());
        let mut record =
            BaseRecord::to(&self.edge.settings.standing).key(key.as_str()).headers(headers(Some(&stamp)));
        if let Some(payload) = &payload {
            record = record.payload(payload);
        }
        self.send(record)
    }

    fn beat(&mut self, heard: Option<i64>) -> Result<(), FeedError> {
        let Some(heard_us) = heard else { return Ok(()) };
        // A time before the last is of a clock that was set right.
        if self.beaten.is_some_and(|(at, last)| at.elapsed() < BEATS || heard_us == last) {
            return Ok(());
        }
        if self.looked.elapsed() >= LOOK {
            self.look()?;
        }
        let beat = Beat { epoch: self.last.epoch, heard_us, partitions: self.partitions };
        let payload = beat_json(&beat).to_string();
        for partition in 0..self.partitions as i32 {
            let record = BaseRecord::to(&self.edge.settings.standing)
                .partition(partition)
                .key(BEAT)
                .payload(&payload)
                .headers(headers(None));
            self.send(record)?;
        }
        self.beaten = Some((Instant::now(), heard_us));
        Ok(())
    }

    fn send(&self, mut record: BaseRecord<'_, str, String>) -> Result<(), FeedError> {
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                // The queue is full: what is in it goes out first.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(5));
                    if self.edge.stopping() {
                        return Ok(());
                    }
                }
                Err((e, _)) => return Err(self.edge.failed("cannot tell what stands")(e)),
            }
        }
    }

    /// Until it is known what became of each record; whoever stops does not wait, for all is told anew after a restart.
    fn arrive(&self) -> Result<(), FeedError> {
        while self.producer.in_flight_count() > 0 && !self.edge.stopping() {
            self.producer.poll(Duration::from_millis(20));
        }
        self.producer.poll(Duration::ZERO);
        let failure = self.delivered.take_failure();
        failure.map_or(Ok(()), |e| {
            Err(self.edge.failed("cannot tell what stands to its topic, which `tarim warn init` makes")(e))
        })
    }
}

/// The epoch of a sender who begins now: later than all before, also than one whose clock was ahead.
fn epoch(now_us: i64, latest: Option<i64>) -> i64 {
    latest.map_or(now_us, |latest| now_us.max(latest.saturating_add(1)))
}

/// When the sender of a record began; None: it does not say so.
fn epoch_of(message: &BorrowedMessage<'_>) -> Option<i64> {
    let stamp = message.headers().and_then(|h| h.iter().find(|h| h.key == STAMP)).and_then(|h| h.value);
    match record::read(message.key().unwrap_or_default(), stamp, message.payload()).ok()? {
        Record::Beat(beat) => Some(beat.epoch),
        Record::Customer { stamp, .. } => Some(stamp.epoch),
    }
}

fn headers(stamp: Option<&str>) -> OwnedHeaders {
    let json = Header { key: "content-type", value: Some(Encoding::Json.content_type()) };
    let headers = OwnedHeaders::new_with_capacity(2).insert(json);
    match stamp {
        Some(stamp) => headers.insert(Header { key: STAMP, value: Some(stamp) }),
        None => headers,
    }
}

#[cfg(test)]
mod tests {
    use super::epoch;

    #[test]
    fn who_begins_is_later_than_all_before() {
        assert_eq!(epoch(100, None), 100);
        assert_eq!(epoch(100, Some(99)), 100);
        assert_eq!(epoch(100, Some(100)), 101);
        assert_eq!(epoch(100, Some(100_000)), 100_001, "a clock was ahead");
    }
}
