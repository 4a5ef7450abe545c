//! `tarim warn serve`: alerts become warnings, and people deal with them.

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tarim_warning::{
    clock::Clock,
    feed::{self, Feeding, Settings, take_file},
    ledger::{Ledger, Opening, Pushing},
    lifecycle::Inspections,
    service::{self, Config, Tls},
};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    kafka::pair,
    managers::{self, Source, Told},
    metrics,
};
use crate::{files, home::Home, materialize::parse_time};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim warn serve --alerts-file alerts.ndjson        # what `tarim warn replay --to` wrote\n  \
    tarim warn serve --brokers 127.0.0.1:9092\n  \
    tarim warn serve --listen 0.0.0.0:7411 --tls-cert server.pem --tls-key server.key\n  \
    tarim warn serve --metrics 127.0.0.1:9466 &  curl -s http://127.0.0.1:9466/metrics\n  \
    tarim warn list --member 001 --level red\n  \
    kcat -b 127.0.0.1:9092 -C -t tarim.warning.changes\n\n\
    Alerts open warnings; a repeat while one stands raises its count. What was taken and what was done is in --state, on \
    disk before it is answered; an alert that comes twice changes nothing. Changes go to --changes after that, at least \
    once, each with its change_id. What stands against each customer goes to --standing, for `tarim serve \
    --warnings-brokers`; on this machine it can follow --state instead. SIGTERM and ctrl-c finish what was accepted.\n\n\
    The limit of open files is raised as far as it goes; all but 256, and 16 a processor, may be connections, and \
    whoever comes then waits until one ends.\n\n\
    If the rulebook has a [delivery], each alert is pushed to the customer's account manager, at once or in a digest, and \
    escalated if nobody looks into it; pushes go to --pushes, and `tarim warn inbox` lists them. `managers_sql` is asked of \
    the datamart at the start, and every --managers-every-m minutes again.\n\n\
    --metrics answers Prometheus: calls by code and how long they took, warnings that stand, how far alerts are read. Any \
    gRPC client may call: `grpcurl -plaintext 127.0.0.1:7411 list` shows what.")]
pub struct Args {
    /// Address to listen on; port 0 takes a free one and prints it
    #[arg(long, default_value = "127.0.0.1:7411", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Take the alerts of this file, .ndjson or .pb, and leave Kafka out of it
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["brokers", "more", "alerts", "changes", "standing", "pushes", "group"]
    )]
    alerts_file: Option<PathBuf>,
    /// Addresses of brokers, host:port, separated by commas [env: TARIM_KAFKA] [default: 127.0.0.1:9092]
    // Not clap's `env`: a variable that is set for all verbs would then contradict --alerts-file.
    #[arg(long, value_name = "BROKERS")]
    brokers: Option<String>,
    /// A setting of librdkafka, such as security.protocol=SASL_SSL; may be given several times
    #[arg(long = "kafka", value_name = "KEY=VALUE", value_parser = pair)]
    more: Vec<(String, String)>,
    /// Topic of alerts; {level} and {member} stand for the alert's
    #[arg(long, default_value = "tarim.alerts.{level}", value_name = "TOPIC")]
    alerts: String,
    /// Topic of changes
    #[arg(long, default_value = "tarim.warning.changes", value_name = "TOPIC")]
    changes: String,
    /// Topic of what stands against customers
    #[arg(long, default_value = "tarim.warning.standing", value_name = "TOPIC")]
    standing: String,
    /// Topic of pushes
    #[arg(long, default_value = "tarim.pushes", value_name = "TOPIC")]
    pushes: String,
    /// Push nothing, whatever the rulebook says; of the published one, if there is one, only the members are read then
    #[arg(long)]
    no_pushes: bool,
    /// Take the published rulebook instead of the text
    #[arg(long, conflicts_with = "no_pushes")]
    published: bool,
    /// Minutes until the account managers are asked for again; 0: never
    #[arg(long, default_value_t = 15, value_name = "MINUTES")]
    managers_every_m: u64,
    /// Let the clock stand still at this time: for demonstrations on past data
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    now: Option<i64>,
    /// Consumer group; how far it has read is kept in the state
    #[arg(long, default_value = "tarim-warn-serve")]
    group: String,
    /// Folder of the warnings [default: warnings/ledger in the home]
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Days from an orange alert to its inspection
    #[arg(long, default_value_t = 7, value_name = "DAYS")]
    inspect_orange_days: u32,
    /// Days from a red alert to its inspection
    #[arg(long, default_value_t = 1, value_name = "DAYS")]
    inspect_red_days: u32,
    /// Days that a push stays in the inbox of its reader; on its topic it is for longer
    #[arg(long, default_value_t = 92, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    inbox_days: u32,
    /// Answer Prometheus on this address, at /metrics; port 0 takes a free one and prints it
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Certificate of this server, PEM; needed on any other address than loopback
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Authority of client certificates, PEM: with it every client must show one
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
}

impl Args {
    fn clock(&self) -> Clock {
        self.now.map_or(Clock::System, Clock::Fixed)
    }

    fn config(&self) -> Config {
        let tls = self.tls_cert.clone().zip(self.tls_key.clone());
        Config {
            tls: tls.map(|(cert, key)| Tls { cert, key, client_ca: self.tls_client_ca.clone() }),
            clock: self.clock(),
            ..Config::on(self.listen)
        }
    }

    fn inspections(&self) -> Inspections {
        let days = |days: u32| Duration::from_secs(86_400 * u64::from(days));
        Inspections { orange: days(self.inspect_orange_days), red: days(self.inspect_red_days) }
    }

    fn brokers(&self) -> String {
        let of_all_verbs = || std::env::var("TARIM_KAFKA").ok();
        self.brokers.clone().or_else(of_all_verbs).unwrap_or_else(|| "127.0.0.1:9092".into())
    }

    fn settings(&self) -> Settings {
        Settings {
            brokers: self.brokers(),
            more: self.more.clone(),
            alerts: self.alerts.clone(),
            changes: self.changes.clone(),
            standing: self.standing.clone(),
            pushes: self.pushes.clone(),
            group: self.group.clone(),
            inspections: self.inspections(),
            clock: self.clock(),
        }
    }
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let state = args.state.clone().unwrap_or_else(|| home.warnings().join("ledger"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Told { policy, source, members } = match args.no_pushes {
        true => managers::members(home),
        false => managers::read(home, args.published)?,
    };
    let pushing = match policy {
        None => None,
        Some(policy) => {
            let managers = runtime.block_on(managers::load(source.as_ref()))?;
            Some(Pushing { policy, managers, clock: args.clock() })
        }
    };
    let inbox = Duration::from_secs(86_400 * u64::from(args.inbox_days));
    let opening = Opening { pushing, clock: args.clock(), inbox, ..Opening::default() };
    let ledger = Arc::new(Ledger::open_with(&state, opening)?);
    // What was due while nobody was here comes first.
    ledger.tick_now()?;
    if let Some(file) = &args.alerts_file {
        take(&ledger, file, &args)?;
    }
    let served = runtime.block_on(serve(&args, &ledger, members, source));
    // What is not noted as sent by now is sent after a restart.
    ledger.close().map_err(anyhow::Error::new)?;
    served?;
    println!("stopped: what was accepted is answered and in {}", state.display());
    Ok(())
}

fn take(ledger: &Ledger, file: &Path, args: &Args) -> anyhow::Result<()> {
    let size = std::fs::metadata(file).map_or(0, |m| m.len());
    let style = ProgressStyle::with_template("{spinner} {bytes}/{total_bytes} of alerts [{wide_bar}] {eta}")?;
    let bar = ProgressBar::new(size).with_style(style);
    let taken = take_file(ledger, file, &args.inspections(), &args.clock(), |bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    println!(
        "{}: {} warnings opened, {} repeats counted, {} alerts known before",
        file.display(),
        HumanCount(taken.opened),
        HumanCount(taken.repeated),
        HumanCount(taken.known)
    );
    Ok(())
}

/// So often it is looked whether something ended by itself, and whether something is due.
const LOOK: Duration = Duration::from_millis(200);

async fn serve(
    args: &Args,
    ledger: &Arc<Ledger>,
    members: Vec<String>,
    source: Option<Source>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async move {
        // An error means that whoever tells is gone.
        let _ = stopped.await;
    };
    let exporter = match args.metrics {
        Some(address) => Some(metrics::listen(address).await?),
        None => None,
    };
    let config = Config { members, max_connections: files::connections()?, ..args.config() };
    let running = service::serve(config, ledger.clone(), shutdown).await?;
    let feeding = match &args.alerts_file {
        // All of them are taken, and no others come.
        Some(_) => None,
        None => Some(feed::start(args.settings(), ledger.clone())?),
    };
    if feeding.is_none() {
        ledger.heard(Clock::System.now_us());
    }
    if let Some(exporter) = exporter {
        println!("metrics at http://{}/metrics", exporter.address()?);
        let fed = feeding.as_ref().map(|feeding| feeding.fed().clone());
        tokio::spawn(exporter.run(running.registry(fed)));
    }
    say(args, running.address())?;
    let every = Duration::from_secs(60 * args.managers_every_m);
    let asking = source.filter(|_| !every.is_zero()).map(|source| {
        let ledger = ledger.clone();
        tokio::spawn(async move { managers::keep_up(&source, &ledger, every).await })
    });
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            // An error: there is no ctrl-c to listen to. SIGTERM remains.
            Ok(()) = tokio::signal::ctrl_c() => break,
            () = tokio::time::sleep(LOOK) => {
                if feeding.is_none() {
                    ledger.heard(Clock::System.now_us());
                }
                if !ledger.is_open() || feeding.as_ref().is_some_and(Feeding::has_ended) {
                    break;
                }
                // If it cannot be written the ledger is closed, which is seen next time.
                ledger.tick(|_| ());
            }
        }
    }
    if let Some(asking) = asking {
        asking.abort();
    }
    // It is there until it has ended.
    let _ = stop.send(());
    let ended = running.ended().await;
    if let Some(feeding) = feeding {
        feeding.stop();
        let fed = feeding.fed();
        let [taken, rejected, sent, pushed] = [&fed.taken, &fed.rejected, &fed.sent, &fed.pushed]
            .map(|n| HumanCount(n.load(Ordering::Relaxed)));
        println!(
            "{taken} alerts read, {rejected} records left out as no alerts, {sent} changes and {pushed} pushes sent"
        );
        tokio::task::spawn_blocking(move || feeding.ended()).await??;
    }
    Ok(ended?)
}

fn say(args: &Args, address: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if args.alerts_file.is_none() {
        writeln!(out, "alerts from {} at {}; changes to {}", args.alerts, args.brokers(), args.changes)?;
    }
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    writeln!(out, "warnings at {scheme}://{address}")?;
    out.flush().context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use crate::Cli;

    #[test]
    fn what_is_of_kafka_contradicts_a_file_of_alerts() {
        let parsed = |flags: &[&str]| Cli::try_parse_from([&["tarim", "warn", "serve"][..], flags].concat());
        for flag in ["--brokers", "--kafka", "--alerts", "--changes", "--standing", "--pushes", "--group"] {
            assert!(parsed(&[flag, "a=b"]).is_ok(), "{flag}");
            let refused = parsed(&["--alerts-file", "alerts.ndjson", flag, "a=b"]).err();
            assert_eq!(refused.map(|e| e.kind()), Some(ErrorKind::ArgumentConflict), "{flag}");
        }
    }
}
