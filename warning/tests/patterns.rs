//! Patterns against what they mean, told in the simplest way: whoever looks at the whole log at once needs neither episodes
//! nor timers. Over random logs, in order.

use std::collections::BTreeMap;

use crate::support::{
    Record, book,
    random::{Course, HOUR_US, Said, log, time_of},
    run,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;
use tarim_warning::core::Worker;

const DAY_US: i64 = 24 * HOUR_US;

/// Rule, customer and key, time.
type Told = (&'static str, String, i64);

/// An event of a log.
struct Event<'j> {
    at_us: i64,
    kind: &'j str,
    /// Member, customer, and the fields of the key.
    key: String,
    body: &'j Json,
}

fn events<'j>(log: &'j [Said], kinds: &[&str], key: &[&str]) -> Vec<Event<'j>> {
    let event = |json: &'j Json| {
        let head = json.as_object().unwrap();
        let (kind, body) = head.iter().find(|(_, v)| v.is_object())?;
        let mut all = vec![head.get("member")?.to_string(), head.get("customer_id")?.to_string()];
        all.extend(key.iter().map(|field| body[field].to_string()));
        kinds.contains(&kind.as_str()).then(|| Event { at_us: time_of(json), kind, key: all.join("/"), body })
    };
    log.iter().filter_map(|(_, json)| event(json)).collect()
}

/// `first` is not followed by `then` within a time, and the log goes on longer than that; nor, where they are of different
/// kinds, was it preceded by that a shorter time before.
fn unfollowed(
    log: &[Said],
    events: &[Event<'_>],
    first: &str,
    then: &str,
    (before_us, within_us): (i64, i64),
) -> Vec<(String, i64)> {
    let end = log.iter().map(|(_, json)| time_of(json)).max().unwrap_or(i64::MIN);
    let mut told = Vec::new();
    for (i, event) in events.iter().enumerate().filter(|(_, e)| e.kind == first) {
        let deadline = event.at_us + within_us;
        let follows = |e: &Event<'_>| e.kind == then && e.key == event.key && e.at_us <= deadline;
        let precedes = |e: &Event<'_>| first != then && e.at_us >= event.at_us - before_us && follows(e);
        if deadline < end && !events[i + 1..].iter().any(follows) && !events[..i].iter().any(precedes) {
            told.push((event.key.clone(), deadline));
        }
    }
    told
}

/// Of alerts of a rule those that are not held back.
fn not_quiet(mut alerts: Vec<(String, i64)>, quiet_us: i64) -> Vec<(String, i64)> {
    alerts.sort_by_key(|(_, at)| *at);
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    alerts.retain(|(key, at)| match last.get(key) {
        Some(since) if at - since < quiet_us => false,
        _ => last.insert(key.clone(), *at) != Some(*at),
    });
    alerts
}

fn wanted(log: &[Said]) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    let mut add = |rule: &'static str, alerts: Vec<(String, i64)>| {
        told.extend(alerts.into_iter().map(|(key, at)| (rule, key, at)));
    };
    let collateral = events(log, &["collateral_value"], &["collateral_id"]);
    let old = unfollowed(log, &collateral, "collateral_value", "collateral_value", (0, 10 * DAY_US));
    add("G-4", not_quiet(old, 20 * DAY_US));
    let due = events(log, &["repayment_due", "repayment_paid"], &["loan_id", "instalment"]);
    let unpaid = unfollowed(log, &due, "repayment_due", "repayment_paid", (2 * DAY_US, 5 * DAY_US));
    add("R-9", not_quiet(unpaid, 25 * DAY_US));
    let loans = events(log, &["loan_disbursed", "repayment_paid"], &["loan_id"]);
    let mut repaid = Vec::new();
    // A loan fires with the first late repayment of it.
    for (i, loan) in loans.iter().enumerate().filter(|(_, e)| e.kind == "loan_disbursed") {
        let late = |e: &&Event<'_>| e.kind == "repayment_paid" && e.key == loan.key && e.body["dpd"] != 0;
        let first = loans[i + 1..].iter().find(late).filter(|e| e.at_us <= loan.at_us + 3 * DAY_US);
        repaid.extend(first.map(|e| (e.key.clone(), e.at_us)));
    }
    add("F-4", not_quiet(repaid, HOUR_US));
    told.sort();
    told
}

#[test]
fn patterns_mean_what_they_say() {
    let count: u64 = std::env::var("TARIM_SEEDS").map_or(40, |n| n.parse().expect("a number"));
    let mut alerts = 0;
    for seed in 0..count {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let ticks = rng.random_bool(0.5);
        let log = log(Course { events: 600, late_h: 0, ticks }, &mut rng);
        let records: Vec<Record> = log.iter().map(|(_, json)| Record::json(json)).collect();
        let mut worker = Worker::new(book());
        let out = run(&mut worker, 0, &records);
        let mut found: Vec<Told> = Vec::new();
        for alert in out.iter().flat_map(|out| &out.alerts) {
            let Some(rule) = ["G-4", "R-9", "F-4"].into_iter().find(|r| *r == alert.rule_id) else {
                continue;
            };
            let text = |s: &str| Json::String(s.replace("\\/", "/")).to_string();
            let key: Vec<String> = match rule {
                // A loan and the number of an instalment.
                "R-9" => {
                    let (loan, instalment) = alert.key.rsplit_once('/').unwrap();
                    vec![text(loan), instalment.to_owned()]
                }
                _ => vec![text(&alert.key)],
            };
            let head = [text(&alert.member), text(&alert.customer_id)];
            found.push((rule, [&head[..], &key].concat().join("/"), alert.raised_at_us));
        }
        found.sort();
        assert_eq!(found, wanted(&log), "seed {seed}");
        alerts += found.len();
    }
    assert!(alerts > 20 * count as usize, "only {alerts} alerts");
}
