//! What tests of the pipeline share: the small rulebook, and logs of events in short.

pub mod books;
pub mod known;
pub mod random;
pub mod wire;

use std::{
    fs,
    path::Path,
    sync::{Arc, OnceLock},
};

use serde_json::{Value as Json, json};
use tarim_warning::{
    core::{Outbox, Position, Worker},
    event::Format,
    rulebook::WarningBook,
};

/// The rulebook in `tests/rulebook`.
pub fn book() -> Arc<WarningBook> {
    static BOOK: OnceLock<Arc<WarningBook>> = OnceLock::new();
    let read = || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook");
        Arc::new(WarningBook::read(&folder).unwrap_or_else(|p| panic!("{p}")))
    };
    BOOK.get_or_init(read).clone()
}

/// The same, with another file of warning rules.
pub fn book_with(warnings: &str) -> Arc<WarningBook> {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook"), folder.path());
    fs::write(folder.path().join("warnings/more.toml"), warnings).unwrap();
    Arc::new(WarningBook::read(folder.path()).unwrap_or_else(|p| panic!("{p}")))
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// A record of a log.
#[derive(Clone, Debug)]
pub struct Record {
    pub format: Format,
    pub payload: Vec<u8>,
}

impl Record {
    pub fn json(json: &Json) -> Self {
        Self { format: Format::Json, payload: json.to_string().into_bytes() }
    }

    /// The same in Protobuf, if that knows its kind and all that it says.
    pub fn protobuf(json: &Json) -> Option<Self> {
        Some(Self { format: Format::Protobuf, payload: wire::event(json)? })
    }
}

/// An event.
pub fn event(id: &str, customer: &str, time: &str, kind: &str, body: Json) -> Json {
    let (member, customer) = customer.split_once('/').unwrap_or(("001", customer));
    json!({ "event_id": id, "member": member, "customer_id": customer, "happened_at": time, kind: body })
}

/// Time goes on.
pub fn tick(time: &str) -> Json {
    json!({ "happened_at": time, "tick": {} })
}

/// What each record brings.
pub fn run(worker: &mut Worker, first: usize, records: &[Record]) -> Vec<Outbox> {
    let take = |(i, record): (usize, &Record)| {
        let mut out = Outbox::default();
        let at = Position { partition: 0, offset: (first + i) as i64 };
        worker.take(at, record.format, &record.payload, &mut out);
        out
    };
    records.iter().enumerate().map(take).collect()
}
