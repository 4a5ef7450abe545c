//! `tarim serve`, `tarim decide` and `tarim replay` as a user runs them.

use std::fs;

use crate::installation::Installation;
use serde_json::Value as Json;

#[test]
fn keys_that_are_kept_too_shortly_are_refused() {
    let installation = Installation::new();
    for wrong in ["30", "0", "-1", "a year", "36501"] {
        let refused = installation.output(&["serve", &format!("--keys-kept={wrong}")]);
        assert_eq!(refused.status.code(), Some(2), "{wrong}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("write a whole number of days, 31 to 36500"), "{said}");
    }
}

/// With another key nobody would be found on a list: identity numbers stand there as tokens.
#[test]
fn a_token_key_that_is_lost_is_not_made_up() {
    let installation = Installation::new();
    let key = installation.path("home/keys/token.key");
    let text = fs::read(&key).expect("loading has made it");
    fs::remove_file(&key).expect("there");
    let customers = installation.path("bank/customers.csv");
    let customers = customers.to_str().expect("UTF-8");
    for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["load", customers]] {
        let refused = installation.output(args);
        assert_eq!(refused.status.code(), Some(1), "{args:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("there is no token key at") && said.contains("from your backup"), "{said}");
        assert!(!key.exists(), "{args:?}");
    }
    fs::write(&key, text).expect("writable");
    assert!(installation.serve().terminate().success());
}

#[test]
fn a_decision_is_shown_as_a_card_and_as_json() {
    let installation = Installation::new();
    let server = installation.serve();
    let application = r#"{"customer_id": "bad", "amount_fen": 5000000, "birth": "1990-01-31"}"#;
    let base = ["decide", "--server", &server.url, "--member", "001", "--product", "loan"];
    let args = |more: &[&'static str]| -> Vec<&str> {
        base.iter()
            .copied()
            .chain(["--application", application, "--request-id", "r1"])
            .chain(more.iter().copied())
            .collect()
    };
    let card = installation.run(&args(&[]));
    for shown in [
        "DECLINE",
        "拒绝",
        "A1",
        "客户在黑名单",
        "customer is on the blacklist",
        "list.black = true",
        "request r1",
    ] {
        assert!(card.contains(shown), "{shown} is not on the card:\n{card}");
    }
    let card = installation.run(&args(&["--lang", "zh"]));
    assert!(!card.contains("blacklist"), "{card}");
    let json: Json = serde_json::from_str(&installation.run(&args(&["--json"]))).expect("JSON");
    assert_eq!((&json["outcome"], &json["reasons"][0]["id"]), (&"DECLINE".into(), &"A1".into()));
    assert_eq!(json["decision_id"], "1", "one request id, one decision");

    let other_call = installation.output(&args(&["--call", "score"]));
    assert_eq!(other_call.status.code(), Some(1));
    let said = String::from_utf8_lossy(&other_call.stdout).into_owned();
    assert!(said.contains("ALREADY_EXISTS: request_id: "), "{said}");

    let file = installation.path("requests.ndjson");
    let line = |id: &str, customer: &str| {
        format!(
            r#"{{"request_id": "{id}", "member": "001", "product": "loan", "application": {{"customer_id": "{customer}", "amount_fen": 4000000}}}}"#
        )
    };
    fs::write(&file, format!("{}\n\n{}\n{}\n", line("f1", "c1"), line("f2", "nobody"), line("f3", "c2")))
        .expect("writable");
    for stream in [&[][..], &["--stream"]] {
        let mut args =
            vec!["decide", "--server", &server.url, "--json", "--file", file.to_str().expect("UTF-8")];
        args.extend(stream);
        let shown = installation.run(&args);
        let outcomes: Vec<Json> =
            shown.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let outcomes: Vec<_> =
            outcomes.iter().map(|o| (o["request_id"].as_str(), o["outcome"].as_str())).collect();
        let expected = [("f1", "APPROVE"), ("f2", "REFER"), ("f3", "APPROVE")];
        assert_eq!(outcomes, expected.map(|(id, outcome)| (Some(id), Some(outcome))));
    }
    fs::write(&file, "\n").expect("writable");
    for stream in [&[][..], &["--stream"]] {
        let empty = ["decide", "--server", &server.url, "--file", file.to_str().expect("UTF-8")];
        let output = installation.output(&[&empty, stream].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("there is no request in it"), "{said}");
    }
    assert!(server.terminate().success());

    assert!(installation.run(&["replay"]).contains("4 decisions made again"));
    assert!(installation.run(&["replay", "--request-id", "f2"]).contains("1 decisions made again"));
    // A period may be without any. What was named and is not there may be a slip, and nothing was shown of it.
    assert!(installation.run(&["replay", "--to", "2020-01-01"]).contains("0 decisions made again"));
    for (args, what) in [
        (&["--request-id", "f9"][..], "none of the 4 decisions in "),
        (&["--member", "002"], "is of member `002`"),
        (
            &["--member", "001", "--request-id", "f2", "--to", "2020-01-01"],
            "request `f2` within --from and --to",
        ),
    ] {
        let replayed = installation.output(&[&["replay"], args].concat());
        let said = String::from_utf8_lossy(&replayed.stderr).into_owned();
        assert_eq!(replayed.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains(what) && said.contains("fix: "), "{args:?}: {said}");
    }
}

#[test]
fn replay_of_no_decision_ends_with_1() {
    let installation = Installation::new();
    let refused = |what: &str| {
        let replayed = installation.output(&["replay"]);
        let said = String::from_utf8_lossy(&replayed.stderr).into_owned();
        assert_eq!(replayed.status.code(), Some(1), "{said}");
        assert!(said.contains(what) && said.contains("--journal"), "{said}");
    };
    refused("there is no journal in ");
    // One that has decided nothing.
    assert!(installation.serve().terminate().success());
    refused("has no decision");
}

#[test]
fn replay_ends_with_1_if_a_rulebook_is_gone() {
    let installation = Installation::new();
    let server = installation.serve();
    let application = r#"{"customer_id": "c1", "amount_fen": 5000000}"#;
    installation.run(&[
        "decide",
        "--server",
        &server.url,
        "--member",
        "001",
        "--product",
        "loan",
        "--application",
        application,
    ]);
    assert!(server.terminate().success());
    let published = installation.path("home/rulebooks");
    let version = fs::read_to_string(published.join("CURRENT")).expect("published");
    fs::remove_dir_all(published.join(version.trim())).expect("there");
    let replayed = installation.output(&["replay"]);
    assert_eq!(replayed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert!(said.contains(version.trim()), "{said}");
}

#[test]
fn what_cannot_be_served_is_told() {
    let installation = Installation::new();
    let refused = |args: &[&str], said: &str| {
        let output = installation.output(args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(said), "{error}");
    };
    refused(&["serve", "--listen", "0.0.0.0:0"], "--tls-cert");
    let server = installation.serve();
    refused(&["serve", "--listen", "127.0.0.1:0"], "in use by another process");
    let (args, said) = (["--member", "001", "--product", "loan", "--application", "{}"], "no server at");
    let mut nobody = vec!["decide", "--server", "http://127.0.0.1:1"];
    nobody.extend(args);
    refused(&nobody, said);
    assert!(server.terminate().success());
    fs::remove_file(installation.path("home/rulebooks/CURRENT")).expect("published");
    refused(&["serve", "--listen", "127.0.0.1:0"], "tarim rulebook publish");
}

/// SIGHUP: what was published is served at once, not at the next look, and the log says so. A refused request has
/// a line of its own.
#[test]
fn a_hangup_loads_what_was_published() {
    let installation = Installation::new();
    let mut server = installation
        .serve_with(&["--look-every", "86400", "--log-format", "json"], std::process::Stdio::piped());
    let mut log = server.log().map(|line| serde_json::from_str::<Json>(&line).expect("JSON"));
    let decide = |id: &'static str, customer: &str| {
        let application = format!(r#"{{"customer_id": "{customer}", "amount_fen": 5000000}}"#);
        let args = ["--member", "001", "--product", "loan", "--json", "--request-id", id, "--application"];
        let output =
            installation.output(&[&["decide", "--server", &server.url], &args[..], &[&application]].concat());
        serde_json::from_slice::<Json>(&output.stdout).expect("JSON")
    };
    let before = decide("1", "c1");
    let federation = installation.path("rulebook/federation.toml");
    let text = fs::read_to_string(&federation).expect("the rulebook");
    fs::write(&federation, text.replace("value = 10000000", "value = 3000000")).expect("writable");
    installation.run(&["rulebook", "publish"]);
    let published = fs::read_to_string(installation.path("home/rulebooks/CURRENT")).expect("published");
    server.signal("-HUP");
    let swapped = log
        .find(|line| line["message"].as_str().is_some_and(|message| message.starts_with("serving rulebook")))
        .expect("it says what it serves");
    assert!(swapped["message"].as_str().expect("text").contains(published.trim()), "{swapped}");
    let after = decide("2", "c1");
    assert_eq!((&before["limit_fen"], &after["limit_fen"]), (&5_000_000.into(), &3_000_000.into()));

    decide("3", &"c".repeat(40));
    let refused = log.find(|line| line["request_id"] == "3").expect("a refused request is logged");
    assert_eq!(
        (&refused["level"], &refused["code"]),
        (&"WARN".into(), &"InvalidArgument".into()),
        "{refused}"
    );
    assert_eq!(refused["member"], "001");
    assert!(server.terminate().success());
}

#[test]
fn a_log_that_nobody_sees_has_no_colours_and_what_is_no_level_is_refused() {
    let installation = Installation::new();
    let mut server = installation.serve_with(&[], std::process::Stdio::piped());
    let log = server.log();
    // It is refused, which has a line.
    let args = ["--member", "009", "--product", "loan", "--application", "{}"];
    installation.fails(&[&["decide", "--server", &server.url], &args[..]].concat());
    assert!(server.terminate().success());
    let lines: Vec<String> = log.collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| !line.contains('\u{1b}')), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains(" tarim")), "only Tarim's own crates tell more: {lines:?}");
    let refused = installation.command(&["sql", "SHOW TABLES"]).env("TARIM_LOG", "warning").output();
    let said = String::from_utf8_lossy(&refused.expect("the binary runs").stderr).into_owned();
    assert!(said.contains("TARIM_LOG=warning") && said.contains("write one of off, error, warn"), "{said}");
}

/// `tarim … | head`: no panic when nobody reads any more.
#[test]
fn a_reader_that_leaves_is_no_panic() {
    let installation = Installation::new();
    for args in [&["rulebook", "check"][..], &["features", "list"], &["sql", "SHOW TABLES"], &["--help"]] {
        let mut process = installation
            .command(args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the binary runs");
        drop(process.stdout.take());
        let output = process.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{args:?}: {said}");
    }
}
