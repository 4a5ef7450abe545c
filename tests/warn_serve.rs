//! `tarim warn serve` and the desk as a user runs them: a synthetic bank's alerts become warnings, which are dealt with.

mod warn_desk;

use serde_json::Value as Json;
use warn_desk::{Desk, text};

#[test]
fn warnings_of_a_bank_are_dealt_with_and_stay_so() {
    let desk = Desk::new();
    desk.ok(&["synth", "--out", &desk.path("bank"), "--customers", "400", "--seed", "11"]);
    let (events, alerts) = (desk.path("bank/events/events.ndjson"), desk.path("alerts.ndjson"));
    desk.ok(&["warn", "replay", "--no-contagion", "--from", &events, "--to", &alerts]);
    let written = std::fs::read_to_string(&alerts).unwrap();
    let raised: Vec<Json> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let member = raised[0]["member"].as_str().unwrap();

    let server = desk.serve(&["--alerts-file", &alerts]);
    let listed = server.json(&["list", "--member", member, "--limit", "100000"]);
    let of_member = raised.iter().filter(|alert| alert["member"] == member).count() as u64;
    let counted: u64 = listed.iter().map(|warning| warning["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, of_member, "each alert counts in one warning");
    assert!(listed.iter().all(|warning| warning["alert"]["member"] == member));
    let grave = listed.iter().filter(|w| w["level"] == "orange" || w["level"] == "red");
    assert!(grave.clone().count() > 0 && grave.clone().all(|w| w["inspection"]["kind"] == "unscheduled"));
    let red = server.json(&["list", "--member", member, "--level", "orange", "--limit", "100000"]);
    assert_eq!(red.len(), grave.count());

    let warning = red[0]["warning_id"].as_str().unwrap();
    let deed = |verb, request: &str| -> Vec<String> {
        let by = ["--member", member, "--by", "zhang", "--why", "visited: all is well"];
        [&[verb, warning], &by[..], &["--request-id", request]]
            .concat()
            .into_iter()
            .map(String::from)
            .collect()
    };
    let early = server.output(&deed("close", "r0"));
    assert_eq!(early.status.code(), Some(1));
    let said = text(&early.stderr);
    assert!(said.contains("FAILED_PRECONDITION") && said.contains("next comes acknowledged"), "{said}");
    for (verb, state) in [("ack", "acknowledged"), ("dispose", "disposed"), ("close", "closed")] {
        let card = server.ok(&deed(verb, verb));
        assert!(card.contains(state) && card.contains("visited: all is well"), "{card}");
    }
    let table = server.ok(&["list", "--member", member, "--state", "closed"]);
    assert!(table.contains(warning) && table.contains("1 warnings"), "{table}");
    let closed = server.json(&["show", warning, "--member", member]);
    assert!(server.terminate().contains("stopped: "));

    // The same file again: nothing of it is new, and what was done is done.
    let server = desk.serve(&["--alerts-file", &alerts]);
    assert_eq!(server.json(&["show", warning, "--member", member]), closed);
    assert_eq!((&closed[0]["state"], &closed[0]["inspection"]["done"]), (&"closed".into(), &true.into()));
    assert_eq!(server.json(&["list", "--member", member, "--limit", "100000"]).len(), listed.len());
    // Asked again, it gets the answer of then.
    let again = server.ok(&deed("ack", "ack"));
    assert!(again.contains("acknowledged") && !again.contains("disposed"), "{again}");
    let foreign = server.output(&["show", warning, "--member", "nobody"]);
    assert!(text(&foreign.stderr).contains("NOT_FOUND"), "{}", text(&foreign.stderr));
    let taken = server.said.iter().find(|line| line.starts_with(&alerts)).unwrap();
    assert!(taken.contains("0 warnings opened, 0 repeats counted"), "{taken}");
    server.kill();

    let server = desk.serve(&["--alerts-file", &alerts]);
    assert_eq!(server.json(&["show", warning, "--member", member]), closed, "also after kill -9");
    assert!(server.terminate().contains("stopped: "));
}

#[test]
fn what_cannot_be_served_is_told() {
    let desk = Desk::new();
    let refused = |args: &[&str], said: &str| {
        let output = desk.tarim().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let error = text(&output.stderr);
        assert!(error.contains(said), "{error}");
    };
    let (bad, none) = (desk.path("bad.ndjson"), desk.path("none.ndjson"));
    std::fs::write(
        &bad,
        "{\"alert_id\": \"x\", \"level\": \"red\", \"raised_at\": \"2026-01-01T00:00:00Z\"}\n",
    )
    .unwrap();
    std::fs::write(&none, "").unwrap();
    refused(&["warn", "serve", "--alerts-file", &bad], "record 1 is no alert: alert_id: `x`");
    refused(&["warn", "serve", "--alerts-file", "alerts.csv"], "cannot tell the format");
    refused(&["warn", "serve", "--alerts-file", &none, "--listen", "0.0.0.0:0"], "--tls-cert");
    refused(
        &["warn", "list", "--member", "001", "--server", "http://127.0.0.1:1"],
        "no server at http://127.0.0.1:1; start `tarim warn serve`",
    );
    let server = desk.serve(&["--alerts-file", &none]);
    refused(
        &["warn", "serve", "--alerts-file", &none, "--listen", "127.0.0.1:0"],
        "in use by another process",
    );
    assert!(server.terminate().contains("stopped: "));
}
