//! Decisions that ask the exposure ledger, and reserve: what they take, what they are refused, and what a breakdown leaves.

mod crash;
mod edges;
mod looks;
mod lost;
mod no_alloc;
mod threads;
mod told;

use std::sync::Arc;

use tarim_proto::{
    decision::v1::{Decision, DecisionRequest, Effect, Outcome, Reason, Reserve, value::Kind},
    exposure::v1::{CommitRequest, exposure_service_client::ExposureServiceClient},
};
use tonic::Code;

use super::{
    bank::{Bank, Served, request, us},
    exposures::{Limited, utilisation},
};
use crate::{
    exposure::{Config, Filter, Ledger},
    journal::{
        Journal,
        power::Power,
        replay::{Event, Replay, Verdict},
    },
    service::rpc::Rpc,
};

/// To one customer 6,000,000, told from 4,000,000 on; of all customers 13,000,000.
pub const LIMITS: &str = r#"
[[limit]]
id = "single_customer"
zh = "单一客户"
en = "one customer"
scope = "member"
per = ["customer"]
hard = { fen = 6000000 }
warning = { fen = 4000000 }

[[limit]]
id = "all_loans"
zh = "全部贷款"
en = "all loans"
scope = "member"
hard = { fen = 13000000 }

[exposure]
amount = "application.amount_fen"
reserve_for = "30d"
customer = "application.customer_id"
"#;

/// A bank with these limits.
pub async fn limited() -> Limited {
    Limited { bank: Bank::new().await, disk: Power::default() }.with(LIMITS)
}

/// A request that reserves what it is granted.
pub fn reserving(id: &str, customer: &str) -> DecisionRequest {
    DecisionRequest { reserve: Some(Reserve::default()), ..request(id, customer, []) }
}

/// The calls without a network, with a ledger.
pub fn desk(limited: &Limited, journal: &Power) -> (Rpc, Arc<Ledger>) {
    desk_on(&limited.bank, &limited.disk, journal)
}

/// The same, with a ledger on another disk.
pub fn desk_on(bank: &Bank, disk: &Power, journal: &Power) -> (Rpc, Arc<Ledger>) {
    let rpc = bank.rpc(journal, |_| {});
    let clock = rpc.desk.clock;
    let config = Config::new(Arc::new(move || clock.now_us()));
    let ledger = Ledger::open_on(Arc::new(disk.clone()), config).expect("a whole disk");
    let limits = rpc.desk.serving.load().engine.rulebook().limits().clone();
    ledger.adopt(limits).expect("checked");
    rpc.desk.exposures.open(Arc::new(ledger));
    let ledger = rpc.desk.exposures.opened().expect("just opened").clone();
    (rpc, ledger)
}

/// What is used of each counter, by limit.
pub fn used(ledger: &Ledger) -> Vec<(String, i64)> {
    let core = ledger.view().expect("open");
    let counters = core.utilisation(Filter::default()).map(|c| (c.limit, c.used_fen));
    let mut used: Vec<_> = counters.filter(|(_, fen)| *fen > 0).collect();
    used.sort();
    used
}

/// The amount, expiry aside.
pub fn taken(decision: &Decision) -> Option<(&str, i64)> {
    decision.reservation.as_ref().map(|r| (r.exposure.as_str(), r.amount_fen))
}

pub fn reason<'a>(decision: &'a Decision, id: &str) -> Option<&'a Reason> {
    decision.reasons.iter().find(|reason| reason.id == id)
}

/// A number that a reason shows.
pub fn shown(reason: &Reason, name: &str) -> i64 {
    let value = reason.values.iter().find(|value| value.name == name).and_then(|v| v.value.as_ref());
    match value.and_then(|value| value.kind.as_ref()) {
        Some(Kind::IntValue(fen)) => *fen,
        other => panic!("{name} is {other:?} in {reason:?}"),
    }
}

async fn serve(limited: &Limited, journal: Journal) -> Served {
    let sources = limited.bank.sources().with_exposures(limited.source());
    limited.bank.serve_with(journal, sources).await.expect("it starts")
}

#[tokio::test]
async fn room_is_taken_with_the_decision_and_never_more_than_there_is() {
    let limited = limited().await;
    let folder = limited.bank.path("journal");
    let served = serve(&limited, Journal::open(&folder).expect("new")).await;
    let first = served.decide(&reserving("r1", "c1")).await.expect("decided");
    assert_eq!((first.outcome(), first.limit_fen), (Outcome::Approve, Some(5_000_000)));
    assert_eq!(taken(&first), Some(("decide:r1", 5_000_000)));
    let expires = first.reservation.as_ref().and_then(|r| r.expires_at).expect("told");
    assert_eq!(expires.seconds * 1_000_000, us("2026-07-30T10:00:00Z"));
    let warned = reason(&first, "single_customer").expect("it comes above its warning line");
    assert_eq!((warned.effect(), warned.en.as_str()), (Effect::Warn, "one customer: above the warning line"));
    assert_eq!(["warning_fen", "used_fen", "more_fen"].map(|v| shown(warned, v)), [4_000_000, 0, 5_000_000]);

    let second = served.decide(&reserving("r2", "c1")).await.expect("decided");
    assert_eq!((second.outcome(), second.limit_fen), (Outcome::Approve, Some(1_000_000)));
    assert_eq!(taken(&second), Some(("decide:r2", 1_000_000)));
    let capped = reason(&second, "exposure.capped").expect("told");
    assert_eq!(shown(capped, "exposure.headroom_fen"), 1_000_000);

    let third = served.decide(&reserving("r3", "c1")).await.expect("decided");
    assert_eq!((third.outcome(), third.limit_fen, taken(&third)), (Outcome::Decline, None, None));
    let none = reason(&third, "exposure.no_room").expect("told");
    assert_eq!(none.effect(), Effect::Decline);
    let values = ["cap_fen", "used_fen", "headroom_fen", "shortfall_fen"];
    let values = values.map(|v| shown(none, &format!("exposure.{v}")));
    assert_eq!(values, [6_000_000, 6_000_000, 0, 5_000_000]);
    // A limit is no larger than the room, whoever asks; and to ask takes nothing.
    let limit = served.client().assign_limit(request("r4", "c1", [])).await.expect("decided").into_inner();
    assert_eq!(limit.outcome(), Outcome::Decline);
    let limit = served.client().assign_limit(request("r5", "c2", [])).await.expect("decided").into_inner();
    assert_eq!(limit.limit_fen, Some(5_000_000));

    // At most so much, and until then.
    let reserve = Some(Reserve {
        amount_fen: Some(70_000),
        expires_at: Some(prost_types::Timestamp { seconds: 2_000_000_000, nanos: 0 }),
    });
    let less = DecisionRequest { reserve, ..request("r6", "c2", []) };
    let less = served.decide(&less).await.expect("decided");
    assert_eq!((less.limit_fen, taken(&less)), (Some(5_000_000), Some(("decide:r6", 70_000))));

    let mut ledger = ExposureServiceClient::new(served.channel.clone());
    let all = utilisation(&mut ledger, "all_loans").await;
    assert_eq!(all[0].used_fen, 6_070_000);
    // What was reserved is drawn by its name.
    let (member, exposure, key) = ("001".into(), "decide:r1".into(), "paid out".into());
    let commit = CommitRequest { member, exposure, key, amount_fen: 5_000_000, grow: false };
    ledger.commit(commit).await.expect("it was reserved");
    // Whoever is declined, or sent to a person, holds nothing.
    for (id, customer, outcome) in [("r7", "bad", Outcome::Decline), ("r8", "nobody", Outcome::Refer)] {
        let decision = served.decide(&reserving(id, customer)).await.expect("decided");
        assert_eq!((decision.outcome(), taken(&decision)), (outcome, None), "{customer}");
    }
    assert_eq!(utilisation(&mut ledger, "all_loans").await, all);
    // A repeat gets the first answer.
    for first in [&first, &second, &third] {
        let again = served.decide(&reserving(&first.request_id, "c1")).await.expect("decided");
        assert_eq!(&again, first);
    }
    assert_eq!(served.decide(&request("r1", "c1", [])).await.expect_err("other").code(), Code::AlreadyExists);
    assert_eq!(utilisation(&mut ledger, "all_loans").await, all);
    drop(ledger);
    served.end().await.expect("in order");
    replays_to_the_same_bits(&limited, &folder, 8);
}

/// Without any ledger.
fn replays_to_the_same_bits(limited: &Limited, folder: &std::path::Path, wanted: usize) {
    let mut count = 0;
    let mut tell = |event: Event<'_>| {
        if let Event::Replayed(number, entry, verdict) = event {
            assert_eq!(*verdict, Verdict::Same, "{number}: {}", entry.request_id);
            count += 1;
        }
    };
    Replay::new(&limited.bank.published()).run(folder, &|_| true, &mut tell).expect("readable");
    assert_eq!(count, wanted);
}
