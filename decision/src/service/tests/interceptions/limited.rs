//! Control points and exposure limits.

use std::sync::Arc;

use tarim_proto::{
    decision::v1::{Effect, Stage, Verdict},
    exposure::v1::{CommitRequest, ReserveRequest},
};
use tonic::Code;

use super::*;
use crate::{
    journal::Journal,
    service::tests::{
        exposing::shown,
        exposures::{Limited, client as ledger, commit, reserve, utilisation},
    },
};

const MAPPING: &str = r#"
[exposure]
amount = "application.amount_fen"
reserve_for = "30d"
customer = "application.customer_id"
[exposure.attributes]
industry = "none"
"#;

const RULES: &str = r#"
[[rule]]
id = "E1"
zh = "突破限额控制线"
en = "a hard line would be crossed"
when = "exposure.above_hard"
then = "block"
show = ["exposure.limit", "exposure.counter", "exposure.cap_fen", "exposure.used_fen", "exposure.shortfall_fen"]

[[rule]]
id = "E2"
zh = "触及限额预警线"
en = "a warning line would be crossed"
when = "exposure.above_warning AND NOT exposure.above_hard"
then = "warn"
"#;

async fn limited() -> Limited {
    let limited = Limited::new().await;
    let at = |file: &str| limited.bank.rulebook().join(file);
    fs::write(at("limits/exposure.toml"), MAPPING).expect("writable");
    fs::write(at("interception/contract.toml"), RULES).expect("writable");
    limited.bank.publish();
    limited
}

#[tokio::test]
async fn a_contract_is_held_to_limits_and_its_own_room_does_not_count_against_it() {
    let limited = limited().await;
    let served = limited.serve().await;
    let mut n = 0;
    let mut ask = async |fen: i64, exposure: &str| {
        n += 1;
        let request = InterceptRequest {
            exposure: exposure.into(),
            ..contract(&n.to_string(), &format!("k{n}"), "c1", fen)
        };
        let answer = intercept(&served, &request).await.expect("intercepted");
        let ids: Vec<String> = ids(&answer).into_iter().map(str::to_owned).collect();
        (answer.verdict(), ids.join(" "), answer)
    };
    let (verdict, ids, _) = ask(700, "").await;
    assert_eq!((verdict, ids.as_str()), (Verdict::Pass, ""));
    let (verdict, ids, _) = ask(900, "").await;
    assert_eq!((verdict, ids.as_str()), (Verdict::Warn, "E2"));
    let (verdict, ids, answer) = ask(1100, "").await;
    assert_eq!((verdict, ids.as_str()), (Verdict::Block, "E1 single_customer"));
    let values = &answer.reasons[0].values;
    let kinds: Vec<_> = values.iter().map(|v| v.value.as_ref().and_then(|v| v.kind.clone())).collect();
    let int = |fen| Some(Kind::IntValue(fen));
    assert_eq!(
        kinds,
        [Some(text("single_customer")), Some(text("customer c1")), int(1000), int(0), int(100)]
    );

    // The room is taken, for this very loan.
    let attributes = [("industry".to_owned(), "none".to_owned())].into();
    let request = ReserveRequest { attributes, ..reserve("001", "x1", "c1", 600) };
    ledger(&served).reserve(request).await.expect("there is room");
    for (fen, exposure, expected) in [
        (600, "", Verdict::Block),
        (600, "x1", Verdict::Pass),
        (900, "x1", Verdict::Warn),
        (1001, "x1", Verdict::Block),
        (600, "another", Verdict::Block),
    ] {
        assert_eq!(ask(fen, exposure).await.0, expected, "{fen} with {exposure:?}");
    }
    served.end().await.expect("in order");
}

#[tokio::test]
async fn where_nobody_knows_how_limits_stand_nothing_passes() {
    let limited = limited().await;
    let served = limited.bank.serve(&Power::default()).await;
    let answer = intercept(&served, &contract("1", "k1", "c1", 5)).await.expect("intercepted");
    assert_eq!((answer.verdict(), ids(&answer)), (Verdict::Block, vec!["E1", "E2"]));
    assert!(answer.reasons.iter().all(|reason| reason.unknown));
    served.end().await.expect("in order");
}

/// The rule blocks, and who may override it overrides all of it: its counters are told with it.
#[tokio::test]
async fn a_block_tells_every_counter_without_room_and_one_override_is_enough() {
    let limited = limited().await;
    let at = |file: &str| limited.bank.rulebook().join(file);
    let all = r#"
[[limit]]
id = "all_loans"
zh = "全部贷款"
en = "all loans"
scope = "member"
hard = { fen = 1500 }
"#;
    fs::write(at("limits/all.toml"), all).expect("writable");
    let rules = RULES.replacen("then = \"block\"", "then = \"block\"\noverride = [\"director\"]", 1);
    fs::write(at("interception/contract.toml"), rules).expect("writable");
    limited.bank.publish();
    let disk = Power::default();
    let journal = Journal::open_on(Arc::new(disk.clone()), 1 << 20).expect("a whole disk");
    let sources = limited.bank.sources().with_exposures(limited.source());
    let served = limited.bank.serve_with(journal, sources).await.expect("it starts");
    let attributes = [("industry".to_owned(), "none".to_owned())].into();
    let request = ReserveRequest { attributes, ..reserve("001", "x2", "c2", 900) };
    ledger(&served).reserve(request).await.expect("there is room");

    let answer = intercept(&served, &contract("i1", "k1", "c1", 1100)).await.expect("intercepted");
    assert_eq!(
        (answer.verdict(), ids(&answer)),
        (Verdict::Block, vec!["E1", "all_loans", "single_customer"])
    );
    let effects: Vec<_> = answer.reasons.iter().map(|reason| (reason.effect(), reason.stage())).collect();
    let stage = Stage::Contract;
    assert_eq!(effects, [(Effect::Block, stage), (Effect::Warn, stage), (Effect::Warn, stage)]);
    let told =
        |i: usize| ["cap_fen", "used_fen", "shortfall_fen"].map(|name| shown(&answer.reasons[i], name));
    assert_eq!([told(1), told(2)], [[1500, 900, 500], [1000, 0, 100]]);
    assert_eq!(answer.reasons[1].zh, "全部贷款：超过控制线");
    let passed = overridden(&served, &overriding("o1", "i1", "director", &["E1"])).await.expect("allowed");
    assert_eq!(passed.verdict(), Verdict::Warn);

    // One of them has room; and where all have nothing is told.
    let answer = intercept(&served, &contract("i2", "k2", "c1", 700)).await.expect("intercepted");
    assert_eq!((answer.verdict(), ids(&answer)), (Verdict::Block, vec!["E1", "all_loans"]));
    let answer = intercept(&served, &contract("i3", "k3", "c1", 600)).await.expect("intercepted");
    assert_eq!((answer.verdict(), ids(&answer)), (Verdict::Pass, vec![]));
    served.end().await.expect("in order");
    assert_eq!(replayed(&limited.bank, &disk), vec![replay::Verdict::Same; 4]);
}

/// What is asked at a control point takes nothing: a contract over more than was reserved, or two contracts on the room of one,
/// may pass where there is room, and still no draw comes to more than the ledger took for it.
#[tokio::test]
async fn no_draw_is_more_than_what_was_taken_for_it() {
    let limited = limited().await;
    let served = limited.serve().await;
    let mut calls = ledger(&served);
    let attributes = || [("industry".to_owned(), "none".to_owned())].into();
    let take = |exposure: &str, fen| ReserveRequest {
        attributes: attributes(),
        ..reserve("001", exposure, "c1", fen)
    };
    calls.reserve(take("x1", 600)).await.expect("there is room");
    for (id, subject, fen) in [("1", "k1", 600), ("2", "k2", 600), ("3", "k3", 700)] {
        let request = InterceptRequest { exposure: "x1".into(), ..contract(id, subject, "c1", fen) };
        assert_eq!(intercept(&served, &request).await.expect("intercepted").verdict(), Verdict::Pass);
    }
    calls.commit(commit("x1", "d1", 600)).await.expect("it was reserved");
    // The second contract on the same room, and what the third is over more.
    for (key, fen) in [("d2", 600), ("d3", 100), ("d4", 1)] {
        let refused = calls.commit(commit("x1", key, fen)).await.expect_err("nothing is left");
        assert_eq!(refused.code(), Code::FailedPrecondition, "{key}");
    }
    // A draw that may grow is checked as a reservation is.
    let grow = |key: &str, fen| CommitRequest { grow: true, ..commit("x1", key, fen) };
    let refused = calls.commit(grow("d5", 401)).await.expect_err("no room");
    assert!(refused.message().contains("single_customer"), "{refused:?}");
    calls.commit(grow("d6", 100)).await.expect("there is room");
    calls.reserve(take("x2", 300)).await.expect("there is room");
    assert_eq!(calls.commit(grow("d7", 1)).await.expect_err("no room").code(), Code::FailedPrecondition);
    calls.commit(commit("x2", "d1", 301)).await.expect_err("more than was reserved");
    let used = utilisation(&mut calls, "single_customer").await;
    assert_eq!((used[0].used_fen, used[0].hard_fen), (1000, 1000));
    drop(calls);
    served.end().await.expect("in order");
}
