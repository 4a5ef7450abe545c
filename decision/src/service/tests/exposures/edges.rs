//! At the edges: too much at once, too late, no disk.

use std::sync::Arc;

use futures::poll;
use tarim_proto::exposure::v1::{OperationAnswer, ReserveRequest, exposure_service_server::ExposureService};
use tokio::sync::watch;
use tonic::{Code, Request, Status};

use super::{Limited, client, reserve};
use crate::{
    exposure::{Config as LedgerConfig, Ledger},
    journal::power::{Fault, Power},
    service::{
        Clock, Config, Deadline, ServeError,
        exposure::{Desk, Rpc},
        tests::bank::{request, us},
    },
};

/// The calls without a network, two in flight at most, to be polled step by step.
fn rpc(limited: &Limited, disk: &Power) -> Rpc {
    let config = Config { max_in_flight: 2, ..Config::on(([127, 0, 0, 1], 0).into()) };
    // Nobody stops: a receiver without a sender keeps what was last said.
    let desk = Desk::new(&config, watch::channel(false).1);
    let clock = Clock::Fixed(us("2026-06-30T10:00:00Z"));
    let ledger = Ledger::open_on(Arc::new(disk.clone()), LedgerConfig::new(Arc::new(move || clock.now_us())));
    let ledger = ledger.expect("a new ledger");
    let serving = limited.bank.sources().load().expect("it loads");
    ledger.adopt(serving.engine.rulebook().limits().clone()).expect("checked");
    desk.open(Arc::new(ledger));
    Rpc { desk }
}

async fn direct(rpc: &Rpc, request: ReserveRequest) -> Result<OperationAnswer, Status> {
    Ok(rpc.reserve(Request::new(request)).await?.into_inner())
}

#[tokio::test]
async fn what_is_too_much_is_refused_at_once_and_what_is_late_is_done_once() {
    let limited = Limited::new().await;
    let disk = Power::default();
    let rpc = rpc(&limited, &disk);
    disk.hold_syncs(true);
    let mut first = Box::pin(direct(&rpc, reserve("001", "a1", "c1", 500)));
    assert!(poll!(&mut first).is_pending());
    // Its caller goes away at the deadline; it is done all the same, and counts until it is durable.
    let mut late = Request::new(reserve("001", "a2", "c2", 500));
    let mut timed = Request::new(());
    timed.metadata_mut().insert("grpc-timeout", "1m".parse().expect("ASCII"));
    *late.extensions_mut() = Deadline::stamp(timed).expect("a timeout").extensions().clone();
    let late = rpc.reserve(late).await.expect_err("late");
    assert_eq!(late.code(), Code::DeadlineExceeded);
    let full = direct(&rpc, reserve("001", "a3", "c3", 1)).await.expect_err("full");
    assert_eq!(full.code(), Code::ResourceExhausted);
    disk.hold_syncs(false);
    first.await.expect("done");
    let again = direct(&rpc, reserve("001", "a2", "c2", 500)).await.expect("done before, or now");
    assert_eq!(rpc.desk.opened().expect("open").view().expect("open").exposures(), 2);
    assert!(again.sequence > 0);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_says_so_and_decisions_go_on() {
    let limited = Limited::new().await;
    let served = limited.serve().await;
    let mut client = client(&served);
    limited.disk.fail_after(0, Fault::Full);
    let lost = client.reserve(reserve("001", "a1", "c1", 1)).await.expect_err("no disk");
    assert_eq!(lost.code(), Code::Unavailable, "{lost:?}");
    let more = client.reserve(reserve("001", "a2", "c1", 1)).await.expect_err("no disk");
    assert_eq!(more.code(), Code::Unavailable, "{more:?}");
    served.decide(&request("1", "c1", [])).await.expect("decided as before");
    drop(client);
    assert!(matches!(served.end().await, Err(ServeError::Exposure(_))));
}
