//! What was, and groups that grow, as callers see it.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use futures::TryStreamExt;
use tarim_proto::exposure::v1::{
    CounterKey, Exposure, GetUtilisationRequest, LargeExposure, ListExposuresRequest, ListLargeRequest,
    OperationAnswer, exposure_service_server::ExposureService, large_exposure::To,
    list_exposures_request::Of,
};
use tokio::sync::watch;
use tonic::{Code, Request, Status};

use super::{LIMITS, Limited, commit, reserve};
use crate::{
    convert::timestamp,
    exposure::{Config as LedgerConfig, Ledger, Operation, Regroup},
    journal::power::Power,
    service::{
        Config,
        exposure::{Desk, Rpc},
        tests::bank::{Bank, us},
    },
};

const DAY: i64 = 24 * 3600 * 1_000_000;

/// The calls without a network, on a clock that is set by hand.
struct Bench {
    rpc: Rpc,
    clock: Arc<AtomicI64>,
    _limited: Limited,
}

impl Bench {
    /// Of groups, too: 1,500 of each.
    async fn new() -> Self {
        let bank = Bank::new().await;
        fs::create_dir_all(bank.rulebook().join("features/edges")).expect("a folder");
        let edges = "[[edge]]\nname = \"same_city\"\nzh = \"同城\"\nen = \"same city\"\nsql = \"SELECT member, customer_id \
                     AS from_id, city AS to_id FROM customers\"\n";
        fs::write(bank.rulebook().join("features/edges/edges.toml"), edges).expect("writable");
        let limits = format!(
            "{LIMITS}\n[groups]\nalong = [\"same_city\"]\n\n[[limit]]\nid = \"group\"\nzh = \"集团\"\nen = \"a group\"\n\
             scope = \"member\"\nper = [\"group\"]\nhard = {{ fen = 1500 }}\n"
        );
        let limited = Limited { bank, disk: Power::default() }.with(&limits);
        let desk = Desk::new(&Config::on(([127, 0, 0, 1], 0).into()), watch::channel(false).1);
        let clock = Arc::new(AtomicI64::new(us("2026-06-01T10:00:00Z")));
        let now = clock.clone();
        let config = LedgerConfig {
            // The past is read over snapshots, too.
            snapshot_every: 4,
            ..LedgerConfig::new(Arc::new(move || now.load(Ordering::Relaxed)))
        };
        let ledger = Ledger::open_on(Arc::new(limited.disk.clone()), config).expect("a new ledger");
        let serving = limited.bank.sources().load().expect("it loads");
        ledger.adopt(serving.engine.rulebook().limits().clone()).expect("checked");
        desk.open(Arc::new(ledger));
        Self { rpc: Rpc { desk }, clock, _limited: limited }
    }

    fn next_day(&self) {
        self.clock.fetch_add(DAY, Ordering::Relaxed);
    }

    async fn reserve(&self, exposure: &str, customer: &str, fen: i64) -> Result<OperationAnswer, Status> {
        Ok(self.rpc.reserve(Request::new(reserve("001", exposure, customer, fen))).await?.into_inner())
    }

    fn regroup(&self, customer: &str, group: &str) {
        let (member, customer, group) = ("001".into(), customer.into(), group.into());
        let ledger = self.rpc.desk.opened().expect("open");
        ledger.call(Operation::Regroup(Regroup { member, customer, group })).expect("a fact");
    }

    /// Used of each counter of a limit.
    async fn used(&self, limit: &str, as_of: Option<i64>) -> Result<Vec<(String, i64)>, Status> {
        let (member, limit) = ("001".into(), limit.into());
        let request =
            GetUtilisationRequest { member, limit, as_of: as_of.map(timestamp), ..Default::default() };
        let told: Vec<_> =
            self.rpc.get_utilisation(Request::new(request)).await?.into_inner().try_collect().await?;
        let used = |c: tarim_proto::exposure::v1::Counter| (c.per.into_values().collect(), c.used_fen);
        Ok(told.into_iter().map(used).collect())
    }

    async fn exposures(&self, of: Of, as_of: Option<i64>) -> Vec<Exposure> {
        let request =
            ListExposuresRequest { member: "001".into(), of: Some(of), as_of: as_of.map(timestamp) };
        let told = self.rpc.list_exposures(Request::new(request)).await.expect("told").into_inner();
        told.try_collect().await.expect("told")
    }

    async fn large(&self, as_of: Option<i64>) -> Vec<LargeExposure> {
        let request = ListLargeRequest { member: "001".into(), filed_too: true, as_of: as_of.map(timestamp) };
        let told = self.rpc.list_large(Request::new(request)).await.expect("told").into_inner();
        told.try_collect().await.expect("told")
    }
}

#[tokio::test]
async fn every_query_tells_what_was() {
    let bench = Bench::new().await;
    let first = bench.clock.load(Ordering::Relaxed);
    bench.reserve("a1", "c1", 500).await.expect("room");
    bench.next_day();
    bench.rpc.commit(Request::new(commit("a1", "d1", 300))).await.expect("reserved");
    bench.next_day();
    bench.reserve("a2", "c1", 400).await.expect("room");
    bench.next_day();
    for n in 0..6 {
        bench.reserve(&format!("b{n}"), "c2", 100).await.expect("room");
    }
    bench.next_day();
    let key = CounterKey {
        limit: "single_customer".into(),
        per: [("customer".to_owned(), "c1".to_owned())].into(),
    };
    for (days, used, exposures, large) in [(0, 500, 1, 0), (1, 500, 1, 0), (2, 900, 2, 1), (9, 900, 2, 2)] {
        let as_of = Some(first + days * DAY);
        let told = bench.used("single_customer", as_of).await.expect("told");
        assert_eq!(told[0], ("c1".into(), used), "after {days} days");
        let customers = if days < 3 { 1 } else { 2 };
        assert_eq!(told.len(), customers, "after {days} days");
        for of in [Of::CustomerId("c1".into()), Of::Counter(key.clone())] {
            let told = bench.exposures(of, as_of).await;
            assert_eq!(told.len(), exposures, "after {days} days");
            let out: i64 = told.iter().map(|e| e.outstanding_fen).sum();
            assert_eq!(out, if days == 0 { 0 } else { 300 });
        }
        assert_eq!(bench.large(as_of).await.len(), large, "after {days} days");
    }
    let (now, then) = (
        bench.used("single_customer", None).await,
        bench.used("single_customer", Some(first + 9 * DAY)).await,
    );
    assert_eq!(now.expect("told"), then.expect("told"));
    // Nobody was a member before there were limits.
    let before = bench.used("", Some(first - DAY)).await.expect_err("nothing was there");
    assert_eq!(before.code(), Code::NotFound);
}

#[tokio::test]
async fn a_group_that_grows_counts_together() {
    let bench = Bench::new().await;
    for (exposure, customer) in [("a1", "c1"), ("a2", "c2")] {
        bench.reserve(exposure, customer, 450).await.expect("room");
    }
    assert!(bench.used("group", None).await.expect("told").is_empty());
    assert!(bench.large(None).await.is_empty());
    bench.regroup("c1", "c1");
    assert_eq!(bench.used("group", None).await.expect("told"), [("c1".into(), 450)]);
    let before = bench.clock.load(Ordering::Relaxed);
    bench.next_day();
    // Neither is large, and together they are.
    bench.regroup("c2", "c1");
    assert_eq!(bench.used("group", None).await.expect("told"), [("c1".into(), 900)]);
    let large = bench.large(None).await;
    assert_eq!((large[0].to.clone(), large[0].recognised_fen), (Some(To::Group("c1".into())), 900));
    let told = bench.exposures(Of::Exposure("a2".into()), None).await;
    assert_eq!(told[0].group, "c1");

    let refused = bench.reserve("a3", "c2", 601).await.expect_err("no room in the group");
    assert!(refused.message().contains("`group`"), "{}", refused.message());
    // One who is new in it is counted with all that is out to it, though that is too much; then nothing more is taken.
    bench.reserve("a4", "c3", 700).await.expect("it is in no group");
    bench.regroup("c3", "c1");
    assert_eq!(bench.used("group", None).await.expect("told"), [("c1".into(), 1600)]);
    assert!(bench.reserve("a5", "c1", 1).await.is_err());
    bench.regroup("c1", "");
    assert_eq!(bench.used("group", None).await.expect("told"), [("c1".into(), 1150)]);
    bench.reserve("a5", "c2", 350).await.expect("there is room again");

    assert_eq!(bench.used("group", Some(before)).await.expect("told"), [("c1".into(), 450)]);
    assert_eq!(bench.exposures(Of::Exposure("a2".into()), Some(before)).await[0].group, "");
    assert!(bench.large(Some(before)).await.is_empty());
}
