//! A rulebook that comes into force while running, with what history says of it, is as if it had been in force from the
//! beginning: its windows at every event, and what begins and ends its patterns.
//!
//! `TARIM_SEEDS` says over how many random logs; the seed is told when one fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use crate::support::{
    Record, book, books, copy, event,
    random::{Course, log, time_of},
    run, tick,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};
use tarim_proto::warning::v1::Alert;
use tarim_warning::{
    core::{Outbox, Position, Span, Worker},
    event::Format,
    rulebook::WarningBook,
};

fn seeds() -> u64 {
    std::env::var("TARIM_SEEDS").map_or(25, |n| n.parse().expect("a number"))
}

/// A record, and when it came by the log's clock.
struct Came {
    record: Record,
    at_us: i64,
}

/// Events out of order, too late, unreadable; ticks.
fn history(rng: &mut ChaCha8Rng) -> Vec<Came> {
    let mut clock = i64::MIN;
    let course = Course { events: 600, late_h: 70, ticks: true };
    let said = log(course, rng);
    let each = |(_, json): (Option<usize>, Json)| {
        clock = clock.max(time_of(&json));
        let record = match rng.random_range(0..100) {
            0..3 => Record { format: Format::Json, payload: b"{".to_vec() },
            3..50 => Record::protobuf(&json).unwrap_or_else(|| Record::json(&json)),
            _ => Record::json(&json),
        };
        Came { record, at_us: clock }
    };
    said.into_iter().map(each).collect()
}

fn records(history: &[Came]) -> Vec<Record> {
    history.iter().map(|came| came.record.clone()).collect()
}

/// Swaps to a rulebook before record `at`, with history from its beginning or from where it begins to matter.
fn swap(worker: &mut Worker, book: &Arc<WarningBook>, history: &[Came], at: usize, whole: bool) {
    let mut backfill = worker.backfill(book);
    if let Some(backfill) = &mut backfill {
        let matters = history.iter().position(|came| came.at_us >= backfill.came_from_us());
        let from = if whole { 0 } else { matters.unwrap_or(at).min(at) };
        for (offset, came) in history.iter().enumerate().take(at).skip(from) {
            let at = Position { partition: 0, offset: offset as i64 };
            backfill.take(at, came.record.format, &came.record.payload);
        }
        assert_eq!(backfill.refused(), 0);
    }
    worker.swap(book.clone(), backfill);
}

/// Written down and taken up again.
fn resumed(worker: &mut Worker, book: &Arc<WarningBook>, at: usize) -> Worker {
    let mut bytes = Vec::new();
    worker.write_snapshot(0, Span { from: None, to: at as i64 }, &mut bytes).unwrap();
    Worker::restore(book.clone(), 0, [bytes.as_slice()]).unwrap().0
}

fn alerts(out: Vec<Outbox>) -> Vec<Alert> {
    out.into_iter().flat_map(|out| out.alerts).collect()
}

fn key(alert: &Alert) -> [String; 4] {
    [&alert.rule_id, &alert.member, &alert.customer_id, &alert.key].map(Clone::clone)
}

/// What is compared: every window at every event, and new rules, but where the steady worker holds back what it has said before.
fn compared(alerts: &[Alert], new: &BTreeSet<String>, said: &BTreeSet<[String; 4]>) -> Vec<Alert> {
    let is = |a: &&Alert| a.rule_id == "ALL" || (new.contains(&a.rule_id) && !said.contains(&key(a)));
    alerts.iter().filter(is).cloned().collect()
}

fn ids(book: &WarningBook) -> BTreeSet<String> {
    book.rules().iter().map(|rule| rule.id.clone()).collect()
}

#[test]
fn a_new_rulebook_is_as_if_it_had_always_been_there() {
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let (mut dead, mut empty, mut differ, mut others) = (0, 0, 0, 0);
    for seed in 0..seeds() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let books: [Arc<WarningBook>; 3] = std::array::from_fn(|_| books::random(&mut rng));
        let history = history(&mut rng);
        let all = records(&history);
        let mut cuts = [rng.random_range(0..=all.len()), rng.random_range(0..=all.len())];
        cuts.sort_unstable();
        let mut worker = Worker::new(books[0].clone());
        let mut at = 0;
        for (n, end) in [cuts[0], cuts[1], all.len()].into_iter().enumerate() {
            let book = &books[n];
            let mut steady = Worker::new(book.clone());
            let before = alerts(run(&mut steady, 0, &all[..at]));
            let said: BTreeSet<_> = before.iter().map(key).collect();
            let mut new = BTreeSet::new();
            if n > 0 {
                let former = &books[n - 1];
                new = &ids(book) - &ids(former);
                // Of the same id, and waiting for something else: as new as the others.
                let changed = |p: &usize| book.same_pattern(*p, former).is_none();
                let changed = (0..book.patterns().len()).filter(changed);
                let changed: BTreeSet<String> = changed.map(|p| book.rule_of(p).to_owned()).collect();
                others += changed.difference(&new).count();
                new.extend(changed);
                empty += usize::from(worker.backfill(book).is_none());
                // Without history it would be another one.
                let mut bare = resumed(&mut worker, &books[n - 1], at);
                bare.swap(book.clone(), None);
                let [bare, wanted] = [&mut bare, &mut resumed(&mut steady, book, at)]
                    .map(|w| compared(&alerts(run(w, at, &all[at..end])), &new, &said));
                differ += usize::from(bare != wanted);
                swap(&mut worker, book, &history, at, rng.random_bool(0.5));
                if rng.random_bool(0.5) {
                    worker = resumed(&mut worker, book, at);
                }
            }
            let middle = rng.random_range(at..=end);
            let mut ours = run(&mut worker, at, &all[at..middle]);
            worker = resumed(&mut worker, book, middle);
            ours.extend(run(&mut worker, middle, &all[middle..end]));
            dead += ours.iter().map(|out| out.dead.len()).sum::<usize>();
            let ours = compared(&alerts(ours), &new, &said);
            let wanted = compared(&alerts(run(&mut steady, at, &all[at..end])), &new, &said);
            for (i, (ours, wanted)) in ours.iter().zip(&wanted).enumerate() {
                assert!(
                    ours == wanted,
                    "seed {seed}, swaps at {cuts:?}, alert {i}:\n{ours:#?}\nnot\n{wanted:#?}"
                );
            }
            assert_eq!(ours.len(), wanted.len(), "seed {seed}, swaps at {cuts:?}");
            for alert in ours.into_iter().filter(|_| n > 0) {
                *told.entry(alert.rule_id).or_default() += 1;
            }
            at = end;
        }
    }
    assert!(dead > 100, "hardly any dead letters: {dead}");
    for pattern in 1..=7 {
        let n = told.get(&format!("P-{pattern}"));
        assert!(n.is_some_and(|n| *n >= 3), "P-{pattern} has hardly ever fired: {told:?}");
    }
    assert!(others > seeds() as usize / 2, "hardly any pattern of the same id is another one: {others}");
    assert!(empty < 10, "swaps have nothing to fill: {empty}");
    assert!(differ > seeds() as usize, "history hardly ever makes a difference: {differ}");
}

/// The small rulebook with another stream, and other rules.
fn with(stream: &str, rules: &str) -> Arc<WarningBook> {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook"), folder.path());
    if !stream.is_empty() {
        fs::write(folder.path().join("features/streams/new.toml"), stream).unwrap();
    }
    fs::write(folder.path().join("warnings/new.toml"), rules).unwrap();
    Arc::new(WarningBook::read(folder.path()).unwrap_or_else(|p| panic!("{p}")))
}

fn booking(id: &str, customer: &str, time: &str, kind: &str) -> Json {
    let body = json!({ "direction": "C", "amount_fen": 100, "kind": kind });
    event(id, customer, time, "transaction", body)
}

/// Takes a log up to the change, changes, and takes the rest. Gives what the rest brings, of one rule.
fn changed(before: &[Json], to: &Arc<WarningBook>, after: &[Json], rule: &str) -> Vec<Alert> {
    let came = |json: &Json| Came { record: Record::json(json), at_us: i64::MAX };
    let history: Vec<Came> = before.iter().map(came).collect();
    let mut worker = Worker::new(book());
    run(&mut worker, 0, &records(&history));
    swap(&mut worker, to, &history, history.len(), true);
    let after: Vec<Record> = after.iter().map(Record::json).collect();
    let alerts = alerts(run(&mut worker, history.len(), &after));
    alerts.into_iter().filter(|alert| alert.rule_id == rule).collect()
}

#[test]
fn a_new_absence_does_not_begin_with_what_is_past() {
    let rule = "[[absence]]\nid = \"N-1\"\nzh = \"新\"\nen = \"no salary for 45 days\"\nlevel = \"orange\"\n\
                event = \"transaction\"\nwhen = \"event.kind = 'salary'\"\nafter = \"45d\"\n";
    let before = [
        booking("e0", "past", "2026-01-01T00:00:00Z", "salary"),
        booking("e1", "waiting", "2026-01-11T00:00:00Z", "salary"),
        tick("2026-02-20T00:00:00Z"),
    ];
    let found = changed(&before, &with("", rule), &[tick("2026-06-01T00:00:00Z")], "N-1");
    let told: Vec<(&str, String)> = found
        .iter()
        .map(|alert| (alert.customer_id.as_str(), tarim_warning::alert::time(alert.raised_at_us)))
        .collect();
    assert_eq!(told, [("waiting", "2026-02-25T00:00:00Z".to_owned())]);
}

/// "No salary for 45 days" becomes "30 days" and, of another customer, "60 days" under the same id.
#[test]
fn an_absence_of_another_time_does_not_keep_its_old_deadlines() {
    let rule = |days: u32, kind: &str| {
        let rule = format!(
            "[[absence]]\nid = \"N-1\"\nzh = \"新\"\nen = \"no salary\"\nlevel = \"orange\"\n\
             event = \"transaction\"\nwhen = \"event.kind = '{kind}'\"\nafter = \"{days}d\"\n"
        );
        with("", &rule)
    };
    let log = [booking("e0", "c", "2026-01-01T00:00:00Z", "salary"), tick("2026-01-10T00:00:00Z")];
    let came = |json: &Json| Came { record: Record::json(json), at_us: i64::MAX };
    let history: Vec<Came> = log.iter().map(came).collect();
    let told = |to: &Arc<WarningBook>| {
        let mut worker = Worker::new(rule(45, "salary"));
        run(&mut worker, 0, &records(&history));
        swap(&mut worker, to, &history, history.len(), true);
        let out = run(&mut worker, history.len(), &[Record::json(&tick("2026-06-01T00:00:00Z"))]);
        let of = alerts(out).into_iter().filter(|a| a.rule_id == "N-1");
        of.map(|a| tarim_warning::alert::time(a.raised_at_us)).collect::<Vec<_>>()
    };
    assert_eq!(told(&rule(45, "salary")), ["2026-02-15T00:00:00Z"]);
    assert_eq!(told(&rule(30, "salary")), ["2026-01-31T00:00:00Z"]);
    assert_eq!(told(&rule(60, "salary")), ["2026-03-02T00:00:00Z"]);
    assert!(told(&rule(45, "purchase")).is_empty(), "it never began");
}

const NEW_STREAM: &str = "[stream]\nname = \"new\"\nzh = \"新\"\nen = \"new\"\nevent = \"transaction\"\n\
    [[window]]\nname = \"new_90d\"\nzh = \"新\"\nen = \"new\"\nmeasure = \"count\"\npanes = \"90 days\"\n";
const NEW_RULE: &str = "[[rule]]\nid = \"N-2\"\nzh = \"新\"\nen = \"new\"\nlevel = \"blue\"\n\
    event = \"transaction\"\nwhen = \"window.new_90d >= 1\"\n";

#[test]
fn what_was_a_dead_letter_stays_one() {
    let before = [
        booking("e0", "c", "2026-01-10T00:00:00Z", "purchase"),
        // Two days are allowed.
        booking("late", "c", "2026-01-07T00:00:00Z", "purchase"),
        event("none", "c", "2026-01-10T00:00:00Z", "transaction", json!({ "direction": "X" })),
        booking("behind", "c", "2026-01-09T00:00:00Z", "purchase"),
    ];
    let after = [booking("e1", "c", "2026-01-11T00:00:00Z", "purchase")];
    let found = changed(&before, &with(NEW_STREAM, NEW_RULE), &after, "N-2");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].values[0].value, "3", "{:?}", found[0].values);
}

#[test]
fn it_is_told_from_when_on_a_window_is_whole() {
    let mut worker = Worker::new(book());
    let log = [booking("e0", "c", "2026-01-10T00:00:00Z", "purchase"), tick("2026-03-01T00:00:00Z")];
    let log: Vec<Record> = log.iter().map(Record::json).collect();
    run(&mut worker, 0, &log);
    let to = with(NEW_STREAM, NEW_RULE);
    let mut backfill = worker.backfill(&to).unwrap();
    assert_eq!(backfill.fills().collect::<Vec<_>>(), ["new_90d"], "a rule that waits for nothing needs none");
    for (offset, record) in log.iter().enumerate() {
        let at = Position { partition: 0, offset: offset as i64 };
        backfill.take(at, record.format, &record.payload);
    }
    let whole: Vec<(&str, String)> =
        backfill.whole_from().into_iter().map(|(name, us)| (name, tarim_warning::alert::time(us))).collect();
    // What came before the first event may be two days later than that, and is seen for 90 days.
    assert_eq!(whole, [("new_90d", "2026-04-12T00:00:00Z".to_owned())]);
    worker.swap(to.clone(), Some(backfill));
    assert!(worker.backfill(&to).is_none(), "there is nothing new");
}
