//! Servers that the goal `grpc` measures: the decision service, and an empty echo of the same messages. Each prints
//! its address, the service that of its metrics behind it, and ends with its standard input.

mod echo;

use std::{
    fs,
    io::{BufRead, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use bytes::Bytes;
use clap::Parser;
use prost::Message;
use tarim_benches::fixture::{NOW_US, bank::tokeniser};
use tarim_decision::{
    journal::Journal,
    service::{self, Clock, Config, ExposureSource, Sources, Threads},
};
use tarim_features::store::{EmbeddedStore, OnlineStore};
use tarim_proto::encoded::{Decision, decision_service_server::DecisionServiceServer};
use tokio::{net::TcpListener, sync::oneshot};
use tonic::transport::server::TcpIncoming;
use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

use self::echo::Echo;

/// As `tarim` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A server to be measured.
#[derive(Parser)]
#[command(name = "tarim-benches-server")]
struct Args {
    #[arg(value_enum)]
    what: What,
    /// Of `decide`: has published/ and store/, and gets journal/ and, of a rulebook with limits, exposures/. Of `echo`:
    /// has answers
    folder: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    Decide,
    Echo,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    log();
    // As many threads as `tarim serve` has.
    let (runtime, threads) = Threads::start(None)?;
    runtime.block_on(async {
        let (stop, stopped) = oneshot::channel();
        std::thread::spawn(move || {
            std::io::stdin().lock().lines().for_each(drop);
            // Nobody is there any more if the server has broken down.
            let _ = stop.send(());
        });
        let shutdown = async {
            // An error: the thread is gone, and so is the standard input.
            let _ = stopped.await;
        };
        match args.what {
            What::Decide => decide(&args.folder, threads, shutdown).await,
            What::Echo => echo(&args.folder, shutdown).await,
        }
    })
}

async fn decide(
    folder: &Path,
    threads: Threads,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let store = folder.join("store");
    let open =
        move |features| EmbeddedStore::open(&store, features).map(|s| Arc::new(s) as Arc<dyn OnlineStore>);
    let sources = Sources::new(&folder.join("published"), Box::new(open), tokeniser())
        .with_exposures(ExposureSource::of_folder(&folder.join("exposures")));
    let journal = Journal::open(&folder.join("journal"))?;
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        clock: Clock::Fixed(NOW_US),
        metrics: Some(loopback),
        threads: Some(threads),
        ..Config::on(loopback)
    };
    let running = service::serve(config, sources, journal, shutdown).await?;
    let metrics = running.metrics().context("it tells how it fares")?;
    tell(&format!("{} {metrics}", running.address()))?;
    Ok(running.ended().await?)
}

async fn echo(folder: &Path, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut file = Bytes::from(fs::read(folder.join("answers"))?);
    let mut answers = Vec::new();
    while !file.is_empty() {
        answers.push(Decision::decode_length_delimited(&mut file)?.encode_to_vec().into());
    }
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    tell(&listener.local_addr()?.to_string())?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tonic::transport::Server::builder()
        .add_service(DecisionServiceServer::new(Echo::new(answers)))
        .serve_with_incoming_shutdown(incoming, shutdown)
        .await?;
    Ok(())
}

/// The log of `tarim serve`. (Without one a call would cost more: each span that a library traces would ask where to.)
fn log() {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(LevelFilter::WARN)).init();
}

fn tell(addresses: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{addresses}")?;
    Ok(out.flush()?)
}
