//! Whatever the bytes of a record are, they are an event or a dead letter with a reason: nothing panics. Nor does a
//! snapshot that is damaged.
//!
//! `TARIM_FUZZ` says how many records.

use std::{path::Path, sync::Arc};

use crate::support::{
    Record, book,
    random::{Course, body, log},
    run,
};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};
use tarim_warning::{
    alert,
    core::{Outbox, Position, Span, Worker},
    event::Format,
    rulebook::WarningBook,
};

fn count() -> usize {
    std::env::var("TARIM_FUZZ").map_or(30_000, |n| n.parse().expect("a number"))
}

fn example() -> Arc<WarningBook> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rulebook");
    Arc::new(WarningBook::read(&folder).unwrap_or_else(|p| panic!("{p}")))
}

/// Numbers at which arithmetic goes wrong.
const ODD: [i64; 12] = [
    i64::MIN,
    i64::MIN + 1,
    -1_000_000_000_000_000,
    -86_400_000_000,
    -1,
    0,
    1,
    1 << 53,
    1_000_000_000_000_001,
    253_402_300_800_000_000,
    i64::MAX - 1,
    i64::MAX,
];

/// A value of any type.
fn odd(rng: &mut ChaCha8Rng) -> Json {
    match rng.random_range(0..9) {
        0 => Json::Null,
        1 => json!(rng.random_bool(0.5)),
        2 => json!(rng.random::<f64>() * 1e300),
        3 => json!("\u{0}\"\\贷款/"),
        4 => json!("x".repeat([5, 500, 70_000][rng.random_range(0..3)])),
        5 => json!([1, {}]),
        6 => json!({ "a": null }),
        7 => json!(["9999-12-31", "-262143-01-01T00:00:00Z", "2026-02-29", ""][rng.random_range(0..4)]),
        _ => json!(ODD.choose(rng)),
    }
}

/// An event, of which something is odd.
fn event(i: usize, rng: &mut ChaCha8Rng) -> Json {
    let (kind, mut fields) = body(rng);
    let time =
        if rng.random_bool(0.03) { *ODD.choose(rng).unwrap() } else { 1_772_352_000_000_000 + i as i64 };
    let mut event = json!({
        "event_id": format!("e{i}"),
        "member": "001",
        "customer_id": format!("c{}", rng.random_range(0..3)),
        "happened_at": time,
    });
    if let (Some(event), Some(fields)) = (event.as_object_mut(), fields.as_object_mut()) {
        let names: Vec<String> = fields.keys().cloned().collect();
        for name in names {
            if rng.random_bool(0.05) {
                fields.insert(name, odd(rng));
            }
        }
        if rng.random_bool(0.05) {
            let name =
                ["member", "customer_id", "event_id", "happened_at", "known_at", "op", "after", "payload"];
            event.insert((*name.choose(rng).unwrap()).to_owned(), odd(rng));
        }
        event.insert(kind.into(), Json::Object(fields.clone()));
        if rng.random_bool(0.1) {
            let inner = event.clone();
            event.clear();
            event.insert(
                "after".into(),
                if rng.random_bool(0.5) { inner.into() } else { inner[kind].clone() },
            );
            event.insert("op".into(), json!(["c", "u", "d", ""].choose(rng)));
            event.insert("source".into(), json!({ "table": format!("event_{kind}") }));
        }
    }
    event
}

/// Some bytes are others, fewer or more, or those of another record.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            2 if at < bytes.len() => bytes[at] = rng.random(),
            3 => bytes.insert(at, [0, 0x7f, 0x80, 0xff, b'"', b'{', b'9'][rng.random_range(0..7)]),
            4 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                let from = rng.random_range(0..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
        }
    }
}

#[test]
fn no_bytes_make_a_worker_panic() {
    let books = [book(), example()];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut workers = books.clone().map(Worker::new);
    let (mut taken, mut last) = (0u64, Vec::new());
    for i in 0..count() {
        // One event of the year 9999, and all others are late.
        if i % 40 == 0 {
            taken += workers.iter().map(|w| w.counts().events.iter().sum::<u64>()).sum::<u64>();
            workers = books.clone().map(Worker::new);
        }
        let json = event(i, &mut rng);
        let wire = Record::protobuf(&json).filter(|_| rng.random_bool(0.5));
        let mut record = wire.unwrap_or_else(|| Record::json(&json));
        let whole = record.payload.clone();
        if rng.random_bool(0.3) {
            mutate(&mut record.payload, &last, &mut rng);
        }
        last = whole;
        let format = match rng.random_bool(0.02) {
            true => [Format::Json, Format::Protobuf][rng.random_range(0..2)],
            false => record.format,
        };
        for worker in &mut workers {
            let mut out = Outbox::default();
            worker.foresee(std::iter::once((format, &record.payload[..])));
            worker.take(Position { partition: 0, offset: i as i64 }, format, &record.payload, &mut out);
            for letter in &out.dead {
                assert!(!letter.reason.is_empty(), "record {i} is refused for nothing");
                assert!(alert::dead_letter(letter).is_object());
            }
            for raised in &out.alerts {
                assert!(alert::alert(raised).is_object());
            }
        }
    }
    assert!(taken > count() as u64 / 4, "only {taken} of {} records were events", 2 * count());
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let log = log(Course { events: 300, late_h: 24, ticks: true }, &mut rng);
    let records: Vec<Record> = log.iter().map(|(_, json)| Record::json(json)).collect();
    let mut worker = Worker::new(book());
    run(&mut worker, 0, &records);
    let mut snapshot = Vec::new();
    worker.write_snapshot(0, Span { from: None, to: 300 }, &mut snapshot).unwrap();
    assert!(Worker::restore(book(), 0, [&snapshot[..]]).is_ok());
    for _ in 0..3000 {
        let mut damaged = snapshot.clone();
        mutate(&mut damaged, &snapshot, &mut rng);
        if damaged.starts_with(&snapshot) {
            continue;
        }
        assert!(Worker::restore(book(), 0, [&damaged[..]]).is_err());
    }
}
