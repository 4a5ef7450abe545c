//! The edge of Kafka, beside a raw pass-through.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use serde_json::Value as Json;
use tarim_benches::{ending::Ending, fixture::warn::WarnBook};

use super::NAME;
use crate::{
    goals::{
        Goal, Line, Quantity, Setting, Wanted,
        peer::{build_ours, measured, number},
    },
    measure::median,
};

pub struct WarnKafka;

/// How much of the pass-through's throughput is wanted.
const WANTED: f64 = 0.7;
/// Nanoseconds besides the interval of transactions that the 99th percentile may take.
const BESIDES_NS: f64 = 50e6;
const PER_SECOND: u64 = 20_000;
const PARTITIONS: &str = "2";
const RUNS: usize = 3;

impl Goal for WarnKafka {
    fn name(&self) -> &'static str {
        "warn_kafka"
    }

    fn about(&self) -> &'static str {
        "the same pipeline on Apache Kafka, exactly once, beside a raw transactional pass-through; latency of alerts"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let executable = build_ours(setting, NAME)?;
        let folder = setting.folder("warn_kafka")?;
        let customers = setting.size(1_000_000, 20_000);
        let events = setting.size(2_000_000, 100_000);
        let book = WarnBook { windows: 40, rules: 200, customers };
        book.write(&folder.join("rulebook"))?;
        book.write_events(events, &folder.join("events.pb"))?;
        let broker = Broker::start(&folder.join("broker"))?;
        let path = folder.to_string_lossy().into_owned();
        let name = |what: &str, i: usize| format!("{what}{i}");
        let mut fill = vec!["fill".to_owned(), broker.address.clone(), path.clone(), PARTITIONS.into()];
        fill.extend((0..RUNS).flat_map(|i| [name("ours", i), name("pass", i)]));
        fill.push("latency".into());
        measured(&executable, &fill.iter().map(String::as_str).collect::<Vec<_>>())?;

        let (mut ours, mut pass) = (Vec::new(), Vec::new());
        for i in 0..RUNS {
            let ran = measured(&executable, &["run", &broker.address, &path, &name("ours", i)])?;
            ensure!(number(&ran, "dead")? == 0.0, "some of the events were dead letters: {ran}");
            ours.push(rate(&ran, events)?);
            let ran = measured(&executable, &["pass", &broker.address, PARTITIONS, &name("pass", i)])?;
            pass.push(rate(&ran, events)?);
        }
        let seconds = setting.size(20, 5).to_string();
        let per_second = PER_SECOND.to_string();
        let late = measured(&executable, &["latency", &broker.address, &path, &per_second, &seconds])?;
        let (sent, alerts) = (number(&late, "sent")?, number(&late, "alerts_wanted")?);
        let none =
            |what: String, n: f64| Line::new(what, Quantity::Count(n), Wanted::AtMost(Quantity::Count(0.0)));
        let wanted = number(&late, "interval_ns")? + BESIDES_NS;
        Ok(vec![
            Line::new(
                format!("events of {events}, end to end on Kafka, exactly once"),
                Quantity::Rate(median(ours)),
                Wanted::Faster(WANTED),
            )
            .beside("raw pass-through", Quantity::Rate(median(pass))),
            Line::new(
                format!("alerts at {PER_SECOND} events/s, p99 from when the event was due"),
                Quantity::Time(number(&late, "p99_ns")?),
                Wanted::AtMost(Quantity::Time(wanted)),
            ),
            Line::new("the same, p50", Quantity::Time(number(&late, "p50_ns")?), Wanted::Told),
            // What never came has no latency.
            none(format!("of {alerts} alerts of these, missing"), number(&late, "alerts_missing")?),
            none(format!("of {sent} events of these, not taken"), sent - number(&late, "taken")?),
            none("dead letters of these".into(), number(&late, "dead")?),
        ])
    }
}

/// Events a second of a run that has to have taken all of them.
fn rate(ran: &Json, events: u64) -> anyhow::Result<f64> {
    let taken = number(ran, "events")?;
    ensure!(taken == events as f64, "{taken} events were taken, of {events}");
    Ok(taken / number(ran, "wall_s")?)
}

/// A broker of our own, stopped when this is dropped.
struct Broker {
    address: String,
    _ending: Ending,
}

impl Broker {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut stop = script();
        // Another ctrl-c is not for it.
        stop.arg("stop").arg(folder).stdout(Stdio::null()).process_group(0);
        let place = folder.to_path_buf();
        let ending = Ending::new(move || {
            if !stop.status().is_ok_and(|status| status.success()) {
                eprintln!("the broker in {} may still run", place.display());
            }
        });
        let output = script().arg("start").arg(folder).output().context("Kafka is missing")?;
        if !output.status.success() {
            bail!("Kafka is missing: {}", String::from_utf8_lossy(&output.stderr));
        }
        let address = String::from_utf8(output.stdout)?.trim().to_owned();
        Ok(Self { address, _ending: ending })
    }
}

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/kafka"))
}
