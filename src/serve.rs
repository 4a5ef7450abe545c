//! `tarim serve`: decisions over gRPC.

use std::{io::Write, net::SocketAddr, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use tarim_datamart::gate::dates::iso_timestamp;
use tarim_decision::{
    exposure::KEYS_KEPT,
    journal::Journal,
    service::{self, Clock, Config, ExposureSource, GroupSource, Running, Sources, Threads, Tls},
};
use tarim_features::store::{EmbeddedStore, OnlineStore};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    exposure::events,
    files,
    home::Home,
    warned::{self, Hearing},
};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim serve\n  \
    tarim serve --listen 127.0.0.1:0 --metrics 127.0.0.1:0\n  \
    tarim serve --warnings tarim-home/warnings/ledger\n  \
    TARIM_LOG=warn,tarim_decision=info tarim --log-format json serve\n  \
    tarim serve --listen 0.0.0.0:50051 --tls-cert server.pem --tls-key server.key \\\n    \
    --tls-client-ca clients.pem\n\n\
    Where the rulebook has exposure limits, the ledger of exposures is served beside \
    (tarim.exposure.v1.ExposureService).\n\n\
    The published rulebook and the online store are looked at every second, at once on SIGHUP; a new \
    version is served from the next decision on. SIGTERM and ctrl-c finish what was accepted.\n\n\
    The limit of open files is raised as far as it goes; all but 256, and 16 a processor, may be connections, \
    and whoever comes then waits until one ends.\n\n\
    Prometheus is answered at http://127.0.0.1:9464/metrics; examples/grafana/tarim.json is a dashboard. Every \
    request that is refused has a line in the log, with its id: at level debug where too many came or nothing can be \
    journaled, since then the metrics have the cause.\n\n\
    grpcurl -plaintext 127.0.0.1:50051 list")]
pub struct Args {
    /// Address to listen on; port 0 takes a free one and prints it
    #[arg(long, default_value = "127.0.0.1:50051", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Loopback address to answer Prometheus on
    #[arg(long, default_value = "127.0.0.1:9464", value_name = "ADDRESS")]
    metrics: SocketAddr,
    /// Tell no metrics
    #[arg(long, conflicts_with = "metrics")]
    no_metrics: bool,
    /// Certificate of this server, PEM; needed on any other address than loopback
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Authority of client certificates, PEM: with it every client must show one
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Decide as of this time, always: for trials on past data, never for business
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<i64>,
    /// Single requests in flight at once; one more is refused
    #[arg(long, default_value_t = 1024, value_name = "N")]
    max_in_flight: usize,
    /// Streams open, and batches in flight, at once; one more is refused
    #[arg(long, default_value_t = 64, value_name = "N")]
    max_streams: usize,
    /// Requests of one stream in flight at once
    #[arg(long, default_value_t = 256, value_name = "N")]
    stream_window: usize,
    /// Threads that have connections, and as many again that decide batches and streams; default: one of each a processor
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Seconds from one look for a new rulebook or new features to the next
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    look_every: u64,
    /// Folder of the datamart, whose edges say which customers are one group for exposure limits [default: datamart/ in
    /// the home]
    #[arg(long, value_name = "FOLDER")]
    datamart: Option<PathBuf>,
    /// Leave customers in the groups that the exposure ledger has them in
    #[arg(long, conflicts_with_all = ["datamart", "groups_every"])]
    no_groups: bool,
    /// Time from one look at the datamart's edges to the next: 10m, 1h
    #[arg(long, default_value = "1h", value_name = "SPAN", value_parser = warned::span)]
    groups_every: Duration,
    /// Days for which it is known what was done to an exposure after it was closed, so that a repeat gets the first answer;
    /// later whatever is asked of it is refused as gone. At least 31
    #[arg(long, default_value_t = KEYS_KEPT.as_secs() / DAY, value_name = "DAYS", value_parser = keys_kept)]
    keys_kept: u64,
    #[command(flatten)]
    events: events::Args,
    #[command(flatten)]
    warned: warned::Args,
}

impl Args {
    fn config(&self, threads: Threads, max_connections: usize) -> Config {
        let tls = self.tls_cert.clone().zip(self.tls_key.clone());
        Config {
            metrics: (!self.no_metrics).then_some(self.metrics),
            tls: tls.map(|(cert, key)| Tls { cert, key, client_ca: self.tls_client_ca.clone() }),
            clock: self.now.map_or(Clock::System, Clock::Fixed),
            max_connections,
            max_in_flight: self.max_in_flight,
            max_streams: self.max_streams,
            stream_window: self.stream_window,
            poll: Duration::from_secs(self.look_every),
            threads: Some(threads),
            ..Config::on(self.listen)
        }
    }
}

impl Args {
    /// The ledger in the home; it is opened if the rulebook has limits.
    fn exposures(&self, home: &Home) -> ExposureSource {
        let source =
            ExposureSource::of_folder(&home.exposure()).with_events(events::outbox(home, &self.events));
        let source = source.with_keys_kept(Duration::from_secs(self.keys_kept * DAY));
        if self.no_groups {
            return source;
        }
        let datamart = self.datamart.clone().unwrap_or_else(|| home.datamart());
        source.with_groups(GroupSource { datamart, every: self.groups_every })
    }
}

/// Seconds of a day.
const DAY: u64 = 24 * 3600;
/// Whoever closes the books of a month may still repeat what it asked in it. More than a century is a slip.
const KEYS_KEPT_DAYS: std::ops::RangeInclusive<u64> = 31..=36_500;

fn keys_kept(text: &str) -> Result<u64, String> {
    let days = text.parse().ok().filter(|days| KEYS_KEPT_DAYS.contains(days));
    days.ok_or_else(|| {
        "write a whole number of days, 31 to 36500: who repeats an operation of last month must get the first answer".into()
    })
}

fn time(text: &str) -> Result<i64, String> {
    iso_timestamp(text).ok_or_else(|| "write it like 2026-06-30T10:00:00Z or 2026-06-30".into())
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let (runtime, threads) = Threads::start(args.threads)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut reload = signal(SignalKind::hangup())?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                // An error: there is no ctrl-c to listen to. SIGTERM remains.
                Ok(()) = tokio::signal::ctrl_c() => {}
            }
        };
        let (running, _hearing) = start(home, &args, threads, shutdown).await?;
        say(&running, &args)?;
        let reloader = running.reloader();
        tokio::spawn(async move {
            while reload.recv().await.is_some() {
                reloader.notify_one();
            }
        });
        running.ended().await?;
        println!("stopped: what was accepted is answered and in the journal");
        Ok(())
    })
}

/// Starts the service of an installation, on the runtime that was started with `threads`; it ends when `shutdown` completes. It knows
/// of warnings as long as what hears of them is held.
pub async fn start(
    home: &Home,
    args: &Args,
    threads: Threads,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<(Running, Option<Hearing>)> {
    let max_connections = files::connections()?;
    let tokeniser = home.tokeniser()?;
    let store = home.store();
    let open_store = move |features| {
        EmbeddedStore::open(&store, features).map(|store| Arc::new(store) as Arc<dyn OnlineStore>)
    };
    let mut sources = Sources::new(&home.published(), Box::new(open_store), Arc::new(tokeniser));
    sources = sources.with_exposures(args.exposures(home));
    let warned = args.warned.clone();
    let heard = tokio::task::spawn_blocking(move || warned::hear(&warned)).await??;
    let (hearing, warnings) = heard.unzip();
    if let Some(warnings) = warnings {
        sources = sources.with_warnings(warnings);
    }
    let folder = home.journal();
    let journal = tokio::task::spawn_blocking(move || Journal::open(&folder)).await??;
    Ok((service::serve(args.config(threads, max_connections), sources, journal, shutdown).await?, hearing))
}

fn say(running: &Running, args: &Args) -> anyhow::Result<()> {
    let serving = running.serving();
    let mut out = std::io::stdout().lock();
    if args.now.is_some() {
        let now = tarim_datamart::Value::Timestamp(args.now.unwrap_or_default());
        writeln!(out, "*** THE CLOCK STANDS STILL AT {now}: every decision is made as of then (--now) ***")?;
    }
    writeln!(out, "rulebook {}", serving.engine.rulebook().version())?;
    writeln!(out, "features {}", serving.engine.snapshot().version())?;
    if let Some(address) = running.metrics() {
        writeln!(out, "metrics at http://{address}/metrics")?;
    }
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    writeln!(out, "decisions at {scheme}://{}", running.address())?;
    out.flush().context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use clap::{
        Parser,
        error::ErrorKind::{self, ArgumentConflict, MissingRequiredArgument, ValueValidation},
    };

    use crate::Cli;

    /// Why flags of `tarim serve` are refused; None: they are not.
    fn refused(flags: &str) -> Option<ErrorKind> {
        let line = ["tarim", "serve"].into_iter().chain(flags.split_whitespace());
        Cli::try_parse_from(line).err().map(|e| e.kind())
    }

    #[test]
    fn what_would_do_nothing_is_refused() {
        for (flags, why) in [
            ("--events-topic t", MissingRequiredArgument),
            ("--events-kafka k=v", MissingRequiredArgument),
            ("--events-file f --events-topic t", ArgumentConflict),
            ("--events-file f --events-kafka k=v", ArgumentConflict),
            ("--warnings-topic t", MissingRequiredArgument),
            ("--warnings-kafka k=v", MissingRequiredArgument),
            ("--warnings-stale-after 1h", MissingRequiredArgument),
            ("--warnings w --warnings-topic t", ArgumentConflict),
            ("--warnings w --warnings-kafka k=v", ArgumentConflict),
            ("--warnings w --warnings-brokers b", ArgumentConflict),
            ("--no-groups --groups-every 1h", ArgumentConflict),
            ("--look-every 0", ValueValidation),
        ] {
            assert_eq!(refused(flags), Some(why), "{flags}");
        }
        for flags in [
            "",
            "--events-brokers b --events-topic t --events-kafka k=v",
            "--events-file f",
            "--warnings w --warnings-stale-after 1h",
            "--warnings-brokers b --warnings-topic t --warnings-kafka k=v --warnings-stale-after 1h",
            "--groups-every 1h",
            "--no-groups",
            "--look-every 1",
        ] {
            assert_eq!(refused(flags), None, "{flags}");
        }
    }
}
