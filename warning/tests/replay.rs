//! The edge of files.

use crate::support;

use std::{fs, path::Path, sync::Arc};

use crate::support::{
    Record, book,
    random::{Course, log},
};
use prost::Message;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;
use tarim_features::edges::{Builder, Row};
use tarim_proto::warning::v1::{Alert, DeadLetter};
use tarim_warning::{
    alert,
    contagion::Network,
    delivery::{Managers, deliver},
    known::Known,
    replay::{Contagion, Replay, ReplayError, Report, replay},
};

fn run(folder: &Path, from: &str, to: &str, dead: &str) -> Result<Report, ReplayError> {
    let [from, to, dead] = [from, to, dead].map(|name| folder.join(name));
    replay(
        book(),
        &Replay { from, to, dead, published: folder.join("none"), contagion: None, known: Known::default() },
        |_| {},
    )
}

/// A log without the kind that has no Protobuf.
fn events() -> Vec<Json> {
    let course = Course { events: 3000, late_h: 72, ticks: true };
    let log = log(course, &mut ChaCha8Rng::seed_from_u64(5));
    log.into_iter().map(|(_, json)| json).filter(|json| Record::protobuf(json).is_some()).collect()
}

fn lines(events: &[Json]) -> String {
    events.iter().map(|json| format!("{json}\n")).collect()
}

/// Each with its length before it.
fn delimited(events: &[Json]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for json in events {
        let payload = Record::protobuf(json).unwrap().payload;
        prost::encode_length_delimiter(payload.len(), &mut bytes).unwrap();
        bytes.extend(payload);
    }
    bytes
}

#[test]
fn lines_and_protobuf_bring_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let events = events();
    // An empty line is no record; the last one needs no end.
    fs::write(folder.path().join("e.ndjson"), format!("\n{}\n\n", lines(&events)).trim_end()).unwrap();
    fs::write(folder.path().join("e.pb"), delimited(&events)).unwrap();
    let one = run(folder.path(), "e.ndjson", "a.ndjson", "d.ndjson").unwrap();
    let other = run(folder.path(), "e.pb", "a.pb", "d.pb").unwrap();
    assert_eq!((one.records, one.counts), (events.len() as u64, other.counts));
    assert!(one.alerts > 500 && one.dead > 10, "{} alerts, {} dead letters", one.alerts, one.dead);

    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let bytes = fs::read(folder.path().join("a.pb")).unwrap();
    let mut rest = &bytes[..];
    let mut alerts = String::new();
    while !rest.is_empty() {
        alerts += &format!("{}\n", alert::alert(&Alert::decode_length_delimited(&mut rest).unwrap()));
    }
    assert!(alerts == text("a.ndjson"));
    assert_eq!(text("a.ndjson").lines().count() as u64, one.alerts);
    let bytes = fs::read(folder.path().join("d.pb")).unwrap();
    let mut rest = &bytes[..];
    for line in text("d.ndjson").lines() {
        let ours: Json = serde_json::from_str(line).unwrap();
        let letter = DeadLetter::decode_length_delimited(&mut rest).unwrap();
        assert_eq!((&ours["reason"], &ours["offset"]), (&letter.reason.into(), &letter.offset.into()));
        assert!(ours["payload"].is_string());
    }
    assert!(rest.is_empty());
}

#[test]
fn a_file_that_is_cut_off_is_no_whole_history() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = delimited(&events()[..3]);
    fs::write(folder.path().join("e.pb"), &bytes[..bytes.len() - 1]).unwrap();
    let error = run(folder.path(), "e.pb", "a.pb", "d.pb").unwrap_err();
    assert!(error.to_string().ends_with("e.pb: record 2 is cut off: the file is not whole"), "{error}");
    fs::write(folder.path().join("e.pb"), [0xff; 12]).unwrap();
    let error = run(folder.path(), "e.pb", "a.pb", "d.pb").unwrap_err();
    assert!(error.to_string().contains("longer than 16 MiB"), "{error}");
}

#[test]
fn a_replay_that_fails_leaves_its_files_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = delimited(&events());
    fs::write(folder.path().join("e.pb"), &bytes[..bytes.len() - 1]).unwrap();
    let names = || -> Vec<String> {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    run(folder.path(), "e.pb", "a.ndjson", "d.ndjson").unwrap_err();
    assert_eq!(names(), ["e.pb"]);
    fs::write(folder.path().join("a.ndjson"), "alerts of before").unwrap();
    fs::write(folder.path().join("d.ndjson"), "letters of before").unwrap();
    run(folder.path(), "e.pb", "a.ndjson", "d.ndjson").unwrap_err();
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!([text("a.ndjson"), text("d.ndjson")], ["alerts of before", "letters of before"]);
    assert_eq!(names(), ["a.ndjson", "d.ndjson", "e.pb"]);
}

#[test]
fn pushes_of_a_file_that_ends_in_no_alert_leave_those_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let rulebook = "[delivery]\noffset = \"+08:00\"\ndigest_at = [\"08:30\"]\nbudget_per_day = 30\n";
    let policy = support::book_with(rulebook).delivery().unwrap().clone();
    fs::write(path("e.ndjson"), lines(&events())).unwrap();
    run(folder.path(), "e.ndjson", "a.ndjson", "d.ndjson").unwrap();
    let told = || deliver(&policy, Managers::default(), &path("a.ndjson"), &path("p.ndjson"), |_| {});
    let history = told().unwrap();
    let pushes = fs::read_to_string(path("p.ndjson")).unwrap();
    assert_eq!(pushes.lines().count() as u64, history.pushes);
    let alerts = fs::read_to_string(path("a.ndjson")).unwrap();
    fs::write(path("a.ndjson"), format!("{alerts}{{}}\n")).unwrap();
    let error = told().unwrap_err().to_string();
    assert!(error.contains("is no alert"), "{error}");
    assert!(fs::read_to_string(path("p.ndjson")).unwrap() == pushes);
    assert!(!path("p.ndjson.part").exists());
}

#[test]
fn no_file_is_read_and_written_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let whole = lines(&events()[..3]);
    fs::write(folder.path().join("e.ndjson"), &whole).unwrap();
    for (to, dead) in [("e.ndjson", "d.ndjson"), ("a.ndjson", "./e.ndjson"), ("a.ndjson", "./a.ndjson")] {
        let error = run(folder.path(), "e.ndjson", to, dead).unwrap_err();
        assert!(error.to_string().contains("stands for two files"), "{error}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("e.ndjson")).unwrap(), whole);
    let error = run(folder.path(), "e.ndjson", "a.txt", "d.ndjson").unwrap_err();
    assert!(error.to_string().starts_with("cannot tell the format of "), "{error}");
}

/// Each alert of the files' reader, as JSON.
fn read(path: &Path) -> Vec<Json> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_alerts_spread_is_taken_and_stands_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let missed = |i: usize, customer: &str, dpd: i64| {
        let body = serde_json::json!({ "loan_id": format!("l{i}"), "dpd": dpd });
        support::event(
            &format!("e{i}"),
            customer,
            &format!("2026-03-{:02}T08:00:00Z", 1 + i / 24),
            "repayment_missed",
            body,
        )
    };
    // Guarantors in a ring: each one's trouble reaches the two after it.
    let events: Vec<Json> = (0..200).map(|i| missed(i, &format!("c{}", i % 20), 30 + i as i64 % 3)).collect();
    fs::write(folder.path().join("e.ndjson"), lines(&events)).unwrap();
    fs::write(folder.path().join("e.pb"), delimited(&events)).unwrap();
    let replay_to = |suffix: &str| {
        let mut builder = Builder::new(book().edges().edges().len());
        for i in 0..20 {
            let (from, to) = (format!("c{i}"), format!("c{}", (i + 1) % 20));
            let row = Row { edge: 0, member: "001", from: &from, to: &to, since_us: None, until_us: None };
            builder.add(row).unwrap();
        }
        let network = Arc::new(Network::given(builder.finish().unwrap()));
        let path = |name: &str| folder.path().join(format!("{name}.{suffix}"));
        let (from, to, dead, spread_to) = (path("e"), path("a"), path("d"), path("c"));
        let contagion = Some(Contagion { network, to: spread_to });
        replay(
            book(),
            &Replay {
                from,
                to,
                dead,
                published: folder.path().join("none"),
                contagion,
                known: Known::default(),
            },
            |_| {},
        )
        .unwrap()
    };
    let report = replay_to("ndjson");
    assert_eq!((report.records, report.dead, report.cut), (200, 0, 0));
    let (alerts, spread) = (read(&folder.path().join("a.ndjson")), read(&folder.path().join("c.ndjson")));
    assert_eq!((report.alerts, report.spread), (alerts.len() as u64, spread.len() as u64));
    let of = |rule: &str| alerts.iter().filter(|a| a["rule_id"] == rule).count();
    // R-1 is one alert for each loan; K-4 of an event of the customer's own spreads, too.
    assert_eq!(of("R-1"), 200);
    assert_eq!(of("K-1"), spread.len(), "each is an alert of its own");
    assert!(of("K-2") > 10 && spread.len() > 400, "{} and {}", of("K-2"), spread.len());
    for alert in alerts.iter().filter(|a| a["rule_id"] == "K-1") {
        let event = &alert["events"][0];
        assert_eq!(event["partition"], 1, "{alert}");
        let record = &spread[event["offset"].as_u64().unwrap() as usize];
        assert_eq!(
            (&record["event_id"], &record["customer_id"]),
            (&event["event_id"], &alert["customer_id"])
        );
        let source = alerts.iter().find(|a| a["alert_id"] == record["contagion"]["source_alert"]).unwrap();
        assert_eq!(source["customer_id"], record["contagion"]["source_customer"]);
        assert_eq!(source["raised_at"], alert["raised_at"]);
    }
    let ids: std::collections::BTreeSet<&str> =
        spread.iter().map(|e| e["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), spread.len(), "each has an id of its own");

    let wire = replay_to("pb");
    assert_eq!((wire.alerts, wire.spread, wire.counts), (report.alerts, report.spread, report.counts));
}

#[test]
fn whoever_spreads_needs_a_datamart() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("e.ndjson"), "").unwrap();
    let [from, to, dead, spread_to, none] =
        ["e.ndjson", "a.ndjson", "d.ndjson", "c.ndjson", "none"].map(|name| folder.path().join(name));
    let mut files =
        Replay { from, to, dead, published: none.clone(), contagion: None, known: Known::default() };
    replay(book(), &files, |_| {}).unwrap();
    let of = |folder: &Path| {
        Some(Contagion { network: Arc::new(Network::of_datamart(folder)), to: spread_to.clone() })
    };
    files.contagion = of(&none);
    let error = replay(book(), &files, |_| {}).unwrap_err().to_string();
    assert!(error.contains("there is none in") && error.contains("--no-contagion"), "{error}");
    assert!(!none.exists());
    // One in which nothing is.
    fs::create_dir(&none).unwrap();
    let error = replay(book(), &files, |_| {}).unwrap_err().to_string();
    assert!(error.contains("`guarantees` that they come from was never loaded"), "{error}");
    files.contagion = Some(Contagion { to: files.from.clone(), ..of(&none).unwrap() });
    let error = replay(book(), &files, |_| {}).unwrap_err().to_string();
    assert!(error.contains("stands for two files"), "{error}");
}

/// What was spread before a change of the rulebook stands in a file of its own, and is history all the same.
#[test]
fn what_was_spread_is_history_for_a_new_window() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    support::copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook"), &path("new"));
    let window = "[stream]\nname = \"spread\"\nzh = \"新\"\nen = \"new\"\nevent = \"contagion\"\n\n[[window]]\n\
                  name = \"spread_30d\"\nzh = \"新\"\nen = \"new\"\nmeasure = \"count\"\npanes = \"30 days\"\n";
    let rule = "[[rule]]\nid = \"N\"\nzh = \"新\"\nen = \"new\"\nlevel = \"blue\"\nevent = \"repayment_missed\"\n\
                when = \"window.spread_30d >= 1\"\nkey = [\"loan_id\"]\n";
    fs::write(path("new/features/streams/spread.toml"), window).unwrap();
    fs::write(path("new/warnings/new.toml"), rule).unwrap();
    let new = Arc::new(tarim_warning::rulebook::WarningBook::read(&path("new")).unwrap());
    support::copy(&path("new"), &path("published").join(new.version()));
    let events = |from: usize, to: usize| {
        (from..to).map(|i| {
            let body = serde_json::json!({ "loan_id": format!("l{i}"), "dpd": 31 });
            let (id, at) = (format!("e{i}"), format!("2026-03-{:02}T08:00:00Z", 1 + i / 24));
            support::event(&id, &format!("c{}", i % 20), &at, "repayment_missed", body)
        })
    };
    let change = serde_json::json!({ "happened_at": "2026-03-05T08:00:00Z",
        "rulebook": { "version": new.version() } });
    let told = |first, name: &str, events: Vec<Json>| {
        fs::write(path(name), lines(&events)).unwrap();
        let mut builder = Builder::new(book().edges().edges().len());
        for i in 0..20 {
            let (from, to) = (format!("c{i}"), format!("c{}", (i + 1) % 20));
            let row = Row { edge: 0, member: "001", from: &from, to: &to, since_us: None, until_us: None };
            builder.add(row).unwrap();
        }
        let network = Arc::new(Network::given(builder.finish().unwrap()));
        let contagion = Some(Contagion { network, to: path("spread.ndjson") });
        let (from, to, dead) = (path(name), path("alerts.ndjson"), path("dead.ndjson"));
        replay(
            first,
            &Replay { from, to, dead, published: path("published"), contagion, known: Known::default() },
            |_| {},
        )
        .unwrap();
        let late = |alert: &Json| {
            let id = alert["events"][0]["event_id"].as_str().unwrap();
            alert["rule_id"] == "N" && id[1..].parse::<usize>().unwrap() >= 100
        };
        let alerts = read(&path("alerts.ndjson")).into_iter().filter(late);
        alerts.map(|a| (a["key"].clone(), a["values"].clone())).collect::<Vec<_>>()
    };
    let always = told(new.clone(), "always.ndjson", events(0, 140).collect());
    let changed = events(0, 100).chain([change]).chain(events(100, 140)).collect();
    assert_eq!(told(book(), "changed.ndjson", changed), always);
    assert_eq!(always.len(), 40, "each finds what was spread before");
}
