//! Each rule of the example rulebook fires where it should: `tests/scenarios.toml`. A rule without a scenario is a failure.
//!
//! A scenario is a log as in `cases.rs`, over the example rulebook, and all alerts that come of it, in order: the rule, and the
//! customer if it is not 001/c1. What is known of entities is a generation that holds from the beginning. A line may stand for
//! several events: `time x20 +1h customer kind fields` is 20 of them, an hour apart, with `#` for the number of each.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Arc, OnceLock},
};

use serde::Deserialize;
use serde_json::Value as Json;
use tarim_datamart::gate::parse;
use tarim_warning::{core::Worker, rulebook::WarningBook};

use crate::{
    cases::{Setting, edges, run},
    support::{
        Record, event,
        known::{Rows, Store},
        tick,
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scenario: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    #[serde(default)]
    edges: Vec<String>,
    #[serde(default)]
    known: Rows,
    log: String,
    fires: Vec<String>,
}

fn example() -> Arc<WarningBook> {
    static BOOK: OnceLock<Arc<WarningBook>> = OnceLock::new();
    let read = || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rulebook");
        Arc::new(WarningBook::read(&folder).unwrap_or_else(|p| panic!("{p}")))
    };
    BOOK.get_or_init(read).clone()
}

#[test]
fn every_example_rule_fires_where_it_should() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios.toml");
    let file: File = toml::from_str(&fs::read_to_string(file).unwrap()).unwrap_or_else(|e| panic!("{e}"));
    let mut failures = Vec::new();
    let mut fired = BTreeSet::new();
    for scenario in &file.scenario {
        let found = scenario.run();
        if found != scenario.fires {
            failures.push(format!("{}\n  fires {found:?}\n  not   {:?}", scenario.name, scenario.fires));
        }
        fired.extend(found.iter().filter_map(|alert| alert.split(' ').next()).map(str::to_owned));
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), file.scenario.len(), failures.join("\n"));
    let book = example();
    let never: Vec<&str> =
        book.rules().iter().map(|rule| rule.id.as_str()).filter(|id| !fired.contains(*id)).collect();
    assert!(never.is_empty(), "no scenario makes these fire: {never:?}");
}

impl Scenario {
    /// What fires, in order.
    fn run(&self) -> Vec<String> {
        let book = example();
        let mut store = Store::new();
        let version = store.publish(&book, parse::timestamp("2026-01-01T00:00:00Z").unwrap(), &self.known);
        let edges = edges(&book, &self.edges).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let setting = Setting { book: book.clone(), store, edges };
        let known =
            serde_json::json!({ "happened_at": "2026-01-01T00:00:00Z", "features": { "version": version } });
        let mut records = vec![Record::json(&known)];
        for (n, line) in (1..).zip(self.log.lines().map(str::trim).filter(|line| !line.is_empty())) {
            let all = events(n, line).unwrap_or_else(|| panic!("{}: line {n} is no event", self.name));
            records.extend(all.iter().map(Record::json));
        }
        let out = run(&mut Worker::new(book), (0, &mut 0), &records, &setting);
        let refused = out.iter().flat_map(|out| &out.dead).map(|letter| letter.reason.as_str()).next();
        assert_eq!(refused, None, "{}", self.name);
        let said = |(member, customer, rule): (&str, &str, &str)| match (member, customer) {
            ("001", "c1") => rule.to_owned(),
            ("001", _) => format!("{rule} {customer}"),
            _ => format!("{rule} {member}/{customer}"),
        };
        let alerts = out.iter().flat_map(|out| &out.alerts);
        alerts.map(|a| said((&a.member, &a.customer_id, &a.rule_id))).collect()
    }
}

/// The events of a line.
fn events(number: usize, line: &str) -> Option<Vec<Json>> {
    let (time, rest) = line.split_once(' ')?;
    if rest == "tick" {
        return Some(vec![tick(time)]);
    }
    let (count, step_us, rest) = match rest.strip_prefix('x') {
        None => (1, 0, rest),
        Some(rest) => {
            let (count, rest) = rest.split_once(" +")?;
            let (step, rest) = rest.split_once(' ')?;
            let (step, unit) = step.split_at_checked(step.len().checked_sub(1)?)?;
            let unit_s = match unit {
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return None,
            };
            (count.parse().ok()?, step.parse::<i64>().ok()? * unit_s * 1_000_000, rest)
        }
    };
    let (customer, rest) = rest.split_once(' ')?;
    let (kind, body) = rest.split_once(' ')?;
    let first_us = parse::timestamp(time)?;
    let one = |i: i64| {
        let body = serde_json::from_str(&body.replace('#', &i.to_string())).ok()?;
        let mut event = event(&format!("e{number}-{i}"), customer, time, kind, body);
        event["happened_at"] = (first_us + i * step_us).into();
        Some(event)
    };
    (0..count).map(one).collect()
}
