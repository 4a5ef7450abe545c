//! Crossings against what they mean, told in the simplest way: a map of who was told, over random logs in any order.

use std::{collections::BTreeMap, sync::Arc};

use crate::support::{Record, book_with, event, run};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value as Json, json};
use tarim_warning::{
    alert,
    core::{Outbox, Span, Worker},
    rulebook::WarningBook,
};

const SECOND_US: i64 = 1_000_000;

/// A rule over one field of bookings, as the text says it and as the model does.
struct Rule {
    id: &'static str,
    text: &'static str,
    /// None: it is unknown.
    when: fn(&Json) -> Option<bool>,
    value: fn(&Json) -> Option<f64>,
    below: bool,
    line: f64,
    again: f64,
    keyed: bool,
    warns: bool,
}

const RULES: [Rule; 4] = [
    Rule {
        id: "P-1",
        text: "value = \"event.amount_fen\"\nbelow = 40",
        when: |_| Some(true),
        value: |body| body["amount_fen"].as_f64(),
        below: true,
        line: 40.0,
        again: 40.0,
        keyed: false,
        warns: true,
    },
    Rule {
        id: "P-2",
        text: "value = \"event.amount_fen / 2\"\nabove = 30\nagain_below = 20\nkey = [\"counterparty\"]",
        when: |_| Some(true),
        value: |body| Some(body["amount_fen"].as_f64()? / 2.0),
        below: false,
        line: 30.0,
        again: 20.0,
        keyed: true,
        warns: true,
    },
    Rule {
        id: "P-3",
        text: "value = \"CASE WHEN event.channel = 'mobile' THEN event.amount_fen END\"\nwhen = \"event.kind = 'purchase'\"\n\
               below = 50\nagain_above = 60\nkey = [\"event.counterparty\"]",
        when: |body| Some(body["kind"].as_str()? == "purchase"),
        value: |body| body["amount_fen"].as_f64().filter(|_| body["channel"] == "mobile"),
        below: true,
        line: 50.0,
        again: 60.0,
        keyed: true,
        warns: true,
    },
    Rule {
        id: "P-4",
        text: "value = \"CASE WHEN event.channel = 'mobile' THEN event.amount_fen END\"\nwhen = \"event.kind = 'purchase'\"\n\
               above = 50\nif_unknown = \"ignore\"",
        when: |body| Some(body["kind"].as_str()? == "purchase"),
        value: |body| body["amount_fen"].as_f64().filter(|_| body["channel"] == "mobile"),
        below: false,
        line: 50.0,
        again: 50.0,
        keyed: false,
        warns: false,
    },
];

impl Rule {
    fn toml(&self) -> String {
        let Rule { id, text, .. } = self;
        format!(
            "[[crossing]]\nid = \"{id}\"\nzh = \"规则\"\nen = \"rule\"\nlevel = \"red\"\nevent = \"transaction\"\n\
             quiet = \"1s\"\n{text}\n\n"
        )
    }

    /// Whether it fires (and whether that is unknown), and what is to be remembered.
    fn look(&self, body: &Json, told: bool) -> (Option<bool>, Option<bool>) {
        let (when, value) = ((self.when)(body), (self.value)(body));
        if when == Some(false) {
            return (None, None);
        }
        let beyond = value.map(|v| if self.below { v < self.line } else { v > self.line });
        let back = value.map(|v| if self.below { v >= self.again } else { v <= self.again });
        match (when, beyond) {
            (Some(true), Some(beyond)) => {
                ((beyond && !told).then_some(false), Some(beyond || told && back == Some(false)))
            }
            (_, beyond) => ((self.warns && !told && beyond != Some(false)).then_some(true), None),
        }
    }
}

fn book() -> Arc<WarningBook> {
    book_with(&RULES.iter().map(Rule::toml).collect::<String>())
}

/// Rule, customer, key, when, unknown.
type Told = (String, String, String, i64, bool);

/// A log whose events lie minutes apart, some of them late.
fn log(rng: &mut ChaCha8Rng) -> Vec<(String, i64, Json)> {
    let mut times: Vec<i64> = (0..600).map(|i| 1_767_225_600 + 100 * i).collect();
    for _ in 0..200 {
        let (a, b) = (rng.random_range(0..600), rng.random_range(0..600));
        times.swap(a, b);
    }
    let each = |at: i64| {
        let mut body = json!({ "direction": "D", "amount_fen": rng.random_range(1..100) });
        for (field, words) in [
            ("kind", ["purchase", "purchase", "cash_in"]),
            ("channel", ["mobile", "mobile", "counter"]),
            ("counterparty", ["p1", "p/2", ""]),
        ] {
            if rng.random_bool(0.9) {
                body[field] = json!(words[rng.random_range(0..3)]);
            }
        }
        (format!("001/c{}", rng.random_range(0..3)), at * SECOND_US, body)
    };
    times.into_iter().map(each).collect()
}

fn wanted(log: &[(String, i64, Json)]) -> Vec<Told> {
    let (mut state, mut since, mut all) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (customer, at, body) in log {
        for rule in &RULES {
            let key = if rule.keyed { body["counterparty"].as_str().unwrap_or_default() } else { "" };
            let told = state.entry((rule.id, customer, key)).or_insert(false);
            let (fires, remember) = rule.look(body, *told);
            *told = remember.unwrap_or(*told);
            let Some(unknown) = fires else { continue };
            // Alerts of the same rule and key that are older than the last one are held back; each of the two sorts apart.
            let since = since.entry((rule.id, customer, key, unknown)).or_insert(i64::MIN);
            if *at > *since {
                *since = *at;
                all.push((rule.id.to_owned(), customer.clone(), key.to_owned(), *at, unknown));
            }
        }
    }
    all
}

fn found(out: Vec<Outbox>) -> Vec<Told> {
    assert!(out.iter().all(|out| out.dead.is_empty()), "{:?}", out[0].dead);
    let alerts = out.into_iter().flat_map(|out| out.alerts).filter(|a| a.rule_id.starts_with("P-"));
    alerts
        .map(|a| (a.rule_id, format!("{}/{}", a.member, a.customer_id), a.key, a.raised_at_us, a.unknown))
        .collect()
}

fn records(log: &[(String, i64, Json)]) -> Vec<Record> {
    let record = |(i, (customer, at, body)): (usize, &(String, i64, Json))| {
        Record::json(&event(&format!("e{i}"), customer, &alert::time(*at), "transaction", body.clone()))
    };
    log.iter().enumerate().map(record).collect()
}

#[test]
fn crossings_mean_what_they_say() {
    let count: u64 = std::env::var("TARIM_SEEDS").map_or(40, |n| n.parse().expect("a number"));
    let (book, mut by_rule) = (book(), BTreeMap::<(String, bool), usize>::new());
    for seed in 0..count {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let log = log(&mut rng);
        let records = records(&log);
        let wanted = wanted(&log);
        assert_eq!(found(run(&mut Worker::new(book.clone()), 0, &records)), wanted, "seed {seed}");
        let cut = rng.random_range(0..records.len());
        let mut worker = Worker::new(book.clone());
        let mut out = run(&mut worker, 0, &records[..cut]);
        let mut bytes = Vec::new();
        worker.write_snapshot(0, Span { from: None, to: cut as i64 }, &mut bytes).unwrap();
        let (mut worker, _) = Worker::restore(book.clone(), 0, [bytes.as_slice()]).unwrap();
        out.extend(run(&mut worker, cut, &records[cut..]));
        assert_eq!(found(out), wanted, "seed {seed}, taken up again at {cut}");
        for (rule, _, _, _, unknown) in wanted {
            *by_rule.entry((rule, unknown)).or_default() += 1;
        }
    }
    // All of P-1 and P-2 is known, and P-4 does not tell what is not.
    assert_eq!(by_rule.len(), 5, "{by_rule:?}");
    assert!(by_rule.values().all(|n| *n > 5 * count as usize), "{by_rule:?}");
}

/// One rule over collaterals, with a line and whatever else is said.
fn of(text: &str) -> Arc<WarningBook> {
    book_with(&format!(
        "[[crossing]]\nid = \"X\"\nzh = \"规则\"\nen = \"rule\"\nlevel = \"red\"\nevent = \"transaction\"\nquiet = \"1s\"\n{text}\n"
    ))
}

/// The amounts that bring an alert, of one customer, the rulebook being changed before some of them.
fn alerts(first: &Arc<WarningBook>, steps: &[(i64, Option<&Arc<WarningBook>>)]) -> Vec<i64> {
    let mut worker = Worker::new(first.clone());
    let mut told = Vec::new();
    for (i, (amount, book)) in steps.iter().enumerate() {
        if let Some(book) = book {
            worker.swap((*book).clone(), None);
        }
        let at = alert::time((1_767_225_600 + 100 * i as i64) * SECOND_US);
        let body = json!({ "direction": "D", "amount_fen": amount });
        let record = Record::json(&event(&format!("e{i}"), "001/c", &at, "transaction", body));
        let out = run(&mut worker, i, &[record]);
        if out[0].alerts.iter().any(|alert| alert.rule_id == "X") {
            told.push(*amount);
        }
    }
    told
}

#[test]
fn a_swap_keeps_who_was_told_and_of_another_line_who_is_beyond_that_too() {
    let line = |line: i64| of(&format!("value = \"event.amount_fen\"\nbelow = {line}"));
    let (one, same, lower, higher) = (line(50), line(50), line(40), line(60));
    assert_eq!(alerts(&one, &[(45, None), (44, Some(&same)), (43, None)]), [45]);
    // 45 was told as below 50, and is not below 40: what falls below that is news.
    assert_eq!(alerts(&one, &[(45, None), (44, Some(&lower)), (39, None)]), [45, 39]);
    // 35 is below both.
    assert_eq!(alerts(&one, &[(35, None), (34, Some(&lower)), (33, None)]), [35]);
    // 55 was not below 50, and is below 60.
    assert_eq!(alerts(&one, &[(55, None), (55, Some(&higher)), (54, None)]), [55]);
    assert_eq!(alerts(&one, &[(45, None), (44, Some(&higher)), (43, None)]), [45]);
    // Between the lines: not back by the first, and by the second there is no such thing.
    let (swings, plain) = (of("value = \"event.amount_fen\"\nbelow = 50\nagain_above = 70"), line(50));
    assert_eq!(alerts(&swings, &[(45, None), (65, None), (49, None), (48, Some(&swings))]), [45]);
    assert_eq!(alerts(&swings, &[(45, None), (65, None), (49, Some(&plain))]), [45, 49]);
    // Of another measure nothing is known.
    let other = of("value = \"event.amount_fen + 0 * window.bookings_2m\"\nbelow = 50");
    assert_eq!(alerts(&one, &[(45, None), (44, Some(&other)), (43, None)]), [45, 44]);
}

#[test]
fn a_snapshot_is_of_the_line_that_it_was_made_with() {
    let (one, other) =
        (of("value = \"event.amount_fen\"\nbelow = 50"), of("value = \"event.amount_fen\"\nbelow = 51"));
    let mut bytes = Vec::new();
    Worker::new(one.clone()).write_snapshot(0, Span { from: None, to: 0 }, &mut bytes).unwrap();
    assert!(Worker::restore(one, 0, [bytes.as_slice()]).is_ok());
    assert!(Worker::restore(other, 0, [bytes.as_slice()]).is_err());
}
