//! A rulebook that comes into force while running, with what history says of it, is as if it had been in force from the
//! beginning: its windows at every event, and what begins and ends its patterns.
//!
//! `TARIM_SEEDS` says over how many random logs; the seed is told when one fails.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::{
    Record, books,
    random::{Course, log, time_of},
    run,
};
use tarim_proto::warning::v1::Alert;
use tarim_warning::{
    core::{Outbox, Position, Span, Worker},
    event::Format,
    rulebook::WarningBook,
};

fn seeds() -> u64 {
    std::env::var("TARIM_SEEDS").map_or(40, |n| n.parse().expect("a number"))
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
    let each = |(_, json): (Option<usize>, serde_json::Value)| {
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
    let (mut dead, mut empty) = (0, 0);
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
                new = &ids(book) - &ids(&books[n - 1]);
                empty += usize::from(worker.backfill(book).is_none());
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
    assert!(empty < 10, "swaps have nothing to fill: {empty}");
}
