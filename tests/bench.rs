//! `tarim bench` against a server, as a user runs it.

use std::fs;

use crate::installation::Installation;
use serde_json::Value as Json;

fn request(customer: &str) -> String {
    format!(
        r#"{{"member": "001", "product": "loan", "application": {{"customer_id": "{customer}", "amount_fen": 4000000}}}}"#
    )
}

#[test]
fn every_mode_counts_what_the_server_decided() {
    let installation = Installation::new();
    let requests = installation.path("requests.ndjson");
    fs::write(&requests, ["c1", "c2", "bad"].map(request).join("\n")).expect("writable");
    let result = installation.path("result.json");
    let server = installation.serve();
    let path = |path: &std::path::PathBuf| path.to_str().expect("UTF-8").to_owned();
    let mut answered = 0;
    for load in [
        &["--in-flight", "8"][..],
        &["--rate", "500", "--connections", "2"],
        &["--mode", "stream", "--in-flight", "32", "--connections", "3"],
        &["--mode", "batch", "--batch", "20", "--in-flight", "2"],
    ] {
        let (requests, result) = (path(&requests), path(&result));
        let mut args = vec!["bench", "--server", &server.url, "--file", &requests, "--json", &result];
        args.extend(["--seconds", "1", "--warmup", "0"]);
        args.extend(load);
        let table = installation.run(&args);
        let told: Json = serde_json::from_str(&fs::read_to_string(&result).expect("written")).expect("JSON");
        let count = told["answered"].as_u64().expect("a count");
        assert!(count > 0 && told["refused"] == serde_json::json!({}), "{told}");
        assert!(table.contains(&count.to_string()) && table.contains("p99 µs"), "{table}");
        let at = |name: &str| told["latency"][format!("{name}_us")].as_f64().expect("a latency");
        assert!(0.0 < at("p50") && at("p50") <= at("p99") && at("p99") <= at("max"), "{told}");
        answered += count;
    }
    assert!(server.terminate().success());
    // Each under an id of its own; what was asked for at the very end may have been decided uncounted.
    let replayed = installation.run(&["replay"]);
    let made: u64 = replayed
        .split_whitespace()
        .zip(replayed.split_whitespace().skip(1))
        .find_map(|(count, what)| {
            (what == "decisions").then(|| count.replace(',', "").parse().expect("a count"))
        })
        .expect("a count of decisions");
    assert!(made >= answered, "{answered} were answered: {replayed}");
}

#[test]
fn a_request_without_a_decision_ends_it_with_1_and_says_why() {
    let installation = Installation::new();
    let requests = installation.path("requests.ndjson");
    fs::write(&requests, request("c1").replace("loan", "no_such_product")).expect("writable");
    let server = installation.serve();
    let file = requests.to_str().expect("UTF-8");
    let args = ["bench", "--server", &server.url, "--file", file, "--seconds", "1", "--warmup", "0"];
    let output = installation.output(&args);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("times no decision") && said.contains("no_such_product"), "{said}");
}
