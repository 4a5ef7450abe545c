//! At the edges: too much at once, too late, shutting down, no disk, in the open.

use std::{sync::Arc, time::Duration};

use futures::poll;
use tarim_proto::{
    decision::v1::{
        Decision, DecisionRequest, Outcome, decision_service_client::DecisionServiceClient,
        streamed_decision, value::Kind,
    },
    encoded::{self, decision_service_server::DecisionService},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::bank::{Bank, Served, arrived, direct, request, text};
use crate::{
    journal::{
        Journal,
        power::{Fault, Power},
    },
    service::{Config, Deadline, ServeError, serve},
};

#[tokio::test]
async fn what_is_too_much_is_refused_at_once() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let rpc = bank.rpc(&disk, |config| config.max_in_flight = 2);
    disk.hold_syncs(true);
    let mut a = Box::pin(direct(&rpc, request("a", "c1", [])));
    let mut b = Box::pin(direct(&rpc, request("b", "c1", [])));
    assert!(poll!(&mut a).is_pending() && poll!(&mut b).is_pending());
    let refused = direct(&rpc, request("c", "c1", [])).await.expect_err("full");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(b);
    let refused = direct(&rpc, request("c", "c1", [])).await.expect_err("what is being written counts");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    disk.hold_syncs(false);
    a.await.expect("decided");
    // The slot of `b` comes back when it is durable, which a repeat of it waits for.
    let b = loop {
        match direct(&rpc, request("b", "c1", [])).await {
            Err(status) if status.code() == Code::ResourceExhausted => tokio::task::yield_now().await,
            other => break other.expect("decided"),
        }
    };
    assert_eq!(b.decision_id, "2");
}

#[tokio::test]
async fn a_refused_request_leaves_nothing_for_the_next_one() {
    let bank = Bank::new().await;
    // What is decided by another's policy is declined.
    bank.edit("products/card.toml", "\"open\"", "\"stopped\"");
    bank.publish();
    let rpc = bank.rpc(&Power::default(), |_| {});
    let told =
        |decision: Decision| Decision { request_id: String::new(), decision_id: String::new(), ..decision };
    let loan = told(direct(&rpc, request("1", "c1", [])).await.expect("decided"));
    assert_eq!(loan.outcome(), Outcome::Approve);
    for (i, (member, product, field)) in [
        ("002", "card", ("nothing", text("x"))),
        ("002", "card", ("amount_fen", text("much"))),
        ("002", "card", ("amount_fen", Kind::IntValue(-1))),
        ("002", "loan", ("nothing", text("x"))),
        ("001", "card", ("nothing", text("x"))),
        ("003", "loan", ("nothing", text("x"))),
    ]
    .into_iter()
    .enumerate()
    {
        let asked = request(&format!("bad {i}"), "c1", [field]);
        let asked = DecisionRequest { member: member.into(), product: product.into(), ..asked };
        let refused = direct(&rpc, asked).await.expect_err("something is wrong with it");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        // The same thread works in what the refused one was worked out in.
        let again = direct(&rpc, request(&format!("good {i}"), "c1", [])).await.expect("decided");
        assert_eq!(told(again), loan, "after {member} {product}");
    }
}

#[tokio::test]
async fn only_so_many_streams_are_open_at_once() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let mut open = Vec::new();
    let limit = Config::on(([127, 0, 0, 1], 0).into()).max_streams;
    for _ in 0..limit {
        let (sender, receiver) = mpsc::channel::<DecisionRequest>(1);
        let answers = served.client().decide_stream(ReceiverStream::new(receiver)).await.expect("a stream");
        open.push((sender, answers));
    }
    let refused = served.client().decide_stream(tokio_stream::empty()).await.expect_err("one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(open);
    served.end().await.expect("in order");
}

fn with_deadline(request: DecisionRequest, timeout: Duration) -> Request<encoded::DecisionRequest> {
    let mut stamped = Request::new(());
    let nanos = format!("{}n", timeout.as_nanos());
    stamped.metadata_mut().insert("grpc-timeout", nanos.parse().expect("ASCII"));
    let stamped = Deadline::stamp(stamped).expect("a timeout");
    let (metadata, extensions, ()) = stamped.into_parts();
    Request::from_parts(metadata, extensions, arrived(&request))
}

#[tokio::test]
async fn nothing_is_decided_past_its_deadline() {
    let bank = Bank::new().await;
    let rpc = bank.rpc(&Power::default(), |_| {});
    let late = rpc.decide(with_deadline(request("r", "c1", []), Duration::ZERO)).await.expect_err("late");
    assert_eq!(late.code(), Code::DeadlineExceeded);
    let first = direct(&rpc, request("other", "c1", [])).await.expect("decided");
    assert_eq!(first.decision_id, "1", "the late one was not decided");
}

#[tokio::test]
async fn what_is_in_the_journal_is_decided_even_if_late() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let rpc = bank.rpc(&disk, |_| {});
    disk.hold_syncs(true);
    // However long deciding takes here, the answer waits for the sync.
    let mut first = Box::pin(direct(&rpc, request("r", "c1", [])));
    assert!(poll!(&mut first).is_pending());
    let late = rpc.decide(with_deadline(request("r", "c1", []), Duration::from_millis(1))).await;
    assert_eq!(late.expect_err("late").code(), Code::DeadlineExceeded);
    disk.hold_syncs(false);
    assert_eq!(first.await.expect("decided"), direct(&rpc, request("r", "c1", [])).await.expect("known"));
}

#[tokio::test]
async fn a_timeout_that_makes_no_sense_is_told() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let mut wrong = Request::new(request("r", "c1", []));
    wrong.metadata_mut().insert("grpc-timeout", "soon".parse().expect("ASCII"));
    let status = served.client().decide(wrong).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with("grpc-timeout: "), "{}", status.message());
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let long = DecisionRequest { member: "0".repeat(2 << 20), ..request("r", "c1", []) };
    let status = served.decide(&long).await.expect_err("too long");
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    served.end().await.expect("in order");
}

#[tokio::test]
async fn a_shutdown_finishes_what_was_accepted() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let mut served = bank.serve(&disk).await;
    let mut health = HealthClient::new(served.channel.clone())
        .watch(HealthCheckRequest::default())
        .await
        .expect("a watch")
        .into_inner();
    assert_eq!(health.message().await.expect("a state").map(|s| s.status()), Some(ServingStatus::Serving));

    let (sender, receiver) = mpsc::channel(4);
    let mut answers =
        served.client().decide_stream(ReceiverStream::new(receiver)).await.expect("a stream").into_inner();
    sender.send(request("s1", "c1", [])).await.expect("open");
    let first = answers.message().await.expect("an answer").expect("an answer");
    assert!(matches!(first.result, Some(streamed_decision::Result::Decision(_))));

    disk.hold_syncs(true);
    let mut client = served.client();
    let accepted = tokio::spawn(async move { client.decide(request("r", "c1", [])).await });
    // It has been accepted: it waits for the disk.
    tokio::task::spawn_blocking({
        let disk = disk.clone();
        move || disk.wait_for_held_sync()
    })
    .await
    .expect("no panic");
    served.stop();
    let ended = answers.message().await.expect_err("the stream is told to go elsewhere");
    assert_eq!(ended.code(), Code::Unavailable);
    while let Some(state) = health.message().await.expect("no error") {
        assert_eq!(state.status(), ServingStatus::NotServing, "told before the watch ends");
    }
    disk.hold_syncs(false);
    let decision = accepted.await.expect("no panic").expect("what was accepted is answered").into_inner();
    served.end().await.expect("in order");

    let served = bank.serve(&disk).await;
    assert_eq!(served.find("001", "r").await.expect("it is in the journal"), decision);
    served.end().await.expect("in order");
}

/// A connection that says nothing, and never will, holds nothing up.
#[tokio::test]
async fn a_shutdown_does_not_wait_for_the_silent() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let silent = tokio::net::TcpStream::connect(served.running.address()).await.expect("it listens");
    let mut client = served.client();
    served.end().await.expect("in order");
    let status = client.decide(request("r", "c1", [])).await.expect_err("it has ended");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    drop(silent);
}

#[tokio::test]
async fn without_a_disk_nothing_is_answered() {
    let bank = Bank::new().await;
    let disk = Power::default();
    let served = bank.serve(&disk).await;
    let kept = served.decide(&request("kept", "c1", [])).await.expect("decided");
    let mut health = HealthClient::new(served.channel.clone())
        .watch(HealthCheckRequest::default())
        .await
        .expect("a watch")
        .into_inner();
    health.message().await.expect("a state");
    disk.fail_after(10, Fault::Full);
    for id in ["lost", "later"] {
        let status = served.decide(&request(id, "c1", [])).await.expect_err("not durable");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
    assert_eq!(served.find("001", "kept").await.expect("still readable"), kept);
    served.running.reload();
    let state = health.message().await.expect("a state").expect("a state");
    assert_eq!(state.status(), ServingStatus::NotServing);
    assert!(matches!(served.end().await, Err(ServeError::Journal(_))));

    disk.restart_process();
    let served = bank.serve(&disk).await;
    assert_eq!(served.decide(&request("lost", "c1", [])).await.expect("decided").decision_id, "2");
    served.end().await.expect("in order");
}

/// Each connection takes a file, and the journal must find one.
#[tokio::test]
async fn who_comes_when_all_connections_are_taken_waits() {
    let bank = Bank::new().await;
    let journal = Journal::open_on(Arc::new(Power::default()), 1 << 20).expect("a whole disk");
    let config = Config { max_connections: 1, ..Config::on(([127, 0, 0, 1], 0).into()) };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running =
        serve(config, bank.sources(), journal, async { drop(stopped.await) }).await.expect("it starts");
    let url = format!("http://{}", running.address());
    let decide = |id: String| {
        let endpoint = Channel::from_shared(url.clone()).expect("a URL");
        async move {
            let mut client = DecisionServiceClient::new(endpoint.connect().await.expect("it listens"));
            let decision = client.decide(request(&id, "c1", [])).await.expect("decided");
            (client, decision.into_inner())
        }
    };
    let (mut first, _) = decide("r".into()).await;
    let mut second = Box::pin(decide("s".into()));
    for n in 0..20 {
        assert!(poll!(&mut second).is_pending(), "the system takes it, and nobody answers");
        first.decide(request(&format!("r{n}"), "c1", [])).await.expect("decided");
    }
    drop(first);
    let (second, decision) = second.await;
    assert_eq!(decision.decision_id, "22");
    drop((second, stop));
    running.ended().await.expect("in order");
}

#[tokio::test]
async fn nothing_crosses_a_network_in_clear() {
    let bank = Bank::new().await;
    let journal = Journal::open(&bank.path("journal")).expect("a new journal");
    let open = Config::on(([0, 0, 0, 0], 0).into());
    let refused = serve(open, bank.sources(), journal, std::future::pending()).await.map(drop);
    assert!(matches!(refused, Err(ServeError::InTheOpen(_))));
}

/// With an authority for clients: only those that it knows are answered.
#[tokio::test]
async fn tls_knows_its_clients() {
    use tonic::transport::{Certificate, ClientTlsConfig, Identity};

    use crate::service::Tls;
    let pem = |name: &str| {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service/tests/tls").join(name)
    };
    let read = |name: &str| std::fs::read(pem(name)).expect("a file of the tests");
    let bank = Bank::new().await;
    let journal = Journal::open(&bank.path("journal")).expect("a new journal");
    let tls = Tls { cert: pem("server.pem"), key: pem("server.key"), client_ca: Some(pem("ca.pem")) };
    let config = Config { tls: Some(tls), ..Config::on(([0, 0, 0, 0], 0).into()) };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running =
        serve(config, bank.sources(), journal, async { drop(stopped.await) }).await.expect("it starts");
    let url = format!("https://127.0.0.1:{}", running.address().port());
    let connect = |tls: ClientTlsConfig| {
        let endpoint =
            Channel::from_shared(url.clone()).expect("a URL").tls_config(tls).expect("a configuration");
        async move { endpoint.connect().await }
    };
    let trusting = || {
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("ca.pem"))).domain_name("localhost")
    };
    let known = trusting().identity(Identity::from_pem(read("client.pem"), read("client.key")));
    let served = Served::on(running, connect(known).await.expect("a known client"), stop);
    served.decide(&request("r", "c1", [])).await.expect("decided");
    // In TLS 1.3 the server's refusal may come after the handshake.
    if let Ok(channel) = connect(trusting()).await {
        let mut client = DecisionServiceClient::new(channel);
        client.decide(request("s", "c1", [])).await.expect_err("a client without a certificate");
    }
    assert_eq!(served.find("001", "s").await.expect_err("nothing was decided").code(), Code::NotFound);
    served.end().await.expect("in order");
}
