//! Where a server is, and how it is known to be the right one: what every verb asks that is a client.

use std::{
    error::Error,
    io::{self, ErrorKind},
    path::PathBuf,
};

use anyhow::{Context, bail};
use tonic::transport::{self, Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// What a client asks.
pub struct Service {
    /// An address of it, as it is written.
    example: &'static str,
    /// What starts it.
    command: &'static str,
}

/// Decisions, interceptions and exposures.
pub const DECISIONS: Service = Service { example: "http://127.0.0.1:50051", command: "tarim serve" };
/// The desk of warnings.
pub const WARNINGS: Service = Service { example: "http://127.0.0.1:7411", command: "tarim warn serve" };

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
    /// A channel to `--server`.
    pub async fn connect(&self, server: &str, service: &Service) -> anyhow::Result<Channel> {
        let connected = self.endpoint(server, service)?.connect().await;
        connected.map_err(|error| not_reached(server, service, error))
    }

    /// The endpoint of `--server`, for whoever connects otherwise.
    pub fn endpoint(&self, server: &str, service: &Service) -> anyhow::Result<Endpoint> {
        let example = service.example;
        // An address alone is a URI too, but says nothing of how to talk to it.
        if !["http://", "https://"].iter().any(|scheme| server.starts_with(scheme)) {
            bail!(
                "--server {server} does not begin with http:// or https://\n    fix: write it like {example}, with https:// where \
                 the server has a certificate"
            );
        }
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

/// Why a server was not reached.
pub fn not_reached(server: &str, service: &Service, error: transport::Error) -> anyhow::Error {
    let what = match cause(&error) {
        Some(ErrorKind::ConnectionRefused) => format!("no server at {server}; start `{}`", service.command),
        // That is what rustls makes of an answer that is none of TLS, and of a certificate that nobody trusts.
        Some(ErrorKind::InvalidData) if server.starts_with("https:") => format!(
            "no TLS with {server}\n    fix: write http:// if the server has no certificate, or name the authority of its \
             certificate with --tls-ca"
        ),
        _ => format!("cannot connect to {server}"),
    };
    anyhow::Error::new(error).context(what)
}

/// What the operating system, or TLS, says of a connection.
fn cause(error: &transport::Error) -> Option<ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::{io::Write, net::TcpListener};

    use super::*;

    #[test]
    fn certificates_are_not_dropped_where_nothing_is_encrypted() {
        let pem = || Some(PathBuf::from("some.pem"));
        let none = || Tls { tls_ca: None, tls_cert: None, tls_key: None };
        for (tls, flag) in [
            (Tls { tls_ca: pem(), ..none() }, "--tls-ca"),
            (Tls { tls_cert: pem(), tls_key: pem(), ..none() }, "--tls-cert"),
        ] {
            let refused = tls.endpoint("http://127.0.0.1:1", &DECISIONS).map(drop).unwrap_err().to_string();
            assert!(refused.starts_with(flag) && refused.contains("https://"), "{refused}");
        }
        none().endpoint("http://127.0.0.1:1", &DECISIONS).expect("in clear, as was asked for");
    }

    #[tokio::test]
    async fn why_a_server_is_not_reached_is_told() {
        let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/decision/src/service/tests/tls/ca.pem");
        let tls = Tls { tls_ca: Some(ca.into()), tls_cert: None, tls_key: None };
        let clear = Tls { tls_ca: None, tls_cert: None, tls_key: None };
        // Answers in clear, whatever it is asked.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers =
            std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 400\r\n\r\n"));
        for (tls, server, service, told) in [
            (&clear, "127.0.0.1:1", &DECISIONS, "write it like http://127.0.0.1:50051"),
            (&clear, "localhost:1", &WARNINGS, "write it like http://127.0.0.1:7411"),
            (&clear, "tcp://127.0.0.1:1", &DECISIONS, "does not begin with http:// or https://"),
            (&clear, "http://", &DECISIONS, "write it like"),
            (
                &clear,
                "http://127.0.0.1:1",
                &DECISIONS,
                "no server at http://127.0.0.1:1; start `tarim serve`",
            ),
            (&clear, "http://127.0.0.1:1", &WARNINGS, "start `tarim warn serve`"),
            (&tls, "https://127.0.0.1:1", &DECISIONS, "start `tarim serve`"),
            (
                &tls,
                &format!("https://{address}"),
                &DECISIONS,
                "write http:// if the server has no certificate",
            ),
        ] {
            let error = tls.connect(server, service).await.map(drop).unwrap_err().to_string();
            assert!(error.contains(told), "{server}: {error}");
        }
        answers.join().unwrap().unwrap();
    }
}
