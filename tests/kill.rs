//! `kill -9` of the server in the middle of a stream: every decision that was answered is there after a
//! restart, as it was answered, and is made again to the same bits.

use std::collections::{BTreeMap, BTreeSet};

use crate::installation::{Installation, Server};
use futures::{StreamExt, TryStreamExt};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use tarim_proto::decision::v1::{
    Decision, DecisionRequest, GetDecisionRequest, Value, decision_service_client::DecisionServiceClient,
    streamed_decision::Result as Streamed, value::Kind,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

const ROUNDS: usize = 6;

type Client = DecisionServiceClient<Channel>;

async fn connect(server: &Server) -> Client {
    DecisionServiceClient::connect(server.url.clone()).await.expect("it listens")
}

fn request(number: usize, rng: &mut ChaCha8Rng) -> DecisionRequest {
    let value = |kind| Value { kind: Some(kind) };
    let customer = *["c1", "c2", "bad", "nobody"].choose(rng).expect("not empty");
    let amount = rng.random_range(1..20_000_000);
    DecisionRequest {
        request_id: format!("r{number}"),
        member: "001".into(),
        product: "loan".into(),
        application: BTreeMap::from([
            ("customer_id".into(), value(Kind::StringValue(customer.into()))),
            ("amount_fen".into(), value(Kind::IntValue(amount))),
        ]),
        reserve: None,
    }
}

/// Streams new requests without end, kills the server once it has given `answers`, and adds every answer that
/// arrived, also those after the kill, to `answered`, and every request to `sent`.
async fn stream_until_killed(
    server: Server,
    answers: usize,
    rng: &mut ChaCha8Rng,
    sent: &mut Vec<DecisionRequest>,
    answered: &mut BTreeMap<String, Decision>,
) {
    let (sender, receiver) = mpsc::channel(64);
    let mut client = connect(&server).await;
    let first = sent.len();
    let mut feed = ChaCha8Rng::from_rng(rng);
    let feeder = tokio::spawn(async move {
        let mut requests = Vec::new();
        loop {
            requests.push(request(first + requests.len(), &mut feed));
            let next = requests.last().expect("just pushed").clone();
            if sender.send(next).await.is_err() {
                return requests;
            }
        }
    });
    let mut stream =
        client.decide_stream(ReceiverStream::new(receiver)).await.expect("a stream").into_inner();
    let mut server = Some(server);
    let mut count = 0;
    // Ends with the error of a connection that is gone.
    while let Ok(Some(answer)) = stream.message().await {
        let Some(Streamed::Decision(decision)) = answer.result else { panic!("{answer:?}") };
        answered.insert(answer.request_id, decision);
        count += 1;
        if count == answers {
            server.take().expect("killed once").kill();
        }
    }
    assert!(server.is_none(), "the stream ended before the kill");
    drop(stream);
    sent.extend(feeder.await.expect("no panic"));
}

async fn all_are_there(client: &Client, answered: &BTreeMap<String, Decision>) {
    let checks = answered.iter().map(|(request_id, decision)| {
        let get = GetDecisionRequest { member: "001".into(), request_id: request_id.clone() };
        let mut client = client.clone();
        async move {
            let found =
                client.get_decision(get).await.unwrap_or_else(|e| panic!("{request_id} is lost: {e}"));
            assert_eq!(found.get_ref(), decision);
        }
    });
    futures::stream::iter(checks).buffer_unordered(64).collect::<()>().await;
}

#[tokio::test]
async fn what_was_answered_survives_kill_9() {
    let installation = Installation::new();
    let mut rng = ChaCha8Rng::seed_from_u64(2026);
    let mut sent = Vec::new();
    let mut answered = BTreeMap::new();
    for round in 0..ROUNDS {
        let server = installation.serve();
        all_are_there(&connect(&server).await, &answered).await;
        let before = answered.len();
        let answers = rng.random_range(1..600);
        stream_until_killed(server, answers, &mut rng, &mut sent, &mut answered).await;
        assert!(answered.len() - before >= answers, "round {round}");
    }

    let server = installation.serve();
    let mut client = connect(&server).await;
    all_are_there(&client, &answered).await;
    // Whoever got no answer asks again: what had been decided is told, the rest is decided now.
    let again = client.decide_stream(tokio_stream::iter(sent.clone())).await.expect("a stream");
    let again: Vec<_> = again.into_inner().try_collect().await.expect("it goes on");
    let mut numbers = BTreeSet::new();
    for answer in again {
        let Some(Streamed::Decision(decision)) = answer.result else { panic!("{answer:?}") };
        assert_eq!(*answered.get(&answer.request_id).unwrap_or(&decision), decision);
        assert!(numbers.insert(decision.decision_id), "every request has a decision of its own");
    }
    assert_eq!(numbers.len(), sent.len());
    drop(client);
    assert!(server.terminate().success(), "it ends in order");

    let replayed = installation.run(&["replay"]);
    assert!(replayed.contains(&format!("{} the same, bit for bit", sent.len())), "{replayed}");
}
