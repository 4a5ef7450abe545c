//! New rulebooks and features while decisions are made; and old decisions made again.

use std::{collections::BTreeMap, sync::Arc};

use prost::Message;
use tarim_datamart::Value;
use tarim_proto::decision::v1::{Decision, DecisionRequest, JournalEntry, streamed_decision};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::bank::{Bank, Served, request, us};
use crate::{
    engine::Application,
    journal::{
        self, Folder, Journal,
        power::Power,
        replay::{Event, Replay, Verdict},
    },
    outcome::{Call, Effect},
    service::{
        LoadError,
        serving::{Serving, Work},
    },
};

/// A stream that stays open.
struct Open {
    requests: mpsc::Sender<DecisionRequest>,
    answers: Streaming<tarim_proto::decision::v1::StreamedDecision>,
}

impl Open {
    async fn new(served: &Served) -> Self {
        let (requests, receiver) = mpsc::channel(1);
        let answers = served.client().decide_stream(ReceiverStream::new(receiver)).await.expect("a stream");
        Self { requests, answers: answers.into_inner() }
    }

    async fn decide(&mut self, request: DecisionRequest) -> Decision {
        self.requests.send(request).await.expect("open");
        match self.answers.message().await.expect("an answer").expect("an answer").result {
            Some(streamed_decision::Result::Decision(decision)) => decision,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn rulebook_and_features_change_while_a_stream_runs() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let mut stream = Open::new(&served).await;
    let first = stream.decide(request("1", "c1", [])).await;
    assert_eq!((first.limit_fen, first.grade.as_str()), (Some(5_000_000), "A"));

    let former = Arc::downgrade(&served.running.serving());
    bank.edit("federation.toml", "value = 10000000", "value = 3000000");
    let version = bank.publish();
    served.reload().await;
    let second = stream.decide(request("2", "c1", [])).await;
    assert_eq!((second.limit_fen, second.grade.as_str()), (Some(3_000_000), "A"));
    assert_eq!(second.rulebook_version, version);
    assert_eq!(second.feature_version, first.feature_version);

    let features = bank.materialise(&[("c1", "Nanning", Some(100.0))]).await;
    served.reload().await;
    // What nobody decides by any more is given back at the next look.
    while former.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    let third = stream.decide(request("3", "c1", [])).await;
    assert_eq!((third.limit_fen, third.grade.as_str()), (Some(3_000_000), "B"));
    assert_eq!((third.rulebook_version, third.feature_version), (version, features));
    drop(stream);
    served.end().await.expect("in order");
}

/// A decision that began with a rulebook ends with it, though others are served already. A counter that fell would be taken for one
/// that began anew.
#[tokio::test]
async fn what_is_counted_while_a_rulebook_is_replaced_stays_counted() {
    let bank = Bank::new().await;
    let sources = bank.sources();
    let fields = vec![
        ("customer_id".to_owned(), Value::Utf8("bad".into())),
        ("amount_fen".to_owned(), Value::Int64(5_000_000)),
    ];
    let application = Application { member: "001".into(), product: "loan".into(), fields };
    let decide = |serving: &Serving| {
        serving.work(|Work { inputs, scratch, .. }| {
            let now_us = us("2026-06-30T10:00:00Z");
            serving.engine.gather(&application, now_us, inputs).expect("fields of the standard");
            serving.hits.count(&serving.engine.judge(inputs, Call::All, scratch).expect("it has a plan"));
        });
    };
    let declined = |serving: &Serving| serving.hits.totals()[&("A1", Effect::Decline)];
    let next = |present: &Serving, from: &str, to: &str| {
        bank.edit("federation.toml", &format!("value = {from}"), &format!("value = {to}"));
        bank.publish();
        sources.refresh(present).expect("readable").expect("it is new")
    };
    let first = sources.load().expect("it loads");
    decide(&first);
    let second = next(&first, "10000000", "3000000");
    assert_eq!(declined(&second), 1);
    decide(&first);
    assert_eq!(declined(&second), 2, "what was counted after it was replaced counts");
    decide(&second);
    let third = next(&second, "3000000", "2000000");
    decide(&first);
    assert_eq!([&first, &second, &third].map(declined), [4; 3]);
    // Once nobody decides by them any more, what they counted is settled.
    drop(first);
    assert_eq!(declined(&third), 4);
    drop(second);
    assert_eq!(declined(&third), 4);
    decide(&third);
    assert_eq!(declined(&third), 5);
    // One that is read and not taken leaves nothing.
    drop(next(&third, "2000000", "4000000"));
    assert_eq!(declined(&third), 5);
}

#[tokio::test]
async fn what_cannot_be_served_is_not_and_the_former_goes_on() {
    let bank = Bank::new().await;
    let sources = bank.sources();
    let serving = sources.load().expect("it loads");
    assert!(sources.refresh(&serving).expect("readable").is_none(), "nothing new");

    // A feature that the store has not computed: the rulebook waits for its features.
    bank.edit("features/profile.toml", "max(salary)", "min(salary)");
    let version = bank.publish();
    assert!(matches!(sources.refresh(&serving), Err(LoadError::Store(_))));
    bank.materialise(&[("c1", "Nanning", Some(1.0))]).await;
    let serving = sources.refresh(&serving).expect("they fit now").expect("both are new");
    assert_eq!(serving.engine.rulebook().version(), version);

    let current = bank.published().join("CURRENT");
    std::fs::write(&current, "0000\n").expect("writable");
    assert!(matches!(sources.refresh(&serving), Err(LoadError::Rulebook { .. })));
    std::fs::remove_file(&current).expect("there");
    assert!(matches!(sources.refresh(&serving), Err(LoadError::Publish(_))));
}

fn replay(bank: &Bank, journal: &str) -> BTreeMap<u64, Verdict> {
    let mut verdicts = BTreeMap::new();
    Replay::new(&bank.published())
        .run(&bank.path(journal), &|_| true, &mut |event| {
            if let Event::Replayed(number, _, verdict) = event {
                verdicts.insert(number, verdict.clone());
            }
        })
        .expect("readable");
    verdicts
}

#[tokio::test]
async fn every_decision_replays_by_its_own_rulebook_to_the_same_bits() {
    let bank = Bank::new().await;
    let served = bank.serve_from(Journal::open(&bank.path("journal")).expect("a new journal")).await;
    let mut client = served.client();
    for customer in ["c1", "c2", "c3", "bad", "nobody"] {
        client.decide(request(&format!("all {customer}"), customer, [])).await.expect("decided");
        client
            .check_admission(request(&format!("admission {customer}"), customer, []))
            .await
            .expect("decided");
        client.score_application(request(&format!("score {customer}"), customer, [])).await.expect("decided");
    }
    bank.edit("models/score.csv", ",120,", ",121,");
    let second = bank.publish();
    bank.materialise(&[("c1", "Hechi", Some(1.0))]).await;
    served.reload().await;
    for customer in ["c1", "c2"] {
        client.decide(request(&format!("again {customer}"), customer, [])).await.expect("decided");
    }
    drop(client);
    served.end().await.expect("in order");
    let verdicts = replay(&bank, "journal");
    assert_eq!(verdicts.len(), 17);
    assert!(verdicts.values().all(|v| *v == Verdict::Same), "{verdicts:?}");

    // A decision that was tampered with is told by its field, a lost rulebook by its version.
    let mut entries: Vec<JournalEntry> = Vec::new();
    journal::read(&bank.path("journal"), &mut |_, entry, _| {
        entries.push(entry);
        Ok(())
    })
    .expect("readable");
    let changed = entries[0].decision.as_mut().expect("a decision");
    changed.pd = changed.pd.map(|pd| f64::from_bits(pd.to_bits() + 1));
    entries[1].inputs.truncate(10);
    std::fs::create_dir(bank.path("changed")).expect("a folder");
    let disk = std::sync::Arc::new(Folder::new(&bank.path("changed")));
    let copy = Journal::open_on(disk, 1 << 20).expect("a new journal");
    for entry in &entries {
        copy.submit_entry(entry, |number| assert!(number.is_ok(), "durable"));
    }
    copy.close().expect("in order");
    std::fs::remove_dir_all(bank.published().join(&second)).expect("there");
    let verdicts = replay(&bank, "changed");
    match &verdicts[&1] {
        Verdict::Differs(fields) => assert_eq!(fields.iter().map(|d| &d.field).collect::<Vec<_>>(), ["pd"]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(&verdicts[&2], Verdict::Unreadable(_)));
    assert_eq!(verdicts[&3], Verdict::Same);
    match &verdicts[&17] {
        Verdict::Unreadable(why) => assert!(why.contains(&second), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(entries[0].encoded_len() < 4096, "an entry is small");
}
