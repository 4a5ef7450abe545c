//! `tarim warn run`: the pipeline on Kafka.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use comfy_table::Table;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tarim_warning::{
    kafka::{Encoding, Partitioner, Progress, Running, start},
    rulebook::WarningBook,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    super::{
        contagion::{Spread, span},
        metrics,
        store::Features,
    },
    Broker,
};
use crate::{home::Home, materialize::LINES};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn run --brokers 127.0.0.1:9092\n  \
    tarim warn run --partitions 0,1 --state /var/lib/tarim/warn\n  \
    tarim warn run --until-end                 # take all there is, then stop\n  \
    tarim warn run --metrics 127.0.0.1:9465 &  curl -s http://127.0.0.1:9465/metrics\n  \
    kcat -b 127.0.0.1:9092 -C -t tarim.alerts.red -X isolation.level=read_committed\n\n\
    Offsets and alerts are committed in one transaction: readers of committed messages see each alert once, also after a crash. \
    The state is kept in --state, and rebuilt from the events where it is missing: as far as the topic still has them (tarim \
    warn init --retention); what is older is in no window and no pattern then, and the log says where they begin. A state whose \
    group has no committed offset any more is not taken: the error says how to go on.\n\n\
    What alerts spread to neighbours ([[spread]] of the warning rules) is put on the topic of events, in the same transaction. \
    Only one group may do so: others on the same topic say --no-contagion, and take what is there.\n\n\
    Features that rules read are those of the generation that the log names: see `tarim warn features`.")]
pub struct Args {
    #[command(flatten)]
    broker: Broker,
    /// Consumer group; also the beginning of the transactional ids
    #[arg(long, default_value = "tarim-warn")]
    group: String,
    /// How alerts are written
    #[arg(long, value_enum, default_value = "json", value_name = "FORMAT")]
    format: Format,
    /// Folder of the state's snapshots [default: warnings/ in the home]
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Partitions to work on, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    partitions: Vec<i32>,
    /// Longest time from an event to the commit of its alerts, in milliseconds
    #[arg(long, default_value_t = 100, value_name = "MS")]
    interval_ms: u64,
    /// Most events of a transaction
    #[arg(long, default_value_t = 20_000, value_name = "EVENTS")]
    events_max: usize,
    /// A snapshot of a partition's state is written after so many events, and every hour in which any came
    #[arg(long, default_value_t = 1_000_000, value_name = "EVENTS")]
    snapshot_events: u64,
    /// Put a tick on every partition so often, in seconds; 0: another process does
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    tick_s: u64,
    #[command(flatten)]
    features: Features,
    #[command(flatten)]
    spread: Spread,
    /// Load the edges anew so often: 90s, 30m, 1h, 1d; 0: never
    #[arg(long, default_value = "1h", value_name = "SPAN", value_parser = span)]
    edges_every: Duration,
    /// How whoever sends events chooses the partition of the key member/customer_id: murmur2 (the Java client, tarim warn send), or
    /// crc32 (librdkafka's own); what spreads goes to the same, and an event in another one is a dead letter. any: in a way of their
    /// own that keeps a customer's events together, which is not checked, and nothing can spread
    #[arg(long, default_value = "murmur2", value_name = "HASH")]
    partitioner: Partitioner,
    /// Answer Prometheus on this address, at /metrics; port 0 takes a free one and prints it
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Stop once all events have been taken that there are, in all of the partitions
    #[arg(long)]
    until_end: bool,
    /// Take the published rulebook instead of the text
    #[arg(long)]
    published: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Json,
    Protobuf,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let folder = home.rulebook_of(args.published)?;
    let book = Arc::new(WarningBook::read(&folder)?);
    let mut settings = args.broker.reached(home)?;
    settings.group = args.group;
    settings.encoding = match args.format {
        Format::Json => Encoding::Json,
        Format::Protobuf => Encoding::Protobuf,
    };
    settings.state = args.state.unwrap_or(settings.state);
    settings.partitions = Some(args.partitions).filter(|p| !p.is_empty());
    settings.interval = Duration::from_millis(args.interval_ms);
    settings.events_max = args.events_max.max(1);
    settings.snapshot_events = args.snapshot_events.max(1);
    settings.until_end = args.until_end;
    settings.contagion = args.spread.network(home);
    settings.partitioner = args.partitioner;
    settings.known = args.features.of_log(home)?;
    // A thread beside the one that looks: whoever scrapes waits for the broker.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let exporter = args.metrics.map(|address| runtime.block_on(metrics::listen(address))).transpose()?;
    let started = Instant::now();
    let running = start(&settings, &book)?;
    // What is taken until the end is history: nothing new is put behind it.
    if args.tick_s > 0 && !args.until_end {
        running.tick_every(Duration::from_secs(args.tick_s))?;
    }
    eprintln!("watching {} at {}", settings.events, settings.brokers);
    for (edges, n) in running.edges() {
        eprintln!("alerts spread along {} edges `{edges}`", HumanCount(*n as u64));
    }
    runtime.block_on(async {
        if let Some(exporter) = exporter {
            println!("metrics at http://{}/metrics", exporter.address()?);
            tokio::spawn(exporter.run(running.registry()?));
        }
        let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg}")?);
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut loaded = Instant::now();
        let mut told = false;
        loop {
            let ended = running.has_ended();
            if !told && let Some(versions) = running.rulebooks() {
                bar.suspend(|| eprintln!("{}", in_force(&versions, book.version())));
                told = true;
            }
            if ended {
                break;
            }
            bar.set_message(line(&running, started));
            bar.tick();
            tokio::select! {
                _ = term.recv() => running.stop(),
                _ = int.recv() => running.stop(),
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
            if !args.edges_every.is_zero() && loaded.elapsed() >= args.edges_every {
                running.refresh_edges();
                loaded = Instant::now();
            }
        }
        bar.finish_and_clear();
        anyhow::Ok(())
    })?;
    let progress = running.ended()?;
    println!("{}", table(progress, started.elapsed()));
    Ok(())
}

/// Which rulebook holds: not always the one that was given.
fn in_force(versions: &BTreeSet<String>, given: &str) -> String {
    let short = |version: &str| version[..version.len().min(12)].to_owned();
    let held: Vec<String> = versions.iter().map(|version| short(version)).collect();
    let held = held.join(" and ");
    if versions.contains(given) {
        return format!("rulebook {held}");
    }
    let given = short(given);
    format!("rulebook {held}, as the log says: `tarim warn swap` brings {given}, which was given, into force")
}

fn line(running: &Running, started: Instant) -> String {
    let Progress { events, alerts, dead, silent, refilled, to_refill, .. } = running.progress();
    let per_second = (events as f64 / started.elapsed().as_secs_f64()) as u64;
    let history = match to_refill {
        0 => String::new(),
        all => format!("; backfilling new windows: {} %", (100 * refilled / all).min(100)),
    };
    format!(
        "{} events ({} a second), {} alerts, {} dead letters; {} taken silently{history}",
        HumanCount(events),
        HumanCount(per_second),
        HumanCount(alerts),
        HumanCount(dead),
        HumanCount(silent)
    )
}

fn table(progress: Progress, taken: Duration) -> Table {
    let mut table = Table::new();
    table.load_preset(LINES).set_header(["what", "how many"]);
    for (what, n) in [
        ("events", progress.events),
        ("events taken silently, to rebuild the state", progress.silent),
        ("alerts", progress.alerts),
        ("spread to neighbours", progress.spread),
        ("alerts with more neighbours than may be told", progress.cut),
        ("dead letters", progress.dead),
        ("transactions", progress.transactions),
        ("events a second", (progress.events as f64 / taken.as_secs_f64()) as u64),
    ] {
        table.add_row([what.to_owned(), HumanCount(n).to_string()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rulebook_that_holds_is_told_and_not_the_one_that_was_given() {
        let (one, other) = ("1".repeat(64), "2".repeat(64));
        assert_eq!(in_force(&[one.clone()].into(), &one), "rulebook 111111111111");
        let told = in_force(&[one.clone()].into(), &other);
        assert!(told.starts_with("rulebook 111111111111, as the log says: `tarim warn swap`"), "{told}");
        assert!(told.contains("222222222222"), "{told}");
        // A change is under way.
        assert_eq!(in_force(&[one, other.clone()].into(), &other), "rulebook 111111111111 and 222222222222");
    }
}
