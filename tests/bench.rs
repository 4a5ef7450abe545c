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
        assert!(told["refused_share"] == 0.0, "{told}");
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
fn what_is_refused_is_counted_apart_and_ends_it_with_1() {
    let installation = Installation::new();
    let (requests, result) = (installation.path("requests.ndjson"), installation.path("result.json"));
    let server = installation.serve();
    let (file, json) = (requests.to_str().expect("UTF-8"), result.to_str().expect("UTF-8"));
    let bench = |of: &[String], load: &[&str]| {
        fs::write(&requests, of.join("\n")).expect("writable");
        let args = ["bench", "--server", &server.url, "--file", file, "--seconds", "1", "--warmup", "0"];
        let output = installation.output(&[&args[..], &["--json", json], load].concat());
        assert_eq!(output.status.code(), Some(1), "{load:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("times no decision") && said.contains("no_such_product"), "{said}");
        let told: Json = serde_json::from_str(&fs::read_to_string(&result).expect("written")).expect("JSON");
        let codes = told["refused"].as_object().expect("by code");
        assert_eq!(codes.len(), 1, "{told}");
        let (code, refused) = codes.iter().next().expect("one");
        let refused = refused.as_u64().expect("a count");
        assert!(said.contains(&format!("refused: {refused} of ")) && said.contains(code), "{said}");
        let count = |name: &str| told[name].as_u64().expect("a count");
        let heard = refused + count("answered") + count("late");
        assert_eq!(told["refused_share"].as_f64(), Some(refused as f64 / heard as f64), "{told}");
        (refused, told, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (good, bad) = (request("c1"), request("c1").replace("loan", "no_such_product"));
    for load in [
        &["--in-flight", "4"][..],
        &["--mode", "stream", "--in-flight", "4"],
        &["--mode", "batch", "--batch", "10", "--in-flight", "1"],
    ] {
        let (refused, told, said) = bench(&[good.clone(), bad.clone()], load);
        let answered = told["answered"].as_u64().expect("a count");
        assert!(refused > 0 && answered > 0 && said.contains("requests got no decision"), "{told} {said}");
        // Requests take turns: as many are refused as are answered, but for what was in flight at the end.
        assert!(answered.abs_diff(refused) <= 20, "{told}");
        assert_eq!(told["per_second"].as_f64(), Some(answered as f64), "{told}");

        let (refused, told, said) = bench(std::slice::from_ref(&bad), load);
        assert!(refused > 0 && said.contains("no request got a decision within 1 s"), "{said}");
        assert_eq!((&told["answered"], &told["per_second"]), (&0.into(), &0.0.into()), "{told}");
        assert!(told["latency"]["p99_us"].is_null() && told["refused_share"] == 1.0, "{told}");
    }
}
