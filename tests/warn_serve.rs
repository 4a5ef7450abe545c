//! `tarim warn serve` and the desk as a user runs them: a synthetic bank's alerts become warnings, which are dealt with.

use crate::{installation, warn_desk};

use crate::warn_desk::{Desk, text};
use serde_json::Value as Json;

#[test]
fn warnings_of_a_bank_are_dealt_with_and_stay_so() {
    let desk = Desk::new();
    desk.ok(&["synth", "--out", &desk.path("bank"), "--customers", "400", "--seed", "11"]);
    let (events, alerts) = (desk.path("bank/events/events.ndjson"), desk.path("alerts.ndjson"));
    // Of customers it knows nothing.
    desk.ok(&["load", &desk.path("bank/list_entries.csv")]);
    desk.ok(&["materialize"]);
    let replay: [&str; 8] =
        ["warn", "replay", "--no-contagion", "--from", &events, "--to", &alerts, "--features"];
    let gone = desk.tarim().args(replay).arg("7").output().unwrap();
    assert!(text(&gone.stderr).contains("has no generation 7"), "{}", text(&gone.stderr));
    // The number is enough.
    desk.ok(&[&replay[..], &["1"]].concat());
    let written = std::fs::read_to_string(&alerts).unwrap();
    let raised: Vec<Json> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let member = raised[0]["member"].as_str().unwrap();

    let server = desk.serve(&["--alerts-file", &alerts]);
    let listed = server.json(&["list", "--member", member, "--limit", "100000"]);
    let of_member = raised.iter().filter(|alert| alert["member"] == member);
    let of_member: u64 = of_member.map(|alert| 1 + alert["repeats"].as_u64().unwrap()).sum();
    let counted: u64 = listed.iter().map(|warning| warning["count"].as_u64().unwrap()).sum();
    assert_eq!(
        counted, of_member,
        "each alert counts in one warning, with the repeats that were held back before it"
    );
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
    let unreasoned = server.output(&["dispose", warning, "--member", member, "--by", "zhang"]);
    assert_eq!(unreasoned.status.code(), Some(2), "only `ack` can do without a reason");
    assert!(text(&unreasoned.stderr).contains("--why <TEXT>"), "{}", text(&unreasoned.stderr));

    // By whatever it is sorted, the same warnings; those that come first are within the limit.
    let sorted = |sort: &str, limit: &str| {
        server.json(&["list", "--member", member, "--sort", sort, "--limit", limit])
    };
    let raised = |warning: &Json| warning["last_raised_at"].as_str().unwrap().to_owned();
    let newest: Vec<String> = sorted("raised", "100000").iter().map(raised).collect();
    assert!(newest.is_sorted_by(|a, b| a >= b) && newest.len() == listed.len());
    assert!(!listed.iter().map(raised).is_sorted_by(|a, b| a >= b), "the desk has them in another order");
    assert_eq!(sorted("raised", "7").iter().map(raised).collect::<Vec<_>>(), newest[..7]);
    let gravest = sorted("level", "1");
    assert_eq!(gravest[0]["level"] == "red", listed.iter().any(|warning| warning["level"] == "red"));
    let table = server.ok(&["list", "--member", member, "--sort", "raised", "--limit", "7"]);
    assert!(table.contains("opened") && table.contains("last raised"), "{table}");
    assert!(table.contains("7 warnings, first those raised last; there are more"), "{table}");

    let unknown = server.output(&["list", "--member", "099"]);
    assert_eq!(unknown.status.code(), Some(1));
    let said = text(&unknown.stderr);
    assert!(said.contains("--member 099: the desk does not know it; there are 001, 002"), "{said}");
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
fn the_desk_tells_prometheus_how_it_is() {
    let desk = Desk::new();
    let none = desk.path("none.ndjson");
    std::fs::write(&none, "").unwrap();
    let mut command = desk.tarim();
    command.args(["warn", "serve", "--listen", "127.0.0.1:0", "--alerts-file", &none]);
    let server = installation::Server::start(command.args(["--metrics", "127.0.0.1:0"]), "warnings at ");
    desk.ok(&["warn", "list", "--member", "001", "--server", &server.url]);
    let unknown = "0".repeat(32);
    let refused =
        desk.tarim().args(["warn", "show", &unknown, "--member", "001", "--server", &server.url]).output();
    assert!(!refused.unwrap().status.success());
    assert_eq!(server.metric("tarim_desk_calls_total{call=\"ListWarnings\",code=\"Ok\"}"), 1.0);
    assert_eq!(server.metric("tarim_desk_calls_total{call=\"GetWarning\",code=\"NotFound\"}"), 1.0);
    assert_eq!(server.metric("tarim_desk_standing_warnings{state=\"open\",level=\"red\"}"), 0.0);
    assert_eq!(server.metric("tarim_desk_ledger_open"), 1.0);
    assert!(server.metric("tarim_desk_heard_age_seconds") < 60.0);
    let (told, alerted) = (server.metrics(), installation::alerted_on("tarim_desk_"));
    assert!(!alerted.is_empty());
    for metric in alerted {
        let is_told = told
            .lines()
            .any(|line| line.strip_prefix(&metric).is_some_and(|rest| rest.starts_with(['{', ' '])));
        assert!(is_told, "an alert asks for {metric}, which nobody tells");
    }
    assert!(server.terminate().success());

    let open =
        desk.tarim().args(["warn", "serve", "--metrics", "0.0.0.0:0", "--alerts-file", &none]).output();
    let said = text(&open.unwrap().stderr);
    assert!(said.contains("--metrics 0.0.0.0:0 is not a loopback address"), "{said}");
}

/// A desk that pushes nothing reads of a rulebook who its members are, and without one calls nobody unknown.
#[test]
fn a_member_without_warnings_is_no_stranger() {
    let desk = Desk::new();
    let alerts = desk.path("alerts.ndjson");
    let alert = serde_json::json!({ "alert_id": "0".repeat(31) + "1", "member": "001", "customer_id": "c1",
        "rule_id": "R", "level": "red", "raised_at": "2026-01-01T00:00:00Z" });
    std::fs::write(&alerts, format!("{alert}\n")).unwrap();
    let asked = |member: &str| {
        let server = desk.serve(&["--no-pushes", "--alerts-file", &alerts]);
        let output = server.output(&["list", "--member", member]);
        assert!(server.terminate().contains("stopped: "));
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = asked("002");
    assert!(code == Some(0) && said.contains("0 warnings"), "{said}");
    desk.ok(&["rulebook", "publish"]);
    let (code, said) = asked("002");
    assert!(code == Some(0) && said.contains("0 warnings"), "{said}");
    let (code, said) = asked("099");
    assert!(code == Some(1) && said.contains("there are 001, 002, 003, 004\n    fix: "), "{said}");
}

/// A day at the desk, by a clock that stands still while it is served.
#[test]
fn account_managers_are_told_at_once_in_digests_and_of_what_nobody_looks_into() {
    let desk = Desk::new();
    let bank = desk.path("bank");
    desk.ok(&["synth", "--out", &bank, "--customers", "800", "--seed", "11"]);
    desk.ok(&["load", &format!("{bank}/customers.csv")]);
    let (events, alerts) = (desk.path("bank/events/events.ndjson"), desk.path("alerts.ndjson"));
    desk.ok(&["materialize"]);
    desk.ok(&["warn", "replay", "--no-contagion", "--from", &events, "--to", &alerts]);
    let read = |file: &str| -> Vec<Json> {
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let raised = read(&alerts);

    // 11:00 in China: everything comes at once.
    let server = desk.serve(&["--alerts-file", &alerts, "--now", "2026-07-01T03:00:00Z"]);
    let inbox = |server: &warn_desk::Server<'_>, more: &[&str]| {
        server.json(&[&["inbox", "--member", "001", "--limit", "100000"], more].concat())
    };
    let first = inbox(&server, &[]);
    assert!(first.iter().all(|push| push["kind"] == "alert" && push["member"] == "001"));
    let red =
        raised.iter().filter(|a| a["member"] == "001" && a["level"] == "red" && a["push"] == "realtime");
    let pushed_red = first.iter().filter(|push| push["alert"]["level"] == "red").count();
    let red = red.count();
    assert!(pushed_red > 5 && pushed_red <= red, "{pushed_red} of {red}");
    let managers: std::collections::BTreeSet<&str> =
        first.iter().map(|push| push["manager"].as_str().unwrap()).collect();
    assert!(managers.len() > 3 && managers.contains("m001001"), "{managers:?}");
    for manager in &managers {
        let others = |push: &&Json| push["manager"] == **manager && push["alert"]["level"] != "red";
        let count = first.iter().filter(others).count();
        assert!(count <= 30, "{manager} was told {count} times");
    }
    let table = server.ok(&["inbox", "--member", "001", "--manager", "m001001"]);
    assert!(table.contains("m001001") && table.contains(" pushes"), "{table}");
    let none = server.output(&["digest", "--member", "001", "--manager", "m001001"]);
    let said = text(&none.stderr);
    assert!(said.contains("had no digest yet: at the times of day that `digest_at` says"), "{said}");
    let nobody = server.output(&["inbox", "--member", "001", "--manager", "m001-001"]);
    let said = text(&nobody.stderr);
    assert!(said.contains("nothing was pushed to `m001-001` of member 001; there are "), "{said}");
    assert!(said.contains("(did you mean m001001?)") && text(&nobody.stdout).contains("0 pushes"), "{said}");
    let unknown = server.output(&["inbox", "--member", "099"]);
    assert!(text(&unknown.stderr).contains("the desk does not know it"), "{}", text(&unknown.stderr));
    server.kill();

    // 19:00: what was due at 15:00 and 16:30 comes at the start.
    let server = desk.serve(&["--alerts-file", &alerts, "--now", "2026-07-01T11:00:00Z"]);
    let second = inbox(&server, &[]);
    assert_eq!(second[second.len() - first.len()..], first[..], "what was pushed stays so");
    let escalations = inbox(&server, &["--kind", "escalation"]);
    assert!(escalations.iter().all(|push| push["manager"] == "branch_head"));
    let digests = inbox(&server, &["--kind", "digest"]);
    assert_eq!(second.len(), first.len() + escalations.len() + digests.len());
    let in_digests: u64 = digests
        .iter()
        .flat_map(|push| push["digest"]["groups"].as_array().unwrap())
        .flat_map(|group| group["lines"].as_array().unwrap())
        .map(|line| line["alerts"].as_u64().unwrap())
        .sum();
    let of_member = raised.iter().filter(|alert| alert["member"] == "001").count() as u64;
    assert_eq!(first.len() as u64 + in_digests, of_member, "each alert is in one push");
    let card = server.ok(&["digest", "--member", "001", "--manager", "m001001"]);
    assert!(card.contains("digest of 001/m001001") && card.contains("held back"), "{card}");

    // The escalation stands in the warning's history, and whoever looks into it ends it.
    let warning = escalations[0]["warning_id"].as_str().unwrap();
    let shown = server.json(&["show", warning, "--member", "001"]);
    let step = &shown[0]["history"][0];
    assert_eq!((&step["by"], &step["escalated_to"]), (&"system".into(), &"branch_head".into()));
    server.ok(&["ack", warning, "--member", "001", "--by", "zhang"]);
    server.kill();
    let server = desk.serve(&["--alerts-file", &alerts, "--now", "2026-07-02T04:00:00Z"]);
    let later = inbox(&server, &["--manager", "risk_department", "--kind", "escalation"]);
    assert!(later.iter().all(|push| push["warning_id"] != warning));
    assert_eq!(later.len() + 1, escalations.len(), "all others go on");
    assert!(server.terminate().contains("stopped: "));

    // The same by the alerts' own time, before anything is published.
    let pushes = desk.path("pushes.ndjson");
    let table = desk.ok(&["warn", "deliver", "--from", &alerts, "--to", &pushes]);
    assert!(table.contains("001/m001001") && table.contains("most in a day"), "{table}");
    let pushes = read(&pushes);
    let at_once = pushes.iter().filter(|push| push["kind"] == "alert").count();
    assert!(at_once > 100 && at_once < raised.len(), "{at_once}");
}

#[test]
fn what_cannot_be_served_is_told() {
    let desk = Desk::new();
    let refused = |args: &[&str], said: &str| {
        // A variable that is set for all verbs contradicts no file of alerts.
        let output = desk.tarim().env("TARIM_KAFKA", "127.0.0.1:1").args(args).output().unwrap();
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
