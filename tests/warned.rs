//! What stands against a customer decides: `tarim warn serve` and `tarim serve` on one machine, with no other server.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use crate::installation::{Installation, Server};
use serde_json::Value as Json;

const RULE: &str = r#"
stage = "admission"

[[rule]]
id = "W1"
zh = "存在红色预警"
en = "a red warning stands"
when = "warning.red > 0"
then = "refer"
show = ["warning.open", "warning.gravest"]
"#;

/// The small bank with a policy that asks for warnings.
fn bank() -> Installation {
    let bank = Installation::new();
    fs::write(bank.path("rulebook/policies/warned.toml"), RULE).unwrap();
    bank.run(&["rulebook", "publish"]);
    bank
}

/// A file of alerts about customers, each red.
fn alerts(bank: &Installation, customers: &[&str]) -> String {
    let file = bank.path("alerts.ndjson");
    let lines: Vec<String> =
        customers.iter().enumerate().map(|(n, customer)| red(n, customer) + "\n").collect();
    fs::write(&file, lines.concat()).unwrap();
    file.to_str().unwrap().to_owned()
}

fn red(n: usize, customer: &str) -> String {
    format!(
        r#"{{"alert_id": "{n:032x}", "member": "001", "customer_id": "{customer}", "rule_id": "T-004", "level": "red", "raised_at": "2026-06-30T08:00:00Z"}}"#
    )
}

/// Outcome, and what the reason W1 shows, if it is given.
fn decide(bank: &Installation, server: &Server, id: &str, customer: &str) -> (String, Option<Json>) {
    let application = format!(r#"{{"customer_id": "{customer}", "amount_fen": 5000000}}"#);
    let mut args = vec!["decide", "--server", &server.url, "--member", "001", "--product", "loan", "--json"];
    args.extend(["--request-id", id, "--application", &application]);
    let decision: Json = serde_json::from_str(&bank.run(&args)).unwrap();
    let reason = decision["reasons"].as_array().unwrap().iter().find(|reason| reason["id"] == "W1");
    (decision["outcome"].as_str().unwrap().to_owned(), reason.cloned())
}

/// `tarim warn ack` and its like.
fn deal_with(bank: &Installation, desk: &Server, verb: &str, alert: usize) {
    let by = ["--member", "001", "--by", "zhang", "--why", "all is well", "--server", &desk.url];
    bank.run(&[&["warn", verb, &format!("{alert:032x}")][..], &by].concat());
}

#[test]
fn a_red_warning_refers_until_it_is_dealt_with() {
    let bank = bank();
    let folder = bank.path("warnings").to_str().unwrap().to_owned();
    let outcome = |server: &Server, id: &str, customer: &str| decide(&bank, server, id, customer).0;

    let server = bank.serve();
    let (unknown, why) = decide(&bank, &server, "nobody-tells", "c1");
    assert_eq!(unknown, "REFER", "{why:?}");
    assert!(why.is_some_and(|why| why["unknown"] == true), "unknown is not none");
    assert!(server.terminate().success());

    let with = ["--warnings", &folder, "--warnings-stale-after", "1h"];
    let server = bank.serve_with(&with, Stdio::inherit());
    assert_eq!(outcome(&server, "no-ledger-yet", "c1"), "REFER");
    assert_eq!(server.metric("tarim_warnings_known"), 0.0);

    let desk = bank.watch(&["--state", &folder, "--alerts-file", &alerts(&bank, &[])]);
    server.wait_for("tarim_warnings_known", 1.0);
    assert_eq!(outcome(&server, "none", "c1"), "APPROVE");
    // Killed, and there again with alerts: who follows goes on.
    desk.kill();
    let desk = bank.watch(&["--state", &folder, "--alerts-file", &alerts(&bank, &["c1", "c9"])]);
    server.wait_for("tarim_warnings_customers", 2.0);
    let (red, why) = decide(&bank, &server, "red", "c1");
    assert_eq!(red, "REFER");
    let why = why.expect("the rule fired").to_string();
    assert!(why.contains("red") && why.contains("warning.open"), "{why}");
    assert_eq!(outcome(&server, "another", "c2"), "APPROVE");

    for (verb, standing) in [("ack", 2.0), ("dispose", 1.0), ("close", 1.0)] {
        let read = server.metric("tarim_warnings_read_total");
        deal_with(&bank, &desk, verb, 0);
        server.wait_for("tarim_warnings_read_total", read + 1.0);
        assert_eq!(server.metric("tarim_warnings_customers"), standing, "{verb}");
        let expected = if verb == "ack" { "REFER" } else { "APPROVE" };
        assert_eq!(outcome(&server, verb, "c1"), expected, "{verb}");
    }
    assert!(desk.terminate().success());
    assert!(server.terminate().success());

    // Nobody writes the ledger any more, and what it says grows old.
    let with = ["--warnings", &folder, "--warnings-stale-after", "1s"];
    let server = bank.serve_with(&with, Stdio::inherit());
    server.wait_for("tarim_warnings_known", 0.0);
    assert_eq!(outcome(&server, "old", "c1"), "REFER");
    assert!(server.terminate().success());
    let replayed = bank.run(&["replay"]);
    assert!(replayed.contains("9 decisions made again"), "{replayed}");
}

/// The same over Kafka, as it is on several machines: one topic has the last word on each customer.
///
/// `.ci/kafka run -- cargo test --test suite warned::`; without TARIM_KAFKA it skips.
#[test]
fn what_stands_is_heard_over_kafka() {
    let Ok(brokers) = std::env::var("TARIM_KAFKA") else {
        println!("skipped: no TARIM_KAFKA; run it as `.ci/kafka run -- cargo test --test suite warned::`");
        return;
    };
    let bank = bank();
    let topics =
        ["--alerts", "warned.alerts.{level}", "--changes", "warned.changes", "--standing", "warned.standing"];
    let on = ["--brokers", &brokers];
    let init = ["warn", "init", "--partitions", "3", "--events", "warned.events", "--dead", "warned.dead"];
    bank.run(&[&init[..], &on, &topics].concat());
    let watch = |state: &str| {
        bank.watch(&[&on[..], &topics, &["--state", bank.path(state).to_str().unwrap()]].concat())
    };
    let hears = [
        "--warnings-brokers",
        &brokers,
        "--warnings-topic",
        "warned.standing",
        "--warnings-stale-after",
        "1h",
    ];
    let raise = |n: usize, customer: &str| {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &brokers, "-P", "-t", "warned.alerts.red", "-p", &(n % 3).to_string()]);
        let mut kcat = kcat.stdin(Stdio::piped()).spawn().expect("kcat is installed (apt-get install kcat)");
        writeln!(kcat.stdin.take().unwrap(), "{}", red(n, customer)).unwrap();
        assert!(kcat.wait().unwrap().success());
    };
    let outcome = |server: &Server, id: &str, customer: &str| decide(&bank, server, id, customer).0;

    let server = bank.serve_with(&hears, Stdio::inherit());
    assert_eq!(outcome(&server, "no-beat-yet", "c1"), "REFER");
    let desk = watch("one");
    server.wait_for("tarim_warnings_known", 1.0);
    assert_eq!(outcome(&server, "none", "c1"), "APPROVE");
    raise(0, "c1");
    raise(1, "c2");
    server.wait_for("tarim_warnings_customers", 2.0);
    assert_eq!(outcome(&server, "red", "c1"), "REFER");
    deal_with(&bank, &desk, "ack", 0);
    deal_with(&bank, &desk, "dispose", 0);
    server.wait_for("tarim_warnings_customers", 1.0);
    assert_eq!(outcome(&server, "disposed", "c1"), "APPROVE");
    // Killed, and there again: it tells the whole anew, and goes on.
    desk.kill();
    raise(2, "c3");
    let desk = watch("one");
    server.wait_for("tarim_warnings_customers", 2.0);
    assert_eq!(outcome(&server, "after-kill", "c3"), "REFER");
    assert!(server.terminate().success());
    // Who begins later reads the same.
    let server = bank.serve_with(&hears, Stdio::inherit());
    server.wait_for("tarim_warnings_known", 1.0);
    assert_eq!(server.metric("tarim_warnings_customers"), 2.0);
    assert_eq!(outcome(&server, "late", "c1"), "APPROVE");
    assert_eq!(outcome(&server, "late-red", "c2"), "REFER");
    assert!(desk.terminate().success());
    // Another ledger, to which what was done is unknown: it reads all alerts, and has the last word.
    let desk = watch("two");
    server.wait_for("tarim_warnings_customers", 3.0);
    assert_eq!(outcome(&server, "anew", "c1"), "REFER");
    assert!(desk.terminate().success());
    assert!(server.terminate().success());
    assert!(bank.run(&["replay"]).contains("8 decisions made again"));
}
