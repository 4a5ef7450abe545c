//! Starts the service, and ends it in order.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tarim_datamart::Tokeniser;
use tarim_proto::{
    decision::v1::interception_service_server::InterceptionServiceServer,
    encoded::decision_service_server::DecisionServiceServer,
    exposure::v1::exposure_service_server::ExposureServiceServer,
};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{Notify, Semaphore, watch},
    task::JoinHandle,
};
use tonic::service::{Routes, interceptor::InterceptedService};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{
    Clock, Deadline, ExposureError, LoadError, Serving, Sources, Threads,
    desk::{Desk, LOOKUPS_MAX},
    exporter::Exporter,
    exposition::Exposition,
    exposure, interception,
    pending::Pending,
    rpc::Rpc,
    transport::{Calls, HANDSHAKE, REFLECTIONS_MAX, Tls, TlsError, Transport},
    unary::Unary,
    watcher::{self, Reloads},
};
use crate::journal::{Journal, JournalError};

/// How to serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where Prometheus is answered, in clear: a loopback address. None: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Needed unless `listen` is a loopback address.
    pub tls: Option<Tls>,
    /// What time it is when a decision is made.
    pub clock: Clock,
    /// Connections at once; one more waits until another ends. Each takes one of the files that this process may have open, as do
    /// the journal and all else: fewer than that limit.
    pub max_connections: usize,
    /// Single requests that are in flight at once; one more is refused.
    pub max_in_flight: usize,
    /// Streams that are open and batches that are in flight at once; one more is refused.
    pub max_streams: usize,
    /// Requests of one stream that are in flight at once; then the stream is not read.
    pub stream_window: usize,
    /// Longest request, in bytes; a longer one is refused.
    pub max_message_bytes: usize,
    /// How often to look for a new rulebook or new features.
    pub poll: Duration,
    /// Connections are dealt out to their lanes, and decisions share syncs of the journal while they are busy. What is
    /// served by them is served on their workers' runtime, and ends the lanes with itself. None: connections are tasks of
    /// the runtime that it is served on, and each decision is written as soon as it can be.
    pub threads: Option<Threads>,
    /// How long a shutdown waits, at most, for answers to be made and taken.
    pub drain: Duration,
}

impl Config {
    /// The defaults, on an address.
    pub fn on(listen: SocketAddr) -> Self {
        Self {
            listen,
            metrics: None,
            tls: None,
            clock: Clock::System,
            max_connections: 768,
            max_in_flight: 1024,
            max_streams: 64,
            stream_window: 256,
            max_message_bytes: 1 << 20,
            poll: Duration::from_secs(1),
            threads: None,
            drain: Duration::from_secs(30),
        }
    }
}

/// Why the service does not start, or how it ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Decisions and what they are made of do not cross a network in clear.
    #[error(
        "{0} is not a loopback address, and there is no TLS\n    fix: give --tls-cert and --tls-key, or listen on 127.0.0.1"
    )]
    InTheOpen(SocketAddr),
    /// Metrics are told in clear.
    #[error(
        "--metrics {0} is not a loopback address, and metrics are told in clear\n    fix: listen on 127.0.0.1, and \
         let an agent on this machine or a proxy with TLS pass them on"
    )]
    MetricsInTheOpen(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}\n    fix: choose another {option}, or stop what has it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What it was given by.
        option: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There is no TLS from these files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The descriptors of our own calls cannot be reflected.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// There is nothing to decide by.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The journal failed while serving; what was answered is in it.
    #[error("{0}")]
    Journal(Arc<JournalError>),
    /// The exposure ledger cannot be opened or kept, or it failed while serving.
    #[error(transparent)]
    Exposure(#[from] ExposureError),
    /// A bug.
    #[error("a task of the service panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

/// A service that runs.
pub struct Running {
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    serving: Arc<ArcSwap<Serving>>,
    reload: Arc<Notify>,
    swaps: watch::Receiver<u64>,
    kept: watch::Receiver<u64>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers Prometheus.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// What it decides with at present.
    pub fn serving(&self) -> Arc<Serving> {
        self.serving.load_full()
    }

    /// Has it look for a new rulebook or new features now.
    pub fn reload(&self) {
        self.reload.notify_one();
    }

    /// A handle for [`Running::reload`] that outlives this one.
    pub fn reloader(&self) -> Arc<Notify> {
        self.reload.clone()
    }

    /// Counts how often rulebook or features were swapped.
    pub fn swaps(&self) -> watch::Receiver<u64> {
        self.swaps.clone()
    }

    /// Counts how often the exposure ledger was brought to what the rulebook says.
    pub fn kept(&self) -> watch::Receiver<u64> {
        self.kept.clone()
    }

    /// Returns when it has shut down: what it accepted is answered, and the journal is closed.
    pub async fn ended(self) -> Result<(), ServeError> {
        self.task.await?
    }
}

/// Serves until `shutdown` completes. Returns once the address accepts connections.
pub async fn serve(
    config: Config,
    sources: Sources,
    journal: Journal,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Running, ServeError> {
    if !config.listen.ip().is_loopback() && config.tls.is_none() {
        return Err(ServeError::InTheOpen(config.listen));
    }
    if let Some(open) = config.metrics.filter(|address| !address.ip().is_loopback()) {
        return Err(ServeError::MetricsInTheOpen(open));
    }
    let sources = Arc::new(sources);
    let loader = sources.clone();
    let first = tokio::task::spawn_blocking(move || loader.load()).await??;
    let serving = Arc::new(ArcSwap::from_pointee(first));
    let journal = Arc::new(journal);
    if let Some(threads) = &config.threads {
        // Not for ever: whoever is idle does not keep the journal open.
        let of = Arc::downgrade(&journal);
        if threads.tell_when_idle(move || _ = of.upgrade().map(|journal| journal.urge())) {
            journal.will_be_urged();
        }
    }
    let (rpc, stop) = rpc(&config, serving.clone(), sources.tokeniser(), journal.clone());
    let stopping = rpc.stopping.clone();
    let exposures = rpc.desk.exposures.clone();
    let answered = answered(rpc.clone(), exposures.clone(), [config.max_in_flight, config.max_streams]);
    let exposed = rpc.clone();
    let health = HealthReporter::new();
    let transport = transport(&config, rpc, exposures.clone(), &health)?;
    let mut keeper = None;
    if let Some(source) = sources.exposures() {
        let keeper = keeper.insert(exposure::Keeper::new(
            source.clone(),
            exposures.clone(),
            journal.clone(),
            config.clock,
            health.clone(),
        ));
        keeper.keep(&serving.load_full()).await?;
        recover(&exposures, &journal, &config).await?;
    } else {
        health.set_service_status(exposure::SERVICE, ServingStatus::NotServing).await;
    }
    for service in [SERVICE, interception::SERVICE] {
        health.set_service_status(service, ServingStatus::Serving).await;
    }

    let failed = |source| ServeError::Listen { address: config.listen, option: "--listen", source };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let reloads = Arc::new(Reloads::default());
    let exported = match config.metrics {
        None => None,
        Some(address) => {
            let exposition = Exposition::new(
                &config,
                exposed,
                reloads.clone(),
                sources.warnings().cloned(),
                exposures.clone(),
            );
            Some(export(address, exposition).await?)
        }
    };
    let reload = Arc::new(Notify::new());
    let (swapped, swaps) = watch::channel(0);
    let (keeps, kept) = watch::channel(0);
    let keeper = keeper.map(|keeper| {
        tokio::spawn(keeper.run(serving.clone(), config.poll, swaps.clone(), keeps, stopping.clone()))
    });
    let watcher = tokio::spawn(watcher::watch(
        watcher::Watched {
            sources,
            serving: serving.clone(),
            journal: journal.clone(),
            health: health.clone(),
            reloads,
        },
        config.poll,
        reload.clone(),
        swapped,
        stopping.clone(),
    ));
    let server = transport.serve(listener, config.threads.clone(), stopping);
    let metrics = exported.as_ref().map(|(address, _)| *address);
    let task = tokio::spawn(async move {
        let helpers = Helpers { watcher, keeper, health };
        let ended = run(server, shutdown, stop, (answered, config.drain), helpers, journal, exposures).await;
        if let Some(threads) = config.threads {
            // A panic of one of them is in the log.
            let _ = tokio::task::spawn_blocking(move || threads.end()).await;
        }
        // Told until the very end: a shutdown is worth watching, too.
        if let Some((_, exporter)) = exported {
            exporter.abort();
            let _ = exporter.await;
        }
        ended
    });
    Ok(Running { address, metrics, serving, reload, swaps, kept, task })
}

/// Gives back what decisions hold that were never made, before others are.
async fn recover(
    exposures: &exposure::Desk,
    journal: &Arc<Journal>,
    config: &Config,
) -> Result<(), ServeError> {
    let Some(ledger) = exposures.opened().cloned() else { return Ok(()) };
    let journal = journal.clone();
    let most = config.max_in_flight + config.max_streams * config.stream_window.max(super::rpc::BATCH_MAX);
    let recover = move || exposure::recover::recover(&ledger, &journal, most);
    let recovered = tokio::task::spawn_blocking(recover).await?;
    recovered.map(drop).map_err(|e| ServeError::Exposure(e.into()))
}

/// Tells metrics to whoever asks at an address.
async fn export(
    address: SocketAddr,
    exposition: Exposition,
) -> Result<(SocketAddr, JoinHandle<()>), ServeError> {
    let failed = |source| ServeError::Listen { address, option: "--metrics", source };
    let exporter = Exporter::listen(address).await.map_err(failed)?;
    let bound = exporter.address().map_err(failed)?;
    Ok((bound, tokio::spawn(exporter.run(exposition.registry()))))
}

/// The calls, and what tells them to stop.
pub(super) fn rpc(
    config: &Config,
    serving: Arc<ArcSwap<Serving>>,
    tokeniser: &Arc<Tokeniser>,
    journal: Arc<Journal>,
) -> (Rpc, watch::Sender<bool>) {
    let (stop, stopping) = watch::channel(false);
    let tokeniser = tokeniser.clone();
    let exposures = exposure::Desk::new(config, stopping.clone());
    let desk = Desk {
        serving,
        journal,
        lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        tokeniser,
        clock: config.clock,
        pending: Pending::default(),
        subjects: Pending::default(),
        intercepted: Arc::default(),
        metrics: Arc::default(),
        exposures,
    };
    let rpc = Rpc {
        desk: Arc::new(desk),
        slots: Arc::new(Semaphore::new(config.max_in_flight)),
        streams: Arc::new(Semaphore::new(config.max_streams)),
        stream_window: config.stream_window.max(1),
        workers: Handle::current(),
        stopping,
    };
    (rpc, stop)
}

/// Name of the service, for health checks.
pub(super) const SERVICE: &str = "tarim.decision.v1.DecisionService";

pub(super) type Stamp = fn(tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status>;

/// Longest message, in bytes, of those who ask for the health of a service or for its description: a name.
const NAMES_MAX: usize = 64 << 10;

pub(super) fn transport(
    config: &Config,
    rpc: Rpc,
    exposures: exposure::Desk,
    health: &HealthReporter,
) -> Result<Transport, ServeError> {
    // More than are decided at once: what is too much is refused here, not queued by the caller's client. Windows are
    // hyper's 1 MiB, fixed: on any network that a lender's systems share with this one they hold more than is under way.
    let max_requests = u32::try_from(2 * config.max_in_flight + config.max_streams).unwrap_or(u32::MAX);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tarim_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // The details of errors, which are in no call's signature.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::default()
        .add_service(
            InterceptionServiceServer::new(rpc.clone()).max_decoding_message_size(config.max_message_bytes),
        )
        .add_service(
            DecisionServiceServer::new(rpc.clone()).max_decoding_message_size(config.max_message_bytes),
        )
        .add_service(
            ExposureServiceServer::new(exposure::Rpc { desk: exposures })
                .max_decoding_message_size(config.max_message_bytes),
        )
        .add_service(
            tonic_health::pb::health_server::HealthServer::new(
                tonic_health::server::HealthService::from_health_reporter(health.clone()),
            )
            .max_decoding_message_size(NAMES_MAX),
        )
        .add_service(reflection().build_v1()?.max_decoding_message_size(NAMES_MAX))
        // What grpcurl and older clients ask for.
        .add_service(reflection().build_v1alpha()?.max_decoding_message_size(NAMES_MAX))
        .prepare();
    let calls = Calls {
        single: Arc::new(Unary::new(rpc, config.max_message_bytes)),
        others: InterceptedService::new(routes, Deadline::stamp as Stamp),
        reflections: Arc::new(Semaphore::new(REFLECTIONS_MAX)),
    };
    let tls = config.tls.as_ref().map(Tls::acceptor).transpose()?;
    Ok(Transport { calls, max_connections: config.max_connections, max_requests, tls, handshake: HANDSHAKE })
}

pub(super) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, and the service with it.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Answers that were made are on their way; this long for the last bytes of them. A caller that does not
/// read, or keeps an idle connection open, is not waited for.
const FLUSH: Duration = Duration::from_secs(1);

/// Returns when nothing is in flight any more, whoever has gone away meanwhile: all slots are free, and nobody gets one
/// any more.
async fn answered(rpc: Rpc, exposures: exposure::Desk, [single, streams]: [usize; 2]) {
    let decisions = [(&rpc.slots, single), (&rpc.streams, streams)];
    let exposures = [(&exposures.slots, single), (&exposures.streams, streams)];
    for (slots, all) in decisions.into_iter().chain(exposures) {
        drop(slots.acquire_many(u32::try_from(all).unwrap_or(u32::MAX)).await);
    }
}

/// Returns when all is answered and every caller is gone, or has had the time to take his answer.
async fn drained(server: impl Future<Output = ()>, answered: impl Future<Output = ()>) {
    let (mut server, mut answered) = (std::pin::pin!(server), std::pin::pin!(answered));
    tokio::select! {
        // Callers are gone; what they have asked for may still be on its way to the disk.
        () = &mut server => answered.await,
        // Some leave their connections open.
        () = &mut answered => drop(tokio::time::timeout(FLUSH, server).await),
    }
}

/// What runs beside the server.
struct Helpers {
    watcher: JoinHandle<()>,
    keeper: Option<JoinHandle<()>>,
    health: HealthReporter,
}

/// Runs the server, then shuts down in order.
async fn run(
    server: impl Future<Output = ()>,
    shutdown: impl Future<Output = ()>,
    stop: watch::Sender<bool>,
    (answered, patience): (impl Future<Output = ()>, Duration),
    mut helpers: Helpers,
    journal: Arc<Journal>,
    exposures: exposure::Desk,
) -> Result<(), ServeError> {
    let mut server = std::pin::pin!(server);
    // The server itself ends only when it is told to stop.
    tokio::select! {
        () = &mut server => {}
        () = shutdown => {}
    }
    stop.send_replace(true);
    // Ends the health checks that watch, which would keep their connections open for ever.
    for service in ["", SERVICE, interception::SERVICE, exposure::SERVICE] {
        helpers.health.set_service_status(service, ServingStatus::NotServing).await;
        helpers.health.clear_service_status(service).await;
    }
    if tokio::time::timeout(patience, drained(server, answered)).await.is_err() {
        tracing::warn!("some callers have not taken their answers after {patience:?}; they can repeat");
    }
    helpers.watcher.await?;
    if let Some(keeper) = helpers.keeper {
        keeper.await?;
    }
    // Both are closed, whichever fails.
    let close = move || {
        let journaled = journal.close();
        let exposures = exposures
            .opened()
            .map_or(Ok(()), |ledger| ledger.close().and_then(|()| exposure::recover::note(ledger, &journal)));
        journaled.map_err(ServeError::Journal)?;
        exposures.map_err(|e| ServeError::Exposure(e.into()))
    };
    tokio::task::spawn_blocking(close).await?
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, poll};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_drained_when_all_is_answered_whoever_has_gone() {
        let (answer, answered) = oneshot::channel::<()>();
        let mut all_gone = std::pin::pin!(drained(std::future::ready(()), answered.map(drop)));
        assert!(poll!(&mut all_gone).is_pending(), "somebody has asked for what is not yet written");
        drop(answer);
        assert!(poll!(&mut all_gone).is_ready());

        let (leave, left) = oneshot::channel::<()>();
        let mut all_answered = std::pin::pin!(drained(left.map(drop), std::future::ready(())));
        assert!(poll!(&mut all_answered).is_pending(), "the last answer is on its way");
        drop(leave);
        assert!(poll!(&mut all_answered).is_ready());
    }
}
