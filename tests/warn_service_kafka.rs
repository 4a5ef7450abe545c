//! Alerts from a real Kafka become warnings, each once, and what becomes of them is told on a topic, whatever is killed.
//!
//! `.ci/kafka run -- cargo test --test suite warn_service_kafka::`; without TARIM_KAFKA it skips.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::warn_desk::{Desk, Server};
use serde_json::Value as Json;

/// The topics of one test.
struct Kafka {
    brokers: String,
    /// What `.ci/kafka` keeps the broker in.
    folder: String,
    desk: Desk,
}

const ALERTS: &str = "desk.alerts.{level}";
const CHANGES: &str = "desk.changes";
const PUSHES: &str = "desk.pushes";

impl Kafka {
    fn found() -> Option<Self> {
        let (brokers, folder) =
            (std::env::var("TARIM_KAFKA").ok()?, std::env::var("TARIM_KAFKA_FOLDER").ok()?);
        Some(Self { brokers, folder, desk: Desk::new() })
    }

    fn ok(&self, args: &[&str]) -> String {
        self.desk.ok(&[args, &["--brokers", &self.brokers, "--alerts", ALERTS]].concat())
    }

    fn serve(&self) -> Server<'_> {
        let topics = ["--alerts", ALERTS, "--changes", CHANGES, "--pushes", PUSHES];
        self.desk.serve(&[&["--brokers", &self.brokers], &topics[..]].concat())
    }

    /// Committed records of a topic, read by kcat, which no one here wrote.
    fn records(&self, topic: &str) -> Vec<Json> {
        let output = Command::new("kcat")
            .args(["-q", "-b", &self.brokers, "-C", "-t", topic, "-e", "-o", "beginning"])
            .args(["-X", "isolation.level=read_committed"])
            .output()
            .expect("kcat is installed (apt-get install kcat)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Puts records on the first partition of a topic.
    fn put(&self, topic: &str, records: &[String]) {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &self.brokers, "-P", "-t", topic, "-p", "0"]).stdin(Stdio::piped());
        let mut kcat = kcat.spawn().expect("kcat is installed (apt-get install kcat)");
        writeln!(kcat.stdin.take().unwrap(), "{}", records.join("\n")).unwrap();
        assert!(kcat.wait().unwrap().success());
    }

    fn broker(&self, verb: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/kafka");
        let status = Command::new(script).arg(verb).arg(&self.folder).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), ".ci/kafka {verb}");
    }

    /// Ids on the topic of changes, in the order in which each was there first.
    fn changes(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let ids =
            self.records(CHANGES).into_iter().map(|change| change["change_id"].as_str().unwrap().to_owned());
        ids.filter(|id| seen.insert(id.clone())).collect()
    }
}

/// Asks until it is so. What is waited for goes on in other processes, and each question takes its time.
fn wait_for<T>(what: &str, mut asked: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = asked() {
            return answer;
        }
        assert!(since.elapsed() < Duration::from_secs(120), "waited in vain for {what}");
    }
}

#[test]
fn alerts_of_a_topic_are_dealt_with_and_told() {
    let Some(kafka) = Kafka::found() else {
        println!(
            "skipped: no TARIM_KAFKA; run it as `.ci/kafka run -- cargo test --test suite warn_service_kafka::`"
        );
        return;
    };
    let bank = kafka.desk.path("bank");
    kafka.desk.ok(&["synth", "--out", &bank, "--customers", "400", "--seed", "11"]);
    let topics = ["--events", "desk.events", "--dead", "desk.dead"];
    let init = ["warn", "init", "--partitions", "2", "--changes", CHANGES, "--pushes", PUSHES];
    kafka.ok(&[&init[..], &topics].concat());
    kafka.desk.ok(&["load", &format!("{bank}/list_entries.csv")]);
    kafka.desk.ok(&["materialize"]);
    kafka.ok(&[&["warn", "features"][..], &topics].concat());
    kafka.ok(&[&["warn", "send", "--from", &format!("{bank}/events/events.ndjson")][..], &topics].concat());
    // Many transactions, and served while they come: killed at once, and again, it has what it had.
    let events_max = ["--events-max", "500", "--until-end", "--tick-s", "0"];
    let mut pipeline = kafka.desk.tarim();
    pipeline
        .args(["warn", "run", "--no-contagion", "--brokers", &kafka.brokers, "--alerts", ALERTS])
        .args(topics)
        .args(events_max);
    let mut pipeline = pipeline.stdout(Stdio::null()).spawn().unwrap();
    for _ in 0..4 {
        let server = kafka.serve();
        server.ok(&["list", "--member", "001"]);
        server.kill();
    }
    assert!(pipeline.wait().unwrap().success());
    let alerts: Vec<Json> = ["blue", "yellow", "orange", "red"]
        .iter()
        .flat_map(|level| kafka.records(&format!("desk.alerts.{level}")))
        .collect();
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for alert in &alerts {
        // With the repeats that were held back before it.
        *wanted.entry(alert["member"].as_str().unwrap()).or_default() +=
            1 + alert["repeats"].as_u64().unwrap();
    }
    assert!(alerts.len() > 300, "{} alerts", alerts.len());

    let server = kafka.serve();
    let listed =
        |server: &Server<'_>, member: &str| server.json(&["list", "--member", member, "--limit", "100000"]);
    let counted = |server: &Server<'_>| -> BTreeMap<&str, u64> {
        let of = |member: &str| listed(server, member).iter().map(|w| w["count"].as_u64().unwrap()).sum();
        wanted.keys().map(|member| (*member, of(member))).collect()
    };
    let all_there =
        |server: &Server<'_>| wait_for("all alerts", || (counted(server) == wanted).then_some(()));
    all_there(&server);
    let warnings: Vec<Json> = wanted.keys().flat_map(|member| listed(&server, member)).collect();
    let id = |warning: &Json| warning["warning_id"].as_str().unwrap().to_owned();
    let mut told: BTreeSet<String> = warnings.iter().map(|w| format!("{}-0", id(w))).collect();
    let ack = |server: &Server<'_>, warning: &Json| {
        let member = warning["alert"]["member"].as_str().unwrap();
        server.ok(&["ack", &id(warning), "--member", member, "--by", "zhang"]);
    };
    ack(&server, &warnings[0]);
    told.insert(format!("{}-1", id(&warnings[0])));
    let all_told = |told: &BTreeSet<String>| {
        wait_for("all changes", || (&BTreeSet::from_iter(kafka.changes()) == told).then_some(()))
    };
    all_told(&told);

    // What is done while the broker is away is answered, and told once there is a broker and a server again.
    kafka.broker("kill");
    ack(&server, &warnings[1]);
    server.kill();
    kafka.broker("restart");
    told.insert(format!("{}-1", id(&warnings[1])));
    let server = kafka.serve();
    all_told(&told);
    all_there(&server);
    // In order: a warning is opened before anything is done about it.
    let changes = kafka.changes();
    let at = |change: &str| changes.iter().position(|id| id == change).unwrap();
    for warning in &warnings[..2] {
        assert!(at(&format!("{}-0", id(warning))) < at(&format!("{}-1", id(warning))));
    }
    let made = kafka.records(CHANGES);
    let made = made.iter().find(|change| change["change_id"] == format!("{}-1", id(&warnings[0]))).unwrap();
    assert_eq!(
        (&made["from"], &made["to"], &made["by"]),
        (&"open".into(), &"acknowledged".into(), &"zhang".into())
    );

    // Whatever was killed, what the inboxes have is on the topic of pushes, and nothing else. (A digest may come meanwhile.)
    let ids = |pushes: Vec<Json>| -> BTreeSet<String> {
        pushes.iter().map(|push| push["push_id"].as_str().unwrap().to_owned()).collect()
    };
    let of = |member: &&str| server.json(&["inbox", "--member", member, "--limit", "100000"]);
    let pushes = wait_for("all pushes", || {
        let inboxes = ids(wanted.keys().flat_map(of).collect());
        (ids(kafka.records(PUSHES)) == inboxes).then_some(inboxes.len())
    });
    assert!(pushes > 100, "{pushes} pushes");

    // What is no alert is left out, and the next is taken.
    let mut new = alerts[0].clone();
    (new["alert_id"], new["customer_id"]) = ("f".repeat(32).into(), "new".into());
    kafka.put("desk.alerts.red", &["{\"no\": \"alert\"}".into(), new.to_string()]);
    let member = new["member"].as_str().unwrap();
    let of_new = ["list", "--member", member, "--customer", "new"];
    wait_for("the new alert", || (server.json(&of_new).len() == 1).then_some(()));
    let said = server.terminate();
    assert!(said.contains("1 records left out"), "{said}");
    println!("{} alerts, {} warnings, {} changes", alerts.len(), warnings.len(), told.len());
}
