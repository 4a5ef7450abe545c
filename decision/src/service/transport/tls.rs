//! TLS from files of PEM text.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use tokio_rustls::TlsAcceptor;

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

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM text.
    #[error("cannot read {}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// A file has no certificate.
    #[error("{} has no certificate\n    fix: give a file with a block `BEGIN CERTIFICATE`", .0.display())]
    NoCertificate(PathBuf),
    /// Certificate and key do not fit, or one of them is not what it should be.
    #[error("{} and {} make no TLS certificate: {source}", cert.display(), key.display())]
    Certificate {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// What clients are checked by is no authority.
    #[error("{} is no authority for client certificates: {source}", file.display())]
    ClientAuthority {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: ClientAuthorityError,
    },
}

/// Why certificates are no authority.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthorityError {
    /// One of them is damaged.
    #[error(transparent)]
    Certificate(#[from] rustls::Error),
    /// They do not verify anybody.
    #[error(transparent)]
    Verifier(#[from] VerifierBuilderError),
}

impl Tls {
    /// Reads the files.
    pub fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        // Two of our dependencies bring a provider of cryptography each, so one must be named. Whoever named one
        // before has decided it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key);
        let key = key.map_err(|source| TlsError::File { file: self.key.clone(), source })?;
        let builder = match &self.client_ca {
            None => ServerConfig::builder().with_no_client_auth(),
            Some(file) => {
                let authorities = certificates(file)?;
                let verifier = verifier(authorities);
                let verifier =
                    verifier.map_err(|source| TlsError::ClientAuthority { file: file.clone(), source })?;
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|source| TlsError::Certificate {
            cert: self.cert.clone(),
            key: self.key.clone(),
            source,
        })?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config).into())
    }
}

/// The certificates of a file, one at least.
fn certificates(file: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::File { file: file.clone(), source };
    let all = CertificateDer::pem_file_iter(file).map_err(failed)?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if all.is_empty() {
        return Err(TlsError::NoCertificate(file.clone()));
    }
    Ok(all)
}

fn verifier(
    authorities: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, ClientAuthorityError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority)?;
    }
    Ok(WebPkiClientVerifier::builder(Arc::new(roots)).build()?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn error(cert: &str, key: &str, client_ca: Option<&str>) -> TlsError {
        let pem = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service/tests/tls").join(name);
        let tls = Tls { cert: pem(cert), key: pem(key), client_ca: client_ca.map(pem) };
        tls.acceptor().map(drop).expect_err("these files make no TLS")
    }

    #[test]
    fn an_error_names_the_file_that_is_wrong() {
        let named = |error: TlsError, file: &str| assert!(error.to_string().contains(file), "{error}");
        named(error("none.pem", "server.key", None), "none.pem");
        named(error("server.pem", "none.key", None), "none.key");
        named(error("server.pem", "server.key", Some("none.pem")), "none.pem");
        for (cert, client_ca) in [("server.key", None), ("server.pem", Some("server.key"))] {
            assert!(matches!(error(cert, "server.key", client_ca), TlsError::NoCertificate(_)));
        }
        assert!(
            matches!(error("server.pem", "client.key", None), TlsError::Certificate { .. }),
            "of another"
        );
    }
}
