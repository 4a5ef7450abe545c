//! A small installation to serve from: the rulebook beside this file, its store, and a disk that obeys.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::SchemaRef,
};
use datafusion::prelude::SessionContext;
use prost::Message;
use tarim_datamart::{Tokeniser, gate::dates::iso_timestamp};
use tarim_features::{
    materialise::{Selection, materialise},
    store::{EmbeddedStore, OnlineStore},
};
use tarim_proto::{
    decision::v1::{
        Decision, DecisionRequest, GetDecisionRequest, Value, decision_service_client::DecisionServiceClient,
        value::Kind,
    },
    encoded::{self, decision_service_server::DecisionService},
};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tonic::{Request, Status, transport::Channel};

use crate::{
    journal::{Journal, power::Power},
    rulebook::{Rulebook, publish},
    service::{Clock, Config, Running, ServeError, Sources, Threads, serve, server},
};

/// A customer: id, city, salary.
pub type Customer = (&'static str, &'static str, Option<f64>);

/// Customers of member 001 at first.
pub const CUSTOMERS: &[Customer] = &[
    ("c1", "Nanning", Some(8000.0)),
    ("c2", "Guilin", Some(3000.0)),
    ("c3", "Beihai", None),
    ("bad", "Wuzhou", Some(9000.0)),
];

/// An installation.
pub struct Bank {
    folder: TempDir,
}

impl Bank {
    /// With the rulebook published and features of [`CUSTOMERS`].
    pub async fn new() -> Self {
        let bank = Self { folder: tempfile::tempdir().expect("a folder") };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service/tests/rulebook");
        copy(&source, &bank.rulebook());
        bank.publish();
        bank.materialise(CUSTOMERS).await;
        bank
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn rulebook(&self) -> PathBuf {
        self.path("rulebook")
    }

    pub fn published(&self) -> PathBuf {
        self.path("rulebooks")
    }

    /// Replaces text in a file of the rulebook.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.rulebook().join(file);
        let text = fs::read_to_string(&path).expect("a file of the rulebook");
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replace(from, to)).expect("writable");
    }

    /// Publishes the rulebook as it is; gives its version.
    pub fn publish(&self) -> String {
        publish(&self.rulebook(), &self.published()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Publishes features of these customers; gives the generation's version.
    pub async fn materialise(&self, customers: &[Customer]) -> String {
        let rulebook = Rulebook::read(&self.rulebook()).unwrap_or_else(|e| panic!("{e}"));
        let session = SessionContext::new();
        for table in rulebook.standards().tables() {
            let batch = match table.name.as_str() {
                "customers" => customer_rows(&table.schema(), customers),
                "list_entries" => list_rows(&table.schema()),
                _ => RecordBatch::new_empty(table.schema()),
            };
            session.register_batch(&table.name, batch).expect("a new table");
        }
        let as_of = us("2026-06-30");
        let report = materialise(
            &session,
            rulebook.features(),
            as_of,
            &self.path("store"),
            &Selection::All,
            &mut |_| {},
        )
        .await
        .unwrap_or_else(|e| panic!("{e}"));
        report.version
    }

    pub fn tokeniser(&self) -> Arc<Tokeniser> {
        Arc::new(Tokeniser::with_key([7; 32]))
    }

    pub fn sources(&self) -> Sources {
        let store = self.path("store");
        let open = move |features| {
            EmbeddedStore::open(&store, features).map(|store| Arc::new(store) as Arc<dyn OnlineStore>)
        };
        Sources::new(&self.published(), Box::new(open), self.tokeniser())
    }

    /// Serves over gRPC, with the journal on a disk in memory.
    pub async fn serve(&self, disk: &Power) -> Served {
        self.serve_from(Journal::open_on(Arc::new(disk.clone()), 1 << 20).expect("a whole disk")).await
    }

    /// Serves over gRPC with a journal.
    pub async fn serve_from(&self, journal: Journal) -> Served {
        self.serve_with(journal, self.sources()).await.expect("it starts")
    }

    /// Serves over gRPC from these sources, or says why not.
    pub async fn serve_with(&self, journal: Journal, sources: Sources) -> Result<Served, ServeError> {
        self.serve_over(None, journal, sources).await
    }

    /// The same, with connections on the lanes of `threads`.
    pub async fn serve_over(
        &self,
        threads: Option<Threads>,
        journal: Journal,
        sources: Sources,
    ) -> Result<Served, ServeError> {
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let running = serve(Config { threads, ..config() }, sources, journal, shutdown).await?;
        let endpoint = Channel::from_shared(format!("http://{}", running.address())).expect("a URL");
        let channel = endpoint.connect().await.expect("it listens");
        Ok(Served::on(running, channel, stop))
    }

    /// The calls without a network, to be polled step by step.
    pub fn rpc(&self, disk: &Power, change: impl FnOnce(&mut Config)) -> crate::service::rpc::Rpc {
        let mut config = config();
        change(&mut config);
        let journal = Journal::open_on(Arc::new(disk.clone()), 1 << 20).expect("a whole disk");
        let serving = self.sources().load().expect("it loads");
        server::rpc(
            &config,
            Arc::new(arc_swap::ArcSwap::from_pointee(serving)),
            &self.tokeniser(),
            Arc::new(journal),
        )
        .0
    }
}

/// The clock stands still, and nobody looks for new versions unless told to.
fn config() -> Config {
    Config {
        clock: Clock::Fixed(us("2026-06-30T10:00:00Z")),
        metrics: Some(([127, 0, 0, 1], 0).into()),
        poll: std::time::Duration::from_secs(3600),
        ..Config::on(([127, 0, 0, 1], 0).into())
    }
}

/// A service that runs, and a connection to it.
pub struct Served {
    pub running: Running,
    pub channel: Channel,
    stop: Option<oneshot::Sender<()>>,
}

impl Served {
    pub fn on(running: Running, channel: Channel, stop: oneshot::Sender<()>) -> Self {
        Self { running, channel, stop: Some(stop) }
    }

    pub fn client(&self) -> DecisionServiceClient<Channel> {
        DecisionServiceClient::new(self.channel.clone())
    }

    pub async fn decide(&self, request: &DecisionRequest) -> Result<Decision, Status> {
        Ok(self.client().decide(request.clone()).await?.into_inner())
    }

    pub async fn find(&self, member: &str, request_id: &str) -> Result<Decision, Status> {
        let request = GetDecisionRequest { member: member.into(), request_id: request_id.into() };
        Ok(self.client().get_decision(request).await?.into_inner())
    }

    /// Looks for new versions, and returns when they are served.
    pub async fn reload(&self) {
        let mut swaps = self.running.swaps();
        swaps.mark_unchanged();
        self.running.reload();
        swaps.changed().await.expect("it runs");
    }

    /// Begins to shut down.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// What runs, and its connection.
    pub fn into_parts(self) -> (Running, Channel) {
        (self.running, self.channel)
    }

    /// Shuts down and waits for the end.
    pub async fn end(mut self) -> Result<(), ServeError> {
        self.stop();
        drop(self.channel);
        self.running.ended().await
    }
}

/// A request of member 001 for the product `loan`: an amount of 50,000 yuan, and more fields.
pub fn request<const N: usize>(id: &str, customer: &str, more: [(&str, Kind); N]) -> DecisionRequest {
    let mut application = BTreeMap::from([
        field("customer_id", text(customer)),
        field("amount_fen", Kind::IntValue(5_000_000)),
    ]);
    application.extend(more.map(|(name, kind)| field(name, kind)));
    let (member, product) = ("001".into(), "loan".into());
    DecisionRequest { request_id: id.into(), member, product, application, reserve: None }
}

pub fn text(text: &str) -> Kind {
    Kind::StringValue(text.into())
}

fn field(name: &str, kind: Kind) -> (String, Value) {
    (name.into(), Value { kind: Some(kind) })
}

/// A message as the server reads it.
pub fn arrived<T: Message + Default>(sent: &impl Message) -> T {
    T::decode(&sent.encode_to_vec()[..]).expect("the same on the wire")
}

/// A call without a network.
pub async fn direct(rpc: &crate::service::rpc::Rpc, request: DecisionRequest) -> Result<Decision, Status> {
    Ok(plain(&rpc.decide(Request::new(arrived(&request))).await?.into_inner()))
}

/// A decision as a client has it.
pub fn plain(decision: &encoded::Decision) -> Decision {
    Decision::decode(&decision.encode_to_vec()[..]).expect("a decision")
}

/// Microseconds since 1970-01-01T00:00:00Z.
pub fn us(time: &str) -> i64 {
    iso_timestamp(time).expect("ISO 8601")
}

fn customer_rows(schema: &SchemaRef, customers: &[Customer]) -> RecordBatch {
    let n = customers.len();
    let texts =
        |f: fn(&Customer) -> &'static str| Arc::new(StringArray::from_iter_values(customers.iter().map(f)));
    rows(schema, |name| match name {
        "member" => Arc::new(StringArray::from(vec!["001"; n])),
        "customer_id" => texts(|c| c.0),
        "since" => Arc::new(TimestampMicrosecondArray::from(vec![us("2020-01-01"); n])),
        "city" => texts(|c| c.1),
        _ => Arc::new(customers.iter().map(|c| c.2).collect::<Float64Array>()),
    })
}

fn list_rows(schema: &SchemaRef) -> RecordBatch {
    let date = |days: Option<i32>| Arc::new(arrow::array::Date32Array::from(vec![days])) as ArrayRef;
    rows(schema, |name| match name {
        "valid_from" => date(Some(0)),
        "expires_at" => date(None),
        "member" => Arc::new(StringArray::from(vec!["001"])),
        "list" => Arc::new(StringArray::from(vec!["black"])),
        "customer_id" => Arc::new(StringArray::from(vec!["bad"])),
        other => Arc::new(StringArray::from(vec![other])),
    })
}

fn rows(schema: &SchemaRef, column: impl Fn(&str) -> ArrayRef) -> RecordBatch {
    let columns = schema.fields().iter().map(|f| column(f.name())).collect();
    RecordBatch::try_new(schema.clone(), columns).expect("columns of the schema")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file");
        }
    }
}
