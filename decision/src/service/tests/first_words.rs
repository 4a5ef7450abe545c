//! Who comes, and does not come to the point: a connection is not his for ever.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;
use tonic_health::server::HealthReporter;

use super::bank::Bank;
use crate::{
    journal::power::Power,
    service::{Config, Tls, server},
};

/// Callers have so long for their first words.
struct Door {
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
    address: SocketAddr,
}

impl Door {
    async fn open(bank: &Bank, tls: Option<Tls>, handshake: Duration) -> Self {
        let config = Config { tls, ..Config::on(([127, 0, 0, 1], 0).into()) };
        let rpc = bank.rpc(&Power::default(), |_| {});
        let exposures = rpc.desk.exposures.clone();
        let mut transport =
            server::transport(&config, rpc, exposures, &HealthReporter::new()).expect("it can be served");
        transport.handshake = handshake;
        let listener = TcpListener::bind(config.listen).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopping) = watch::channel(false);
        Self { stop, served: tokio::spawn(transport.serve(listener, None, stopping)), address }
    }

    async fn caller(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    async fn close(self) {
        self.stop.send_replace(true);
        self.served.await.expect("no panic");
    }
}

/// Returns when the other end has closed it, be it in order or not.
async fn closed(mut stream: impl AsyncRead + Unpin) {
    let ended = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut Vec::new())).await;
    let _ = ended.expect("it is not kept");
}

#[tokio::test]
async fn in_clear() {
    let bank = Bank::new().await;
    let door = Door::open(&bank, None, Duration::from_millis(20)).await;
    for said in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut caller = door.caller().await;
        // Where this machine is very busy, it may have been closed before.
        let _ = caller.write_all(said.as_bytes()).await;
        closed(caller).await;
    }
    door.close().await;
}

#[tokio::test]
async fn behind_tls() {
    let pem = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service/tests/tls").join(name);
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(pem("ca.pem")).expect("a certificate");
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(tls));
    let localhost = ServerName::try_from("localhost").expect("a name");
    let bank = Bank::new().await;
    // Long enough for TLS, however busy this machine is.
    let mut handshake = Duration::from_millis(50);
    loop {
        let files = Tls { cert: pem("server.pem"), key: pem("server.key"), client_ca: None };
        let door = Door::open(&bank, Some(files), handshake).await;
        let caller = connector.connect(localhost.clone(), door.caller().await).await;
        if let Ok(mut caller) = caller {
            let _ = caller.write_all(b"P").await;
            closed(caller).await;
            return door.close().await;
        }
        door.close().await;
        handshake *= 2;
    }
}
