//! The pipeline by cases: `tests/cases/*.toml`, over the small rulebook in `tests/rulebook`.
//!
//! A case is a log, a record a line, and what must come of it. A line is either the whole of an event in JSON, or in short
//!
//! ```text
//! 2026-03-01T08:00:00Z 002/c1 transaction {"direction": "D", "amount_fen": 1}
//! 2026-03-02T08:00:00Z tick
//! ```
//!
//! where the member is 001 if none is said, and the event's id is `e` and the number of its line, from 1. What is said in
//! short is said once more in Protobuf, which must bring the same; and each case is run with a snapshot after every record.
//! Where a case has generations of features, they are published in their order; `features 2` is a record that names the second
//! one. It is run over the rulebook with rules that read them (`tests/known`).
//!
//! Where a case has edges, what alerts spread is taken right behind the record that brings them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use crate::support::{
    Record, book, event,
    known::{self, Rows, Store},
    tick,
};
use serde::Deserialize;
use serde_json::Value as Json;
use tarim_datamart::gate::parse;
use tarim_features::edges::{Builder, Edges, Row};
use tarim_proto::warning::v1::{Alert, EventRef};
use tarim_warning::{
    alert,
    contagion::{json, record, spread},
    core::{Outbox, Position, Span, Worker},
    event::Format,
    rulebook::WarningBook,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Rules whose alerts are looked at; none are named: all.
    #[serde(default)]
    only: Vec<String>,
    /// Kind, from, to; and since and until, if it has them.
    #[serde(default)]
    edges: Vec<String>,
    /// What is known of entities, in each generation.
    #[serde(default)]
    generation: Vec<Generation>,
    log: String,
    #[serde(default)]
    alert: Vec<Wanted>,
    #[serde(default)]
    dead: Vec<Dead>,
}

/// A generation of the online store.
#[derive(Deserialize)]
struct Generation {
    as_of: String,
    #[serde(flatten)]
    rows: Rows,
}

/// What a case is run with.
pub struct Setting {
    pub book: Arc<WarningBook>,
    pub store: Store,
    pub edges: Edges,
}

/// An alert that must come. What is left out of `values` is not looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Number of the record that brings it.
    line: usize,
    rule: String,
    #[serde(default = "customer")]
    customer: String,
    /// `*`: any.
    #[serde(default)]
    key: String,
    at: String,
    #[serde(default)]
    repeats: u32,
    #[serde(default)]
    unknown: bool,
    #[serde(default)]
    values: BTreeMap<String, String>,
    /// Ids of its events.
    events: Option<Vec<String>>,
}

fn customer() -> String {
    "001/c1".to_owned()
}

/// A record that must be refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dead {
    line: usize,
    /// Parts of the reason.
    says: Vec<String>,
}

#[test]
fn all_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let (mut count, mut failures) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let cases: File = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for case in cases.case {
            count += 1;
            if let Err(why) = case.run() {
                let file = file.file_name().unwrap_or_default().display();
                failures.push(format!("{file}: {}\n{why}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} cases fail:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= 50, "only {count} cases");
}

impl Case {
    fn run(&self) -> Result<(), String> {
        let lines: Vec<&str> = self.log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let book = if self.generation.is_empty() { book() } else { known::book() };
        let mut store = Store::new();
        for Generation { as_of, rows } in &self.generation {
            store.publish(&book, parse::timestamp(as_of).ok_or("  as_of is a time")?, rows);
        }
        let setting = Setting { edges: edges(&book, &self.edges)?, book, store };
        let versions = &setting.store.versions;
        let lines: Result<Vec<Line>, String> =
            (1..).zip(&lines).map(|(n, line)| Line::read(n, line, versions)).collect();
        let lines = lines?;
        let json: Vec<Record> = lines.iter().map(|line| line.record.clone()).collect();
        let out = run(&mut setting.worker(), (0, &mut 0), &json, &setting);
        self.compare(&out)?;
        // Readers drop what has the id of another.
        let ids: BTreeSet<&str> = out.iter().flat_map(|o| &o.alerts).map(|a| a.alert_id.as_str()).collect();
        if ids.len() != out.iter().map(|out| out.alerts.len()).sum::<usize>() {
            return Err("  two alerts have one id".into());
        }
        let wire: Vec<Record> =
            lines.iter().map(|line| line.wire.as_ref().unwrap_or(&line.record).clone()).collect();
        if said(&run(&mut setting.worker(), (0, &mut 0), &wire, &setting)) != said(&out) {
            return Err("  Protobuf brings something else".into());
        }
        for taken in 1..json.len() {
            if said(&resumed(&json, taken, &setting)) != said(&out) {
                return Err(format!("  a snapshot after record {taken} brings something else"));
            }
        }
        Ok(())
    }

    fn compare(&self, out: &[Outbox]) -> Result<(), String> {
        let mut wanted = self.alert.iter();
        let mut dead = self.dead.iter();
        for (line, out) in (1..).zip(out) {
            let looked_at = |a: &&Alert| self.only.is_empty() || self.only.contains(&a.rule_id);
            for found in out.alerts.iter().filter(looked_at) {
                match wanted.next() {
                    Some(wanted) if wanted.is(line, found) => {}
                    _ => return Err(format!("  line {line} brings {}", alert::alert(found))),
                }
            }
            for letter in &out.dead {
                let told =
                    |d: &&Dead| d.line == line && d.says.iter().all(|part| letter.reason.contains(part));
                if dead.next().filter(told).is_none() {
                    return Err(format!("  line {line} is refused: {}", letter.reason));
                }
            }
        }
        match (wanted.next(), dead.next()) {
            (None, None) => Ok(()),
            (Some(alert), _) => Err(format!("  line {} should bring {}", alert.line, alert.rule)),
            (_, Some(dead)) => Err(format!("  line {} should be refused: {:?}", dead.line, dead.says)),
        }
    }
}

impl Wanted {
    fn is(&self, line: usize, found: &Alert) -> bool {
        let value = |name: &str| found.values.iter().find(|v| v.name == name).map(|v| v.value.as_str());
        self.line == line
            && self.rule == found.rule_id
            && self.customer == format!("{}/{}", found.member, found.customer_id)
            && (self.key == "*" || self.key == found.key)
            && parse::timestamp(&self.at) == Some(found.raised_at_us)
            && self.repeats == found.repeats
            && self.unknown == found.unknown
            && self.values.iter().all(|(name, wanted)| value(name) == Some(wanted))
            && self
                .events
                .as_ref()
                .is_none_or(|ids| ids.iter().eq(found.events.iter().map(name).collect::<Vec<_>>().iter()))
    }
}

/// An event's id; of one that was spread, its place among them.
fn name(event: &EventRef) -> String {
    match event.partition {
        0 => event.event_id.clone(),
        _ => format!("x{}", event.offset + 1),
    }
}

impl Setting {
    fn worker(&self) -> Worker {
        Worker::new(self.book.clone())
    }
}

/// Edges, each a line: kind, from, to; and since and until, if it has them.
pub fn edges(book: &WarningBook, lines: &[String]) -> Result<Edges, String> {
    let mut builder = Builder::new(book.edges().edges().len());
    for line in lines {
        let parts: Vec<&str> = line.split(' ').collect();
        let (&[kind, from, to], times) = parts
            .split_at_checked(3)
            .and_then(|(a, b)| Some((a.first_chunk()?, b)))
            .ok_or("  an edge has kind, from and to")?;
        let (member, from) = from.split_once('/').unwrap_or(("001", from));
        let edge = book.edges().index(kind).ok_or(format!("  there are no edges {kind}"))?;
        let time = |i: usize| times.get(i).and_then(|t| parse::timestamp(t));
        builder.add(Row { edge, member, from, to, since_us: time(0), until_us: time(1) }).unwrap();
    }
    Ok(builder.finish().unwrap())
}

/// What each record brings, and what it spreads. `first` are the offset of the first record, and how many were spread before.
pub fn run(
    worker: &mut Worker,
    (first, spread_before): (usize, &mut i64),
    records: &[Record],
    Setting { edges, store, .. }: &Setting,
) -> Vec<Outbox> {
    let mut outboxes = Vec::new();
    for (i, Record { format, payload }) in records.iter().enumerate() {
        let mut out = Outbox::default();
        worker.take(Position { partition: 0, offset: (first + i) as i64 }, *format, payload, &mut out);
        assert!(!out.is_blind, "nobody has said what is known");
        if let Some(version) = out.features.take() {
            store.known.give(worker, &version).unwrap_or_else(|e| panic!("{e}"));
        }
        let mut events = Vec::new();
        for (i, alert) in out.alerts.iter().enumerate() {
            if !out.by_contagion.contains(&i) {
                spread(worker.book(), edges, alert, &mut events);
            }
        }
        let alerts = out.alerts.len();
        for (i, event) in events.iter().enumerate() {
            let at = Position { partition: 1, offset: *spread_before };
            *spread_before += 1;
            // One way or the other, in turns.
            match i % 2 {
                0 => worker.take(at, Format::Protobuf, &record(event), &mut out),
                _ => worker.take(at, Format::Json, json(event).to_string().as_bytes(), &mut out),
            }
        }
        assert!((alerts..out.alerts.len()).all(|i| out.by_contagion.contains(&i)), "it would spread on");
        outboxes.push(out);
    }
    outboxes
}

/// A record, and the same in Protobuf if it is said in short.
struct Line {
    record: Record,
    wire: Option<Record>,
}

impl Line {
    fn read(number: usize, line: &str, versions: &[String]) -> Result<Self, String> {
        let parts: Vec<&str> = line.splitn(4, ' ').collect();
        let json = match parts.as_slice() {
            ["features", n] => {
                let version = n.parse::<usize>().ok().and_then(|n| versions.get(n.checked_sub(1)?));
                let version =
                    version.ok_or_else(|| format!("  line {number}: there is no generation {n}"))?;
                serde_json::json!({ "happened_at": "2026-01-01T00:00:00Z", "features": { "version": version } })
            }
            // Verbatim, and not even JSON where a case says so.
            [first, ..] if parse::timestamp(first).is_none() => {
                let payload = line.as_bytes().to_vec();
                return Ok(Self { record: Record { format: Format::Json, payload }, wire: None });
            }
            [time, "tick"] => tick(time),
            [time, customer, kind, body] => {
                let body: Json = serde_json::from_str(body).map_err(|e| format!("  line {number}: {e}"))?;
                event(&format!("e{number}"), customer, time, kind, body)
            }
            _ => return Err(format!("  line {number}: time, customer, kind and fields")),
        };
        Ok(Self { record: Record::json(&json), wire: Record::protobuf(&json) })
    }
}

/// All that came, but for the payloads of what was refused.
fn said(out: &[Outbox]) -> Vec<(Vec<Alert>, Vec<&str>)> {
    out.iter().map(|out| (out.alerts.clone(), out.dead.iter().map(|d| d.reason.as_str()).collect())).collect()
}

/// The same log, by a worker that is written down after so many records, and one that goes on from there.
fn resumed(records: &[Record], taken: usize, setting: &Setting) -> Vec<Outbox> {
    let mut spread = 0;
    let mut worker = setting.worker();
    let half = taken / 2;
    let (mut full, mut delta) = (Vec::new(), Vec::new());
    let mut out = run(&mut worker, (0, &mut spread), &records[..half], setting);
    let span = Span { from: None, to: half as i64 };
    worker.write_snapshot(0, span, &mut full).unwrap();
    out.extend(run(&mut worker, (half, &mut spread), &records[half..taken], setting));
    let span = Span { from: Some(half as i64), to: taken as i64 };
    worker.write_snapshot(0, span, &mut delta).unwrap();
    let (worker, at) = Worker::restore(setting.book.clone(), 0, [&full[..], &delta[..]]).unwrap();
    assert_eq!(at, taken as i64);
    let mut worker = setting.store.begin(worker);
    out.extend(run(&mut worker, (taken, &mut spread), &records[taken..], setting));
    out
}
