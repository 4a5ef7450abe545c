//! `--metrics` of the verbs that go on: where Prometheus is answered.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use tarim_decision::service::Exporter;

/// Listens, before anything else begins: an address that is taken is told at once.
pub async fn listen(address: SocketAddr) -> anyhow::Result<Exporter> {
    ensure!(
        address.ip().is_loopback(),
        "--metrics {address} is not a loopback address, and metrics are told in clear; listen on 127.0.0.1, and let an agent \
         on this machine collect them"
    );
    Exporter::listen(address).await.with_context(|| format!("--metrics: cannot listen on {address}"))
}
