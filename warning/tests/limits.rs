//! Customers of whom there is very much to tell: the state is bounded, and what gives way is the oldest.

use crate::support;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use crate::support::{Record, book, event, run};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};
use tarim_proto::warning::v1::Alert;
use tarim_warning::{
    alert,
    core::{RECORD_MAX, Worker},
    rulebook::WarningBook,
};

/// Microseconds of 2026-01-01T00:00:00Z.
const START_US: i64 = 1_767_225_600_000_000;
const MINUTE_US: i64 = 60_000_000;

/// An event of one customer, some minutes after the start.
fn at(minute: i64, kind: &str, body: Json) -> Record {
    let time = alert::time(START_US + minute * MINUTE_US);
    Record::json(&event(&format!("e{minute}"), "c1", &time, kind, body))
}

/// Alerts of a rule.
fn told(worker: &mut Worker, records: &[Record], rule: &str) -> Vec<Alert> {
    let out = run(worker, 0, records);
    let refused = out.iter().flat_map(|out| &out.dead).map(|d| d.reason.as_str()).next();
    assert_eq!(refused, None);
    out.into_iter().flat_map(|out| out.alerts).filter(|a| a.rule_id == rule).collect()
}

fn loan(minute: i64, id: &str) -> Record {
    at(minute, "loan_disbursed", json!({ "loan_id": id, "amount_fen": 1000 }))
}

fn paid(minute: i64, loan: &str) -> Record {
    at(minute, "repayment_paid", json!({ "loan_id": loan, "instalment": 1, "dpd": 5 }))
}

#[test]
fn of_many_episodes_of_one_key_the_oldest_gives_way() {
    let mut worker = Worker::new(book());
    let mut records: Vec<Record> = (0..20).map(|i| loan(i, "l1")).collect();
    records.push(paid(100, "l1"));
    let told = told(&mut worker, &records, "F-4");
    // Of sixteen the first stands for all; the others are repeats.
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].events[0].event_id, "e4");
    assert!(worker.counts().displaced >= 4, "{:?}", worker.counts());
    let rule = worker.counts().repeated.iter().sum::<u64>();
    assert!(rule >= 15, "{:?}", worker.counts());
}

#[test]
fn episodes_that_are_over_are_forgotten_whatever_their_key() {
    let mut worker = Worker::new(book());
    let day = |i: i64| i * 24 * 60;
    let records: Vec<Record> = (0..400).map(|i| loan(day(i), &format!("loan-{i}"))).collect();
    let mut sizes = Vec::new();
    for part in records.chunks(100) {
        told(&mut worker, part, "F-4");
        sizes.push(worker.state_bytes());
    }
    // Lateness of 60 days, and 30 of the longest pattern: fewer than a hundred are open.
    assert!(sizes[3] < sizes[0] + sizes[0] / 8, "{sizes:?}");
    let last = told(&mut worker, &[paid(day(399) + 1, "loan-399")], "F-4");
    assert_eq!(last.len(), 1);
}

#[test]
fn absences_that_come_and_go_leave_no_timers() {
    let mut worker = Worker::new(book());
    let day = |i: i64| i * 24 * 60;
    let value = |minute: i64, id: &str| {
        at(minute, "collateral_value", json!({ "collateral_id": id, "value_fen": 1, "loan_balance_fen": 1 }))
    };
    // One is always there; the other comes back after each alert.
    let records: Vec<Record> = (0..100)
        .flat_map(|i| (0..15).map(move |d| (15 * i + d, d)))
        .map(|(i, d)| value(day(i), if d == 0 { "h2" } else { "h1" }))
        .collect();
    // Each alert stands for 20 days.
    assert_eq!(told(&mut worker, &records, "G-4").len(), 50);
    assert!(worker.timers() <= 3, "{} timers", worker.timers());
    let tick = Record::json(&support::tick("2032-01-01"));
    assert_eq!(told(&mut worker, &[tick], "G-4").len(), 1);
    assert_eq!(worker.timers(), 0);
}

#[test]
fn of_many_standing_alerts_the_first_gives_way() {
    let mut worker = Worker::new(book());
    let missed = |minute: i64, loan: i64| {
        at(minute, "repayment_missed", json!({ "loan_id": format!("l{loan}"), "instalment": 1, "dpd": 30 }))
    };
    let records: Vec<Record> = (0..300).map(|i| missed(i, i)).collect();
    assert_eq!(told(&mut worker, &records, "R-1").len(), 300);
    // The last ones are known, the first one is told again.
    let again: Vec<Record> = (200..300).rev().map(|i| missed(300 + i, i)).collect();
    assert_eq!(told(&mut worker, &again, "R-1").len(), 0);
    assert_eq!(told(&mut worker, &[missed(700, 0)], "R-1").len(), 1);
}

#[test]
fn different_values_are_counted_up_to_a_thousand() {
    let mut worker = Worker::new(book());
    let paid_in = |i: i64| {
        at(i, "transaction", json!({ "direction": "C", "amount_fen": 1, "counterparty": format!("p{i}") }))
    };
    let told = told(&mut worker, &(0..1500).map(paid_in).collect::<Vec<_>>(), "T-5");
    let values: Vec<&str> = told
        .iter()
        .flat_map(|a| &a.values)
        .filter(|v| v.name == "window.payers_3d")
        .map(|v| v.value.as_str())
        .collect();
    // Quiet for six hours.
    assert_eq!(values, ["3", "363", "723", "1000", "1000"]);
    assert!(worker.state_bytes() < 30_000, "{}", worker.state_bytes());
}

/// Whatever was forgotten to make room, and however late a value comes again.
#[test]
fn the_count_of_a_thousand_is_right_as_it_goes_up_and_down() {
    const DAY: i64 = 24 * 60;
    let rule = "[[rule]]\nid = \"ALL\"\nzh = \"全\"\nen = \"all\"\nlevel = \"blue\"\nquiet = \"1s\"\n\
                event = \"transaction\"\nwhen = \"TRUE\"\nshow = [\"window.payers_3d\"]\n";
    let book = support::book_with(rule);
    for seed in 0..2 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut worker, mut minute) = (Worker::new(book.clone()), 5 * DAY);
        let mut seen: BTreeMap<i64, i64> = BTreeMap::new();
        let mut most = 0;
        for i in 0..8000 {
            // Much for some days, then little.
            minute += if i / 2000 % 2 == 0 { 1 } else { rng.random_range(0..8) };
            let late = if rng.random_bool(0.2) { rng.random_range(0..2 * DAY) } else { 0 };
            let (payer, time) = (rng.random_range(0..2500), minute - late);
            let body = json!({ "direction": "C", "amount_fen": 1, "counterparty": format!("p{payer}") });
            let last = seen.entry(payer).or_insert(i64::MIN);
            *last = (*last).max(time / DAY);
            most = most.max(time);
            let wanted = seen.values().filter(|day| **day >= most / DAY - 2).count().min(1000);
            let out = run(&mut worker, i, &[at(time, "transaction", body)]);
            for alert in out[0].alerts.iter().filter(|a| a.rule_id == "ALL") {
                assert_eq!(alert.values[0].value, wanted.to_string(), "seed {seed}, event {i}");
            }
        }
    }
}

#[test]
fn an_event_that_is_too_long_takes_nothing_else_with_it() {
    let mut worker = Worker::new(book());
    let value = |minute: i64, id: &str| {
        at(minute, "collateral_value", json!({ "collateral_id": id, "value_fen": 1, "loan_balance_fen": 1 }))
    };
    let long = "x".repeat(70_000);
    let out = run(&mut worker, 0, &[value(0, "h1"), value(1, &long), value(2, "h2")]);
    let reasons: Vec<&str> = out.iter().flat_map(|out| &out.dead).map(|d| d.reason.as_str()).collect();
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].starts_with("collateral_id: the event takes 70"), "{reasons:?}");
    let told = told(&mut worker, &[Record::json(&support::tick("2026-02-01"))], "G-4");
    let keys: Vec<&str> = told.iter().map(|a| a.key.as_str()).collect();
    assert_eq!(keys, ["h1", "h2"]);
}

/// A log refuses what is too long, and a partition that cannot send its alerts stands still.
#[test]
fn an_alert_of_the_longest_event_fits_into_a_record() {
    let rule = "[[rule]]\nid = \"LONG\"\nzh = \"长\"\nen = \"long\"\nlevel = \"blue\"\nevent = \"collateral_value\"\n\
                when = \"TRUE\"\nkey = [\"collateral_id\", \"customer_id\"]\n\
                show = [\"event.collateral_id\", \"event.event_id\"]\n";
    let mut worker = Worker::new(support::book_with(rule));
    // One byte that takes six as JSON.
    let value = |minute: i64, len: usize| {
        let id = "\u{1}".repeat(len);
        let body = json!({ "collateral_id": id, "value_fen": 1, "loan_balance_fen": 1 });
        at(minute, "collateral_value", body)
    };
    let out = run(&mut worker, 0, &(0..400).map(|i| value(i, 50 * i as usize)).collect::<Vec<_>>());
    let raised: Vec<&Alert> = out.iter().flat_map(|o| &o.alerts).filter(|a| a.rule_id == "LONG").collect();
    assert!((320..400).contains(&raised.len()), "{} alerts", raised.len());
    let longest = raised.iter().map(|a| alert::alert(a).to_string().len()).max();
    assert!(longest.is_some_and(|len| (150_000..RECORD_MAX).contains(&len)), "{longest:?}");
}

#[test]
fn a_state_that_is_full_of_episodes_keeps_the_newest() {
    let mut worker = Worker::new(book());
    // 3 KB each: eighty of them fill a state.
    let value = |minute: i64| {
        let id = format!("{minute:03000}");
        at(minute, "collateral_value", json!({ "collateral_id": id, "value_fen": 1, "loan_balance_fen": 1 }))
    };
    told(&mut worker, &(0..300).map(value).collect::<Vec<_>>(), "G-4");
    assert!(worker.counts().losses().displaced > 200, "{:?}", worker.counts());
    let told = told(&mut worker, &[Record::json(&support::tick("2026-02-01"))], "G-4");
    assert!((60..100).contains(&told.len()), "{}", told.len());
    assert!(told.last().is_some_and(|a| a.key.ends_with("0299")));
}

/// Windows that may take nearly as much as they are let, behind a state that is full of patterns.
#[test]
fn patterns_never_crowd_windows_out() {
    let folder = tempfile::tempdir().unwrap();
    support::copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook"), folder.path());
    let mut text =
        String::from("[stream]\nname = \"heavy\"\nzh = \"窗口\"\nen = \"heavy\"\nevent = \"transaction\"\n");
    for i in 0..9 {
        text += &format!(
            "[[window]]\nname = \"w{i}\"\nzh = \"窗口\"\nen = \"payers\"\nmeasure = \"distinct\"\npanes = \"2 days\"\n\
             of = \"event.counterparty\"\nwhere = \"event.amount_fen > {i}\"\n"
        );
    }
    fs::write(folder.path().join("features/streams/heavy.toml"), text).unwrap();
    let mut worker =
        Worker::new(Arc::new(WarningBook::read(folder.path()).unwrap_or_else(|p| panic!("{p}"))));
    let value = |minute: i64| {
        let id = format!("{minute:0300}");
        at(minute, "collateral_value", json!({ "collateral_id": id, "value_fen": 1, "loan_balance_fen": 1 }))
    };
    told(&mut worker, &(0..700).map(value).collect::<Vec<_>>(), "G-4");
    assert!(worker.counts().displaced > 100, "{:?}", worker.counts());
    // None is refused: see `told`.
    let paid_in = |i: i64| {
        at(i, "transaction", json!({ "direction": "C", "amount_fen": 99, "counterparty": format!("p{i}") }))
    };
    told(&mut worker, &(700..2000).map(paid_in).collect::<Vec<_>>(), "T-5");
    let told = told(&mut worker, &[Record::json(&support::tick("2026-02-01"))], "G-4");
    assert!(told.len() > 100 && told.last().is_some_and(|a| a.key.ends_with("0699")), "{}", told.len());
}

#[test]
fn windows_that_no_state_has_room_for_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    support::copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook"), folder.path());
    let mut text =
        String::from("[stream]\nname = \"heavy\"\nzh = \"窗口\"\nen = \"heavy\"\nevent = \"transaction\"\n");
    for i in 0..12 {
        text += &format!(
            "[[window]]\nname = \"w{i}\"\nzh = \"窗口\"\nen = \"payers\"\nmeasure = \"distinct\"\npanes = \"2 days\"\n\
             of = \"event.counterparty\"\nwhere = \"event.amount_fen > {i}\"\n"
        );
    }
    fs::write(folder.path().join("features/streams/heavy.toml"), text).unwrap();
    let problems = WarningBook::read(folder.path()).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("features/streams: a customer's windows may take 196"), "{told:?}");
    assert!(told[0].contains("there is room for 196604"), "{told:?}");
}

#[test]
fn ids_that_are_too_long_for_any_customer_are_refused() {
    let mut worker = Worker::new(book());
    let customer = format!("{}/c1", "m".repeat(600));
    let record = Record::json(&event("e1", &customer, "2026-01-01", "login", json!({})));
    let out = run(&mut worker, 0, &[record]);
    assert!(out[0].dead[0].reason.starts_with("customer_id: it is too long"), "{:?}", out[0].dead);
    assert_eq!(worker.customers(), 0);
}
