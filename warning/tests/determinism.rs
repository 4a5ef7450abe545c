//! What a worker puts out is a function of the records alone; and what it says of a customer, of that customer's.
//!
//! `TARIM_SEEDS` says over how many random logs; the seed is told when one fails.

use crate::support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::support::{
    Record, book_with, event,
    random::{CUSTOMERS, Course, Said, log, of, time_of},
    run,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;
use tarim_proto::warning::v1::Alert;
use tarim_warning::{
    alert,
    core::{Outbox, Position, Span, Worker},
    rulebook::WarningBook,
};

fn seeds() -> u64 {
    std::env::var("TARIM_SEEDS").map_or(25, |n| n.parse().expect("a number"))
}

/// The small rulebook, and a rule that shows all windows at nearly every event.
fn book() -> Arc<WarningBook> {
    let windows: Vec<String> =
        support::book().streams().windows().iter().map(|w| format!("\"window.{}\"", w.name)).collect();
    let kinds: Vec<String> =
        support::book().streams().kinds().iter().map(|k| format!("\"{}\"", k.name)).collect();
    book_with(&format!(
        "[[rule]]\nid = \"ALL\"\nzh = \"窗口\"\nen = \"windows\"\nlevel = \"blue\"\nquiet = \"1s\"\n\
         event = [{}]\nwhen = \"TRUE\"\nshow = [{}]\n",
        kinds.join(", "),
        windows.join(", ")
    ))
}

fn json(log: &[Said]) -> Vec<Record> {
    log.iter().map(|(_, json)| Record::json(json)).collect()
}

fn alerts(out: Vec<Outbox>) -> Vec<Alert> {
    let refused = out.iter().flat_map(|out| &out.dead).map(|d| d.reason.as_str()).next();
    assert_eq!(refused, None);
    out.into_iter().flat_map(|out| out.alerts).collect()
}

/// Alerts of a customer whose events are all there is, each where it stood in the whole log.
fn alone(book: &Arc<WarningBook>, events: &[(usize, &Json)]) -> Vec<Alert> {
    let mut worker = Worker::new(book.clone());
    let mut out = Outbox::default();
    for (offset, json) in events {
        let record = Record::json(json);
        let at = Position { partition: 0, offset: *offset as i64 };
        worker.take(at, record.format, &record.payload, &mut out);
    }
    alerts(vec![out])
}

fn is_of(alert: &Alert, customer: usize) -> bool {
    CUSTOMERS[customer] == format!("{}/{}", alert.member, alert.customer_id)
}

/// Rules that wait for time to go by.
fn waiting(book: &WarningBook) -> BTreeSet<&str> {
    let waiting = book.patterns().iter().filter(|p| p.at_end);
    waiting.map(|p| book.rules()[p.rule].id.as_str()).collect()
}

#[test]
fn the_same_log_gives_the_same_alerts() {
    let book = book();
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..seeds() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let log = log(Course { events: 500, late_h: 48, ticks: true }, &mut rng);
        let log = with_contagion(log, &mut rng);
        let records = json(&log);
        let once = alerts(run(&mut Worker::new(book.clone()), 0, &records));
        let twice = alerts(run(&mut Worker::new(book.clone()), 0, &records));
        assert!(once == twice, "seed {seed}");
        // In either format, as it comes.
        let mixed: Vec<Record> = log
            .iter()
            .map(|(_, json)| {
                let protobuf = Record::protobuf(json).filter(|_| rng.random_bool(0.7));
                protobuf.unwrap_or_else(|| Record::json(json))
            })
            .collect();
        assert!(alerts(run(&mut Worker::new(book.clone()), 0, &mixed)) == once, "seed {seed}: in Protobuf");
        // Written down and taken up again, twice.
        let mut cuts = [rng.random_range(0..=records.len()), rng.random_range(0..=records.len())];
        cuts.sort();
        assert!(alerts(resumed(&book, &records, cuts)) == once, "seed {seed}: resumed at {cuts:?}");
        for alert in once {
            *told.entry(alert.rule_id).or_default() += 1;
        }
    }
    for rule in book.rules() {
        assert!(told.get(&rule.id).is_some_and(|n| *n >= 3), "{} has hardly ever fired: {told:?}", rule.id);
    }
}

/// The same log, into which other partitions have put what spread: some of it is ahead, some far behind.
fn with_contagion(log: Vec<Said>, rng: &mut ChaCha8Rng) -> Vec<Said> {
    let mut mixed = Vec::new();
    for (i, (customer, json)) in log.into_iter().enumerate() {
        let time_us = time_of(&json);
        mixed.push((customer, json));
        if rng.random_bool(0.05) {
            let customer = rng.random_range(0..CUSTOMERS.len());
            let time = alert::time(time_us + rng.random_range(-40 * 24..10 * 24) * 3_600_000_000);
            let level = ["yellow", "red"][rng.random_range(0..2)];
            let body = serde_json::json!({
                "source_customer": format!("n{}", rng.random_range(0..3)), "source_rule": "R-1", "source_alert": format!("a{i}"),
                "source_level": level, "edge": "guarantor", "hops": rng.random_range(1..=2),
            });
            mixed.push((
                Some(customer),
                event(&format!("x{i}"), CUSTOMERS[customer], &time, "contagion", body),
            ));
        }
    }
    mixed
}

fn resumed(book: &Arc<WarningBook>, records: &[Record], cuts: [usize; 2]) -> Vec<Outbox> {
    let mut worker = Worker::new(book.clone());
    let (mut out, mut snapshots, mut from) = (Vec::new(), Vec::<Vec<u8>>::new(), None);
    let mut at = 0;
    for cut in cuts {
        out.extend(run(&mut worker, at, &records[at..cut]));
        let mut bytes = Vec::new();
        worker.write_snapshot(0, Span { from, to: cut as i64 }, &mut bytes).unwrap();
        snapshots.push(bytes);
        (worker, _) = Worker::restore(book.clone(), 0, snapshots.iter().map(Vec::as_slice)).unwrap();
        (at, from) = (cut, Some(cut as i64));
    }
    out.extend(run(&mut worker, at, &records[at..]));
    out
}

/// In order, so that no deadline passes by others' events before a customer's own have come.
#[test]
fn a_customers_alerts_do_not_depend_on_others() {
    let book = book();
    let waiting = waiting(&book);
    for seed in 100..100 + seeds() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let log = log(Course { events: 500, late_h: 0, ticks: true }, &mut rng);
        let all = alerts(run(&mut Worker::new(book.clone()), 0, &json(&log)));
        for customer in 0..CUSTOMERS.len() {
            let own = of(&log, customer);
            let end = own.iter().map(|(_, json)| time_of(json)).max().unwrap_or(i64::MIN);
            // What the shorter log does not reach.
            let reached = |a: &&Alert| !waiting.contains(a.rule_id.as_str()) || a.raised_at_us < end;
            let together = all.iter().filter(|a| is_of(a, customer)).filter(reached);
            compare(seed, together, &alone(&book, &own));
        }
    }
}

/// Out of order too, but for what waits for a deadline: that is told when it passes, whatever may still come.
#[test]
fn late_events_change_the_same_windows_and_rules() {
    let book = book();
    let waiting = waiting(&book);
    let looked_at = |a: &&Alert| !waiting.contains(a.rule_id.as_str());
    for seed in 200..200 + seeds() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let log = log(Course { events: 500, late_h: 48, ticks: false }, &mut rng);
        let all = alerts(run(&mut Worker::new(book.clone()), 0, &json(&log)));
        for customer in 0..CUSTOMERS.len() {
            let together = all.iter().filter(|a| is_of(a, customer)).filter(looked_at);
            let alone = alone(&book, &of(&log, customer));
            let alone: Vec<Alert> = alone.iter().filter(looked_at).cloned().collect();
            compare(seed, together, &alone);
        }
    }
}

fn compare<'a>(seed: u64, together: impl Iterator<Item = &'a Alert>, alone: &[Alert]) {
    let together: Vec<&Alert> = together.collect();
    for (i, (one, other)) in together.iter().zip(alone).enumerate() {
        assert!(*one == other, "seed {seed}, alert {i}:\ntogether {one:#?}\nalone {other:#?}");
    }
    assert_eq!(together.len(), alone.len(), "seed {seed}");
}
