//! One partition: read, take, send, commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use prost::Message as _;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
};
use tarim_proto::warning::v1::{Alert, DeadLetter};
use tracing::{info, warn};

use super::{
    CALL, EdgeError, Encoding, Settings,
    ends::Ends,
    held::Held,
    history::Change,
    quiet::Quiet,
    snapshots::Snapshots,
    spread::{Noting, Spreader},
    watched::{Tally, Watched},
};
use crate::{
    alert, contagion,
    core::{Outbox, Position, RECORD_MAX, Worker},
    event::Format,
    known::Known,
    partitioner::Places,
    rulebook::WarningBook,
};

/// The state is written at least so often while anything comes, however little: a partition whose last snapshot is older
/// than what its topic still has could not be taken up again after a crash.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(3600);

/// So long a transaction may be open before the broker gives it up.
const TRANSACTION: Duration = Duration::from_secs(60);

/// So long room is waited for in the queue of what goes out.
const ROOM: Duration = Duration::from_secs(10);

/// So long a transaction is asked to be aborted: what takes longer is aborted by the next attempt's producer.
const ABORT: Duration = Duration::from_secs(10);

// A broker that gives a transaction up takes its producer for one that somebody has replaced, and all partitions would stop. So
// whatever is waited for (room, then a commit, which takes a call in all, then an abort) ends before, with time left to fill it.
const _: () = assert!(ROOM.as_secs() + CALL.as_secs() + ABORT.as_secs() < TRANSACTION.as_secs());

/// Why an attempt ends.
pub enum End {
    /// It was told to stop, or took all there was.
    Done,
    /// Something that another attempt may get over: the state is loaded again.
    Again(EdgeError),
    Fatal(EdgeError),
}

/// A partition at work.
pub struct Attempt<'a> {
    settings: &'a Settings,
    partition: i32,
    watched: &'a Watched,
    consumer: BaseConsumer<Quiet>,
    producer: BaseProducer<Noting>,
    ends: &'a Ends,
    spreader: Spreader,
    worker: Worker,
    snapshots: Snapshots,
    held: Held,
    out: Outbox,
    tally: Tally,
    /// Offset of the next event, and the first one whose alerts are not out yet.
    next: i64,
    live_from: i64,
    /// Events since the state was written or loaded, and when that was.
    since_snapshot: u64,
    written: Instant,
    /// The group has a committed offset.
    has_committed: bool,
    /// How long a commit takes, of late.
    commit_takes: Duration,
}

impl<'a> Attempt<'a> {
    /// Fences whoever had the partition, finds out how far it was, and loads the state.
    pub fn new(
        settings: &'a Settings,
        book: &Arc<WarningBook>,
        partition: i32,
        watched: &'a Watched,
        (ends, stop): (&'a Ends, &AtomicBool),
    ) -> Result<Self, EdgeError> {
        let producer = settings.producer(partition)?;
        producer.init_transactions(CALL).map_err(settings.failed("cannot begin transactions"))?;
        if settings.until_end {
            ends.join(partition, stop);
        }
        let consumer = settings.consumer()?;
        let (committed, mut held) = settings.committed(&consumer, partition)?;
        let (first, _) = consumer
            .fetch_watermarks(&settings.events, partition, CALL)
            .map_err(settings.failed("cannot ask for the first offset"))?;
        let snapshot_failed = |folder: &std::path::Path| {
            let folder = folder.to_path_buf();
            move |source| EdgeError::Snapshot { folder, source }
        };
        let mut snapshots = Snapshots::open(settings, partition).map_err(snapshot_failed(&settings.state))?;
        // From the first event on, or from the snapshot's, alerts that are out would go out once more.
        if committed.is_none()
            && let Some(at) = snapshots.latest().map_err(snapshot_failed(snapshots.folder()))?
        {
            return Err(EdgeError::Forgotten {
                partition,
                group: settings.group.clone(),
                topic: settings.events.clone(),
                brokers: settings.brokers.clone(),
                folder: snapshots.folder().to_path_buf(),
                at,
            });
        }
        let partitions = settings.partition_count()?;
        let began = match committed {
            Some(_) => held.at(first).map(str::to_owned),
            None => settings.held_by_others(partition, partitions)?,
        };
        let (mut worker, mut at) = snapshots
            .load(book, committed, began.as_deref())
            .map_err(snapshot_failed(snapshots.folder().to_path_buf().as_path()))?;
        if at < first {
            // Without any state there is nothing that could lack them.
            if worker.customers() > 0 {
                return Err(EdgeError::Gone { partition, at, first });
            }
            if committed.is_some() {
                warn!(partition, first, "windows and patterns begin with the first event that is left");
            }
            at = first;
        }
        held.go_on(at, worker.book().version(), worker.is_swapped());
        settings.ensure_topics(worker.book())?;
        worker.forget_before(first);
        settings.known.begin(&mut worker)?;
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(&settings.events, partition, Offset::Offset(at))
            .and_then(|()| consumer.assign(&assignment))
            .map_err(settings.failed("cannot read the partition"))?;
        worker.set_places(Places::new(settings.partitioner, partitions));
        let spreader = Spreader::new(settings, worker.book(), partitions)?;
        let live_from = committed.unwrap_or(at);
        info!(partition, state = at, committed = live_from, "partition taken");
        watched.offset.store(live_from, Ordering::Relaxed);
        watched.event_us.store(worker.latest_us(), Ordering::Relaxed);
        watched.customers.store(worker.customers() as u64, Ordering::Relaxed);
        watched.holds(worker.book(), worker.features());
        Ok(Self {
            settings,
            partition,
            watched,
            consumer,
            producer,
            ends,
            spreader,
            worker,
            snapshots,
            held,
            out: Outbox::default(),
            tally: Tally::default(),
            next: at,
            live_from,
            since_snapshot: 0,
            written: Instant::now(),
            has_committed: committed.is_some(),
            commit_takes: Duration::ZERO,
        })
    }

    /// Works until it is told to stop.
    pub fn run(mut self, stop: &AtomicBool) -> End {
        let settings = self.settings;
        // Of the transaction that is open: its events, and since when.
        let mut open: Option<(usize, Instant)> = None;
        let mut ended = false;
        // Another rulebook, or another generation of features, is in force, and no snapshot says so yet.
        let mut swapped = false;
        loop {
            let stopping = stop.load(Ordering::Relaxed);
            let wait = match open {
                _ if stopping => Duration::ZERO,
                Some((_, since)) => self.patience().saturating_sub(since.elapsed()),
                None => Duration::from_millis(50),
            };
            match self.consumer.poll(wait) {
                _ if stopping => {}
                None => {}
                Some(Ok(message)) => {
                    if std::mem::take(&mut ended) {
                        self.ends.goes_on(self.partition);
                    }
                    let silent = message.offset() < self.live_from;
                    let at = Position { partition: self.partition, offset: message.offset() };
                    // Of a record without a time nothing can be said.
                    let came_us =
                        message.timestamp().to_millis().map_or(i64::MAX, |ms| ms.saturating_mul(1000));
                    let payload = message.payload().unwrap_or_default();
                    let lost = self.worker.counts().losses();
                    self.worker.take_that_came(at, came_us, format_of(&message), payload, &mut self.out);
                    self.next = message.offset() + 1;
                    drop(message);
                    if self.out.is_blind
                        && let Err(e) = Known::blind(self.worker.book())
                    {
                        return End::Fatal(e.into());
                    }
                    let (rulebook, features) = (self.out.rulebook.take(), self.out.features.take());
                    if rulebook.is_some() || features.is_some() {
                        // What was before it goes out first: no transaction stays open while history is read.
                        if let Some((events, _)) = open.take() {
                            self.next -= 1;
                            if let Err(e) = self.commit(events, stop) {
                                return self.failed("cannot commit", e);
                            }
                            self.next += 1;
                        }
                        match self.change(rulebook.as_deref(), features.as_deref(), stop) {
                            Ok(true) => swapped = true,
                            Ok(false) => return self.stopped(),
                            Err(e @ EdgeError::Kafka { .. }) => return End::Again(e),
                            Err(e) => return End::Fatal(e),
                        }
                    }
                    self.since_snapshot += 1;
                    if silent {
                        self.out.clear();
                        self.watched.silent.fetch_add(1, Ordering::Relaxed);
                    } else {
                        if open.is_none() {
                            if let Err(e) = self.producer.begin_transaction() {
                                return self.failed("cannot begin a transaction", e);
                            }
                            open = Some((0, Instant::now()));
                        }
                        if let Some((events, _)) = &mut open {
                            *events += 1;
                        }
                        self.tally.lost.add(lost, self.worker.counts().losses());
                        if let Err(e) = self.send() {
                            return self.failed("cannot send alerts", e);
                        }
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => ended = true,
                Some(Err(e)) if is_passing(&e) => warn!(partition = self.partition, "while reading: {e}"),
                Some(Err(e)) => return self.failed("cannot read events", e),
            }
            if let Some((events, since)) = open {
                let full = swapped || events >= settings.events_max || since.elapsed() >= self.patience();
                if full || stopping || (ended && settings.until_end) {
                    if let Err(e) = self.commit(events, stop) {
                        return self.failed("cannot commit", e);
                    }
                    open = None;
                }
            }
            let at_end = open.is_none() && ended && settings.until_end;
            let all_at_end = at_end && self.ends.rests(self.partition, self.next);
            let done = open.is_none() && (stopping || all_at_end);
            // The first one tells which rulebook it began with: by that what comes next is judged, whatever is given then.
            let first = self.has_committed && self.snapshots.has_none();
            let due =
                first || is_due(self.since_snapshot, settings.snapshot_events, self.written.elapsed(), done);
            // History that was read at a swap may be gone when the swap is made again, and so may a generation: the state is
            // written at once.
            if open.is_none() && (swapped || (due && self.next >= self.live_from)) {
                swapped = false;
                if let Err(source) = self.snapshots.write(&mut self.worker, self.next) {
                    let folder = self.snapshots.folder().to_path_buf();
                    return End::Fatal(EdgeError::Snapshot { folder, source });
                }
                self.since_snapshot = 0;
                self.written = Instant::now();
                self.watched.customers.store(self.worker.customers() as u64, Ordering::Relaxed);
            }
            if done {
                return End::Done;
            }
        }
    }

    /// Goes on with another rulebook, or other features, which the last event has brought into force. False: it was told to stop
    /// first.
    fn change(
        &mut self,
        rulebook: Option<&str>,
        features: Option<&str>,
        stop: &AtomicBool,
    ) -> Result<bool, EdgeError> {
        let Some(version) = rulebook else {
            let (partition, offset) = (self.partition, self.next - 1);
            info!(partition, features, offset, "other features");
            if let Some(version) = features {
                self.settings.known.give(&mut self.worker, version)?;
            }
            self.tell_what_holds();
            return Ok(true);
        };
        let change = Change {
            features,
            settings: self.settings,
            partition: self.partition,
            at: self.next - 1,
            version,
            is_told: self.next < self.live_from,
            watched: self.watched,
            stop,
        };
        let made = change.make(&mut self.worker)?;
        if made {
            self.settings.ensure_topics(self.worker.book())?;
            self.snapshots.begin_anew();
            self.held.hold(self.next, self.worker.book().version());
            self.spreader.change(self.settings, self.worker.book())?;
            self.tell_what_holds();
        }
        Ok(made)
    }

    fn tell_what_holds(&self) {
        self.watched.holds(self.worker.book(), self.worker.features());
    }

    /// It was told to stop before a change was made. All before that is committed, and need not be taken again.
    fn stopped(&mut self) -> End {
        // Before anything was: a state without a committed offset would be taken for one whose offset is lost.
        if !self.has_committed {
            return End::Done;
        }
        match self.snapshots.write(&mut self.worker, self.next - 1) {
            Ok(()) => End::Done,
            Err(source) => {
                End::Fatal(EdgeError::Snapshot { folder: self.snapshots.folder().to_path_buf(), source })
            }
        }
    }

    /// How long a transaction may be open. The interval is what an alert may take in all: the commit of its transaction, and
    /// the rest of one before it that it came in the midst of, are part of it.
    fn patience(&self) -> Duration {
        let interval = self.settings.interval;
        interval.saturating_sub(2 * self.commit_takes).max(interval / 4)
    }

    /// Sends what the last event brought.
    fn send(&mut self) -> Result<(), KafkaError> {
        if self.out.alerts.is_empty() && self.out.dead.is_empty() {
            return Ok(());
        }
        let encoding = self.settings.encoding;
        for message in &self.out.alerts {
            let topic = self.settings.topic_of(message);
            let key = format!("{}/{}", message.member, message.customer_id);
            let payload = match encoding {
                Encoding::Json => alert::alert(message).to_string().into_bytes(),
                Encoding::Protobuf => message.encode_to_vec(),
            };
            self.put(BaseRecord::to(&topic).key(&key).payload(&payload), encoding)?;
            self.tally.alert(message);
        }
        self.spread()?;
        for message in &self.out.dead {
            let payload = match encoding {
                Encoding::Json => alert::dead_letter(message).to_string().into_bytes(),
                Encoding::Protobuf => message.encode_to_vec(),
            };
            let DeadLetter { partition, offset, .. } = message;
            let (topic, key) = (&self.settings.dead, format!("{partition}/{offset}"));
            self.put(BaseRecord::to(topic).key(&key).payload(&payload), encoding)?;
        }
        self.tally.dead += self.out.dead.len() as u64;
        self.out.clear();
        Ok(())
    }

    /// What the alerts spread goes into the log, each to where events of its customer are.
    fn spread(&mut self) -> Result<(), KafkaError> {
        let Self { spreader, settings, worker, out, tally, .. } = self;
        let cut = spreader.cut;
        let events = spreader.spread(settings, worker.book(), out);
        let events: Vec<_> = events.map(|(key, to, event)| (key, to, contagion::record(event))).collect();
        tally.spread += events.len() as u64;
        tally.cut += spreader.cut - cut;
        for (key, to, payload) in &events {
            let record = BaseRecord::to(&self.settings.events).key(key).payload(payload).partition(*to);
            self.put(record, Encoding::Protobuf)?;
        }
        Ok(())
    }

    fn put(&self, record: BaseRecord<'_, String, Vec<u8>>, encoding: Encoding) -> Result<(), KafkaError> {
        let mut full: Option<Instant> = None;
        let header = Header { key: "content-type", value: Some(encoding.content_type()) };
        let mut record = record.headers(OwnedHeaders::new_with_capacity(1).insert(header));
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                // The queue is full: what is in it goes out first.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if full.get_or_insert_with(Instant::now).elapsed() < ROOM =>
                {
                    record = back;
                    self.watched.waiting(|| self.producer.poll(Duration::from_millis(5)));
                }
                Err((e, _)) => return Err(e),
            }
        }
    }

    /// Commits the offset of so many events together with their alerts. Whoever is told to stop asks once: what could not
    /// be committed is taken again.
    fn commit(&mut self, events: usize, stop: &AtomicBool) -> Result<(), KafkaError> {
        let watched = self.watched;
        watched.waiting(|| self.commit_now(events, stop))
    }

    fn commit_now(&mut self, events: usize, stop: &AtomicBool) -> Result<(), KafkaError> {
        let start = Instant::now();
        let left = || CALL.saturating_sub(start.elapsed());
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.settings.events, self.partition, Offset::Offset(self.next))?;
        let committed = offsets.find_partition(&self.settings.events, self.partition);
        committed.expect("it was added").set_metadata(self.held.to_string());
        let group = self.consumer.group_metadata().ok_or(KafkaError::Canceled)?;
        self.producer.send_offsets_to_transaction(&offsets, &group, left())?;
        settle(&self.producer, left()).inspect_err(|_| {
            let (partition, records) = (self.partition, self.producer.in_flight_count());
            warn!(
                partition,
                records, "they do not reach their topics: is a partition there without a leader?"
            );
        })?;
        loop {
            match self.producer.commit_transaction(left()) {
                Ok(()) => break,
                // It is the same transaction still: asking again is safe, while the broker has not given it up. Then another
                // attempt finds out what became of it.
                Err(KafkaError::Transaction(e))
                    if e.is_retriable() && !stop.load(Ordering::Relaxed) && !left().is_zero() => {}
                Err(e) => return Err(e),
            }
        }
        for (partition, behind) in self.producer.context().take() {
            self.ends.wants(partition, behind);
        }
        let took = start.elapsed();
        self.commit_takes = (3 * self.commit_takes + took) / 4;
        self.live_from = self.next;
        self.has_committed = true;
        self.watched.customers.store(self.worker.customers() as u64, Ordering::Relaxed);
        self.tally.events = events as u64;
        self.watched.committed(&mut self.tally, self.next, self.worker.latest_us(), took);
        Ok(())
    }

    /// The state has taken events whose alerts are not out: it is thrown away with the transaction.
    fn failed(&self, what: &str, error: KafkaError) -> End {
        let ended = matches!(&error, KafkaError::Transaction(e) if e.is_fatal());
        let error = self.settings.failed(format!("partition {}: {what}", self.partition))(error);
        if !ended && !self.is_fenced() {
            self.watched.waiting(|| abort(&self.producer));
        }
        // Who was fenced may hear of it only now.
        if ended || self.is_fenced() { End::Fatal(error) } else { End::Again(error) }
    }

    /// Has somebody else taken the partition over? Another attempt would fence them off in turn, and so on for ever.
    fn is_fenced(&self) -> bool {
        self.producer.client().fatal_error().is_some_and(|(code, _)| is_fencing(code))
    }
}

/// Waits until all is out, but no longer than that: `commit_transaction` would wait in steps of 100 ms.
fn settle<C: ProducerContext>(producer: &BaseProducer<C>, longest: Duration) -> Result<(), KafkaError> {
    let start = Instant::now();
    while producer.in_flight_count() > 0 {
        if start.elapsed() >= longest {
            return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
        }
        producer.poll(Duration::from_millis(1));
    }
    Ok(())
}

/// Aborts the transaction, if that can be done soon. The broker is not asked before this producer has heard of everything that is
/// given up with it: so it is let hear in between.
fn abort<C: ProducerContext>(producer: &BaseProducer<C>) {
    let (start, step) = (Instant::now(), Duration::from_millis(100));
    while let Err(KafkaError::Transaction(e)) = producer.abort_transaction(step) {
        if !e.is_retriable() || start.elapsed() >= ABORT {
            return;
        }
        producer.poll(Duration::from_millis(1));
    }
}

/// Of what has ended a producer. (While it sends, it says no more than that it takes nothing: its client is asked why.)
fn is_fencing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
    matches!(code, Fenced | InvalidProducerEpoch | ProducerFenced)
}

/// Is the state to be written? `events` came since that was done, and so much time went by.
fn is_due(events: u64, events_max: u64, since: Duration, done: bool) -> bool {
    events > 0 && (done || events >= events_max || since >= SNAPSHOT_EVERY)
}

/// The first offset that is not committed, as the broker told it; None: nothing ever was. To take an error for that would
/// be to begin anew, and to tell everything again.
fn committed(told: Option<(Result<(), KafkaError>, Offset)>) -> Result<Option<i64>, KafkaError> {
    match told.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))? {
        (Err(e), _) => Err(e),
        (Ok(()), Offset::Offset(offset)) => Ok(Some(offset)),
        (Ok(()), _) => Ok(None),
    }
}

/// What librdkafka gets over by itself.
pub fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve};
    matches!(
        error,
        KafkaError::MessageConsumption(AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve)
    )
}

/// By the header `content-type`; without one, a record that begins with `{` is JSON.
pub fn format_of(message: &BorrowedMessage<'_>) -> Format {
    let named = message.headers().and_then(|headers| {
        headers.iter().find(|h| h.key.eq_ignore_ascii_case("content-type")).and_then(|h| h.value)
    });
    match named {
        Some(value) if value.windows(4).any(|w| w.eq_ignore_ascii_case(b"json")) => Format::Json,
        Some(_) => Format::Protobuf,
        None if message.payload().is_some_and(|p| p.first() == Some(&b'{')) => Format::Json,
        None => Format::Protobuf,
    }
}

impl Settings {
    fn topic_of(&self, alert: &Alert) -> String {
        let level = alert.level().as_str_name().trim_start_matches("LEVEL_").to_lowercase();
        self.alerts.replace("{level}", &level).replace("{member}", &alert.member)
    }

    fn producer(&self, partition: i32) -> Result<BaseProducer<Noting>, EdgeError> {
        let mut config = self.client();
        config
            .set("transactional.id", format!("{}-{}-{partition}", self.group, self.events))
            .set("transaction.timeout.ms", TRANSACTION.as_millis().to_string())
            // Nothing that the core puts out is longer.
            .set("message.max.bytes", RECORD_MAX.to_string())
            .set("linger.ms", "5")
            // A transaction that begins while the marks of the one before it are still written is told to wait: a tenth of a
            // second, if nothing is said.
            .set("retry.backoff.ms", "5")
            .set("compression.type", "lz4")
            .set("queue.buffering.max.messages", "500000");
        config.create_with_context(Noting::new(&self.events)).map_err(self.failed("cannot make a producer"))
    }

    pub(super) fn consumer(&self) -> Result<BaseConsumer<Quiet>, EdgeError> {
        // An event whose transaction was aborted never happened.
        self.consumer_of("read_committed")
    }

    fn consumer_of(&self, isolation: &str) -> Result<BaseConsumer<Quiet>, EdgeError> {
        let mut config = self.client();
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation)
            .set("auto.offset.reset", "error")
            // An event that is there is not waited for; how long the broker waits for one decides how late it is told.
            .set("fetch.wait.max.ms", "20");
        config.create_with_context(Quiet).map_err(self.failed("cannot make a consumer"))
    }

    /// The first offset that is not committed, None: nothing ever was; and which rulebook held before.
    fn committed(
        &self,
        consumer: &BaseConsumer<Quiet>,
        partition: i32,
    ) -> Result<(Option<i64>, Held), EdgeError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.events, partition);
        let failed = || self.failed("cannot ask for the committed offset");
        let told = consumer.committed_offsets(asked, CALL).map_err(failed())?;
        let told = told.elements();
        let held = told.first().map_or_else(Held::default, |e| Held::read(e.metadata()));
        let offset = committed(told.first().map(|e| (e.error(), e.offset()))).map_err(failed())?;
        Ok((offset, held))
    }

    /// What a partition begins with of which nothing is committed: its group may be at work, by a rulebook that was published before
    /// the one that is given.
    fn held_by_others(&self, partition: i32, partitions: i32) -> Result<Option<String>, EdgeError> {
        let mut asked = TopicPartitionList::new();
        for other in (0..partitions).filter(|other| *other != partition) {
            asked.add_partition(&self.events, other);
        }
        if asked.count() == 0 {
            return Ok(None);
        }
        let failed = || self.failed("cannot ask for what the group has committed");
        // Their transactions may be open at any time, and are not waited for.
        let consumer = self.consumer_of("read_uncommitted")?;
        let told = consumer.committed_offsets(asked, CALL).map_err(failed())?;
        let held = told.elements().into_iter().map(|e| e.error().map(|()| Held::read(e.metadata())));
        let held: Vec<Held> = held.collect::<Result<_, _>>().map_err(failed())?;
        Ok(Held::by_others(held))
    }

    /// Partitions of the topic of events.
    pub(super) fn partition_count(&self) -> Result<i32, EdgeError> {
        let consumer = self.consumer()?;
        let metadata = consumer
            .fetch_metadata(Some(&self.events), CALL)
            .map_err(self.failed("cannot ask for the topic of events"))?;
        let topic = metadata.topics().iter().find(|t| t.name() == self.events && !t.partitions().is_empty());
        topic.map(|t| t.partitions().len() as i32).ok_or_else(|| EdgeError::NoTopic(self.events.clone()))
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::{MockCluster, MockCoordinator};

    use super::*;

    #[test]
    fn an_error_is_not_taken_for_an_offset_that_was_never_committed() {
        let unstable = || KafkaError::OffsetFetch(RDKafkaErrorCode::UnstableOffsetCommit);
        let nothing = KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition);
        for (told, wanted) in [
            (Some((Ok(()), Offset::Offset(7))), Ok(Some(7))),
            (Some((Ok(()), Offset::Invalid)), Ok(None)),
            (Some((Err(unstable()), Offset::Invalid)), Err(unstable())),
            (Some((Err(unstable()), Offset::Offset(7))), Err(unstable())),
            (None, Err(nothing)),
        ] {
            assert_eq!(committed(told), wanted);
        }
    }

    /// Also while it sends, when it is told no more than that something fatal has happened.
    #[test]
    fn who_is_fenced_is_told_from_who_may_try_again() {
        use RDKafkaErrorCode::{Fatal, Fenced, InvalidProducerEpoch, OutOfOrderSequenceNumber};
        let fencing = [Fenced, InvalidProducerEpoch, OutOfOrderSequenceNumber, Fatal].map(is_fencing);
        assert_eq!(fencing, [true, true, false, false]);
    }

    /// The leader of a partition that alerts go to is away: a commit that waited for it would outlast its transaction.
    #[test]
    fn what_does_not_go_out_is_given_up_in_time() {
        // The mock knows little of exactly once; of messages that do not arrive it knows enough.
        let (brokers, coordinator, leader) = (MockCluster::new(2).unwrap(), 1, 2);
        brokers.create_topic("alerts", 1, 2).unwrap();
        brokers.partition_leader("alerts", 0, Some(leader)).unwrap();
        let transactions = MockCoordinator::Transaction("group-events-0".into());
        brokers.coordinator(transactions, coordinator).unwrap();
        let settings = Settings { brokers: brokers.bootstrap_servers(), ..Settings::nowhere() };
        let producer = settings.producer(0).unwrap();
        producer.init_transactions(CALL).unwrap();
        let sent = || {
            producer.begin_transaction().unwrap();
            producer.send(BaseRecord::<str, str, ()>::to("alerts").key("k").payload("p")).unwrap();
        };
        sent();
        settle(&producer, CALL).unwrap();
        producer.commit_transaction(CALL).unwrap();
        brokers.broker_down(leader).unwrap();
        sent();
        let timed_out = KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut);
        assert_eq!(settle(&producer, Duration::from_millis(50)), Err(timed_out));
        let start = Instant::now();
        abort(&producer);
        assert!(start.elapsed() < ABORT, "{:?}", start.elapsed());
        assert_eq!(producer.in_flight_count(), 0);
        // It is at an end, and the producer may go on.
        producer.begin_transaction().unwrap();
    }

    #[test]
    fn the_state_is_written_after_so_many_events_and_after_so_much_time() {
        let (short, long) = (Duration::from_secs(60), SNAPSHOT_EVERY);
        for (events, since, done, wanted) in [
            (0, long, true, false),
            (1, short, false, false),
            (1, short, true, true),
            (1, long, false, true),
            (9, short, false, false),
            (10, short, false, true),
        ] {
            assert_eq!(is_due(events, 10, since, done), wanted, "{events} {since:?} {done}");
        }
    }
}
