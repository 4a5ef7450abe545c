//! What is refused, what is not known, and who comes second.

use std::sync::Arc;

use tarim_proto::{
    decision::v1::{Decision, DecisionRequest, Effect, Outcome, Reserve},
    exposure::v1::{CommitRequest, ReleaseRequest, RepayRequest, ReserveRequest},
};
use tokio::task::yield_now;
use tonic::Code;

use super::{LIMITS, desk, limited, reason, reserving, serve, shown, taken, used};
use crate::{
    exposure::{Config, Ledger, Operation, Tick},
    journal::{Journal, power::Power},
    service::{
        exposure::recover::KEY,
        tests::{
            bank::{Bank, direct, request, us},
            calls::{batch, stream},
            exposures::{Limited, client, utilisation},
        },
    },
};

fn memory() -> Journal {
    Journal::open_on(Arc::new(Power::default()), 1 << 20).expect("a whole disk")
}

fn with(reserve: Reserve) -> DecisionRequest {
    DecisionRequest { reserve: Some(reserve), ..request("r", "c1", []) }
}

#[tokio::test]
async fn what_cannot_be_reserved_is_refused_by_its_field() {
    let limited = limited().await;
    let served = serve(&limited, memory()).await;
    let past = prost_types::Timestamp { seconds: 1, nanos: 0 };
    let odd = prost_types::Timestamp { seconds: 2_000_000_000, nanos: 1 };
    for (field, request) in [
        ("reserve.amount_fen", with(Reserve { amount_fen: Some(0), expires_at: None })),
        ("reserve.amount_fen", with(Reserve { amount_fen: Some(-5), expires_at: None })),
        ("reserve.amount_fen", with(Reserve { amount_fen: Some(i64::MAX), expires_at: None })),
        ("reserve.expires_at", with(Reserve { amount_fen: None, expires_at: Some(past) })),
        ("reserve.expires_at", with(Reserve { amount_fen: None, expires_at: Some(odd) })),
        ("request_id", reserving(&"号".repeat(20), "c1")),
    ] {
        let refused = served.decide(&request).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        assert!(refused.message().starts_with(&format!("{field}: ")), "{refused:?}");
    }
    let mut calls = served.client();
    for refused in [
        calls.check_admission(reserving("r", "c1")).await,
        calls.detect_fraud(reserving("r", "c1")).await,
        calls.score_application(reserving("r", "c1")).await,
        calls.assign_limit(reserving("r", "c1")).await,
        calls.quote_rate(reserving("r", "c1")).await,
    ] {
        let refused = refused.expect_err("they do not reserve");
        assert!(refused.message().starts_with("reserve: only Decide"), "{refused:?}");
    }
    // Names of exposures that decisions reserve are theirs.
    let reserve = ReserveRequest {
        member: "001".into(),
        exposure: "decide7:r".into(),
        customer_id: "c1".into(),
        amount_fen: 1,
        ..ReserveRequest::default()
    };
    let refused = client(&served).reserve(reserve).await.expect_err("refused");
    assert!(refused.message().starts_with("exposure: "), "{refused:?}");
    // And so is the key by which the service gives back what they leave: whoever could use it up would keep it from starting.
    let mut ledger = client(&served);
    for (exposure, code) in [("decide:r", Code::InvalidArgument), ("r", Code::NotFound)] {
        let of = || ("001".to_owned(), exposure.to_owned(), KEY.to_owned());
        let (member, exposure, key) = of();
        let release = ReleaseRequest { member, exposure, key, amount_fen: 1 };
        let (member, exposure, key) = of();
        let repay = RepayRequest { member, exposure, key, amount_fen: 1 };
        let (member, exposure, key) = of();
        let commit = CommitRequest { member, exposure, key, amount_fen: 1, grow: false };
        for refused in [ledger.release(release).await, ledger.repay(repay).await, ledger.commit(commit).await]
        {
            let refused = refused.expect_err("there is no such exposure");
            assert_eq!(refused.code(), code, "{refused:?}");
            assert_eq!(refused.message().starts_with("key: "), code == Code::InvalidArgument, "{refused:?}");
        }
    }
    drop((calls, ledger));
    served.end().await.expect("in order");
}

#[tokio::test]
async fn unknown_room_is_never_approved() {
    // No ledger: a rulebook that limits what is served by somebody who keeps none.
    let limited = limited().await;
    let served = limited.bank.serve_from(memory()).await;
    let decision = served.decide(&request("r1", "c1", [])).await.expect("decided");
    assert_eq!(decision.outcome(), Outcome::Refer);
    assert!(reason(&decision, "exposure.unknown").is_some_and(|reason| reason.unknown));
    let refused = served.decide(&reserving("r2", "c1")).await.expect_err("nothing can be taken");
    assert_eq!(refused.code(), Code::Unavailable);
    served.end().await.expect("in order");
    // Nothing says what the exposure of an application is.
    let (limits, _) = LIMITS.split_once("[exposure]").expect("it stands last");
    let silent = Limited { bank: Bank::new().await, disk: Power::default() }.with(limits);
    let served = serve(&silent, memory()).await;
    let decision = served.decide(&request("r1", "c1", [])).await.expect("decided");
    assert_eq!(decision.outcome(), Outcome::Approve);
    let refused = served.decide(&reserving("r2", "c1")).await.expect_err("nobody knows what");
    assert!(refused.message().starts_with("reserve: the rulebook does not say"), "{refused:?}");
    served.end().await.expect("in order");
}

/// A ledger that a fast clock once kept goes on from there, and it is told from whoever wrote a time that has passed.
#[tokio::test]
async fn a_ledger_that_is_ahead_of_the_clock_takes_what_expires_later() {
    let limited = limited().await;
    let ahead_us = us("2026-09-01");
    let ledger = Ledger::open_on(Arc::new(limited.disk.clone()), Config::new(Arc::new(move || ahead_us)));
    let ledger = ledger.expect("a whole disk");
    ledger.call(Operation::Tick(Tick {})).expect("whatever expired");
    ledger.close().expect("in order");
    let served = serve(&limited, memory()).await;
    let until = |time: &str| Some(prost_types::Timestamp { seconds: us(time) / 1_000_000, nanos: 0 });
    let wrong = with(Reserve { amount_fen: None, expires_at: until("2026-08-01") });
    for (request, code, field, expires) in [
        (reserving("r1", "c1"), Code::Unavailable, "", "2026-07-30T10:00:00Z"),
        (wrong, Code::InvalidArgument, "reserve.expires_at: ", "2026-08-01T00:00:00Z"),
    ] {
        let refused = served.decide(&request).await.expect_err("it would expire before");
        assert_eq!(refused.code(), code, "{refused:?}");
        let said = refused.message();
        assert!(said.starts_with(field) && said.contains(expires), "{said}");
        assert!(said.contains("stands at 2026-09-01T00:00:00Z"), "{said}");
    }
    let later = with(Reserve { amount_fen: None, expires_at: until("2026-10-01") });
    assert!(taken(&served.decide(&later).await.expect("decided")).is_some());
    served.end().await.expect("in order");
}

/// Two see the same room; the ledger says who has it.
#[tokio::test]
async fn the_reservation_itself_judges() {
    let limited = limited().await;
    let (rpc, ledger) = desk(&limited, &Power::default());
    // The ledger is busy until both have asked.
    let (free, freed) = std::sync::mpsc::channel::<()>();
    ledger.peek(move |_| _ = freed.recv());
    let both = ["r1", "r2"].map(|id| {
        let rpc = rpc.clone();
        tokio::spawn(async move { direct(&rpc, reserving(id, "c1")).await.expect("decided") })
    });
    while rpc.desk.exposures.looks.waiting() < 2 {
        yield_now().await;
    }
    drop(free);
    let mut decisions = Vec::new();
    for one in both {
        decisions.push(one.await.expect("no panic"));
    }
    decisions.sort_by_key(|decision| decision.outcome());
    let [first, second] = &decisions[..] else { panic!("two") };
    assert_eq!((first.outcome(), first.limit_fen), (Outcome::Approve, Some(5_000_000)));
    assert_eq!((second.outcome(), second.limit_fen, second.rate_ppm), (Outcome::Decline, None, None));
    assert_eq!(taken(second), None);
    let breached = reason(second, "single_customer").expect("told");
    assert_eq!((breached.effect(), breached.zh.as_str()), (Effect::Decline, "单一客户：超过控制线"));
    let values = ["cap_fen", "used_fen", "shortfall_fen"].map(|v| shown(breached, v));
    assert_eq!(values, [6_000_000, 5_000_000, 4_000_000]);
    assert_eq!(used(&ledger), [("all_loans".into(), 5_000_000), ("single_customer".into(), 5_000_000)]);
    // It was declined, and stays so.
    assert_eq!(&direct(&rpc, reserving(&second.request_id, "c1")).await.expect("the first answer"), second);
}

/// A batch and a stream take as single requests do; those that repeat each other are decided once.
#[tokio::test]
async fn a_batch_and_a_stream_reserve_each() {
    for streamed in [false, true] {
        let limited = limited().await;
        let served = serve(&limited, memory()).await;
        let requests = vec![
            reserving("r1", "c1"),
            reserving("r2", "c2"),
            reserving("r1", "c1"),
            request("r3", "c1", []),
            reserving("r4", "bad"),
        ];
        let answers = match streamed {
            true => stream(&served, requests).await,
            false => batch(&served, requests).await.expect("answers"),
        };
        let decisions: Vec<Decision> =
            answers.into_iter().map(|(_, answer)| answer.expect("decided")).collect();
        assert_eq!(decisions[0], decisions[2]);
        let amounts: Vec<_> = decisions.iter().map(|d| taken(d).map(|(_, fen)| fen)).collect();
        assert_eq!(amounts, [Some(5_000_000), Some(5_000_000), Some(5_000_000), None, None]);
        let all = utilisation(&mut client(&served), "all_loans").await;
        assert_eq!(all.iter().map(|counter| counter.used_fen).collect::<Vec<_>>(), [10_000_000]);
        served.end().await.expect("in order");
    }
}

/// Attributes come from the application or from an entity; a value that no limit could know is unknown, and room with it.
#[tokio::test]
async fn attributes_are_those_of_the_mapping() {
    let bank = Bank::new().await;
    let codes = bank.rulebook().join("standards/codes");
    std::fs::create_dir_all(&codes).expect("a folder");
    std::fs::write(codes.join("city.csv"), "code,zh,en\nNanning,南宁,Nanning\nGuilin,桂林,Guilin\n")
        .expect("written");
    let limit = r#"
[[limit]]
id = "guilin"
zh = "桂林"
en = "Guilin"
scope = "member"
where = { city = ["Guilin"] }
hard = { fen = 2000000 }
"#;
    let (limits, mapping) = LIMITS.split_once("[exposure]").expect("it stands last");
    let limits = format!(
        "{limits}{limit}[exposure]{mapping}[exposure.attributes]\ncity = [\"customer.city\", \"none\"]\n"
    );
    let limited = Limited { bank, disk: Power::default() }.with(&limits);
    let served = serve(&limited, memory()).await;
    let nanning = served.decide(&request("r1", "c1", [])).await.expect("decided");
    assert_eq!(nanning.limit_fen, Some(5_000_000));
    let guilin = served.decide(&reserving("r2", "c2")).await.expect("decided");
    assert_eq!((guilin.limit_fen, taken(&guilin)), (Some(2_000_000), Some(("decide:r2", 2_000_000))));
    let beihai = served.decide(&request("r3", "c3", [])).await.expect("decided");
    assert!(reason(&beihai, "exposure.unknown").is_some(), "{beihai:?}");
    assert_eq!(beihai.outcome(), Outcome::Refer);
    served.end().await.expect("in order");
}
