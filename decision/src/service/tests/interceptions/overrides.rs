//! Officers who let something pass.

use futures::{FutureExt, future::join_all};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarim_proto::decision::v1::Verdict;
use tonic::{Code, Request};

use super::*;
use crate::{
    journal::{Journal, replay},
    service::tests::watched::samples,
};

#[tokio::test]
async fn an_override_turns_a_block_into_a_warning_and_outlives_a_restart() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let served = bank.serve(&disk).await;
    let mut urgent = contract("i", "k1", "c1", 9_500_000);
    urgent.application.insert("urgent".into(), Value { kind: Some(Kind::BoolValue(true)) });
    let first = intercept(&served, &urgent).await.expect("intercepted");
    assert_eq!((first.verdict(), ids(&first)), (Verdict::Block, vec!["C2", "C4"]));
    let half = overriding("o1", "i", "risk_officer", &["C2"]);
    let now = overridden(&served, &half).await.expect("the role may");
    assert_eq!((now.verdict(), now.overrides.len()), (Verdict::Block, 1), "C4 stands");
    let rest = overriding("o2", "i", "director", &["C4"]);
    let now = overridden(&served, &rest).await.expect("the role may");
    assert_eq!(now.verdict(), Verdict::Warn);
    assert_eq!(now.reasons, first.reasons, "they are told as ever");
    let last = now.overrides.last().expect("two");
    assert_eq!((last.rule.as_str(), last.request_id.as_str()), ("C4", "o2"));
    assert_eq!(last.officer.as_ref().map(|o| o.name.as_str()), Some("王敏"));
    assert_eq!(overridden(&served, &rest).await.expect("known"), now, "a repeat");
    let seen = samples(&served).await;
    assert_eq!(seen[r#"tarim_overrides_total{point="contract"}"#], 2.0);
    assert_eq!(seen[r#"tarim_point_call_seconds_count{call="Override"}"#], 3.0, "a repeat takes time, too");
    served.end().await.expect("in order");

    let served = bank.serve(&disk).await;
    assert_eq!(find(&served, "i").await.expect("known"), now);
    assert_eq!(intercept(&served, &urgent).await.expect("known"), first, "the first answer");
    assert_eq!(overridden(&served, &half).await.expect("known").overrides.len(), 1, "the first answer");
    served.end().await.expect("in order");
    assert_eq!(replayed(&bank, &disk), vec![replay::Verdict::Same; 3]);
}

#[tokio::test]
async fn what_may_not_be_overridden_is_not() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let served = bank.serve(&disk).await;
    intercept(&served, &contract("i", "k1", "bad", 9_500_000)).await.expect("intercepted");
    overridden(&served, &overriding("o", "i", "director", &["C2"])).await.expect("the role may");
    for (request, code, says) in [
        (overriding("x", "i", "director", &["C1"]), Code::FailedPrecondition, "rule `C1` allows no override"),
        (overriding("x", "i", "director", &["C2"]), Code::AlreadyExists, "overridden before"),
        (overriding("o", "i", "director", &["C1"]), Code::AlreadyExists, "request_id: "),
        (overriding("i", "i", "director", &["C1"]), Code::AlreadyExists, "request_id: "),
        (overriding("x", "i", "clerk", &["C9"]), Code::InvalidArgument, "overrides[0].rule: "),
        (overriding("x", "j", "director", &["C2"]), Code::NotFound, "interception: "),
        (overriding("x", "o", "director", &["C2"]), Code::NotFound, "interception: "),
    ] {
        let status = overridden(&served, &request).await.expect_err(says);
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(says), "{}", status.message());
    }
    let mut other = overriding("x", "i", "director", &["C2"]);
    other.member = "002".into();
    assert_eq!(overridden(&served, &other).await.expect_err("not its own").code(), Code::NotFound);
    // Asked again, the contract blocks again, and what was overridden before counts no more.
    intercept(&served, &contract("i2", "k1", "c1", 9_900_000)).await.expect("intercepted");
    let status =
        overridden(&served, &overriding("x", "i", "director", &["C2"])).await.expect_err("it is old");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("by request i2"), "{}", status.message());
    assert_eq!(find(&served, "i").await.expect("known").overrides.len(), 1, "it is told as it stood");
    let now = overridden(&served, &overriding("x", "i2", "risk_officer", &["C2"])).await.expect("it may");
    assert_eq!(now.verdict(), Verdict::Warn);
    // Another point, or another subject, is another matter.
    intercept(&served, &contract("i3", "k2", "c1", 9_900_000)).await.expect("intercepted");
    served.end().await.expect("in order");
    assert_eq!(replayed(&bank, &disk), vec![replay::Verdict::Same; 5]);
}

/// Of many officers at once one overrides; interceptions in between make all later ones too late.
#[tokio::test]
async fn whoever_comes_at_once_comes_in_turn() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let served = bank.serve(&disk).await;
    intercept(&served, &contract("i", "k", "c1", 9_500_000)).await.expect("intercepted");
    let requests: Vec<_> = (0..20).map(|n| overriding(&format!("o{n}"), "i", "director", &["C2"])).collect();
    let answers = join_all(requests.iter().map(|request| overridden(&served, request))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for n in 0..20 {
        let (i, j) = (format!("i{n}"), format!("j{n}"));
        let (a, b) = (contract(&i, "k", "c1", 9_500_000), contract(&j, "k", "c1", 9_500_000));
        let o = (
            overriding(&format!("a{n}"), &i, "director", &["C2"]),
            overriding(&format!("b{n}"), &j, "director", &["C2"]),
        );
        let (x, y) = futures::join!(intercept(&served, &a), intercept(&served, &b));
        let (x, y) = (x.expect("intercepted"), y.expect("intercepted"));
        let number = |i: &Interception| i.interception_id.parse::<u64>().expect("a number");
        let (first, second) = futures::join!(overridden(&served, &o.0), overridden(&served, &o.1));
        let later = if number(&x) > number(&y) {
            [first.is_ok(), second.is_err()]
        } else {
            [first.is_err(), second.is_ok()]
        };
        assert_eq!(later, [true, true]);
    }
    served.end().await.expect("in order");
    assert!(replayed(&bank, &disk).iter().all(|verdict| *verdict == replay::Verdict::Same));
}

/// The power fails after any byte: what was answered stands, and what stands replays.
#[tokio::test]
async fn no_override_that_was_answered_is_lost_in_a_power_cut() {
    let bank = Bank::new().await;
    let whole = Power::default();
    let rpc = bank.rpc(&whole, |_| {});
    life(&rpc).await;
    drop(rpc);
    let all = whole.used();
    let mut answered = 0;
    for seed in 0..60 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let disk = Power::default();
        let rpc = bank.rpc(&disk, |_| {});
        disk.fail_after(rng.random_range(0..all), crate::journal::power::Fault::PowerCut);
        let told = life(&rpc).await;
        drop(rpc);
        disk.restart(&mut rng);
        drop(Journal::open_on(std::sync::Arc::new(disk.clone()), 1 << 20).expect("a torn tail is cut"));
        let rpc = bank.rpc(&disk, |_| {});
        if let Some(last) = told.last() {
            answered += 1;
            let request = GetInterceptionRequest { member: "001".into(), request_id: "i".into() };
            let now = direct(&rpc, request).await;
            let overrides = now.overrides.len();
            assert!(
                overrides == last.overrides.len() || overrides == last.overrides.len() + 1,
                "seed {seed}"
            );
            assert_eq!(now.overrides[..last.overrides.len()], last.overrides[..], "seed {seed}");
        }
        drop(rpc);
        assert!(
            replayed(&bank, &disk).iter().all(|verdict| *verdict == replay::Verdict::Same),
            "seed {seed}"
        );
    }
    assert!(answered > 15, "only {answered} lives got as far as an answer");
}

/// One interception and two overrides, as far as they are answered.
async fn life(rpc: &crate::service::rpc::Rpc) -> Vec<Interception> {
    use tarim_proto::decision::v1::interception_service_server::InterceptionService;
    let mut urgent = contract("i", "k", "c1", 9_500_000);
    urgent.application.insert("urgent".into(), Value { kind: Some(Kind::BoolValue(true)) });
    let mut told = Vec::new();
    let answers = async {
        told.push(rpc.intercept(Request::new(urgent)).await?.into_inner());
        for (id, rule) in [("o1", "C2"), ("o2", "C4")] {
            let request = overriding(id, "i", "director", &[rule]);
            told.push(rpc.r#override(Request::new(request)).await?.into_inner());
        }
        Ok::<(), Status>(())
    };
    // An error: the power failed.
    let _ = answers.boxed().await;
    told
}

async fn direct(rpc: &crate::service::rpc::Rpc, request: GetInterceptionRequest) -> Interception {
    use tarim_proto::decision::v1::interception_service_server::InterceptionService;
    rpc.get_interception(Request::new(request)).await.expect("known").into_inner()
}
