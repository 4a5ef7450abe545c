//! Answers Prometheus, on a listener of its own: `GET /metrics` over HTTP/1.1, as OpenMetrics to who accepts it (Prometheus since
//! 2.5), in the older text format to all others: curl, promtool, older agents.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use prometheus_client::{encoding::text, registry::Registry};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Longest time for one connection, from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many connections are open at once: each takes a file that a journal may need. Others wait until one has been answered.
pub(super) const CONNECTIONS_MAX: usize = 32;

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
            if connections.len() == CONNECTIONS_MAX {
                connections.join_next().await;
            }
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

const OPEN_METRICS: &str = "application/openmetrics-text";

fn respond(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    let mut body = String::new();
    let accepted = request.headers().get_all(ACCEPT).iter();
    let open = accepted.filter_map(|kinds| kinds.to_str().ok()).any(|kinds| kinds.contains(OPEN_METRICS));
    let status = if request.uri().path() != "/metrics" {
        body.push_str("metrics are at /metrics\n");
        StatusCode::NOT_FOUND
    } else if request.method() != Method::GET {
        body.push_str("only GET\n");
        StatusCode::METHOD_NOT_ALLOWED
    } else {
        text::encode(&mut body, registry).expect("a string grows");
        if !open {
            body = older(&body);
        }
        StatusCode::OK
    };
    let kind = match status {
        StatusCode::OK if open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        StatusCode::OK => "text/plain; version=0.0.4; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// OpenMetrics in the text format before it: the same samples. There a family is called as its samples are, nothing has a unit, and
/// what is only told is a gauge of 1.
fn older(metrics: &str) -> String {
    let mut out = String::with_capacity(metrics.len());
    // Its help stands before the type of a family, which says what it is called.
    let mut help = "";
    for line in metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), text) => help = text.unwrap_or_default(),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    kind => ("", kind),
                };
                out.extend(["# HELP ", name, suffix, " ", help, "\n# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            (Some("#"), ..) => {}
            _ => out.extend([line, "\n"]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::older;

    #[test]
    fn families_are_called_as_their_samples_are() {
        let open = "# HELP a_seconds How long.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1.5\n\
                    # HELP b Things, each one.\n# TYPE b counter\nb_total{of=\"x y\"} 3\n\
                    # HELP c The program.\n# TYPE c info\nc_info{version=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_seconds How long.\n# TYPE a_seconds gauge\na_seconds 1.5\n\
                        # HELP b_total Things, each one.\n# TYPE b_total counter\nb_total{of=\"x y\"} 3\n\
                        # HELP c_info The program.\n# TYPE c_info gauge\nc_info{version=\"1\"} 1\n";
        assert_eq!(older(open), expected);
    }
}
