//! Starts the service, and ends it in order.

use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use tarim_proto::warning::v1::warning_service_server::WarningServiceServer;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig, server::Router};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{Clock, calls::Calls, exposition::Exposition, incoming, rpc::Rpc};
use crate::{
    feed::Fed,
    ledger::{Failure, Ledger},
};

/// How to serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Needed unless `listen` is a loopback address.
    pub tls: Option<Tls>,
    /// What time it is when a change is made.
    pub clock: Clock,
    /// Codes of the rulebook's members; none: nobody has said, and any code may be a member's.
    pub members: Vec<String>,
    /// Calls that are in flight at once; one more is refused.
    pub max_in_flight: usize,
    /// Connections that are open at once; whoever comes then waits until one ends.
    pub max_connections: usize,
    /// How long a shutdown waits, at most, for answers to be taken.
    pub drain: Duration,
}

impl Config {
    /// The defaults, on an address.
    pub fn on(listen: SocketAddr) -> Self {
        let (clock, drain) = (Clock::System, Duration::from_secs(10));
        let (max_in_flight, max_connections) = (1024, 768);
        Self { listen, tls: None, clock, members: Vec::new(), max_in_flight, max_connections, drain }
    }
}

/// Files of PEM text.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The server's certificate and those that lead to its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authority of client certificates; given, every client must have one.
    pub client_ca: Option<PathBuf>,
}

/// Why the service does not start, or how it ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Warnings about customers do not cross a network in clear.
    #[error(
        "{0} is not a loopback address, and there is no TLS\n    fix: give --tls-cert and --tls-key, or listen on 127.0.0.1"
    )]
    InTheOpen(SocketAddr),
    #[error("cannot listen on {address}: {source}\n    fix: choose another --listen, or stop what has it")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot read {}: {source}", file.display())]
    TlsFile { file: PathBuf, source: io::Error },
    #[error("{what}: {source}")]
    Transport { what: &'static str, source: tonic::transport::Error },
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The ledger failed while serving; what was answered is in it.
    #[error("{0}")]
    Ledger(Failure),
    /// A bug.
    #[error("a task of the service panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

/// A service that runs.
pub struct Running {
    address: SocketAddr,
    task: JoinHandle<Result<(), ServeError>>,
    calls: Calls,
    ledger: Arc<Ledger>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that can be watched, for Prometheus; `fed`: how far the edges of Kafka are, if there are any.
    pub fn registry(&self, fed: Option<Arc<Fed>>) -> Registry {
        let mut registry = Registry::default();
        self.calls.register(&mut registry);
        registry.register_collector(Box::new(Exposition { ledger: self.ledger.clone(), fed }));
        registry
    }

    /// Returns when it has shut down: what it accepted is answered. The ledger stays open.
    pub async fn ended(self) -> Result<(), ServeError> {
        self.task.await?
    }
}

/// Name of the service, for health checks.
pub const SERVICE: &str = "tarim.warning.v1.WarningService";

/// Serves until `shutdown` completes. Returns once the address accepts connections.
pub async fn serve(
    config: Config,
    ledger: Arc<Ledger>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Running, ServeError> {
    if !config.listen.ip().is_loopback() && config.tls.is_none() {
        return Err(ServeError::InTheOpen(config.listen));
    }
    let (stop, stopping) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(config.max_in_flight));
    let calls = Calls::default();
    let rpc = Rpc {
        ledger: ledger.clone(),
        clock: config.clock.clone(),
        members: config.members.clone().into(),
        slots: slots.clone(),
        stopping: stopping.clone(),
        calls: calls.clone(),
    };
    let health = HealthReporter::new();
    let router = router(&config, rpc, &health)?;
    health.set_service_status(SERVICE, ServingStatus::Serving).await;
    let failed = |source| ServeError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let incoming = incoming::connections(listener, config.max_connections);
    let server = router.serve_with_incoming_shutdown(incoming, stopped(stopping));
    let task = tokio::spawn(run(server, shutdown, stop, health, slots, config));
    Ok(Running { address, task, calls, ledger })
}

fn router(config: &Config, rpc: Rpc, health: &HealthReporter) -> Result<Router, ServeError> {
    // More than are answered at once: what is too much is refused here, and not queued by the caller's client.
    let per_connection = u32::try_from(2 * config.max_in_flight).unwrap_or(u32::MAX);
    let mut server = Server::builder()
        .max_concurrent_streams(per_connection)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)));
    if let Some(tls) = &config.tls {
        let what = "the TLS certificate or key";
        server =
            server.tls_config(tls_config(tls)?).map_err(|source| ServeError::Transport { what, source })?;
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tarim_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // The details of errors, which are in no call's signature.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(server
        .add_service(WarningServiceServer::new(rpc).max_decoding_message_size(64 << 10))
        .add_service(tonic_health::pb::health_server::HealthServer::new(
            tonic_health::server::HealthService::from_health_reporter(health.clone()),
        ))
        .add_service(reflection().build_v1()?)
        // What grpcurl and older clients ask for.
        .add_service(reflection().build_v1alpha()?))
}

fn tls_config(tls: &Tls) -> Result<ServerTlsConfig, ServeError> {
    // Two of our dependencies bring a provider of cryptography each, so one must be named. Whoever named one
    // before has decided it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let read = |file: &PathBuf| {
        std::fs::read(file).map_err(|source| ServeError::TlsFile { file: file.clone(), source })
    };
    let config = ServerTlsConfig::new().identity(Identity::from_pem(read(&tls.cert)?, read(&tls.key)?));
    Ok(match &tls.client_ca {
        Some(ca) => config.client_ca_root(Certificate::from_pem(read(ca)?)),
        None => config,
    })
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, and the service with it.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Answers that were made are on their way; this long for the last bytes of them. A caller that keeps an idle connection
/// open is not waited for.
const FLUSH: Duration = Duration::from_millis(200);

/// Runs the server, then shuts down in order.
async fn run(
    server: impl Future<Output = Result<(), tonic::transport::Error>>,
    shutdown: impl Future<Output = ()>,
    stop: watch::Sender<bool>,
    mut health: HealthReporter,
    slots: Arc<Semaphore>,
    config: Config,
) -> Result<(), ServeError> {
    let mut server = std::pin::pin!(server);
    let broken = tokio::select! {
        ended = &mut server => Some(ended),
        () = shutdown => None,
    };
    stop.send_replace(true);
    // Ends the health checks that watch, which would keep their connections open for ever.
    for service in ["", SERVICE] {
        health.set_service_status(service, ServingStatus::NotServing).await;
        health.clear_service_status(service).await;
    }
    let idle = async {
        // All of them are free, and nobody gets one any more.
        drop(slots.acquire_many(u32::try_from(config.max_in_flight).unwrap_or(u32::MAX)).await);
        tokio::time::sleep(FLUSH).await;
    };
    let ended = match broken {
        Some(ended) => ended,
        None => tokio::select! {
            ended = server => ended,
            () = idle => Ok(()),
            () = tokio::time::sleep(config.drain) => {
                tracing::warn!("some callers have not taken their answers; they can repeat");
                Ok(())
            }
        },
    };
    ended.map_err(|source| ServeError::Transport { what: "the server broke down", source })
}
