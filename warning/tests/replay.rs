//! The edge of files.

mod support;

use std::{fs, path::Path};

use prost::Message;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;
use support::{
    Record, book,
    random::{Course, log},
};
use tarim_proto::warning::v1::{Alert, DeadLetter};
use tarim_warning::{
    alert,
    replay::{Replay, ReplayError, Report, replay},
};

fn run(folder: &Path, from: &str, to: &str, dead: &str) -> Result<Report, ReplayError> {
    let [from, to, dead] = [from, to, dead].map(|name| folder.join(name));
    replay(book(), &Replay { from, to, dead, published: folder.join("none") }, |_| {})
}

/// A log without the kind that has no Protobuf.
fn events() -> Vec<Json> {
    let course = Course { events: 3000, late_h: 72, ticks: true };
    let log = log(course, &mut ChaCha8Rng::seed_from_u64(5));
    log.into_iter().map(|(_, json)| json).filter(|json| Record::protobuf(json).is_some()).collect()
}

fn lines(events: &[Json]) -> String {
    events.iter().map(|json| format!("{json}\n")).collect()
}

/// Each with its length before it.
fn delimited(events: &[Json]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for json in events {
        let payload = Record::protobuf(json).unwrap().payload;
        prost::encode_length_delimiter(payload.len(), &mut bytes).unwrap();
        bytes.extend(payload);
    }
    bytes
}

#[test]
fn lines_and_protobuf_bring_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let events = events();
    // An empty line is no record; the last one needs no end.
    fs::write(folder.path().join("e.ndjson"), format!("\n{}\n\n", lines(&events)).trim_end()).unwrap();
    fs::write(folder.path().join("e.pb"), delimited(&events)).unwrap();
    let one = run(folder.path(), "e.ndjson", "a.ndjson", "d.ndjson").unwrap();
    let other = run(folder.path(), "e.pb", "a.pb", "d.pb").unwrap();
    assert_eq!((one.records, one.counts), (events.len() as u64, other.counts));
    assert!(one.alerts > 500 && one.dead > 10, "{} alerts, {} dead letters", one.alerts, one.dead);

    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let bytes = fs::read(folder.path().join("a.pb")).unwrap();
    let mut rest = &bytes[..];
    let mut alerts = String::new();
    while !rest.is_empty() {
        alerts += &format!("{}\n", alert::alert(&Alert::decode_length_delimited(&mut rest).unwrap()));
    }
    assert!(alerts == text("a.ndjson"));
    assert_eq!(text("a.ndjson").lines().count() as u64, one.alerts);
    let bytes = fs::read(folder.path().join("d.pb")).unwrap();
    let mut rest = &bytes[..];
    for line in text("d.ndjson").lines() {
        let ours: Json = serde_json::from_str(line).unwrap();
        let letter = DeadLetter::decode_length_delimited(&mut rest).unwrap();
        assert_eq!((&ours["reason"], &ours["offset"]), (&letter.reason.into(), &letter.offset.into()));
        assert!(ours["payload"].is_string());
    }
    assert!(rest.is_empty());
}

#[test]
fn a_file_that_is_cut_off_is_no_whole_history() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = delimited(&events()[..3]);
    fs::write(folder.path().join("e.pb"), &bytes[..bytes.len() - 1]).unwrap();
    let error = run(folder.path(), "e.pb", "a.pb", "d.pb").unwrap_err();
    assert!(error.to_string().ends_with("e.pb: record 2 is cut off: the file is not whole"), "{error}");
    fs::write(folder.path().join("e.pb"), [0xff; 12]).unwrap();
    let error = run(folder.path(), "e.pb", "a.pb", "d.pb").unwrap_err();
    assert!(error.to_string().contains("longer than 16 MiB"), "{error}");
}

#[test]
fn no_file_is_read_and_written_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let whole = lines(&events()[..3]);
    fs::write(folder.path().join("e.ndjson"), &whole).unwrap();
    for (to, dead) in [("e.ndjson", "d.ndjson"), ("a.ndjson", "./e.ndjson"), ("a.ndjson", "./a.ndjson")] {
        let error = run(folder.path(), "e.ndjson", to, dead).unwrap_err();
        assert!(error.to_string().contains("stands for two files"), "{error}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("e.ndjson")).unwrap(), whole);
    let error = run(folder.path(), "e.ndjson", "a.txt", "d.ndjson").unwrap_err();
    assert!(error.to_string().starts_with("cannot tell the format of "), "{error}");
}
