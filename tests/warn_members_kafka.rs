//! Topics for each member on a real Kafka, with a member that comes in later; and what must stop no partition: records that no
//! one can read, however long, and members that nobody knows.
//!
//! `.ci/kafka run -- cargo test --test suite warn_members_kafka::`; without TARIM_KAFKA it skips.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value as Json, json};

use crate::warn_desk::{Desk, text};

const ALERTS: &str = "members.alerts.{member}";

struct Kafka {
    brokers: String,
    desk: Desk,
}

impl Kafka {
    /// `tarim warn VERB …` on the topics of this test, with a rulebook of its own.
    fn warn(&self, verb: &str, more: &[&str]) -> Output {
        let on = ["--brokers", &self.brokers, "--events", "members.events", "--dead", "members.dead"];
        self.tarim().args(["warn", verb]).args(on).args(more).output().unwrap()
    }

    fn tarim(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarim"));
        command.args(["--rulebook", &self.desk.path("rulebook"), "--home", &self.desk.path("home")]);
        command
    }

    fn ok(&self, verb: &str, more: &[&str]) -> String {
        succeeded(self.warn(verb, more))
    }

    fn run(&self, more: &[&str]) -> Output {
        self.warn("run", &[&["--alerts", ALERTS, "--no-contagion", "--until-end"], more].concat())
    }

    /// Events in a file, a line each.
    fn written(&self, events: &[Json]) -> String {
        let file = self.desk.path("more.ndjson");
        fs::write(&file, events.iter().map(|e| format!("{e}\n")).collect::<String>()).unwrap();
        file
    }

    /// Committed records of a topic, read by kcat.
    fn committed(&self, topic: &str) -> Vec<Json> {
        let output = Command::new("kcat")
            .args(["-q", "-b", &self.brokers, "-C", "-t", topic, "-e", "-o", "beginning"])
            .args(["-X", "isolation.level=read_committed"])
            .output()
            .expect("kcat is installed (apt-get install kcat)");
        let lines = succeeded(output);
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// What it said when it stopped with an error.
fn failed(output: Output) -> String {
    assert!(!output.status.success(), "{}", text(&output.stdout));
    text(&output.stderr)
}

fn moved(member: &str, id: &str) -> Json {
    let body = json!({ "item": "address" });
    json!({ "event_id": id, "member": member, "customer_id": format!("c{member}0000001"),
        "happened_at": "2026-06-30T12:00:00Z", "registration_change": body })
}

#[test]
fn alerts_go_to_their_members_topics_and_nothing_stops_a_partition() {
    let Ok(brokers) = std::env::var("TARIM_KAFKA") else {
        println!(
            "skipped: no TARIM_KAFKA; run it as `.ci/kafka run -- cargo test --test suite warn_members_kafka::`"
        );
        return;
    };
    let kafka = Kafka { brokers, desk: Desk::new() };
    let rulebook = kafka.desk.path("rulebook");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/rulebook");
    assert!(Command::new("cp").args(["-r", example, &rulebook]).status().unwrap().success());
    let rule = "[[rule]]\nid = \"M-001\"\nzh = \"迁址\"\nen = \"moved\"\nlevel = \"blue\"\nevent = \"registration_change\"\nwhen = \"TRUE\"\n";
    fs::write(Path::new(&rulebook).join("warnings/moved.toml"), rule).unwrap();
    let bank = kafka.desk.path("bank");
    succeeded(
        kafka.tarim().args(["synth", "--out", &bank, "--customers", "400", "--seed", "11"]).output().unwrap(),
    );
    let entries = format!("{bank}/list_entries.csv");
    succeeded(kafka.tarim().args(["load", &entries]).output().unwrap());
    succeeded(kafka.tarim().args(["materialize"]).output().unwrap());

    let made = kafka.ok("init", &["--alerts", "members.other", "--partitions", "2"]);
    assert!(made.contains("events are kept for") && made.contains("the rulebook looks back"), "{made}");
    // Nobody has made the topics of alerts: it says so before it takes anything.
    let said = failed(kafka.run(&[]));
    assert!(said.contains("`members.alerts.001`") && said.contains("tarim warn init"), "{said}");
    let made = kafka.ok("init", &["--alerts", ALERTS, "--partitions", "2", "--retention", "3650d"]);
    assert!(made.contains("the topic was there"), "what is there stays as it is, and that is said: {made}");
    kafka.ok("features", &[]);
    let from = format!("{bank}/events/events.ndjson");
    kafka.ok("send", &["--from", &from]);
    let more =
        kafka.written(&[moved("004", "good"), moved("005", "early"), Json::from("\u{1}".repeat(150_000))]);
    let said = failed(kafka.warn("send", &["--from", &more]));
    assert!(said.contains("of 3 records 2 cannot be taken") && said.contains("line 2: member: "), "{said}");
    let more = kafka.written(&[moved("005", "early"), Json::from("\u{1}".repeat(150_000))]);
    kafka.ok("send", &["--from", &more, "--unchecked"]);
    succeeded(kafka.tarim().args(["rulebook", "publish"]).output().unwrap());
    succeeded(kafka.run(&[]));

    // What a replay of the history gives, each in its member's topic.
    let replayed = kafka.desk.path("alerts.ndjson");
    succeeded(
        kafka
            .tarim()
            .args(["warn", "replay", "--no-contagion", "--from", &from, "--to", &replayed])
            .output()
            .unwrap(),
    );
    let replayed = fs::read_to_string(replayed).expect("written");
    let id = |alert: &Json| alert["alert_id"].as_str().expect("an alert").to_owned();
    let wanted: Vec<Json> = replayed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(wanted.len() > 500, "{} alerts", wanted.len());
    for member in ["001", "002", "003", "004"] {
        let found: Vec<String> =
            kafka.committed(&format!("members.alerts.{member}")).iter().map(id).collect();
        let of_member: BTreeSet<String> = wanted.iter().filter(|a| a["member"] == member).map(id).collect();
        assert_eq!(found.len(), of_member.len(), "{member}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), of_member, "{member}");
    }
    let dead = kafka.committed("members.dead");
    let of = |reason: &str| {
        dead.iter().filter(|d| d["reason"].as_str().is_some_and(|r| r.contains(reason))).collect()
    };
    let (unknown, long): (Vec<&Json>, Vec<&Json>) = (of("no member `005`"), of("an event is a JSON object"));
    assert!(unknown.len() == 1 && long.len() == 1, "{unknown:?}; {} long ones", long.len());
    assert_eq!(long[0]["payload_bytes"], 900_002);
    assert_eq!(long[0]["payload"].as_str().map(str::len), Some(128 << 10));

    // A member comes in while the log goes on: its topic is made, as the others are.
    fs::create_dir(Path::new(&rulebook).join("members/005")).unwrap();
    let member = Path::new(&rulebook).join("members/004/member.toml");
    let text = fs::read_to_string(member).unwrap().replace("004", "005");
    fs::write(Path::new(&rulebook).join("members/005/member.toml"), text).unwrap();
    succeeded(kafka.tarim().args(["rulebook", "publish"]).output().unwrap());
    kafka.ok("swap", &[]);
    kafka.ok("send", &["--from", &kafka.written(&[moved("005", "late")])]);
    succeeded(kafka.run(&[]));
    let new = kafka.committed("members.alerts.005");
    assert_eq!(new.len(), 1);
    assert!(new[0]["member"] == "005" && new[0]["rule_id"] == "M-001", "{}", new[0]);

    // Another one is published, nobody swaps, and the host is lost. Elsewhere the log is taken from its beginning, and what comes
    // behind it, by the rulebooks that the group's commits tell of.
    fs::write(Path::new(&rulebook).join("warnings/more.toml"), rule.replace("M-001", "M-002")).unwrap();
    succeeded(kafka.tarim().args(["rulebook", "publish"]).output().unwrap());
    kafka.ok("send", &["--from", &kafka.written(&[moved("005", "after")])]);
    let elsewhere = kafka.run(&["--published", "--state", &kafka.desk.path("elsewhere")]);
    let said = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
    succeeded(elsewhere);
    assert!(said.contains("as the log says: `tarim warn swap` brings "), "{said}");
    let new = kafka.committed("members.alerts.005");
    assert!(new.iter().all(|alert| alert["rule_id"] == "M-001"), "{new:?}");

    // A group without a committed offset on a state of before: of another name, or because Kafka has dropped it.
    let said = failed(kafka.run(&["--group", "forgotten"]));
    assert!(said.contains("--to-offset") && said.contains("another --state"), "{said}");
    assert_eq!(kafka.committed("members.alerts.005").len(), new.len());
}
