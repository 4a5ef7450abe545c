//! Exactly once, on a real Kafka: the pipeline is killed again and again, and so is the broker; whoever reads committed
//! alerts sees what an undisturbed run gives, each once.
//!
//! `.ci/kafka run -- cargo test --test warn_kafka`; without TARIM_KAFKA it skips. `TARIM_KILLS` says how often.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
            .env("TARIM_RULEBOOK", concat!(env!("CARGO_MANIFEST_DIR"), "/examples/rulebook"))
            .env("TARIM_HOME", self.scratch.path().join("home"))
            .env("TARIM_KAFKA", &self.brokers);
        command
    }

    fn ok(&self, args: &[&str]) {
        let output = self.tarim().args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Publishes the example rulebook with windows, a rule over them, and an absence that it did not have: only history can tell of
    /// them at once.
    fn publish_another(&self) {
        let folder = self.scratch.path().join("another");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rulebook");
        let copied = Command::new("cp").arg("-r").arg(example).arg(&folder).status().unwrap();
        assert!(copied.success());
        std::fs::write(folder.join("features/streams/another.toml"), ANOTHER_STREAM).unwrap();
        std::fs::write(folder.join("warnings/another.toml"), ANOTHER_RULES).unwrap();
        let folder = folder.to_str().unwrap();
        let output = self.tarim().args(["--rulebook", folder, "rulebook", "publish"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// `tarim warn run`, in many small transactions.
    fn run(&self, name: &str, until_end: bool) -> Command {
        let mut command = self.tarim();
        let (group, alerts) = (format!("group-{name}"), format!("{name}.alerts.{{level}}"));
        let dead = format!("{name}.dead");
        command
            .args(["warn", "run", "--events", "crash.events", "--group", &group])
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

    fn broker(&self, verb: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/kafka");
        let status = Command::new(script).arg(verb).arg(&self.folder).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), ".ci/kafka {verb}");
    }
}

/// The events of a bank, in two files.
fn halves(bank: &Path) -> [PathBuf; 2] {
    let text = std::fs::read_to_string(bank.join("events/events.ndjson")).unwrap();
    let middle = text[..text.len() / 2].rfind('\n').unwrap() + 1;
    let parts = [("first.ndjson", &text[..middle]), ("second.ndjson", &text[middle..])];
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
        println!("skipped: no TARIM_KAFKA; run it as `.ci/kafka run -- cargo test --test warn_kafka`");
        return;
    };
    let kills: u32 = std::env::var("TARIM_KILLS").map_or(8, |n| n.parse().expect("a number"));
    let seed: u64 = std::env::var("TARIM_SEED").map_or(7, |n| n.parse().expect("a number"));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let bank = kafka.scratch.path().join("bank");
    let bank = bank.to_str().unwrap();
    // As much history as so many runs need, or the last of them would find nothing to do.
    let customers = (600 + 60 * kills).to_string();
    kafka.ok(&["synth", "--out", bank, "--customers", &customers, "--seed", "11"]);
    for name in ["calm", "crashed"] {
        let (alerts, dead) = (format!("{name}.alerts.{{level}}"), format!("{name}.dead"));
        kafka.ok(&[
            "warn",
            "init",
            "--events",
            "crash.events",
            "--partitions",
            "2",
            "--alerts",
            &alerts,
            "--dead",
            &dead,
        ]);
    }
    // In the midst of it another rulebook comes into force.
    kafka.publish_another();
    let halves = halves(Path::new(bank));
    for (i, half) in halves.iter().enumerate() {
        if i > 0 {
            kafka.ok(&["warn", "swap", "--events", "crash.events"]);
        }
        kafka.ok(&["warn", "send", "--events", "crash.events", "--from", half.to_str().unwrap()]);
    }

    let calm = kafka.run("calm", true).output().unwrap();
    assert!(calm.status.success(), "{}", String::from_utf8_lossy(&calm.stderr));
    let wanted = kafka.committed("calm");
    assert!(wanted.len() > 1000, "the undisturbed run gave {} alerts", wanted.len());
    assert!(wanted.values().all(|n| *n == 1), "the undisturbed run gave an alert twice");
    // Without history the new rule would be silent for 50 days, and the absence for 33.
    let second = std::fs::read_to_string(&halves[1]).unwrap();
    let swapped = day(second.lines().next().unwrap(), "happened_at");
    for (rule, at_least) in [("X-001", 100), ("X-002", 5)] {
        let of_new = wanted.keys().filter(|alert| alert.contains(&format!("\"rule_id\":\"{rule}\"")));
        let soon = of_new.filter(|alert| (0..20).contains(&(day(alert, "raised_at") - swapped))).count();
        assert!(soon >= at_least, "{rule} fired {soon} times within 20 days of the swap");
    }

    for kill in 0..kills {
        let child = kafka.run("crashed", false).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut child = Killed(child);
        // Anything from before the first transaction to well into them.
        let alive = Duration::from_millis(rng.random_range(200..1600));
        let born = Instant::now();
        let broker_dies = kill % 10 == 4;
        if broker_dies {
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
    let found = kafka.committed("crashed");
    let lost: Vec<_> = wanted.keys().filter(|alert| !found.contains_key(*alert)).take(3).collect();
    let twice: Vec<_> = found.iter().filter(|(_, n)| **n > 1).take(3).collect();
    let other: Vec<_> = found.keys().filter(|alert| !wanted.contains_key(*alert)).take(3).collect();
    assert!(
        lost.is_empty() && twice.is_empty() && other.is_empty(),
        "seed {seed}, {kills} kills: lost {lost:?}, twice {twice:?}, not in the undisturbed run {other:?}"
    );
    println!("{kills} kills: {} alerts and dead letters, each once", found.len());
}
