//! Exposure limits, over gRPC.

use std::{fs, sync::Arc};

use prost::Message;
use tarim_proto::exposure::v1::{
    CommitRequest, Counter, CounterKey, Exposure, FileLargeRequest, GetUtilisationRequest, LargeExposure,
    LimitBreaches, ListExposuresRequest, ListLargeRequest, ReleaseRequest, RepayRequest, ReserveRequest,
    exposure_service_client::ExposureServiceClient, list_exposures_request::Of,
};
use tokio::sync::watch;
use tonic::{Code, Request, Status, Streaming, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt;

use super::{
    bank::{Bank, Served, request},
    watched::samples,
};
use crate::{
    convert::timestamp,
    exposure::Ledger,
    journal::{Journal, power::Power},
    service::{ExposureSource, GroupSource, exposure::SERVICE},
};

/// One customer of a member: 1,000 at most, told from 800 on; of what is in the same industry section 2,500 over all members.
const LIMITS: &str = r#"
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

const PARAMETERS: &str = r#"
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
    bank: Bank,
    disk: Power,
}

impl Limited {
    pub async fn new() -> Self {
        let bank = Bank::new().await;
        Self { bank, disk: Power::default() }.with(LIMITS)
    }

    fn with(self, limits: &str) -> Self {
        let federation = self.bank.rulebook().join("federation.toml");
        let text = fs::read_to_string(&federation).expect("a file of the rulebook");
        fs::write(federation, text + PARAMETERS).expect("writable");
        fs::create_dir(self.bank.rulebook().join("limits")).expect("a folder");
        fs::write(self.bank.rulebook().join("limits/limits.toml"), limits).expect("writable");
        self.bank.publish();
        self
    }

    fn source(&self) -> ExposureSource {
        let disk = self.disk.clone();
        ExposureSource::new(Box::new(move |config| Ledger::open_on(Arc::new(disk.clone()), config)), false)
    }

    pub async fn serve(&self) -> Served {
        let journal = Journal::open_on(Arc::new(Power::default()), 1 << 20).expect("a whole disk");
        let sources = self.bank.sources().with_exposures(self.source());
        self.bank.serve_with(journal, sources).await.expect("it starts")
    }
}

type Client = ExposureServiceClient<Channel>;

fn client(served: &Served) -> Client {
    ExposureServiceClient::new(served.channel.clone())
}

fn reserve(member: &str, exposure: &str, customer: &str, fen: i64) -> ReserveRequest {
    ReserveRequest {
        member: member.into(),
        exposure: exposure.into(),
        customer_id: customer.into(),
        attributes: [("industry".to_owned(), "6621".to_owned())].into(),
        amount_fen: fen,
        expires_at: None,
    }
}

fn commit(exposure: &str, key: &str, fen: i64) -> CommitRequest {
    let (member, exposure, key) = ("001".into(), exposure.into(), key.into());
    CommitRequest { member, exposure, key, amount_fen: fen, grow: false }
}

async fn collect<T>(answer: Result<tonic::Response<Streaming<T>>, Status>) -> Result<Vec<T>, Status> {
    let mut stream = answer?.into_inner();
    let mut all = Vec::new();
    while let Some(one) = stream.message().await? {
        all.push(one);
    }
    Ok(all)
}

async fn utilisation(client: &mut Client, limit: &str) -> Vec<Counter> {
    let request = GetUtilisationRequest { member: "001".into(), limit: limit.into(), ..Default::default() };
    collect(client.get_utilisation(request).await).await.expect("told")
}

async fn exposures(client: &mut Client, member: &str, of: Of) -> Result<Vec<Exposure>, Status> {
    let request = ListExposuresRequest { member: member.into(), of: Some(of), as_of: None };
    collect(client.list_exposures(request).await).await
}

async fn large(client: &mut Client, filed_too: bool) -> Vec<LargeExposure> {
    let request = ListLargeRequest { member: "001".into(), filed_too, as_of: None };
    collect(client.list_large(request).await).await.expect("told")
}

async fn kept(mut kept: watch::Receiver<u64>) {
    kept.mark_unchanged();
    kept.changed().await.expect("it runs");
}

#[tokio::test]
async fn the_life_of_an_exposure() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let mut client = client(&served);

    let reserved = client.reserve(reserve("001", "a1", "c1", 900)).await.expect("there is room").into_inner();
    assert_eq!(reserved.warnings.len(), 1, "{reserved:?}");
    let warning = &reserved.warnings[0];
    assert_eq!(
        (warning.limit.as_str(), warning.used_fen, warning.headroom_fen),
        ("single_customer", 900, 100)
    );
    assert_eq!(warning.per["customer"], "c1");
    assert_eq!(reserved.large, [1]);

    let drawn = client.commit(commit("a1", "d1", 600)).await.expect("reserved").into_inner();
    assert!(drawn.sequence > reserved.sequence);
    let repay =
        RepayRequest { member: "001".into(), exposure: "a1".into(), key: "r1".into(), amount_fen: 200 };
    client.repay(repay).await.expect("it was out");
    let release =
        ReleaseRequest { member: "001".into(), exposure: "a1".into(), key: "f1".into(), amount_fen: 0 };
    client.release(release).await.expect("it was reserved");

    let found = exposures(&mut client, "001", Of::CustomerId("c1".into())).await.expect("told");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].reserved_fen, found[0].outstanding_fen), (0, 400));
    assert_eq!(found[0].attributes["industry"], "6621");
    let section = utilisation(&mut client, "section").await;
    assert_eq!(
        (section[0].used_fen, section[0].member.as_str(), &section[0].per["industry.section"][..]),
        (400, "", "J")
    );
    let key = CounterKey { limit: "section".into(), per: section[0].per.clone() };
    let behind = exposures(&mut client, "001", Of::Counter(key.clone())).await.expect("told");
    assert_eq!(behind, found);

    let to_file = large(&mut client, false).await;
    assert_eq!((to_file[0].number, to_file[0].recognised_fen, to_file[0].used_fen), (1, 900, 400));
    let file =
        FileLargeRequest { member: "001".into(), large: 1, reference: "F-1".into(), officer: "o1".into() };
    client.file_large(file.clone()).await.expect("it is to be filed");
    client.file_large(file.clone()).await.expect("the same again");
    let other = FileLargeRequest { reference: "F-2".into(), ..file };
    assert_eq!(client.file_large(other).await.expect_err("filed").code(), Code::AlreadyExists);
    assert!(large(&mut client, false).await.is_empty());
    assert_eq!(large(&mut client, true).await[0].filing.as_ref().expect("filed").reference, "F-1");
    drop(client);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_breach_names_every_counter_and_takes_nothing() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let mut client = client(&served);
    for (exposure, customer) in [("a1", "c1"), ("a2", "c2")] {
        client.reserve(reserve("001", exposure, customer, 1000)).await.expect("there is room");
    }
    client.reserve(reserve("002", "a1", "c1", 400)).await.expect("there is room");
    let refused = client.reserve(reserve("001", "a3", "c1", 300)).await.expect_err("no room");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("single_customer"), "{}", refused.message());
    let status = tonic_types::pb::Status::decode(refused.details()).expect("a google.rpc.Status");
    assert_eq!(status.details[0].type_url, "type.googleapis.com/tarim.exposure.v1.LimitBreaches");
    let told = LimitBreaches::decode(&status.details[0].value[..]).expect("ours");
    let told: Vec<_> = told
        .breaches
        .iter()
        .map(|breach| {
            let counter = breach.counter.as_ref().expect("there is one");
            (counter.limit.as_str(), counter.used_fen, counter.hard_fen, breach.shortfall_fen)
        })
        .collect();
    assert_eq!(told, [("single_customer", 1000, 1000, 300), ("section", 2400, 2500, 200)]);
    assert_eq!(utilisation(&mut client, "section").await[0].used_fen, 2400);
    // What was refused is not remembered: less of it has room.
    client.reserve(reserve("001", "a3", "c3", 100)).await.expect("there is room");

    let seen = samples(&served).await;
    for (name, value) in [
        (r#"tarim_exposure_operations_total{kind="Reserve",code="Ok"}"#, 4.0),
        (r#"tarim_exposure_operations_total{kind="Reserve",code="FailedPrecondition"}"#, 1.0),
        (r#"tarim_exposure_breaches_total{limit="section"}"#, 1.0),
        (r#"tarim_exposure_breaches_total{limit="single_customer"}"#, 1.0),
        ("tarim_exposure_operation_seconds_count", 5.0),
        ("tarim_exposure_group_operations_sum", 5.0),
        ("tarim_exposure_queue", 0.0),
        ("tarim_exposure_open", 1.0),
        ("tarim_exposure_failing", 0.0),
        ("tarim_exposure_adoptions_total", 1.0),
    ] {
        assert_eq!(seen.get(name), Some(&value), "{name} in {seen:#?}");
    }
    drop(client);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn once_and_by_its_own_member_alone() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let mut client = client(&served);
    let first = client.reserve(reserve("001", "a1", "c1", 900)).await.expect("there is room").into_inner();
    let again = client.reserve(reserve("001", "a1", "c1", 900)).await.expect("the same").into_inner();
    assert_eq!(again, first);
    let other = client.reserve(reserve("001", "a1", "c1", 901)).await.expect_err("another content");
    assert_eq!(other.code(), Code::AlreadyExists);

    // Another member has no such exposure, by whatever way it asks.
    let theirs = CommitRequest { member: "002".into(), ..commit("a1", "d1", 1) };
    assert_eq!(client.commit(theirs).await.expect_err("not theirs").code(), Code::NotFound);
    let one = exposures(&mut client, "002", Of::Exposure("a1".into())).await;
    assert_eq!(one.expect_err("not theirs").code(), Code::NotFound);
    assert!(exposures(&mut client, "002", Of::CustomerId("c1".into())).await.expect("told").is_empty());
    let section = utilisation(&mut client, "section").await.remove(0);
    let key = CounterKey { limit: section.limit, per: section.per };
    assert!(exposures(&mut client, "002", Of::Counter(key.clone())).await.expect("told").is_empty());
    assert_eq!(exposures(&mut client, "001", Of::Counter(key)).await.expect("told").len(), 1);
    let file =
        FileLargeRequest { member: "002".into(), large: 1, reference: "F".into(), officer: "o".into() };
    assert_eq!(client.file_large(file).await.expect_err("not theirs").code(), Code::NotFound);
    drop(client);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_mistake_is_told_with_its_field() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let mut client = client(&served);
    let good = || reserve("001", "x", "c1", 1);
    let past = Some(timestamp(0));
    for (field, wrong) in [
        ("member", ReserveRequest { member: String::new(), ..good() }),
        ("exposure", ReserveRequest { exposure: "x".repeat(65), ..good() }),
        ("customer_id", ReserveRequest { customer_id: String::new(), ..good() }),
        ("amount_fen", ReserveRequest { amount_fen: 0, ..good() }),
        ("amount_fen", ReserveRequest { amount_fen: i64::MAX, ..good() }),
        ("attributes", ReserveRequest { attributes: [].into(), ..good() }),
        (
            "attributes.industry",
            ReserveRequest { attributes: [("industry".into(), "6".into())].into(), ..good() },
        ),
        (
            "attributes.industry",
            ReserveRequest { attributes: [("industry".into(), "".into())].into(), ..good() },
        ),
        ("expires_at", ReserveRequest { expires_at: past, ..good() }),
        ("expires_at", ReserveRequest { expires_at: Some(timestamp(1_000_000)), ..good() }),
    ] {
        let refused = client.reserve(wrong).await.expect_err(field);
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}: {refused:?}");
        assert!(refused.message().starts_with(&format!("{field}: ")), "{field}: {}", refused.message());
        let told = refused.get_details_bad_request().expect("a detail");
        assert_eq!(told.field_violations[0].field, field);
    }
    for (code, member, exposure) in [(Code::NotFound, "009", "x"), (Code::InvalidArgument, "001", "")] {
        let refused = client.reserve(reserve(member, exposure, "c1", 1)).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{member} {exposure}");
    }
    let nobody = GetUtilisationRequest { member: "009".into(), ..Default::default() };
    assert_eq!(
        collect(client.get_utilisation(nobody).await).await.expect_err("unknown").code(),
        Code::NotFound
    );
    let no_limit = GetUtilisationRequest { member: "001".into(), limit: "x".into(), ..Default::default() };
    assert_eq!(
        collect(client.get_utilisation(no_limit).await).await.expect_err("unknown").code(),
        Code::NotFound
    );
    // Nothing is done past its deadline.
    let mut late = Request::new(good());
    late.metadata_mut().insert("grpc-timeout", "0n".parse().expect("ASCII"));
    assert!(client.reserve(late).await.is_err());
    assert!(utilisation(&mut client, "").await.is_empty());
    drop(client);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_restart_keeps_everything_and_adopts_nothing() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let first = client(&served).reserve(reserve("001", "a1", "c1", 900)).await.expect("room").into_inner();
    served.end().await.expect("in order");
    // Another rulebook with the same limits: exposures are not counted anew.
    limited.bank.edit("federation.toml", "value = 10000000", "value = 3000000");
    limited.bank.publish();
    let served = limited.serve().await;
    let mut client = client(&served);
    assert_eq!(client.reserve(reserve("001", "a1", "c1", 900)).await.expect("the same").into_inner(), first);
    assert_eq!(utilisation(&mut client, "single_customer").await[0].used_fen, 900);
    assert_eq!(samples(&served).await["tarim_exposure_adoptions_total"], 0.0);
    drop(client);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn limits_of_a_new_rulebook_are_adopted_while_serving() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let mut client = client(&served);
    client.reserve(reserve("001", "a1", "c1", 900)).await.expect("there is room");
    limited.bank.edit("limits/limits.toml", "hard = { fen = 1000 }", "hard = { fen = 700 }");
    let version = limited.bank.publish();
    let adopted = kept(served.running.kept());
    served.reload().await;
    adopted.await;
    let counter = utilisation(&mut client, "single_customer").await.remove(0);
    assert_eq!((counter.used_fen, counter.hard_fen, counter.headroom_fen), (900, 700, -200));
    let more = client.reserve(reserve("001", "a2", "c1", 1)).await.expect_err("over its line");
    assert_eq!(more.code(), Code::FailedPrecondition);
    let seen = samples(&served).await;
    assert_eq!(seen[r#"tarim_exposure_counters_above{line="hard"}"#], 1.0);
    assert_eq!(seen[&format!(r#"tarim_exposure_limits_info{{version="{version}"}}"#)], 1.0);

    // A rulebook without limits does not let go of what is out.
    fs::remove_dir_all(limited.bank.rulebook().join("limits")).expect("there");
    limited.bank.publish();
    let passed = kept(served.running.kept());
    served.reload().await;
    passed.await;
    let more = client.reserve(reserve("001", "a2", "c1", 1)).await.expect_err("over its line");
    assert_eq!(more.code(), Code::FailedPrecondition);
    assert!(more.message().contains("single_customer"), "{}", more.message());
    drop(client);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_rulebook_without_limits_has_no_ledger_until_one_has() {
    let bank = Bank::new().await;
    let limited = Limited { bank, disk: Power::default() };
    let served = limited.serve().await;
    let mut client = client(&served);
    let refused = client.reserve(reserve("001", "a1", "c1", 1)).await.expect_err("no ledger");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("limits/"), "{}", refused.message());
    served.decide(&request("1", "c1", [])).await.expect("decided as before");
    assert_eq!(health(&served).await, 2);

    let limited = limited.with(LIMITS);
    let opened = kept(served.running.kept());
    served.reload().await;
    opened.await;
    client.reserve(reserve("001", "a1", "c1", 1)).await.expect("there is room");
    assert_eq!(health(&served).await, 1);
    drop(client);
    served.end().await.expect("in order");
    drop(limited);
}

/// 1: serving, 2: not.
async fn health(served: &Served) -> i32 {
    let request = HealthCheckRequest { service: SERVICE.into() };
    HealthClient::new(served.channel.clone()).check(request).await.expect("known").into_inner().status
}

#[tokio::test]
async fn groups_that_cannot_be_known_are_an_error_at_the_start() {
    let bank = Bank::new().await;
    fs::create_dir_all(bank.rulebook().join("features/edges")).expect("a folder");
    let edges = "[[edge]]\nname = \"same_city\"\nzh = \"同城\"\nen = \"same city\"\nsql = \"SELECT member, customer_id AS \
                 from_id, city AS to_id FROM customers\"\n";
    fs::write(bank.rulebook().join("features/edges/edges.toml"), edges).expect("writable");
    let limits = format!(
        "{}\n[groups]\nalong = [\"same_city\"]\n",
        LIMITS.replace("per = [\"customer\"]", "per = [\"group\"]")
    );
    let limited = Limited { bank, disk: Power::default() }.with(&limits);
    let journal = || Journal::open_on(Arc::new(Power::default()), 1 << 20).expect("a whole disk");
    let groups =
        GroupSource { datamart: limited.bank.path("nowhere"), every: std::time::Duration::from_secs(60) };
    let sources = limited.bank.sources().with_exposures(limited.source().with_groups(groups));
    let refused = limited.bank.serve_with(journal(), sources).await.err().expect("no datamart").to_string();
    assert!(refused.contains("--no-groups"), "{refused}");
}
