//! Answers Prometheus, on a listener of its own: `GET /metrics` over HTTP/1.1.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Bytes, body::Incoming, header::CONTENT_TYPE,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use prometheus_client::{encoding::text, registry::Registry};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Longest time for one connection, from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(10);

/// A listener for Prometheus.
pub struct Exporter {
    listener: TcpListener,
}

impl Exporter {
    pub async fn listen(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped, and what it answers with it.
    pub async fn run(self, registry: Registry) {
        let registry = Arc::new(registry);
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, _)) => drop(connections.spawn(answer(stream, registry.clone()))),
                // Too many open files, for instance: it will be asked again.
                Err(e) => {
                    tracing::warn!("metrics: {e}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

/// Answers one request.
async fn answer(stream: TcpStream, registry: Arc<Registry>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&request, &registry);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::debug!("metrics: {e}"),
        Err(_) => tracing::debug!("metrics: a connection was given up after {PATIENCE:?}"),
    }
}

fn respond(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    let mut body = String::new();
    let status = if request.uri().path() != "/metrics" {
        body.push_str("metrics are at /metrics\n");
        StatusCode::NOT_FOUND
    } else if request.method() != Method::GET {
        body.push_str("only GET\n");
        StatusCode::METHOD_NOT_ALLOWED
    } else {
        text::encode(&mut body, registry).expect("a string grows");
        StatusCode::OK
    };
    let kind = match status {
        StatusCode::OK => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
