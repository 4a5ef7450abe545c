//! A pipeline on a real Kafka, watched as Prometheus does.
//!
//! `.ci/kafka run -- cargo test --test suite warn_metrics_kafka::`; without TARIM_KAFKA it skips.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value as Json;

use crate::{
    installation::{Server, alerted_on},
    warn_desk::Desk,
};

/// Every metric that the dashboard asks for.
fn asked(dashboard: &Path) -> Vec<String> {
    let text = fs::read_to_string(dashboard).expect("it is there");
    let json: Json = serde_json::from_str(&text).expect("JSON");
    let targets =
        json["panels"].as_array().expect("panels").iter().flat_map(|panel| panel["targets"].as_array());
    let expressions = targets.flatten().map(|target| target["expr"].as_str().expect("text"));
    let words = expressions.flat_map(|e| e.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words.filter(|word| word.starts_with("tarim_")).map(str::to_owned).collect()
}

#[test]
fn a_pipeline_tells_how_far_it_is_and_what_it_found() {
    let Ok(brokers) = std::env::var("TARIM_KAFKA") else {
        println!(
            "skipped: no TARIM_KAFKA; run it as `.ci/kafka run -- cargo test --test suite warn_metrics_kafka::`"
        );
        return;
    };
    let desk = Desk::new();
    let bank = desk.path("bank");
    desk.ok(&["synth", "--out", &bank, "--customers", "400", "--seed", "11"]);
    desk.ok(&["load", &format!("{bank}/list_entries.csv")]);
    desk.ok(&["materialize"]);
    let on = ["--brokers", &brokers, "--events", "watched.events", "--dead", "watched.dead"];
    let alerts = ["--alerts", "watched.alerts.{level}"];
    desk.ok(&[&["warn", "init", "--partitions", "2"][..], &on, &alerts].concat());
    desk.ok(&[&["warn", "features"][..], &on].concat());
    let from = format!("{bank}/events/events.ndjson");
    desk.ok(&[&["warn", "send", "--from", &from][..], &on].concat());

    // What a file replay of the same history gives, so much is counted.
    let replayed = desk.path("alerts.ndjson");
    desk.ok(&["warn", "replay", "--no-contagion", "--from", &from, "--to", &replayed]);
    let dead = fs::read_to_string(desk.path("alerts.dead.ndjson")).expect("written");
    let replayed = fs::read_to_string(replayed).expect("written");
    let mut rules: BTreeMap<(String, String), f64> = BTreeMap::new();
    for line in replayed.lines() {
        let alert: Json = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| alert[name].as_str().expect("text").to_owned();
        *rules.entry((text("rule_id"), text("level"))).or_default() += 1.0;
    }
    let events = fs::read_to_string(&from).expect("written").lines().count() as f64;

    let mut command = desk.tarim();
    command.args(["warn", "run", "--no-contagion", "--tick-s", "0", "--metrics", "127.0.0.1:0"]);
    let running = Server::start(command.args(on).args(alerts), "metrics at ");
    for partition in ["0", "1"] {
        running.wait_for(&format!("tarim_warn_lag_events{{partition=\"{partition}\"}}"), 0.0);
    }
    let both = |name: &str| -> f64 {
        ["0", "1"].map(|p| running.metric(&format!("{name}{{partition=\"{p}\"}}"))).iter().sum()
    };
    // And a change of features in each partition.
    assert_eq!(both("tarim_warn_events_total"), events + 2.0);
    assert_eq!(both("tarim_warn_alerts_total"), replayed.lines().count() as f64);
    assert_eq!(both("tarim_warn_dead_letters_total"), dead.lines().count() as f64);
    let why = |reason: &str| dead.lines().filter(|letter| letter.contains(reason)).count() as f64;
    let late = why("are allowed (pipeline.lateness");
    assert_eq!(both("tarim_warn_late_events_total"), late);
    assert_eq!(both("tarim_warn_invalid_events_total"), dead.lines().count() as f64 - late);
    assert_eq!(both("tarim_warn_unreadable_records_total") + both("tarim_warn_misplaced_events_total"), 0.0);
    assert!(both("tarim_warn_customers") > 100.0 && both("tarim_warn_transactions_total") >= 2.0);
    assert!(both("tarim_warn_committing_seconds_total") > 0.0);
    for ((rule, level), count) in &rules {
        let name = format!("tarim_warn_rule_alerts_total{{rule=\"{rule}\",level=\"{level}\"}}");
        assert_eq!(running.metric(&name), *count, "{name}");
    }
    let told = running.metrics();
    for metric in asked(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/grafana/warnings.json"))) {
        assert!(
            told.contains(&format!("\n{metric}{{")),
            "the dashboard asks for {metric}, which nobody tells"
        );
    }
    for metric in alerted_on("tarim_warn_") {
        assert!(told.contains(&format!("\n{metric}{{")), "an alert asks for {metric}, which nobody tells");
    }
    assert!(running.terminate().success());
}
