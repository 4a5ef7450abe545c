//! Where a server is, and how it is known to be the right one: what every verb asks that is a client.

use std::path::PathBuf;

use anyhow::Context;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// Certificates, for a server at an `https:` address.
#[derive(clap::Args)]
pub struct Tls {
    /// Authority of the server's certificate, PEM; default: the system's
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Our own certificate, PEM, if the server asks for one
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

impl Tls {
    /// The endpoint of `--server`; `example` is an address as it is written.
    pub fn endpoint(&self, server: &str, example: &str) -> anyhow::Result<Endpoint> {
        let endpoint = Endpoint::from_shared(server.to_owned())
            .with_context(|| format!("--server {server}: write it like {example}"))?;
        if !server.starts_with("https:") {
            return Ok(endpoint);
        }
        let read = |file: &PathBuf| std::fs::read(file).with_context(|| file.display().to_string());
        let mut tls = ClientTlsConfig::new().with_enabled_roots();
        if let Some(ca) = &self.tls_ca {
            tls = tls.ca_certificate(Certificate::from_pem(read(ca)?));
        }
        if let Some((cert, key)) = self.tls_cert.as_ref().zip(self.tls_key.as_ref()) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(endpoint.tls_config(tls)?)
    }
}
