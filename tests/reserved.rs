//! Decisions that reserve, as a user has them: `tarim decide --reserve`, `tarim exposure`, `kill -9`, `tarim replay`.

use std::fs;

use serde_json::Value as Json;

use crate::installation::{Installation, Server};

const LIMITS: &str = r#"
[[limit]]
id = "single_customer"
zh = "单一客户"
en = "one customer"
scope = "member"
per = ["customer"]
hard = { fen = 6000000 }
warning = { fen = 4000000 }

[exposure]
amount = "application.amount_fen"
reserve_for = "30d"
customer = "application.customer_id"
"#;

const RULE: &str = r#"
stage = "fraud"

[[rule]]
id = "X1"
zh = "客户已有敞口"
en = "the customer owes something already"
when = "exposure.customer_used_fen > 0"
then = "warn"
"#;

/// The small bank, with limits, and a policy that looks at them.
fn bank() -> Installation {
    let bank = Installation::new();
    fs::create_dir(bank.path("rulebook/limits")).unwrap();
    fs::write(bank.path("rulebook/limits/limits.toml"), LIMITS).unwrap();
    fs::write(bank.path("rulebook/policies/exposed.toml"), RULE).unwrap();
    bank.run(&["rulebook", "publish"]);
    bank
}

fn decide(bank: &Installation, server: &Server, id: &str, more: &[&str]) -> Json {
    let application = r#"{"customer_id": "c1", "amount_fen": 5000000}"#;
    let mut args = vec!["decide", "--server", &server.url, "--member", "001", "--product", "loan", "--json"];
    args.extend(["--request-id", id, "--application", application]);
    serde_json::from_str(&bank.run(&[&args, more].concat())).unwrap()
}

/// Runs a command that must be refused.
fn refused(bank: &Installation, args: &[&str], code: i32, said: &str) {
    let output = bank.output(args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(code) && error.contains(said), "{args:?}: {error}");
}

fn gave(decision: &Json, reason: &str) -> bool {
    decision["reasons"].as_array().unwrap().iter().any(|given| given["id"] == reason)
}

/// Of a ledger that has limits, and nothing else.
fn nothing_is_out(bank: &Installation) {
    let single = ["exposure", "behind", "--limit", "single_customer"];
    let behind = |more: &[&'static str]| [&single[..], more].concat();
    for (args, said) in [
        (vec!["exposure", "show"], "nothing is reserved or out"),
        (vec!["exposure", "show", "--used", "0.8"], "no counter is used to 0.8 of its hard line"),
        (
            vec!["exposure", "customer", "--member", "001", "c1"],
            "nothing was reserved for customer c1 of member 001",
        ),
        (vec!["exposure", "large", "--member", "001"], "no large exposure is to be filed"),
        (vec!["exposure", "large", "--member", "001", "--all"], "there was no large exposure"),
        (behind(&["--member", "001", "--per", "customer=c1"]), "nothing is reserved or out under it"),
        (vec!["exposure", "events"], ""),
    ] {
        assert_eq!(bank.run(&args).trim_end(), said, "{args:?}");
    }
    let events = bank.output(&["exposure", "events", "--from", "4711"]);
    assert!(String::from_utf8_lossy(&events.stderr).contains("from operation 4711 on"), "{events:?}");
    refused(bank, &behind(&["--per", "customer=c1"]), 1, "name one with --member");
    refused(bank, &behind(&["--member", "001", "--per", "product=loan"]), 1, "write --per customer=VALUE");
    refused(bank, &["exposure", "show", "--used", "80"], 2, "0.8 is 80 %");
}

#[test]
fn what_is_reserved_with_a_decision_stays_so_through_kill_9() {
    let bank = bank();
    let ask = ["decide", "--member", "001", "--product", "loan", "--application", "{}", "--reserve", "0"];
    refused(&bank, &ask, 2, "write 1 fen or more");
    for verb in [
        &["show"][..],
        &["check"],
        &["large", "--member", "001"],
        &["customer", "--member", "001", "c1"],
        &["events"],
    ] {
        refused(&bank, &[&["exposure"], verb].concat(), 1, "there is no exposure ledger in");
    }
    let server = bank.serve();
    nothing_is_out(&bank);
    let first = decide(&bank, &server, "r1", &["--reserve"]);
    assert_eq!(
        (&first["outcome"], &first["reservation"]["amount_fen"]),
        (&"APPROVE".into(), &5_000_000.into())
    );
    assert!(gave(&first, "single_customer") && !gave(&first, "X1"), "{first}");
    let second = decide(&bank, &server, "r2", &["--reserve", "300000"]);
    assert_eq!(
        (&second["limit_fen"], &second["reservation"]["amount_fen"]),
        (&1_000_000.into(), &300_000.into())
    );
    assert!(gave(&second, "exposure.capped") && gave(&second, "X1"), "{second}");
    server.kill();

    let server = bank.serve();
    assert_eq!(decide(&bank, &server, "r1", &["--reserve"]), first, "a repeat");
    let third = decide(&bank, &server, "r3", &["--reserve"]);
    assert_eq!(third["reservation"]["amount_fen"], 700_000, "{third}");
    let fourth = decide(&bank, &server, "r4", &[]);
    assert_eq!((&fourth["outcome"], gave(&fourth, "exposure.no_room")), (&"DECLINE".into(), true));
    let line = r#"{"member": "001", "product": "loan", "application": {"customer_id": "bad", "amount_fen": 4000000}}"#;
    fs::write(bank.path("bad.ndjson"), line).unwrap();
    let file = bank.path("bad.ndjson");
    let ask = ["decide", "--server", &server.url, "--lang", "en", "--file", file.to_str().unwrap()];
    for (more, is_told) in [(&["--reserve"][..], true), (&["--reserve", "--stream"], true), (&[], false)] {
        let card = bank.run(&[&ask[..], more].concat());
        assert!(
            card.contains("DECLINE") && card.contains("nothing was reserved") == is_told,
            "{more:?}: {card}"
        );
    }
    let commit = ["exposure", "commit", "decide:r1", "--member", "001", "--key", "k", "--fen", "5000000"];
    bank.run(&[&commit[..], &["--server", &server.url]].concat());
    assert!(server.terminate().success());
    let shown = bank.run(&["exposure", "check"]);
    assert!(!shown.is_empty());
    let counter = ["--member", "001", "--limit", "single_customer"];
    assert!(bank.run(&[&["exposure", "show"][..], &counter].concat()).contains("customer=c1"));
    let behind = bank.run(&[&["exposure", "behind", "--per", "customer=c1"][..], &counter].concat());
    assert!(behind.contains("decide:r1") && behind.contains("decide:r3"), "{behind}");
    refused(&bank, &["exposure", "show", "--limit", "typo"], 1, "there are single_customer");
    refused(&bank, &["exposure", "behind", "--limit", "typo"], 1, "there are single_customer");
    refused(&bank, &["exposure", "show", "--member", "999"], 1, "there are 001");
    refused(&bank, &["exposure", "large", "--member", "999"], 1, "there are 001");
    refused(&bank, &["exposure", "customer", "--member", "999", "c1"], 1, "there are 001");
    refused(&bank, &["exposure", "show", "--used", "-0.5"], 2, "write a share from 0 to 10");
    assert!(bank.run(&["replay"]).contains("7 decisions made again"));
}
