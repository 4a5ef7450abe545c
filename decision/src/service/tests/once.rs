//! Idempotency: one decision for a request id, whatever happens in between.

use futures::{FutureExt, poll};
use prost::Message;
use tarim_proto::{
    decision::v1::{BatchDecideRequest, GetDecisionRequest, value::Kind},
    encoded::{decision_service_server::DecisionService, streamed_decision},
};
use tonic::{Code, Request};

use super::bank::{Bank, arrived, direct, plain, request, text};
use crate::journal::{self, Journal, power::Power};

#[tokio::test]
async fn a_repeat_gets_the_first_answer_also_after_a_restart() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let served = bank.serve(&disk).await;
    let first = served.decide(&request("r", "c1", [])).await.expect("decided");
    // What is known changes, and so would the decision.
    bank.materialise(&[("c1", "Nanning", Some(10.0))]).await;
    served.reload().await;
    assert_eq!(served.decide(&request("r", "c1", [])).await.expect("known"), first);
    assert_ne!(served.decide(&request("s", "c1", [])).await.expect("decided").grade, first.grade);
    served.end().await.expect("in order");

    let served = bank.serve(&disk).await;
    assert_eq!(served.decide(&request("r", "c1", [])).await.expect("known"), first);
    assert_eq!(served.find("001", "r").await.expect("known"), first);
    let mut other = request("r", "c1", []);
    other.member = "002".into();
    let other = served.decide(&other).await.expect("another member's own request");
    assert_ne!(other.decision_id, first.decision_id);
    assert_eq!(served.find("002", "r").await.expect("known"), other);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn the_same_id_for_something_else_is_refused() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let first = served.decide(&request("r", "c1", [])).await.expect("decided");
    for other in [request("r", "c2", []), request("r", "c1", [("urgent", Kind::BoolValue(false))])] {
        let status = served.decide(&other).await.expect_err("it differs");
        assert_eq!(status.code(), Code::AlreadyExists);
        assert!(status.message().starts_with("request_id: "), "{}", status.message());
    }
    let status = served.client().quote_rate(request("r", "c1", [])).await.expect_err("another call");
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(served.decide(&request("r", "c1", [])).await.expect("known"), first);
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_repeat_in_flight_waits_for_the_first() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let rpc = bank.rpc(&disk, |_| {});
    disk.hold_syncs(true);
    let mut first = Box::pin(direct(&rpc, request("r", "c1", [])));
    assert!(poll!(&mut first).is_pending());
    let mut repeats: Vec<_> = (0..5).map(|_| Box::pin(direct(&rpc, request("r", "c1", [])))).collect();
    for repeat in &mut repeats {
        assert!(poll!(repeat).is_pending());
    }
    let mut other = Box::pin(direct(&rpc, request("r", "c2", [])));
    assert!(poll!(&mut other).is_pending(), "whether it differs is known when there is a first");
    let find = GetDecisionRequest { member: "001".into(), request_id: "r".into() };
    let missing = rpc.get_decision(Request::new(find)).await.expect_err("it is not durable");
    assert_eq!(missing.code(), Code::NotFound);
    disk.hold_syncs(false);
    let first = first.await.expect("decided");
    for repeat in repeats {
        assert_eq!(repeat.await.expect("decided"), first);
    }
    assert_eq!(other.await.expect_err("it differs").code(), Code::AlreadyExists);
    let next = direct(&rpc, request("s", "c1", [])).await.expect("decided");
    assert_eq!((first.decision_id.as_str(), next.decision_id.as_str()), ("1", "2"), "it was decided once");
}

/// All that is new in a batch is written together; what is known already is not written again.
#[tokio::test]
async fn a_batch_waits_for_one_sync() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let rpc = bank.rpc(&disk, |_| {});
    let first = direct(&rpc, request("r7", "c1", [])).await.expect("decided");
    let before = disk.syncs();
    let requests = (0..100).map(|i| request(&format!("r{i}"), "c1", [])).collect();
    let answers =
        rpc.batch_decide(Request::new(arrived(&BatchDecideRequest { requests }))).await.expect("answers");
    let decisions = answers.into_inner().answers.into_iter().map(|answer| match answer.result {
        Some(streamed_decision::Result::Decision(decision)) => plain(&decision),
        other => panic!("{other:?}"),
    });
    let decisions: Vec<_> = decisions.collect();
    assert_eq!(decisions[7], first);
    let numbers: Vec<_> = decisions.iter().map(|d| d.decision_id.as_str()).collect();
    assert_eq!((numbers[0], numbers[6], numbers[8], numbers[99]), ("2", "8", "9", "100"));
    assert_eq!(disk.syncs() - before, 1);
}

/// A first request that comes to nothing leaves its id to the next.
#[tokio::test]
async fn a_refused_request_leaves_its_id_free() {
    let bank = Bank::new().await;
    let rpc = bank.rpc(&Power::default(), |_| {});
    let wrong = direct(&rpc, request("r", "c1", [("amount_fen", Kind::IntValue(-1))])).await;
    assert_eq!(wrong.expect_err("refused").code(), Code::InvalidArgument);
    direct(&rpc, request("r", "c1", [])).await.expect("decided");
}

/// A caller that goes away while its decision is being written finds it when it comes back.
#[tokio::test]
async fn a_decision_does_not_need_its_caller() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let rpc = bank.rpc(&disk, |_| {});
    disk.hold_syncs(true);
    let mut gone = Box::pin(direct(&rpc, request("r", "c1", [])));
    assert!(poll!(&mut gone).is_pending());
    drop(gone);
    let back = direct(&rpc, request("r", "c1", []));
    disk.hold_syncs(false);
    assert_eq!(back.await.expect("decided").decision_id, "1");
}

#[tokio::test]
async fn personal_data_is_not_in_the_journal() {
    const NUMBER: &str = "450103199001011230";
    let bank = Bank::new().await;
    let valid = (0..=10)
        .map(|digit| format!("{}{}", &NUMBER[..17], if digit == 10 { "X".into() } else { digit.to_string() }))
        .find(|number| tarim_datamart::checks::Builtin::Gb11643.check(number).is_ok())
        .expect("one of them has the right check digit");
    let folder = bank.path("journal");
    let served = bank.serve_from(Journal::open(&folder).expect("a new journal")).await;
    let decision = served.decide(&request("r", "c1", [("id_number", text(&valid))])).await.expect("decided");
    served.end().await.expect("in order");
    assert!(!contains(&decision.encode_to_vec(), valid.as_bytes()));
    let mut entries = Vec::new();
    journal::read(&folder, &mut |_, entry, _| {
        entries.push(entry);
        Ok(())
    })
    .expect("readable");
    assert!(!contains(&entries[0].encode_to_vec(), valid.as_bytes()), "not in clear");
    let token = bank.tokeniser().token("gb11643", &valid);
    assert!(contains(&entries[0].inputs, token.as_bytes()), "the row has the token");
    let kept = entries[0].application["id_number"].kind.clone();
    assert_eq!(kept, Some(text(&token)), "and so has the application");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Repeats race each other through a real server: one decision.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_race_of_repeats_has_one_winner() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    for round in 0..20 {
        let id = format!("r{round}");
        let race = (0..16).map(|_| {
            let mut client = served.client();
            let request = request(&id, "c1", []);
            tokio::spawn(async move { client.decide(request).await }).map(|joined| joined.expect("no panic"))
        });
        let answers = futures::future::join_all(race).await;
        for answer in answers {
            assert_eq!(answer.expect("decided").into_inner().decision_id, (round + 1).to_string());
        }
    }
    served.end().await.expect("in order");
}
