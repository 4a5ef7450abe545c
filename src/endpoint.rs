//! Where a server is, and how it is known to be the right one: what every verb asks that is a client.

use std::path::PathBuf;

use anyhow::{Context, bail};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// Certificates, for a server at an `https:` address.
#[derive(clap::Args)]
pub struct Tls {
    /// Authority of the server's certificate, PEM, and no other; default: the system's
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
            // Whoever names a certificate wants no call in clear.
            if let Some(flag) = self.given() {
                bail!("{flag} needs an https:// --server: calls to {server} would be in clear");
            }
            return Ok(endpoint);
        }
        let read = |file: &PathBuf| std::fs::read(file).with_context(|| file.display().to_string());
        // Whoever names an authority trusts no other.
        let mut tls = match &self.tls_ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?)),
            None => ClientTlsConfig::new().with_enabled_roots(),
        };
        if let Some((cert, key)) = self.tls_cert.as_ref().zip(self.tls_key.as_ref()) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(endpoint.tls_config(tls)?)
    }

    /// The first of the flags that was given.
    fn given(&self) -> Option<&'static str> {
        let all = [("--tls-ca", &self.tls_ca), ("--tls-cert", &self.tls_cert), ("--tls-key", &self.tls_key)];
        all.into_iter().find_map(|(flag, file)| file.is_some().then_some(flag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_not_dropped_where_nothing_is_encrypted() {
        let pem = || Some(PathBuf::from("some.pem"));
        let none = || Tls { tls_ca: None, tls_cert: None, tls_key: None };
        for (tls, flag) in [
            (Tls { tls_ca: pem(), ..none() }, "--tls-ca"),
            (Tls { tls_cert: pem(), tls_key: pem(), ..none() }, "--tls-cert"),
        ] {
            let refused = tls.endpoint("http://127.0.0.1:1", "an example").map(drop).unwrap_err().to_string();
            assert!(refused.starts_with(flag) && refused.contains("https://"), "{refused}");
        }
        none().endpoint("http://127.0.0.1:1", "an example").expect("in clear, as was asked for");
    }
}
