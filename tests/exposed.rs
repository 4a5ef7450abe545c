//! Exposure limits as a lender runs them: `tarim serve` in a process of its own, customers' groups from the datamart, and events of
//! large exposures for the warning pipeline.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::installation::{Installation, Server, alerted_on};
use serde_json::Value as Json;

const LIMITS: &str = r#"
[[limit]]
id = "single_customer"
zh = "单一客户"
en = "one customer"
scope = "member"
per = ["customer"]
hard = { fen = 10000 }

[[limit]]
id = "group"
zh = "集团客户"
en = "one group"
scope = "member"
per = ["group"]
hard = { fen = 12000 }

[groups]
along = ["same_city"]

[large_exposure]
ratio = "large_ratio"
of = "capital_fen"
fen = "large_fen"
"#;

const PARAMETERS: &str = r#"
[parameter.capital_fen]
zh = "资本净额（分）"
en = "net capital, in fen"
value = 200000
min = 1000
max = 900000

[parameter.large_ratio]
zh = "大额比例"
en = "share from which an exposure is large"
value = 0.025
min = 0.01
max = 0.025

[parameter.large_fen]
zh = "大额（分）"
en = "amount from which an exposure is large"
value = 6000
min = 100
max = 9000
"#;

const EDGES: &str = r#"
[[edge]]
name = "same_city"
zh = "同城"
en = "same city"
sql = """
SELECT a.member, a.customer_id AS from_id, b.customer_id AS to_id FROM customers a JOIN customers b
ON a.member = b.member AND a.city = b.city WHERE a.customer_id <> b.customer_id"""
"#;

/// From the example rulebook: what an event of an exposure is, and the rule about those that are not filed.
fn rule() -> String {
    let text = fs::read_to_string(example("warnings/guarantee.toml")).unwrap();
    let from = text.find("[[sequence]]\nid = \"G-008\"").expect("it is there");
    text[from..].to_owned()
}

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rulebook").join(name)
}

/// The small bank with limits, groups by city, and a warning rule. An exposure is large from 5,000 fen on.
fn bank() -> Installation {
    let bank = Installation::new();
    let put = |name: &str, text: &str| {
        let path = bank.path("rulebook").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let federation = fs::read_to_string(bank.path("rulebook/federation.toml")).unwrap();
    put("federation.toml", &(federation + PARAMETERS));
    put("limits/limits.toml", LIMITS);
    put("features/edges/edges.toml", EDGES);
    let standard = fs::read_to_string(example("standards/event_exposure.toml")).unwrap();
    put("standards/event_exposure.toml", &standard);
    put("warnings/limits.toml", &rule());
    bank.run(&["rulebook", "publish"]);
    bank
}

fn reserve(bank: &Installation, server: &Server, exposure: &str, customer: &str, fen: &str) {
    let args = ["exposure", "reserve", exposure, "--server", &server.url, "--member", "001"];
    bank.run(&[&args[..], &["--customer", customer, "--fen", fen]].concat());
}

fn file_large(bank: &Installation, server: &Server, large: &str) {
    let args = ["exposure", "file", large, "--server", &server.url, "--member", "001"];
    bank.run(&[&args[..], &["--reference", "F-1", "--officer", "zhang"]].concat());
}

/// Customer, what happened, to what, and how much it was.
fn told(lines: &str) -> Vec<(String, String, String, i64)> {
    let text = |json: &Json| json.as_str().expect("a text").to_owned();
    let events = lines.lines().map(|line| serde_json::from_str::<Json>(line).expect("JSON"));
    let events = events.map(|e| {
        let of = &e["exposure"];
        (text(&e["customer_id"]), text(&of["what"]), text(&of["counter"]), of["used_fen"].as_i64().unwrap())
    });
    events.collect()
}

fn expected(of: &[(&str, &str, &str, i64)]) -> Vec<(String, String, String, i64)> {
    of.iter()
        .map(|(c, what, counter, fen)| (c.to_string(), what.to_string(), counter.to_string(), *fen))
        .collect()
}

#[test]
fn large_exposures_are_told_and_warned_of_until_they_are_filed() {
    let bank = bank();
    let events = bank.path("home/exposure/events.ndjson");
    let told_now = || told(&fs::read_to_string(&events).unwrap_or_default());

    // With a source of warnings it tells all that it can: nobody has written there yet.
    let warnings = bank.path("warnings");
    let with = ["--no-groups", "--warnings", warnings.to_str().unwrap()];
    let server = bank.serve_with(&with, Stdio::inherit());
    reserve(&bank, &server, "a1", "c1", "4000");
    reserve(&bank, &server, "a2", "c1", "2000");
    reserve(&bank, &server, "b1", "c2", "5001");
    server.wait_for("tarim_exposure_events_told_total", 2.0);
    let all = server.metrics();
    let is_told = |metric: &str| all.lines().any(|line| line.split(['{', ' ']).next() == Some(metric));
    for metric in alerted_on("tarim_") {
        assert!(is_told(&metric), "an alert asks for {metric}, which nobody tells");
    }
    // Killed before anything says that it was told; it is told once more, as the same event.
    let first = fs::read_to_string(&events).unwrap();
    server.kill();
    fs::remove_file(bank.path("home/exposure/events.told")).unwrap();
    fs::write(&events, first.clone() + "{\"event_id\": \"large-3-").unwrap();
    let server = bank.serve_with(&["--no-groups"], Stdio::inherit());
    server.wait_for("tarim_exposure_events_told_total", 2.0);
    assert_eq!(fs::read_to_string(&events).unwrap(), first.clone() + &first, "byte for byte");
    fs::write(&events, first).unwrap();
    reserve(&bank, &server, "a3", "c1", "100");
    file_large(&bank, &server, "1");
    // Whoever stops has told all.
    assert!(server.terminate().success());
    let all = expected(&[
        ("c1", "large", "large/customer/1", 6000),
        ("c2", "large", "large/customer/2", 5001),
        ("c1", "large_grown", "large/customer/1", 6100),
        ("c1", "large_filed", "large/customer/1", 6100),
    ]);
    assert_eq!(told_now(), all);
    let shown = bank.run(&["exposure", "events"]);
    assert_eq!(shown, fs::read_to_string(&events).unwrap());
    let last = serde_json::from_str::<Json>(shown.lines().last().unwrap()).unwrap();
    let sequence = last["event_id"].as_str().unwrap().split('-').nth(2).unwrap();
    assert_eq!(told(&bank.run(&["exposure", "events", "--from", sequence])), all[3..]);

    // Eleven days later nothing else has happened.
    let at = last["happened_at"].as_str().unwrap();
    let day = bank.path("later.ndjson");
    let later: i64 = at[..4].parse::<i64>().unwrap() + 1;
    fs::write(&day, shown + &format!("{{\"happened_at\": \"{later}-12-31T00:00:00Z\", \"tick\": {{}}}}\n"))
        .unwrap();
    let alerts = bank.path("alerts.ndjson");
    bank.run(&["warn", "replay", "--from", day.to_str().unwrap(), "--to", alerts.to_str().unwrap()]);
    let alerts: Vec<Json> =
        fs::read_to_string(&alerts).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let raised: Vec<_> = alerts.iter().map(|a| (a["rule_id"].as_str(), a["customer_id"].as_str())).collect();
    assert_eq!(raised, [(Some("G-008"), Some("c2"))], "{alerts:?}");
}

#[test]
fn groups_of_the_datamart_grow_while_serving() {
    let bank = bank();
    let server = bank.serve_with(&["--groups-every", "1s"], Stdio::inherit());
    reserve(&bank, &server, "a1", "c1", "4000");
    reserve(&bank, &server, "d1", "c4", "4000");
    let more = bank.path("more");
    fs::create_dir(&more).unwrap();
    let customers = "member,customer_id,since,city,salary\n001,c4,2026-01-01T00:00:00Z,Nanning,1\n";
    fs::write(more.join("customers.csv"), customers).unwrap();
    bank.run(&["load", more.to_str().unwrap()]);
    server.wait_for("tarim_exposure_regrouped_total", 2.0);
    let args = ["exposure", "reserve", "a2", "--server", &server.url, "--member", "001"];
    let too_much = bank.output(&[&args[..], &["--customer", "c1", "--fen", "5000"]].concat());
    let said = String::from_utf8_lossy(&too_much.stderr).into_owned();
    assert!(!too_much.status.success() && said.contains("`group`"), "{said}");
    assert!(server.terminate().success());
    let events = told(&bank.run(&["exposure", "events"]));
    assert_eq!(events, expected(&[("c1", "large", "large/group/1", 8000)]));
}

#[test]
fn a_ledger_that_holds_something_is_not_taken_into_the_future() {
    let bank = bank();
    let server = bank.serve_with(&["--no-groups"], Stdio::inherit());
    reserve(&bank, &server, "a1", "c1", "4000");
    assert!(server.terminate().success());
    let refused = bank.output(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--no-metrics",
        "--no-groups",
        "--now",
        "2199-01-01",
    ]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("--now 2199-01-01"), "{said}");
    // A time that has passed changes nothing.
    let server = bank.serve_with(&["--no-groups", "--now", "2026-06-30"], Stdio::inherit());
    reserve(&bank, &server, "a2", "c1", "1");
    assert!(server.terminate().success());
}

/// The same over Kafka, as it is on several machines.
///
/// `.ci/kafka run -- cargo test --test suite exposed::`; without TARIM_KAFKA it skips.
#[test]
fn large_exposures_are_told_over_kafka() {
    let Ok(brokers) = std::env::var("TARIM_KAFKA") else {
        println!("skipped: no TARIM_KAFKA; run it as `.ci/kafka run -- cargo test --test suite exposed::`");
        return;
    };
    let bank = bank();
    let on = ["--events-brokers", &brokers, "--events-topic", "exposed.events", "--no-groups"];
    let server = bank.serve_with(&on, Stdio::inherit());
    // Nobody has made the topic: it waits.
    reserve(&bank, &server, "a1", "c1", "6000");
    server.wait_for("tarim_exposure_events_failing", 1.0);
    assert_eq!(server.metric("tarim_exposure_events_told_total"), 0.0);
    server.kill();
    let topics = ["--events", "exposed.events", "--alerts", "exposed.alerts", "--dead", "exposed.dead"];
    let init = ["warn", "init", "--brokers", &brokers, "--partitions", "3", "--changes", "exposed.changes"];
    let more = ["--standing", "exposed.standing", "--pushes", "exposed.pushes"];
    bank.run(&[&init[..], &topics, &more].concat());
    let server = bank.serve_with(&on, Stdio::inherit());
    reserve(&bank, &server, "b1", "c2", "5001");
    file_large(&bank, &server, "1");
    server.wait_for("tarim_exposure_events_told_total", 3.0);
    server.kill();
    // Told again after a crash, with the same ids.
    fs::remove_file(bank.path("home/exposure/events.told")).unwrap();
    let server = bank.serve_with(&on, Stdio::inherit());
    server.wait_for("tarim_exposure_events_told_total", 3.0);
    assert!(server.terminate().success());

    let read = Command::new("kcat")
        .args(["-b", &brokers, "-C", "-t", "exposed.events", "-e", "-q", "-f", "%p %k\n"])
        .output()
        .expect("kcat is installed (apt-get install kcat)");
    let read = String::from_utf8(read.stdout).unwrap();
    let of = |key: &str| {
        let all: Vec<_> = read.lines().filter_map(|line| line.split_once(' ')).collect();
        let of: Vec<_> = all.iter().filter(|(_, k)| *k == key).map(|(partition, _)| *partition).collect();
        assert!(of.windows(2).all(|two| two[0] == two[1]), "one customer, one partition: {read}");
        of.len()
    };
    assert_eq!((of("001/c1"), of("001/c2")), (4, 2), "{read}");
    // The pipeline takes them all.
    let run = ["warn", "run", "--brokers", &brokers, "--until-end"];
    bank.run(&[&run[..], &topics].concat());
    let dead =
        Command::new("kcat").args(["-b", &brokers, "-C", "-t", "exposed.dead", "-e", "-q"]).output().unwrap();
    assert!(dead.stdout.is_empty(), "{}", String::from_utf8_lossy(&dead.stdout));
}
