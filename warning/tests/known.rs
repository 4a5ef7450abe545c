//! Features of the online store: whoever takes the log again reads the same values, whatever has been published since.
//!
//! `TARIM_SEEDS` says over how many random logs; the seed is told when one fails.

use crate::support;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use crate::support::{
    Record, copy, event,
    known::{self, Rows, Store},
    random::{CUSTOMERS, Course, log},
    tick,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};
use tarim_features::store::Publication;
use tarim_proto::warning::v1::Alert;
use tarim_warning::{
    core::{Outbox, Position, Span, Worker},
    known::{Known, KnownError},
    replay::{Replay, replay},
    rulebook::WarningBook,
};

/// 2026-01-01T00:00:00Z.
const AS_OF_US: i64 = 1_767_225_600_000_000;

fn seeds() -> u64 {
    std::env::var("TARIM_SEEDS").map_or(15, |n| n.parse().expect("a number"))
}

/// What an edge does, without files or a broker.
struct Edge<'a> {
    known: &'a Known,
    /// Published rulebooks, by their versions.
    books: &'a BTreeMap<String, Arc<WarningBook>>,
    log: &'a [Record],
}

impl Edge<'_> {
    /// Takes records of the log; gives what each brings.
    fn run(&self, worker: &mut Worker, from: usize, to: usize) -> Vec<Outbox> {
        (from..to).map(|offset| self.take(worker, offset)).collect()
    }

    fn take(&self, worker: &mut Worker, offset: usize) -> Outbox {
        let (mut out, record) = (Outbox::default(), &self.log[offset]);
        worker.take(position(offset), record.format, &record.payload, &mut out);
        assert!(!out.is_blind, "record {offset}");
        let features = out.features.take();
        if let Some(version) = out.rulebook.take() {
            let book = self.books[&version].clone();
            let swap = self.known.prepare(worker, book, features.as_deref());
            let mut swap = swap.unwrap_or_else(|e| panic!("{e}"));
            if let Some(history) = &mut swap.history {
                for (i, record) in self.log[..offset].iter().enumerate() {
                    history.take(position(i), record.format, &record.payload);
                }
            }
            swap.make(worker);
        } else if let Some(version) = features {
            self.known.give(worker, &version).unwrap_or_else(|e| panic!("{e}"));
        }
        out
    }

    /// The worker of a snapshot.
    fn restored(&self, bytes: &[u8], book: &Arc<WarningBook>) -> Worker {
        let mut worker = Worker::restore(book.clone(), 0, [bytes]).unwrap().0;
        self.known.begin(&mut worker).unwrap_or_else(|e| panic!("{e}"));
        worker
    }
}

fn position(offset: usize) -> Position {
    Position { partition: 0, offset: offset as i64 }
}

fn snapshot(worker: &mut Worker, to: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    worker.write_snapshot(0, Span { from: None, to: to as i64 }, &mut bytes).unwrap();
    bytes
}

fn said(out: &[Outbox]) -> Vec<(&[Alert], Vec<&str>)> {
    out.iter().map(|out| (&out.alerts[..], out.dead.iter().map(|d| d.reason.as_str()).collect())).collect()
}

fn features(version: &str) -> Json {
    json!({ "happened_at": "2026-01-01T00:00:00Z", "features": { "version": version } })
}

fn swap_to(book: &WarningBook, version: Option<&str>) -> Json {
    json!({ "happened_at": "2026-01-01T00:00:00Z", "rulebook": { "version": book.version(), "features": version } })
}

/// What is known of the customers of random logs; of some nothing is.
fn rows(rng: &mut ChaCha8Rng) -> Rows {
    let mut rows = Rows::new();
    let one = |words: &[&str], rng: &mut ChaCha8Rng| words[rng.random_range(0..words.len())].to_owned();
    for customer in CUSTOMERS {
        let mut row = toml::Table::new();
        row.insert("city".into(), one(&["南宁", "桂林", "柳州"], rng).into());
        row.insert("grade".into(), one(&["A", "B", "C"], rng).into());
        row.insert("enquiries".into(), rng.random_range(0..8).into());
        row.insert("balance_avg_fen".into(), (10f64.powi(rng.random_range(1..7))).into());
        let day = rng.random_range(1..28);
        row.insert("at".into(), format!("2026-0{}-{day:02}T00:00:00Z", rng.random_range(1..4)).into());
        row.retain(|name, _| name == "at" || rng.random_bool(0.8));
        if rng.random_bool(0.9) {
            rows.insert(format!("customer {customer}"), row);
        }
    }
    for device in ["m1", "m2", "设备"] {
        for member in ["001", "002", "003"] {
            let row = [("customers".to_owned(), rng.random_range(0..8).into())];
            rows.insert(format!("device {member}/{device}"), row.into_iter().collect());
        }
    }
    rows
}

/// The rulebook with one more rule of each sort that has a state.
fn other() -> Arc<WarningBook> {
    let folder = known::folder();
    let head = |id: &str| {
        format!("id = \"{id}\"\nzh = \"新\"\nen = \"new\"\nlevel = \"blue\"\nif_unknown = \"ignore\"\n")
    };
    let rules = format!(
        "[[rule]]\n{}event = \"transaction\"\nwhen = \"customer.enquiries >= 4\"\nquiet = \"1h\"\n\
         [[sequence]]\n{}first = {{ event = \"transaction\", when = \"customer.grade = 'C'\" }}\n\
         then = {{ event = \"repayment_missed\", when = \"customer.enquiries >= 2\" }}\nwithin = \"9d\"\n\
         [[absence]]\n{}event = \"login\"\nwhen = \"customer.grade <> 'A'\"\nafter = \"5d\"\n",
        head("N-1"),
        head("N-2"),
        head("N-3")
    );
    fs::write(folder.path().join("warnings/new.toml"), rules).unwrap();
    Arc::new(WarningBook::read(folder.path()).unwrap_or_else(|p| panic!("{p}")))
}

#[test]
fn a_restart_at_any_record_reads_the_same() {
    let (one, two) = (known::book(), other());
    let books: BTreeMap<String, Arc<WarningBook>> =
        [&one, &two].map(|book| (book.version().to_owned(), book.clone())).into();
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let mut differ = 0;
    for seed in 0..seeds() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut store = Store::new();
        for _ in 0..3 {
            store.publish(&one, 0, &rows(&mut rng));
        }
        let versions = store.versions.clone();
        let course = Course { events: 400, late_h: 40, ticks: true };
        let mut said_all: Vec<Json> = log(course, &mut rng).into_iter().map(|(_, json)| json).collect();
        for _ in 0..6 {
            let at = rng.random_range(0..said_all.len());
            said_all.insert(at, features(&versions[rng.random_range(0..3)]));
        }
        for (at, book) in [(said_all.len() / 3, &two), (2 * said_all.len() / 3, &one)] {
            let version = Some(&versions[rng.random_range(0..3)]).filter(|_| rng.random_bool(0.7));
            said_all.insert(at, swap_to(book, version.map(String::as_str)));
        }
        said_all.insert(0, features(&versions[0]));
        let log: Vec<Record> = said_all
            .iter()
            .map(|json| {
                Record::protobuf(json).filter(|_| rng.random_bool(0.5)).unwrap_or_else(|| Record::json(json))
            })
            .collect();
        let edge = Edge { known: &store.known, books: &books, log: &log };
        let wanted = edge.run(&mut Worker::new(one.clone()), 0, log.len());

        // Written down, gone on, crashed; and all of it again, from what was written down.
        let mut worker = Worker::new(one.clone());
        let (mut at, mut found) = (0, Vec::new());
        while at < log.len() {
            let written = rng.random_range(at..=log.len().min(at + 60));
            found.extend(edge.run(&mut worker, at, written));
            let bytes = snapshot(&mut worker, written);
            let crashed = rng.random_range(written..=log.len().min(written + 30));
            let before = edge.run(&mut worker, written, crashed);
            // Whoever starts it again gives it the rulebook of its state.
            let book = worker_book(&worker, &bytes, &books);
            worker = edge.restored(&bytes, &book);
            let silent = edge.run(&mut worker, written, crashed);
            assert!(said(&silent) == said(&before), "seed {seed}: {written} to {crashed} again");
            found.extend(silent);
            at = crashed;
        }
        for (offset, (found, wanted)) in said(&found).iter().zip(said(&wanted)).enumerate() {
            assert!(*found == wanted, "seed {seed}, record {offset}:\n{found:#?}\nnot\n{wanted:#?}");
        }
        assert_eq!(found.len(), wanted.len());
        for alert in wanted.iter().flat_map(|out| &out.alerts) {
            *told.entry(alert.rule_id.clone()).or_default() += 1;
        }
        // Were the values always those of the first generation, it would say something else.
        let always: Vec<Record> = said_all
            .iter()
            .map(|json| match json.get("features") {
                Some(_) => Record::json(&features(&versions[0])),
                None => Record::json(json),
            })
            .collect();
        let edge = Edge { log: &always, ..edge };
        differ += usize::from(said(&edge.run(&mut Worker::new(one.clone()), 0, log.len())) != said(&wanted));
    }
    assert!(differ + 2 > seeds() as usize, "generations hardly make a difference: {differ}");
    for rule in ["E-1", "E-3", "E-4", "E-5", "E-6", "E-7", "E-8", "N-1", "N-2", "N-3"] {
        assert!(told.get(rule).is_some_and(|n| *n >= 3), "{rule} has hardly ever fired: {told:?}");
    }
}

/// The rulebook that a snapshot was made by.
fn worker_book(
    worker: &Worker,
    bytes: &[u8],
    books: &BTreeMap<String, Arc<WarningBook>>,
) -> Arc<WarningBook> {
    let is = |book: &&Arc<WarningBook>| Worker::restore((*book).clone(), 0, [bytes]).is_ok();
    books.values().find(is).unwrap_or(worker.book()).clone()
}

fn transaction(id: &str, time: &str, fen: i64) -> Json {
    event(id, "c1", time, "transaction", json!({ "direction": "D", "amount_fen": fen }))
}

fn row(columns: Json) -> Rows {
    let text = json!({ "customer 001/c1": columns }).to_string();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn no_event_is_taken_before_somebody_says_what_is_known() {
    let book = known::book();
    let mut worker = Worker::new(book.clone());
    let take = |worker: &mut Worker, json: &Json| {
        let (mut out, record) = (Outbox::default(), Record::json(json));
        worker.take(position(0), record.format, &record.payload, &mut out);
        out
    };
    assert!(!take(&mut worker, &tick("2026-03-01T00:00:00Z")).is_blind, "time goes on");
    let blind = transaction("e1", "2026-03-01T08:00:00Z", 900);
    let out = take(&mut worker, &blind);
    assert!(out.is_blind && out.alerts.is_empty() && out.dead.is_empty());
    assert_eq!((worker.counts().events.iter().sum::<u64>(), worker.customers()), (0, 0));
    let error = Known::blind(&book).unwrap_err().to_string();
    assert!(
        error.starts_with("warnings/known.toml:3: rule E-1 reads customer.balance_avg_fen, and nothing"),
        "{error}"
    );
    assert!(error.contains("`tarim warn features`") && error.contains("--features"), "{error}");
    // A start generation holds until the log names another one.
    let mut store = Store::new();
    let version = store.publish(&book, 0, &row(json!({ "balance_avg_fen": 1000 })));
    let known = Known { start: Some(version.clone()), ..store.known.clone() };
    known.begin(&mut worker).unwrap();
    assert_eq!(worker.features(), Some(version.as_str()));
    let out = take(&mut worker, &blind);
    assert!(!out.is_blind && out.alerts.iter().any(|a| a.rule_id == "E-1"), "{out:?}");
    // Where no rule reads features, it is remembered all the same.
    let mut plain = Worker::new(support::book());
    assert!(!take(&mut plain, &blind).is_blind);
    known.give(&mut plain, &version).unwrap();
    assert_eq!(plain.features(), Some(version.as_str()));
}

#[test]
fn a_generation_that_is_gone_is_told_and_another_one_only_if_asked_for() {
    let book = known::book();
    let mut store = Store::new();
    let first = store.publish(&book, 0, &row(json!({ "balance_avg_fen": 1000 })));
    let mut worker = Worker::new(book.clone());
    store.known.give(&mut worker, &first).unwrap();
    let bytes = snapshot(&mut worker, 5);
    let gone = |known: &Known| {
        let mut worker = Worker::restore(book.clone(), 0, [&bytes[..]]).unwrap().0;
        known.begin(&mut worker).map(|()| worker)
    };
    // What is held stays, until others are held in its place.
    let kept = store.known.store.clone().unwrap();
    kept.hold(&first, 1).unwrap();
    for _ in 0..4 {
        store.publish(&book, 0, &Rows::new());
    }
    assert_eq!(gone(&store.known).unwrap().features(), Some(first.as_str()));
    let last = store.versions[4].clone();
    kept.hold(&last, 1).unwrap();
    assert!(gone(&store.known).is_ok(), "nothing is removed before something is published");
    store.publish(&book, 0, &Rows::new());
    // In another process nobody has it in memory.
    let known = Known::of(&store.path());
    let error = gone(&known).unwrap_err();
    assert!(matches!(error, KnownError::Gone { .. }), "{error}");
    let error = error.to_string();
    assert!(
        error.contains(&format!("rule E-1 reads customer.balance_avg_fen of generation {first}")),
        "{error}"
    );
    assert!(error.contains("has no generation") && error.contains("--features-instead"), "{error}");
    let instead = Known { instead: Some(last.clone()), ..known.clone() };
    assert_eq!(gone(&instead).unwrap().features(), Some(first.as_str()), "the log's word stands");
    let instead = Known { instead: Some("9-00000000".into()), ..known.clone() };
    assert!(matches!(gone(&instead), Err(KnownError::Store { .. })));
    // Of one that was named at the start it is told only to whom nothing was left with another one, by its number as well.
    let begun = |known: &Known, start: &str| {
        let (mut worker, known) =
            (Worker::new(book.clone()), Known { start: Some(start.into()), ..known.clone() });
        known.begin(&mut worker).map(|()| worker.features().unwrap().to_owned())
    };
    let number = |version: &str| version.split_once('-').unwrap().0.to_owned();
    assert_eq!(begun(&known, &number(&last)).unwrap(), last, "it is known by its version");
    let error = begun(&known, &number(&first)).unwrap_err().to_string();
    assert!(
        error.contains("has no generation 1 (any more)") && error.contains("--features-instead"),
        "{error}"
    );
    for instead in [last.clone(), number(&last)] {
        let known = Known { instead: Some(instead), ..known.clone() };
        assert_eq!(begun(&known, &number(&first)).unwrap(), last);
        assert_eq!(gone(&known).unwrap().features(), Some(first.as_str()), "the log's word stands");
    }
    let mut worker = Worker::new(book.clone());
    store.known.give(&mut worker, &last).unwrap();
    Known { start: Some(number(&first)), ..known.clone() }.begin(&mut worker).unwrap();
    assert_eq!(worker.features(), Some(last.as_str()));
    let mut plain = Worker::new(support::book());
    Known { start: Some(number(&first)), ..known.clone() }.begin(&mut plain).unwrap();
    assert_eq!(plain.features(), None, "nobody reads it");
    // The same number, other contents.
    let mut worker = Worker::new(book.clone());
    let other = format!("{}-00000000", last.split_once('-').unwrap().0);
    let error = known.give(&mut worker, &other).unwrap_err().to_string();
    assert!(error.contains(&format!("has no generation {other}")) && error.contains(&last), "{error}");
    // No store at all.
    let error = gone(&Known::default()).unwrap_err().to_string();
    assert!(error.contains("there is no online store: name its folder with --store"), "{error}");
    assert!(Known::default().check(&support::book()).is_ok(), "whoever reads nothing needs none");
}

#[test]
fn rows_of_another_rulebooks_definitions_are_refused() {
    let book = known::book();
    let mut store = Store::new();
    let version = store.publish(&book, 0, &Rows::new());
    let folder = known::folder();
    let view = folder.path().join("features/customer_money.toml");
    let text = fs::read_to_string(&view).unwrap().replace("avg(balance_fen)", "max(balance_fen) + 0.0");
    fs::write(&view, text).unwrap();
    let changed = Arc::new(WarningBook::read(folder.path()).unwrap_or_else(|p| panic!("{p}")));
    let mut worker = Worker::new(book.clone());
    store.known.give(&mut worker, &version).unwrap();
    let error = store.known.prepare(&worker, changed.clone(), None).err().unwrap().to_string();
    assert!(error.contains("entity \"customer\" was materialised by another definition"), "{error}");
    // Together they change.
    let mut other = Store::new();
    let new = other.publish(&changed, 0, &Rows::new());
    let swap = other.known.prepare(&worker, changed.clone(), Some(&new)).unwrap();
    swap.make(&mut worker);
    assert_eq!((worker.features(), worker.is_blind()), (Some(new.as_str()), false));
    assert_eq!(worker.book().version(), changed.version());
}

/// A new pattern is filled from history by what is known at the swap: what was known before may be gone, or of other definitions.
#[test]
fn history_is_judged_by_what_is_known_at_the_swap() {
    let (one, two) = (known::book(), other());
    let books = [(two.version().to_owned(), two.clone())].into();
    let mut store = Store::new();
    let first = store.publish(&one, AS_OF_US, &row(json!({ "grade": "A", "enquiries": 5 })));
    let second = store.publish(&one, AS_OF_US, &row(json!({ "grade": "C", "enquiries": 5 })));
    let missed =
        event("e9", "c1", "2026-01-08T08:00:00Z", "repayment_missed", json!({ "loan_id": "l1", "dpd": 1 }));
    let log = [
        features(&first),
        transaction("e1", "2026-01-05T08:00:00Z", 1),
        swap_to(&two, Some(&second)),
        missed,
    ];
    let log: Vec<Record> = log.iter().map(Record::json).collect();
    let edge = Edge { known: &store.known, books: &books, log: &log };
    let out = edge.run(&mut Worker::new(one.clone()), 0, log.len());
    let told: Vec<&str> =
        out[3].alerts.iter().map(|a| a.rule_id.as_str()).filter(|id| id.starts_with('N')).collect();
    assert_eq!(told, ["N-2"]);
}

#[test]
fn a_file_of_history_reads_one_generation_from_its_beginning() {
    let (book, folder) = (known::book(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    let mut store = Store::new();
    let low = store.publish(&book, AS_OF_US, &row(json!({ "balance_avg_fen": 1000 })));
    let high = store.publish(&book, AS_OF_US, &row(json!({ "balance_avg_fen": 1_000_000 })));
    let events = [
        transaction("e1", "2026-01-01T08:00:00Z", 900),
        features(&high),
        transaction("e2", "2026-01-02T08:00:00Z", 900),
        features(&low),
        transaction("e3", "2026-01-03T08:00:00Z", 900),
    ];
    let lines: String = events.iter().map(|json| format!("{json}\n")).collect();
    fs::write(path("e.ndjson"), lines).unwrap();
    let files = |known: Known| Replay {
        from: path("e.ndjson"),
        to: path("a.ndjson"),
        dead: path("d.ndjson"),
        published: path("none"),
        contagion: None,
        known,
    };
    let told = |known: Known| -> Vec<String> {
        replay(book.clone(), &files(known), |_| {}).unwrap();
        let text = fs::read_to_string(path("a.ndjson")).unwrap();
        let alerts = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        let of = alerts.filter(|a| a["rule_id"] == "E-1");
        of.map(|a| a["events"][0]["event_id"].as_str().unwrap().to_owned()).collect()
    };
    let start = |version: &str| Known { start: Some(version.to_owned()), ..store.known.clone() };
    assert_eq!(told(start(&low)), ["e1", "e3"]);
    assert_eq!(told(start(&high)), ["e3"]);
    let error = replay(book.clone(), &files(Known::default()), |_| {}).unwrap_err().to_string();
    assert!(
        error.contains("rule E-1 reads customer.balance_avg_fen, and there is no online store"),
        "{error}"
    );
    let error = replay(book.clone(), &files(store.known.clone()), |_| {}).unwrap_err().to_string();
    assert!(error.contains("nothing in the log says of which generation"), "{error}");
}

/// Only what rules read is loaded.
#[test]
fn entities_that_no_rule_reads_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook"), folder.path());
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/known"), folder.path());
    fs::remove_file(folder.path().join("models/known.toml")).unwrap();
    fs::remove_file(folder.path().join("models/known.csv")).unwrap();
    let rule = "[[rule]]\nid = \"E\"\nzh = \"新\"\nen = \"new\"\nlevel = \"blue\"\nevent = \"login\"\nwhen = \"device.known\"\n";
    fs::write(folder.path().join("warnings/known.toml"), rule).unwrap();
    let book = Arc::new(WarningBook::read(folder.path()).unwrap_or_else(|p| panic!("{p}")));
    let mut store = Store::new();
    let version = store.publish(&book, 0, &Rows::new());
    fs::remove_file(store.path().join("entity-customer-00000001.part")).unwrap();
    let rows = store.known.rows(&book, &version).unwrap().unwrap();
    assert_eq!(book.reads().entities, [1]);
    assert!(rows.has(1) && !rows.has(0) && !rows.has(2));
    drop(Publication::begin(&store.path()).unwrap());
}
