//! Exposure limits, over gRPC: a bank with limits, and how it is asked.

mod edges;
mod kept;
mod life;
mod past;

use std::{fs, sync::Arc};

use futures::{Stream, StreamExt};
use tarim_proto::exposure::v1::{
    CommitRequest, Counter, Exposure, GetUtilisationRequest, LargeExposure, ListExposuresRequest,
    ListLargeRequest, ReserveRequest, exposure_service_client::ExposureServiceClient,
    list_exposures_request::Of,
};
use tokio::sync::watch;
use tonic::{Status, Streaming, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::bank::{Bank, Served};
use crate::{
    exposure::Ledger,
    journal::{Journal, power::Power},
    service::{ExposureSource, exposure::SERVICE},
};

/// One customer of a member: 1,000 at most, told from 800 on; of what is in the same industry section 2,500 over all members.
pub const LIMITS: &str = r#"
[[limit]]
id = "single_customer"
zh = "单一客户"
en = "one customer"
scope = "member"
per = ["customer"]
hard = { fen = 1000 }
warning = { share = 0.8 }

[[limit]]
id = "section"
zh = "行业"
en = "one section of industry"
scope = "federation"
per = ["industry.section"]
hard = { fen = 2500 }

[large_exposure]
ratio = "large_ratio"
of = "capital_fen"
fen = "large_fen"
"#;

pub const PARAMETERS: &str = r#"
[parameter.capital_fen]
zh = "资本净额（分）"
en = "net capital, in fen"
value = 20000
min = 1000
max = 900000

[parameter.large_ratio]
zh = "大额比例"
en = "share from which an exposure is large"
value = 0.025
min = 0.01
max = 0.025

[parameter.large_fen]
zh = "大额（分）"
en = "amount from which an exposure is large"
value = 600
min = 100
max = 5000
"#;

/// A bank with limits, and the disk of its ledger.
pub struct Limited {
    pub bank: Bank,
    pub disk: Power,
}

impl Limited {
    pub async fn new() -> Self {
        let bank = Bank::new().await;
        Self { bank, disk: Power::default() }.with(LIMITS)
    }

    pub fn with(self, limits: &str) -> Self {
        let federation = self.bank.rulebook().join("federation.toml");
        let text = fs::read_to_string(&federation).expect("a file of the rulebook");
        fs::write(federation, text + PARAMETERS).expect("writable");
        fs::create_dir(self.bank.rulebook().join("limits")).expect("a folder");
        fs::write(self.bank.rulebook().join("limits/limits.toml"), limits).expect("writable");
        self.bank.publish();
        self
    }

    pub fn source(&self) -> ExposureSource {
        let disk = self.disk.clone();
        ExposureSource::new(Box::new(move |config| Ledger::open_on(Arc::new(disk.clone()), config)), false)
    }

    pub async fn serve(&self) -> Served {
        let journal = Journal::open_on(Arc::new(Power::default()), 1 << 20).expect("a whole disk");
        let sources = self.bank.sources().with_exposures(self.source());
        self.bank.serve_with(journal, sources).await.expect("it starts")
    }
}

pub type Client = ExposureServiceClient<Channel>;

pub fn client(served: &Served) -> Client {
    ExposureServiceClient::new(served.channel.clone())
}

pub fn reserve(member: &str, exposure: &str, customer: &str, fen: i64) -> ReserveRequest {
    ReserveRequest {
        member: member.into(),
        exposure: exposure.into(),
        customer_id: customer.into(),
        attributes: [("industry".to_owned(), "6621".to_owned())].into(),
        amount_fen: fen,
        expires_at: None,
    }
}

pub fn commit(exposure: &str, key: &str, fen: i64) -> CommitRequest {
    let (member, exposure, key) = ("001".into(), exposure.into(), key.into());
    CommitRequest { member, exposure, key, amount_fen: fen, grow: false }
}

pub async fn collect<T>(answer: Result<tonic::Response<Streaming<T>>, Status>) -> Result<Vec<T>, Status> {
    let mut stream = answer?.into_inner();
    let mut all = Vec::new();
    while let Some(one) = stream.message().await? {
        all.push(one);
    }
    Ok(all)
}

/// All that is told to who calls without a network.
pub async fn collect_stream<T>(mut answers: impl Stream<Item = Result<T, Status>> + Unpin) -> Vec<T> {
    let mut all = Vec::new();
    while let Some(one) = answers.next().await {
        all.push(one.expect("told"));
    }
    all
}

pub async fn utilisation(client: &mut Client, limit: &str) -> Vec<Counter> {
    let request = GetUtilisationRequest { member: "001".into(), limit: limit.into(), ..Default::default() };
    collect(client.get_utilisation(request).await).await.expect("told")
}

pub async fn exposures(client: &mut Client, member: &str, of: Of) -> Result<Vec<Exposure>, Status> {
    let request = ListExposuresRequest { member: member.into(), of: Some(of), as_of: None };
    collect(client.list_exposures(request).await).await
}

pub async fn large(client: &mut Client, filed_too: bool) -> Vec<LargeExposure> {
    let request = ListLargeRequest { member: "001".into(), filed_too, as_of: None };
    collect(client.list_large(request).await).await.expect("told")
}

/// Ends when the ledger has been kept once more from now on, not from when it is first polled.
pub fn kept(mut kept: watch::Receiver<u64>) -> impl Future<Output = ()> {
    kept.mark_unchanged();
    async move { kept.changed().await.expect("it runs") }
}

/// 1: serving, 2: not.
pub async fn health(served: &Served) -> i32 {
    let request = HealthCheckRequest { service: SERVICE.into() };
    HealthClient::new(served.channel.clone()).check(request).await.expect("known").into_inner().status
}
