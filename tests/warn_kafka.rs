//! Exactly once, on a real Kafka: the pipeline is killed again and again, and so is the broker; whoever reads committed
//! alerts sees what an undisturbed run gives, each once. So it is with what alerts spread into other partitions, and with features
//! of the online store, of which newer generations come while the log names older ones.
//!
//! `.ci/kafka run -- cargo test --test suite warn_kafka::`; without TARIM_KAFKA it skips. `TARIM_KILLS` says how often.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;

const TARIM: &str = env!("CARGO_BIN_EXE_tarim");

const ANOTHER_STREAM: &str = r#"
[stream]
name = "another"
zh = "新"
en = "new"
event = "transaction"

[[window]]
name = "another_first_60d"
zh = "新"
en = "earliest transaction of 60 days"
measure = "min"
of = "event.happened_at"
panes = "60 days"

[[window]]
name = "another_accounts_40d"
zh = "新"
en = "accounts, 40 days"
measure = "distinct"
of = "event.account_id"
panes = "40 days"
"#;

const ANOTHER_RULES: &str = r#"
[[rule]]
id = "X-001"
zh = "新"
en = "has been a customer for 50 days"
level = "blue"
event = "transaction"
when = "days_between(event.happened_at, window.another_first_60d) >= 50 AND window.another_accounts_40d >= 1"
quiet = "30d"

[[absence]]
id = "X-002"
zh = "新"
en = "no salary for 33 days"
level = "blue"
event = "transaction"
when = "event.kind = 'salary'"
after = "33d"
show = ["window.another_first_60d"]
"#;

struct Kafka {
    brokers: String,
    /// What `.ci/kafka` keeps the broker in.
    folder: PathBuf,
    scratch: tempfile::TempDir,
}

impl Kafka {
    fn found() -> Option<Self> {
        let brokers = std::env::var("TARIM_KAFKA").ok()?;
        let folder = std::env::var_os("TARIM_KAFKA_FOLDER")?.into();
        Some(Self { brokers, folder, scratch: tempfile::tempdir().unwrap() })
    }

    fn tarim(&self) -> Command {
        let mut command = Command::new(TARIM);
        command
            .env("TARIM_RULEBOOK", self.rulebook())
            .env("TARIM_HOME", self.scratch.path().join("home"))
            .env("TARIM_KAFKA", &self.brokers);
        command
    }

    fn ok(&self, args: &[&str]) {
        let output = self.tarim().args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn rulebook(&self) -> PathBuf {
        self.scratch.path().join("rulebook")
    }

    /// The example rulebook, in which alerts spread to shadows of their customers: two, one behind the other, to whom nothing else
    /// happens. So what their alerts say does not depend on which partition is ahead.
    fn write_rulebook(&self) {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rulebook");
        copy(&example, &self.rulebook());
        // Groups of exposures hang together along edges that are taken away here.
        let limits = self.rulebook().join("limits/concentration.toml");
        let text = std::fs::read_to_string(&limits).unwrap();
        assert!(text.contains(r#"["guaranteed", "control"]"#));
        std::fs::write(&limits, text.replace(r#"["guaranteed", "control"]"#, r#"["shadow"]"#)).unwrap();
        let edges = self.rulebook().join("features/edges");
        std::fs::remove_dir_all(&edges).unwrap();
        std::fs::create_dir(&edges).unwrap();
        let edge = |name: &str, from: &str, to: &str| {
            format!(
                "[[edge]]\nname = \"{name}\"\nzh = \"影\"\nen = \"shadow\"\nsql = \"\"\"\n\
                 SELECT member, concat('{from}', customer_id) AS from_id, concat('{to}', customer_id) AS to_id\n\
                 FROM customers\"\"\"\n"
            )
        };
        std::fs::write(edges.join("shadows.toml"), edge("shadow", "", "x") + &edge("second", "x", "y"))
            .unwrap();
        let rules = "[[spread]]\nlevel_at_least = \"yellow\"\nalong = [\"second\", \"shadow\"]\nhops = 2\n\
                     [[rule]]\nid = \"K-009\"\nzh = \"影\"\nen = \"shadow\"\nlevel = \"red\"\nevent = \"contagion\"\n\
                     when = \"event.hops >= 1\"\nkey = [\"source_alert\"]\nquiet = \"400d\"\n\
                     [[rule]]\nid = \"Z-001\"\nzh = \"余额\"\nen = \"more than the last balance\"\nlevel = \"blue\"\n\
                     event = \"transaction\"\nwhen = \"event.amount_fen > 0.5 * customer.balance_last_fen\"\nquiet = \"2d\"\n";
        std::fs::write(self.rulebook().join("warnings/contagion.toml"), rules).unwrap();
    }

    /// Publishes the rulebook with windows, a rule over them, and an absence that it did not have: only history can tell of
    /// them at once.
    fn publish_another(&self) {
        let folder = self.scratch.path().join("another");
        copy(&self.rulebook(), &folder);
        std::fs::write(folder.join("features/streams/another.toml"), ANOTHER_STREAM).unwrap();
        std::fs::write(folder.join("warnings/another.toml"), ANOTHER_RULES).unwrap();
        let folder = folder.to_str().unwrap();
        let output = self.tarim().args(["--rulebook", folder, "rulebook", "publish"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What has spread is where events of its customer would be sent: by `tarim warn send`, and by kcat as the Java client does.
    fn check_partitions(&self, keys: &BTreeMap<(String, String), usize>) {
        let shadows: BTreeMap<&str, &str> = keys
            .keys()
            .map(|(key, partition)| (key.as_str(), partition.as_str()))
            .filter(|(key, _)| key.contains("/x") || key.contains("/y"))
            .collect();
        let partitions: BTreeSet<&&str> = shadows.values().collect();
        assert_eq!(partitions.len(), 3, "all partitions are spread to");
        self.init("where");
        let file = self.scratch.path().join("where.ndjson");
        let event = |key: &str| {
            let (member, customer) = key.split_once('/').unwrap();
            let body = serde_json::json!({ "item": "address" });
            serde_json::json!({ "event_id": key, "member": member, "customer_id": customer,
                "happened_at": "2026-06-30T00:00:00Z", "registration_change": body })
        };
        let events: String = shadows.keys().map(|key| format!("{}\n", event(key))).collect();
        std::fs::write(&file, events).unwrap();
        self.ok(&["warn", "send", "--events", "where.events", "--from", file.to_str().unwrap()]);
        let lines: String = shadows.keys().map(|key| format!("{key}\t1\n")).collect();
        std::fs::write(&file, lines).unwrap();
        let kcat = Command::new("kcat")
            .args([
                "-b",
                &self.brokers,
                "-P",
                "-t",
                "where.dead",
                "-K",
                "\t",
                "-X",
                "partitioner=murmur2_random",
                "-l",
            ])
            .arg(&file)
            .status()
            .unwrap();
        assert!(kcat.success());
        for topic in ["where.events", "where.dead"] {
            let sent = self.keys(topic);
            let sent: BTreeMap<&str, &str> = sent.keys().map(|(key, p)| (key.as_str(), p.as_str())).collect();
            assert_eq!(sent, shadows, "{topic}");
        }
    }

    /// `tarim warn run`, in many small transactions.
    fn run(&self, name: &str, until_end: bool) -> Command {
        let mut command = self.tarim();
        let (group, alerts) = (format!("group-{name}"), format!("{name}.alerts.{{level}}"));
        let (events, dead) = (format!("{name}.events"), format!("{name}.dead"));
        command
            .args(["warn", "run", "--events", &events, "--group", &group])
            .args(["--alerts", &alerts, "--dead", &dead])
            .args([
                "--interval-ms",
                "20",
                "--events-max",
                "700",
                "--snapshot-events",
                "2500",
                "--tick-s",
                "0",
            ])
            .arg("--state")
            .arg(self.scratch.path().join(name));
        if until_end {
            command.arg("--until-end");
        }
        command
    }

    /// All committed records of a run's topics, by content, with how often each stands there. Read by kcat, which no one
    /// here wrote.
    fn committed(&self, name: &str) -> BTreeMap<String, usize> {
        let mut all = BTreeMap::new();
        let mut topics: Vec<String> =
            ["blue", "yellow", "orange", "red"].map(|level| format!("{name}.alerts.{level}")).into();
        topics.push(format!("{name}.dead"));
        for topic in topics {
            let output = Command::new("kcat")
                .args(["-q", "-b", &self.brokers, "-C", "-t", &topic, "-e", "-o", "beginning"])
                .args(["-X", "isolation.level=read_committed"])
                .output()
                .expect("kcat is installed (apt-get install kcat)");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            for line in String::from_utf8(output.stdout).unwrap().lines() {
                *all.entry(line.to_owned()).or_default() += 1;
            }
        }
        all
    }

    /// Keys of a topic's committed records, each with its partition and how often it stands there.
    fn keys(&self, topic: &str) -> BTreeMap<(String, String), usize> {
        let output = Command::new("kcat")
            .args(["-q", "-b", &self.brokers, "-C", "-t", topic, "-e", "-o", "beginning", "-f", "%k %p\\n"])
            .args(["-X", "isolation.level=read_committed"])
            .output()
            .expect("kcat is installed (apt-get install kcat)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut keys = BTreeMap::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let (key, partition) = line.rsplit_once(' ').unwrap();
            *keys.entry((key.to_owned(), partition.to_owned())).or_default() += 1;
        }
        keys
    }

    fn init(&self, name: &str) {
        let (alerts, dead) = (format!("{name}.alerts.{{level}}"), format!("{name}.dead"));
        let events = format!("{name}.events");
        let topics = ["--events", &events, "--alerts", &alerts, "--dead", &dead];
        self.ok(&[&["warn", "init", "--partitions", "3"], &topics[..]].concat());
    }

    fn broker(&self, verb: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/kafka");
        let status = Command::new(script).arg(verb).arg(&self.folder).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), ".ci/kafka {verb}");
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Where in the log a spread event stands, between what was sent and the marks of transactions, is a matter of time; all else of
/// its alert is not.
fn without_offsets(alerts: BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for (alert, n) in alerts {
        let mut json: Json = serde_json::from_str(&alert).unwrap();
        if json["rule_id"] == "K-009" {
            json["events"][0]["offset"] = Json::Null;
        }
        *all.entry(json.to_string()).or_default() += n;
    }
    all
}

/// Every alert of a level that spreads has reached both shadows, and no other has. `known` are the customers that the datamart
/// has: of a few the rows are dirty.
fn check_spread(alerts: &BTreeMap<String, usize>, known: &BTreeSet<String>) {
    let alerts: Vec<Json> = alerts.keys().map(|alert| serde_json::from_str(alert).unwrap()).collect();
    let text = |alert: &Json, field: &str| alert[field].as_str().unwrap_or_default().to_owned();
    let (mut wanted, mut found) = (BTreeSet::new(), BTreeSet::new());
    // A dead letter has no rule.
    for alert in alerts.iter().filter(|alert| alert["rule_id"].is_string()) {
        let (member, customer) = (text(alert, "member"), text(alert, "customer_id"));
        if alert["rule_id"] == "K-009" {
            found.insert(format!("{member}/{customer} {}", text(alert, "key")));
        } else if alert["level"] != "blue" && known.contains(&format!("{member}/{customer}")) {
            let id = text(alert, "alert_id");
            wanted.extend(["x", "y"].map(|shadow| format!("{member}/{shadow}{customer} {id}")));
        }
    }
    assert!(wanted.len() > 500, "only {} spread", wanted.len());
    let missing: Vec<_> = wanted.difference(&found).take(3).collect();
    let other: Vec<_> = found.difference(&wanted).take(3).collect();
    assert!(missing.is_empty() && other.is_empty(), "not reached {missing:?}, reached for nothing {other:?}");
}

/// The events of a bank, in three files: one half, and two quarters.
fn parts(bank: &Path) -> [PathBuf; 3] {
    let text = std::fs::read_to_string(bank.join("events/events.ndjson")).unwrap();
    let cut = |at: usize| text[..at].rfind('\n').unwrap() + 1;
    let (middle, late) = (cut(text.len() / 2), cut(text.len() / 4 * 3));
    let parts = [
        ("first.ndjson", &text[..middle]),
        ("second.ndjson", &text[middle..late]),
        ("third.ndjson", &text[late..]),
    ];
    parts.map(|(name, part)| {
        let path = bank.join("events").join(name);
        std::fs::write(&path, part).unwrap();
        path
    })
}

fn day(json: &str, field: &str) -> i64 {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let time = json[field].as_str().unwrap_or_else(|| panic!("{field} of {json}"));
    let date = chrono::NaiveDate::parse_from_str(&time[..10], "%Y-%m-%d").unwrap();
    date.signed_duration_since(chrono::NaiveDate::default()).num_days()
}

/// Kills the process if the test ends before it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn alerts_are_exactly_once_whatever_is_killed() {
    let Some(kafka) = Kafka::found() else {
        println!(
            "skipped: no TARIM_KAFKA; run it as `.ci/kafka run -- cargo test --test suite warn_kafka::`"
        );
        return;
    };
    kafka.write_rulebook();
    let kills: u32 = std::env::var("TARIM_KILLS").map_or(8, |n| n.parse().expect("a number"));
    let seed: u64 = std::env::var("TARIM_SEED").map_or(7, |n| n.parse().expect("a number"));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let bank = kafka.scratch.path().join("bank");
    let bank = bank.to_str().unwrap();
    // As much history as so many runs need, or the last of them would find nothing to do.
    let customers = (600 + 60 * kills).to_string();
    kafka.ok(&["synth", "--out", bank, "--customers", &customers, "--seed", "11"]);
    // Whoever spreads needs edges, and says so before anything is taken.
    kafka.init("calm");
    kafka.init("crashed");
    let none = kafka.run("calm", true).output().unwrap();
    let said = String::from_utf8_lossy(&none.stderr);
    assert!(!none.status.success() && said.contains("--no-contagion"), "{said}");
    // So does whoever reads features.
    kafka.ok(&["load", &format!("{bank}/customers.csv")]);
    let none = kafka.run("calm", true).output().unwrap();
    let said = String::from_utf8_lossy(&none.stderr);
    assert!(!none.status.success() && said.contains("there is no online store"), "{said}");
    kafka.ok(&["load", bank]);
    let query = "SELECT member || '/' || customer_id AS key FROM customers";
    let known = kafka.tarim().args(["sql", "--format", "csv", query]).output().unwrap();
    let known = String::from_utf8(known.stdout).unwrap().lines().map(str::to_owned).collect();
    // In the midst of it another rulebook comes into force.
    kafka.publish_another();
    // And features of three generations: at the beginning, with the rulebook, and late.
    let parts = parts(Path::new(bank));
    for ((part, verb), as_of) in
        parts.iter().zip(["features", "swap", "features"]).zip(["2025-09-30", "2025-12-31", "2026-03-31"])
    {
        kafka.ok(&["materialize", "--as-of", as_of]);
        for name in ["calm", "crashed"] {
            let events = format!("{name}.events");
            kafka.ok(&["warn", verb, "--events", &events]);
            kafka.ok(&["warn", "send", "--events", &events, "--from", part.to_str().unwrap()]);
        }
    }
    // Newer ones that the log does not name are not looked at, however many.
    for _ in 0..4 {
        kafka.ok(&["materialize", "--as-of", "2026-06-30"]);
    }

    let calm = kafka.run("calm", true).output().unwrap();
    assert!(calm.status.success(), "{}", String::from_utf8_lossy(&calm.stderr));
    let wanted = without_offsets(kafka.committed("calm"));
    assert!(wanted.len() > 1000, "the undisturbed run gave {} alerts", wanted.len());
    assert!(wanted.values().all(|n| *n == 1), "the undisturbed run gave an alert twice");
    // Without history the new rule would be silent for 50 days, and the absence for 33.
    let second = std::fs::read_to_string(&parts[1]).unwrap();
    let swapped = day(second.lines().next().unwrap(), "happened_at");
    for (rule, at_least) in [("X-001", 100), ("X-002", 5)] {
        let of_new = wanted.keys().filter(|alert| alert.contains(&format!("\"rule_id\":\"{rule}\"")));
        let soon = of_new.filter(|alert| (0..20).contains(&(day(alert, "raised_at") - swapped))).count();
        assert!(soon >= at_least, "{rule} fired {soon} times within 20 days of the swap");
    }
    for (rule, at_least) in [("D-001", 2), ("Z-001", 500)] {
        let of_rule = wanted.keys().filter(|alert| alert.contains(&format!("\"rule_id\":\"{rule}\"")));
        let told = of_rule.filter(|alert| alert.contains("\"customer.balance")).count();
        assert!(told >= at_least, "{rule}, which reads features, fired {told} times");
    }
    check_spread(&wanted, &known);

    let mut broker_kills = 0;
    for kill in 0..kills {
        let child = kafka.run("crashed", false).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut child = Killed(child);
        // Anything from before the first transaction to well into them.
        let alive = Duration::from_millis(rng.random_range(200..1600));
        let born = Instant::now();
        let broker_dies = kill % 10 == 4;
        if broker_dies {
            broker_kills += 1;
            std::thread::sleep(alive / 2);
            kafka.broker("kill");
        }
        std::thread::sleep(alive.saturating_sub(born.elapsed()));
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        if broker_dies {
            kafka.broker("restart");
        }
    }
    let last = kafka.run("crashed", true).output().unwrap();
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    let found = without_offsets(kafka.committed("crashed"));
    let lost: Vec<_> = wanted.keys().filter(|alert| !found.contains_key(*alert)).collect();
    let twice: Vec<_> = found.iter().filter(|(_, n)| **n > 1).collect();
    let other: Vec<_> = found.keys().filter(|alert| !wanted.contains_key(*alert)).collect();
    // Read by the goal `warn_crash`.
    println!(
        "crash: kills={kills} broker={broker_kills} records={} lost={} twice={} other={}",
        wanted.len(),
        lost.len(),
        twice.len(),
        other.len()
    );
    let few = |all: &[&String]| all.iter().take(3).map(|alert| (*alert).clone()).collect::<Vec<_>>();
    let twice: Vec<_> = twice.iter().map(|(alert, _)| *alert).collect();
    let (lost, twice, other) = (few(&lost), few(&twice), few(&other));
    assert!(
        lost.is_empty() && twice.is_empty() && other.is_empty(),
        "seed {seed}, {kills} kills: lost {lost:?}, twice {twice:?}, not in the undisturbed run {other:?}"
    );
    let (calm, crashed) = (kafka.keys("calm.events"), kafka.keys("crashed.events"));
    let other: Vec<_> = calm.iter().filter(|(key, n)| crashed.get(*key) != Some(*n)).take(3).collect();
    assert!(calm.len() == crashed.len() && other.is_empty(), "not as often in the log: {other:?}");
    kafka.check_partitions(&calm);
}
