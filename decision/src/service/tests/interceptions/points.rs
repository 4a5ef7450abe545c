//! What control points say.

use tarim_proto::decision::v1::{ControlPoint, Effect, Verdict};
use tonic::Code;

use super::*;
use crate::{
    journal::replay,
    service::tests::{bank::request, watched::samples},
};

#[tokio::test]
async fn a_contract_passes_is_warned_of_or_is_blocked_with_every_reason() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let served = bank.serve(&disk).await;
    let pass = intercept(&served, &contract("1", "k1", "c1", 5_000_000)).await.expect("intercepted");
    assert_eq!((pass.verdict(), ids(&pass)), (Verdict::Pass, vec![]));
    assert_eq!((pass.subject.as_str(), pass.point()), ("k1", ControlPoint::Contract));
    assert_eq!(pass.rulebook_version, served.running.serving().engine.rulebook().version());
    let warn = intercept(&served, &contract("2", "k2", "c2", 5_000_000)).await.expect("intercepted");
    assert_eq!((warn.verdict(), ids(&warn)), (Verdict::Warn, vec!["C3"]));
    let block = intercept(&served, &contract("3", "k3", "bad", 9_500_000)).await.expect("intercepted");
    assert_eq!((block.verdict(), ids(&block)), (Verdict::Block, vec!["C1", "C2"]));
    let [listed, large] = &block.reasons[..] else { panic!("two reasons") };
    assert_eq!((listed.effect(), listed.override_roles.len()), (Effect::Block, 0));
    assert_eq!(large.override_roles, ["risk_officer", "director"]);
    assert_eq!(large.values[0].name, "application.amount_fen");
    let value = large.values[0].value.as_ref().and_then(|v| v.kind.clone());
    assert_eq!(value, Some(Kind::IntValue(9_500_000)));
    assert_eq!(block.interception_id, "3");

    let seen = samples(&served).await;
    for (name, value) in [
        (r#"tarim_interceptions_total{point="contract",verdict="PASS"}"#, 1.0),
        (r#"tarim_interceptions_total{point="contract",verdict="WARN"}"#, 1.0),
        (r#"tarim_interceptions_total{point="contract",verdict="BLOCK"}"#, 1.0),
        (r#"tarim_interceptions_total{point="disbursement",verdict="BLOCK"}"#, 0.0),
        (r#"tarim_rule_hits_total{rule="C1",effect="block"}"#, 1.0),
        (r#"tarim_rule_hits_total{rule="C3",effect="warn"}"#, 1.0),
        (r#"tarim_point_call_seconds_count{call="Intercept"}"#, 3.0),
        (r#"tarim_point_call_seconds_count{call="Override"}"#, 0.0),
    ] {
        assert_eq!(seen.get(name), Some(&value), "{name} in {seen:#?}");
    }
    served.end().await.expect("in order");
    assert_eq!(replayed(&bank, &disk), vec![replay::Verdict::Same; 3]);
}

#[tokio::test]
async fn what_is_not_known_does_not_pass() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let mut bare = contract("1", "k1", "nobody", 5_000_000);
    bare.application.remove("urgent");
    let bare = intercept(&served, &bare).await.expect("intercepted");
    assert_eq!((bare.verdict(), ids(&bare)), (Verdict::Warn, vec!["C3", "C4"]));
    assert!(bare.reasons.iter().all(|reason| reason.unknown));
    // A point without rules lets nothing pass.
    let mut application = contract("2", "k1", "c1", 5_000_000);
    application.point = ControlPoint::Application.into();
    let status = intercept(&served, &application).await.expect_err("nothing is said of it");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("interception/application.toml"), "{}", status.message());
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_ids_are_shared_with_decisions() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let served = bank.serve(&disk).await;
    let asked = contract("r", "k1", "c2", 5_000_000);
    let first = intercept(&served, &asked).await.expect("intercepted");
    bank.materialise(&[("c2", "Nanning", Some(9000.0))]).await;
    served.reload().await;
    assert_eq!(intercept(&served, &asked).await.expect("known"), first);
    let status = intercept(&served, &contract("r", "k2", "c2", 5_000_000)).await.expect_err("it differs");
    assert_eq!(status.code(), Code::AlreadyExists);
    let status = served.decide(&request("r", "c2", [])).await.expect_err("another call");
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(served.find("001", "r").await.expect_err("it is no decision").code(), Code::NotFound);
    served.decide(&request("d", "c2", [])).await.expect("decided");
    let status = intercept(&served, &contract("d", "k2", "c2", 5_000_000)).await.expect_err("another call");
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(find(&served, "d").await.expect_err("it is a decision").code(), Code::NotFound);
    served.end().await.expect("in order");

    let served = bank.serve(&disk).await;
    assert_eq!(intercept(&served, &asked).await.expect("known"), first);
    assert_eq!(find(&served, "r").await.expect("known"), first);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    type Spoil = fn(&mut InterceptRequest);
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let cases: [(Spoil, &str); 8] = [
        (|r| r.request_id.clear(), "request_id: it is empty"),
        (|r| r.point = 0, "point: it is none"),
        (|r| r.point = 9, "point: it is none"),
        (|r| r.subject.clear(), "subject: it has 0 characters"),
        (|r| r.subject = "长".repeat(65), "subject: it has 65 characters"),
        (|r| r.member = "009".into(), "member: `009` is not a member"),
        (|r| r.product = "card".into(), "product: "),
        (|r| _ = r.application.insert("x".into(), Value::default()), "application.x: "),
    ];
    for (spoil, says) in cases {
        let mut asked = contract("r", "k1", "c1", 5_000_000);
        spoil(&mut asked);
        let status = intercept(&served, &asked).await.expect_err(says);
        assert_eq!(status.code(), Code::InvalidArgument, "{says}");
        assert!(status.message().starts_with(says), "{}", status.message());
    }
    intercept(&served, &contract("r", "k1", "c1", 5_000_000)).await.expect("nothing was kept of those");
    served.end().await.expect("in order");
}
