//! Events of large exposures: where `tarim serve` tells them, and `tarim exposure events`, which shows them.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use tarim_decision::{
    exposure::{Core, LargeEvent, large_event, large_event_json},
    service::{EventSink, Outbox},
};
use tarim_warning::kafka::EventProducer;

use crate::{
    home::Home,
    warn::{events, pair},
};

/// Where events of large exposures go.
#[derive(clap::Args)]
#[group(skip)]
pub struct Args {
    /// Put events of large exposures on a topic of Kafka, where the warning pipeline reads them: addresses of brokers, host:port,
    /// separated by commas
    #[arg(long = "events-brokers", value_name = "BROKERS", conflicts_with = "events_file")]
    events_brokers: Option<String>,
    /// Topic of events
    // A file would excuse that there are no brokers, so what is of Kafka alone conflicts with it too.
    #[arg(
        long = "events-topic",
        default_value = "tarim.events",
        value_name = "TOPIC",
        requires = "events_brokers",
        conflicts_with = "events_file"
    )]
    events_topic: String,
    /// A setting of librdkafka, such as security.protocol=SASL_SSL; may be given several times
    #[arg(
        long = "events-kafka",
        value_name = "KEY=VALUE",
        value_parser = pair,
        requires = "events_brokers",
        conflicts_with = "events_file"
    )]
    events_kafka: Vec<(String, String)>,
    /// Write events of large exposures to a file, for `tarim warn replay` and `tarim warn send` [default: events.ndjson in the
    /// ledger's folder]
    #[arg(long = "events-file", value_name = "FILE")]
    events_file: Option<PathBuf>,
}

/// How far they were told stands beside the ledger.
pub fn outbox(home: &Home, args: &Args) -> Outbox {
    let folder = home.exposure();
    let sink: Box<dyn EventSink> = match &args.events_brokers {
        Some(brokers) => {
            let (topic, more) = (args.events_topic.clone(), args.events_kafka.clone());
            Box::new(Topic(EventProducer::new(events(home, brokers.clone(), more, topic))))
        }
        None => {
            let file = args.events_file.clone().unwrap_or_else(|| folder.join("events.ndjson"));
            Box::new(Lines { path: file, file: None })
        }
    };
    Outbox { position: folder.join("events.told"), sink }
}

/// `tarim exposure events`: as they are told, one a line.
pub fn show(core: &Core, from: u64) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut all = core.large_events(0).filter(|event| event.sequence >= from).peekable();
    if all.peek().is_none() {
        // Standard output has events alone: whoever reads it is no person.
        eprintln!(
            "no event of a large exposure from operation {from} on; the last operation is {}",
            core.sequence()
        );
    }
    for event in all {
        writeln!(out, "{}", large_event_json(event))?;
    }
    out.flush().context("cannot write to standard output")
}

struct Topic(EventProducer);

impl EventSink for Topic {
    fn put(&mut self, events: Vec<LargeEvent>) -> Result<(), String> {
        let events: Vec<_> = events.into_iter().map(large_event).collect();
        self.0.put(&events).map_err(|e| e.to_string())
    }
}

/// A file of lines.
struct Lines {
    path: PathBuf,
    file: Option<File>,
}

impl EventSink for Lines {
    fn put(&mut self, events: Vec<LargeEvent>) -> Result<(), String> {
        let lines: String = events.into_iter().map(|event| large_event_json(event) + "\n").collect();
        let ended = self.append(lines.as_bytes());
        if ended.is_err() {
            // Part of it may be there: it is looked at again.
            self.file = None;
        }
        ended.map_err(|e| format!("cannot write {}: {e}", self.path.display()))
    }
}

impl Lines {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(open(&self.path)?),
        };
        file.write_all(lines)?;
        file.sync_data()
    }
}

/// At its end; what a crash left of a line is cut off.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut end = file.metadata()?.len();
    let whole = |file: &mut File, end: u64| {
        let mut byte = [0];
        file.seek(SeekFrom::Start(end - 1))?;
        file.read_exact(&mut byte)?;
        Ok::<_, io::Error>(byte == *b"\n")
    };
    while end > 0 && !whole(&mut file, end)? {
        end -= 1;
    }
    file.set_len(end)?;
    file.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}
