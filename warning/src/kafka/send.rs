//! A file of events, to the topic of events.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{CALL, EdgeError, Encoding, Settings, check::Wrong};
use crate::{
    event::{Format, Intake, Reader, Taken},
    feed::Delivered,
    replay::{EventFile, ReplayError},
    rulebook::WarningBook,
};

/// Why a file is not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error(
        "{}: {wrong}\n    \
         fix: correct them, or send the file as it is with --unchecked: what cannot be taken becomes a dead letter, which holds \
         whatever it says",
        from.display()
    )]
    NoEvents { from: PathBuf, wrong: Box<Wrong> },
    #[error(
        "{} can be read only once, so it cannot be checked before it is sent\n    \
         fix: write it to a file, or send it as it is with --unchecked",
        .0.display()
    )]
    Once(PathBuf),
    #[error(transparent)]
    File(#[from] ReplayError),
    #[error(transparent)]
    Edge(#[from] EdgeError),
}

/// Sends all records of a file, each to the partition of its customer; ticks go to all. What cannot be read is sent too:
/// the pipeline says why it cannot be taken. `progress` is told, now and then, how many bytes have been read.
pub fn send_file(
    settings: &Settings,
    book: &WarningBook,
    from: &Path,
    mut progress: impl FnMut(u64),
) -> Result<u64, SendError> {
    let mut config = settings.client();
    config
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("compression.type", "lz4")
        // The partitioner of the Java client: whoever else sends events of the customer finds the same partition.
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", "500000");
    let producer: BaseProducer<Delivered> = config
        .create_with_context(Delivered::new("events of a file"))
        .map_err(settings.failed("cannot make a producer"))?;
    let partitions = settings.partition_count()?;
    let mut events = EventFile::open(from)?;
    let mut reader = Reader::new(Arc::new(Intake::new(book)));
    let mut sent = 0;
    while let Some((format, record)) = events.read()? {
        let (key, to) = match reader.read(format, record) {
            Ok(Taken::Event(event)) => (format!("{}/{}", event.member, event.customer), None),
            Ok(Taken::Tick { .. } | Taken::Rulebook { .. } | Taken::Features { .. }) => {
                (String::new(), Some(0..partitions))
            }
            Err(_) => (String::new(), None),
        };
        let content = match format {
            Format::Json => Encoding::Json.content_type(),
            Format::Protobuf => Encoding::Protobuf.content_type(),
        };
        match to {
            None => put(settings, &producer, &key, None, record, content)?,
            Some(all) => {
                for partition in all {
                    put(settings, &producer, &key, Some(partition), record, content)?;
                }
            }
        }
        sent += 1;
        if sent % 4096 == 0 {
            producer.poll(Duration::ZERO);
            arrived(settings, &producer, from)?;
            progress(events.bytes());
        }
    }
    producer.flush(CALL * 10).map_err(settings.failed("cannot send the last events"))?;
    arrived(settings, &producer, from)?;
    Ok(sent)
}

/// Has everything arrived of which something has been heard?
fn arrived(settings: &Settings, producer: &BaseProducer<Delivered>, from: &Path) -> Result<(), EdgeError> {
    let Some((e, lost)) = producer.context().take_failures() else { return Ok(()) };
    let what = format!(
        "{lost} records of {} did not arrive, and no more are sent; what did arrive counts twice if the file is sent again",
        from.display()
    );
    Err(settings.failed(what)(e))
}

fn put(
    settings: &Settings,
    producer: &BaseProducer<Delivered>,
    key: &str,
    partition: Option<i32>,
    payload: &[u8],
    content: &str,
) -> Result<(), EdgeError> {
    let headers =
        OwnedHeaders::new_with_capacity(1).insert(Header { key: "content-type", value: Some(content) });
    let mut record = BaseRecord::to(&settings.events).key(key).payload(payload).headers(headers);
    if let Some(partition) = partition {
        record = record.partition(partition);
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(5));
            }
            Err((e, _)) => return Err(settings.failed("cannot send an event")(e)),
        }
    }
}
