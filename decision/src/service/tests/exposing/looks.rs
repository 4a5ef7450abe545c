//! A decision looks at the ledger while the disk is slow; a person who asks is told what is durable.

use std::pin::pin;

use futures::poll;
use tarim_proto::{
    decision::v1::{Decision, Outcome},
    exposure::v1::{GetUtilisationRequest, exposure_service_server::ExposureService},
};
use tonic::Request;

use super::{desk, limited, reserving, taken};
use crate::{
    exposure::{Attribute, Operation, Prepared, Release, Reserve},
    journal::power::{Fault, Power},
    metrics::Totals,
    outcome::Call,
    service::{
        Deadline,
        exposure::Rpc,
        metrics::Lap,
        tests::{
            bank::{arrived, direct, plain, request},
            exposures::collect_stream,
        },
    },
};

/// Somebody else's loan to the customer.
fn other(fen: i64) -> Operation {
    Operation::Reserve(Reserve {
        member: "001".into(),
        exposure: "a1".into(),
        customer: "c1".into(),
        attributes: vec![Attribute::new("product", "loan")],
        fen,
        expires_us: 0,
    })
}

#[tokio::test]
async fn a_decision_does_not_wait_for_the_disk_of_the_ledger_and_a_query_does() {
    let limited = limited().await;
    let (rpc, ledger) = desk(&limited, &Power::default());
    let queries = Rpc { desk: rpc.desk.exposures.clone() };
    limited.disk.hold_syncs(true);
    ledger.submit(Prepared::new(other(4_500_000)), |done| drop(done.expect("there is room")));
    limited.disk.wait_for_held_sync();
    let ask = GetUtilisationRequest {
        member: "001".into(),
        limit: "single_customer".into(),
        ..GetUtilisationRequest::default()
    };
    let mut query = pin!(queries.get_utilisation(Request::new(ask)));
    assert!(poll!(&mut query).is_pending());
    // It comes after the query, and is answered; it sees what is in memory.
    let decision = direct(&rpc, request("r1", "c1", [])).await.expect("decided");
    assert_eq!((decision.outcome(), decision.limit_fen), (Outcome::Approve, Some(1_500_000)));
    assert!(poll!(&mut query).is_pending());
    // Whoever reserves waits for it all the same.
    let mut reserves = pin!(direct(&rpc, reserving("r2", "c1")));
    assert!(poll!(&mut reserves).is_pending());
    direct(&rpc, request("r3", "c2", [])).await.expect("decided");
    assert!(poll!(&mut reserves).is_pending());
    limited.disk.hold_syncs(false);
    let counters = collect_stream(query.await.expect("told").into_inner()).await;
    // Of when it was asked, not of what was reserved since.
    assert_eq!(counters.iter().map(|c| c.used_fen).collect::<Vec<_>>(), [4_500_000]);
    let decision = reserves.await.expect("decided");
    assert_eq!(taken(&decision), Some(("decide:r2", 1_500_000)));
}

/// A glance at the ledger that falls on a change becomes a question; what is decided is the same, and nobody waits but who asked.
#[tokio::test]
async fn a_decision_whose_glance_falls_on_a_change_asks() {
    let limited = limited().await;
    let (rpc, ledger) = desk(&limited, &Power::default());
    let of = |id: &str| request(id, "c1", []);
    let glanced = direct(&rpc, of("r1")).await.expect("decided");
    let many = || async {
        let requests = ["m1", "m2", "m1"].map(|id| arrived(&of(id)));
        let answers = rpc.desk.decide_all(&requests, Call::All, Deadline::default(), ()).await;
        answers.iter().map(|answer| plain(answer.as_ref().expect("decided"))).collect::<Vec<_>>()
    };
    let (one, many) = {
        let (mut one, mut many) = (pin!(direct(&rpc, of("r2"))), pin!(many()));
        {
            let _held = ledger.hold();
            assert!(poll!(&mut one).is_pending());
            assert!(poll!(&mut many).is_pending());
        }
        (one.await.expect("decided"), many.await)
    };
    assert_eq!(many[0], many[2], "a repeat is the first answer");
    for decision in many.into_iter().chain([one]) {
        let alike = |of: &Decision| (of.outcome(), of.limit_fen, of.rate_ppm, of.reasons.clone());
        assert_eq!(alike(&decision), alike(&glanced));
    }
    let looks = Totals::of(rpc.desk.metrics.all().map(|counters| counters.lap(Lap::Look)), 1.0);
    assert_eq!(looks.count, 4, "each looked once, whichever way");
}

/// A loan was given back, in memory alone, when the machine stops. Decisions that saw the room promised none; who reserves is
/// held to the ledger as it came back.
#[tokio::test]
async fn room_that_was_seen_and_never_durable_is_not_given() {
    let limited = limited().await;
    let journal = Power::default();
    {
        let (rpc, ledger) = desk(&limited, &journal);
        ledger.call(other(6_000_000)).expect("there is room");
        limited.disk.hold_syncs(true);
        let release = Release { member: "001".into(), exposure: "a1".into(), key: "k".into(), fen: 0 };
        ledger.submit(Prepared::new(Operation::Release(release)), |done| drop(done.expect_err("no power")));
        limited.disk.wait_for_held_sync();
        let decision = direct(&rpc, request("r1", "c1", [])).await.expect("decided");
        assert_eq!((decision.outcome(), decision.limit_fen), (Outcome::Approve, Some(5_000_000)));
        limited.disk.fail_after(0, Fault::PowerCut);
        limited.disk.hold_syncs(false);
        assert!(ledger.close().is_err());
        // What was given back may or may not be on the disk; here it is not.
        limited.disk.lose_unsynced();
    }
    let (rpc, ledger) = desk(&limited, &journal);
    assert_eq!(ledger.view().expect("open").exposure("001", "a1").expect("there").reserved_fen, 6_000_000);
    let decision = direct(&rpc, reserving("r2", "c1")).await.expect("decided");
    assert_eq!((decision.outcome(), taken(&decision)), (Outcome::Decline, None));
    // The first answer stays what it was, and is what is in the journal.
    let again = direct(&rpc, request("r1", "c1", [])).await.expect("known");
    assert_eq!(again.limit_fen, Some(5_000_000));
}
