//! Whoever is declined for want of room is told every counter that has none, the tightest first.

use tarim_proto::{
    decision::v1::{Decision, Effect, Outcome, Stage},
    exposure::v1::ReserveRequest,
};

use super::{limited, reason, replays_to_the_same_bits, reserving, serve, shown};
use crate::{
    journal::Journal,
    service::tests::{
        bank::request,
        exposures::{client, reserve},
    },
};

/// What is told of a counter: cap, use and shortfall.
fn counter(decision: &Decision, limit: &str) -> [i64; 3] {
    let reason = reason(decision, limit).expect("told");
    assert_eq!((reason.effect(), reason.stage()), (Effect::Decline, Stage::Limit));
    ["cap_fen", "used_fen", "shortfall_fen"].map(|name| shown(reason, name))
}

#[tokio::test]
async fn a_decline_tells_every_counter_without_room() {
    let limited = limited().await;
    let folder = limited.bank.path("journal");
    let served = serve(&limited, Journal::open(&folder).expect("new")).await;
    let mut ledger = client(&served);
    for (exposure, customer, fen) in [("a1", "c1", 6_000_000), ("a2", "c9", 5_000_000)] {
        let attributes = [].into();
        let request = ReserveRequest { attributes, ..reserve("001", exposure, customer, fen) };
        ledger.reserve(request).await.expect("there is room");
    }
    // Before a reservation, and without one.
    let decided = served.decide(&reserving("r1", "c1")).await.expect("decided");
    let limit = served.client().assign_limit(request("r2", "c1", [])).await.expect("decided").into_inner();
    for decision in [&decided, &limit] {
        assert_eq!(decision.outcome(), Outcome::Decline);
        let ids: Vec<&str> = decision.reasons.iter().map(|reason| reason.id.as_str()).collect();
        assert!(ids.ends_with(&["exposure.no_room", "single_customer", "all_loans"]), "{ids:?}");
        assert_eq!(counter(decision, "single_customer"), [6_000_000, 6_000_000, 5_000_000]);
        assert_eq!(counter(decision, "all_loans"), [13_000_000, 11_000_000, 3_000_000]);
        assert!(decision.reasons.iter().all(|r| r.values.iter().all(|v| v.name != "more_counters")));
    }
    // Less than was asked for is granted: nothing is without room for that.
    let less = served.decide(&request("r3", "c2", [])).await.expect("decided");
    assert_eq!((less.outcome(), less.limit_fen), (Outcome::Approve, Some(2_000_000)));
    assert!(reason(&less, "exposure.capped").is_some() && reason(&less, "all_loans").is_none());
    // A decline for another reason tells of no counters.
    let bad = served.client().check_admission(request("r4", "bad", [])).await.expect("decided").into_inner();
    assert!(bad.outcome() == Outcome::Decline && reason(&bad, "all_loans").is_none());
    drop(ledger);
    served.end().await.expect("in order");
    replays_to_the_same_bits(&limited, &folder, 4);
}
