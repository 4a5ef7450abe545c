//! Another rulebook comes into force: what it asks for is read from the partition again.
//!
//! ```text
//!  events, partition p │ ……… from what can matter ……… up to the swap │ swap
//!                        └─► a consumer of its own ─► Backfill ─► Worker
//! ```
//!
//! No transaction is open meanwhile, or it would time out; and the partition's own consumer waits, which it may as long as it likes: partitions are
//! assigned, so there is no group that could throw it out.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tracing::{info, warn};

use super::{
    CALL, EdgeError, Settings,
    partition::{format_of, is_passing},
    quiet::Quiet,
    watched::Watched,
};
use crate::{
    alert,
    core::{Backfill, Position, Worker},
    rulebook::WarningBook,
};

/// The change to another rulebook, at its place in the log.
pub struct Change<'a> {
    pub settings: &'a Settings,
    pub partition: i32,
    /// Offset of the event that says so.
    pub at: i64,
    pub version: &'a str,
    /// The generation of features that it names.
    pub features: Option<&'a str>,
    /// Alerts of events behind it are out already.
    pub is_told: bool,
    pub watched: &'a Watched,
    pub stop: &'a AtomicBool,
}

/// Where reading again begins.
struct Beginning {
    offset: i64,
    /// The log does not reach back any further, and once did.
    is_cut: bool,
}

impl Change<'_> {
    /// Gives the worker the rulebook, with what history says of it. False: it was told to stop before that was read.
    pub fn make(&self, worker: &mut Worker) -> Result<bool, EdgeError> {
        let Change { settings, partition, version, .. } = *self;
        info!(partition, version, offset = self.at, "another rulebook");
        // To go on with the former one would be to leave out what somebody has decided.
        let book = WarningBook::published(Path::new(&settings.published), version)
            .map_err(|problems| EdgeError::Rulebook { partition, problems })?;
        let mut swap = settings.known.prepare(worker, Arc::new(book), self.features)?;
        if let Some(backfill) = &mut swap.history {
            let read = self.fill(backfill);
            self.watched.to_refill.store(0, Ordering::Relaxed);
            self.watched.refilled.store(0, Ordering::Relaxed);
            if !read? {
                return Ok(false);
            }
        }
        swap.make(worker);
        Ok(true)
    }

    /// Reads history again. False: it was told to stop.
    fn fill(&self, backfill: &mut Backfill) -> Result<bool, EdgeError> {
        let Change { settings, partition, at, watched, .. } = *self;
        let start = Instant::now();
        let consumer = settings.consumer()?;
        let Beginning { offset: from, is_cut } =
            self.watched.waiting(|| self.beginning(&consumer, backfill.came_from_us()))?;
        let fills = backfill.fills().collect::<Vec<_>>().join(", ");
        info!(partition, from, to = at, fills, "history is read again");
        watched.to_refill.store((at - from).max(0) as u64, Ordering::Relaxed);
        if from < at && !self.read(&consumer, from, backfill)? {
            return Ok(false);
        }
        info!(partition, events = at - from, seconds = start.elapsed().as_secs(), "history is read");
        self.tell(backfill, is_cut);
        Ok(true)
    }

    /// Reads the records from an offset up to the change. False: it was told to stop.
    fn read(
        &self,
        consumer: &BaseConsumer<Quiet>,
        from: i64,
        backfill: &mut Backfill,
    ) -> Result<bool, EdgeError> {
        let Change { settings, partition, at, watched, stop, .. } = *self;
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(&settings.events, partition, Offset::Offset(from))
            .and_then(|()| consumer.assign(&assignment))
            .map_err(settings.failed("cannot read the partition again"))?;
        while !stop.load(Ordering::Relaxed) {
            match consumer.poll(Duration::from_millis(50)) {
                None | Some(Err(KafkaError::PartitionEOF(_))) => {}
                // The event of the change is there, and ends it.
                Some(Ok(message)) if message.offset() >= at => return Ok(true),
                Some(Ok(message)) => {
                    let position = Position { partition, offset: message.offset() };
                    backfill.take(position, format_of(&message), message.payload().unwrap_or_default());
                    watched.refilled.store((message.offset() + 1 - from) as u64, Ordering::Relaxed);
                }
                Some(Err(e)) if is_passing(&e) => warn!(partition, "while reading history: {e}"),
                Some(Err(e)) => return Err(settings.failed("cannot read history")(e)),
            }
        }
        Ok(false)
    }

    /// The first record that came at a time or later; if the log has lost some of those, the first that is left.
    fn beginning(&self, consumer: &BaseConsumer<Quiet>, came_us: i64) -> Result<Beginning, EdgeError> {
        let Change { settings, partition, at, .. } = *self;
        let (first, _) = consumer
            .fetch_watermarks(&settings.events, partition, CALL)
            .map_err(settings.failed("cannot ask for the first offset"))?;
        let mut asked = TopicPartitionList::new();
        // Times are in milliseconds, and before 1970 there was no Kafka.
        let came_ms = came_us.div_euclid(1000).max(0);
        let found = asked
            .add_partition_offset(&settings.events, partition, Offset::Offset(came_ms))
            .and_then(|()| consumer.offsets_for_times(asked, CALL))
            .map_err(settings.failed("cannot ask where history begins"))?;
        let offset = match found.elements().first().map(|e| (e.error(), e.offset())) {
            Some((Ok(()), Offset::Offset(offset))) => offset.max(first),
            // All records came before.
            Some((Ok(()), _)) => at,
            Some((Err(e), _)) => return Err(settings.failed("cannot ask where history begins")(e)),
            None => {
                let unknown = KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition);
                return Err(settings.failed("cannot ask where history begins")(unknown));
            }
        };
        Ok(Beginning { offset: offset.min(at), is_cut: first > 0 && offset <= first })
    }

    /// Says what is not as it should be.
    fn tell(&self, backfill: &Backfill, is_cut: bool) {
        let partition = self.partition;
        if backfill.refused() > 0 {
            let events = backfill.refused();
            warn!(
                partition,
                events, "not in new windows: the rulebook of that time took them, this one does not"
            );
        }
        if !is_cut {
            return;
        }
        for (window, from_us) in backfill.whole_from() {
            let from = alert::time(from_us);
            warn!(partition, window, from, "history is shorter than the window, which is whole from then on");
        }
        if self.is_told {
            warn!(
                partition,
                offset = self.at,
                "no snapshot is left of after this change, and history has become shorter since: new windows may tell \
                 less than when the alerts behind it were raised"
            );
        }
    }
}
