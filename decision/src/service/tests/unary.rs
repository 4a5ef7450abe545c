//! Single decisions are the same on the wire whether or not tonic's layers are between; and what no client of tonic's sends.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{Method, body::Frame, client::conn::http2, http::request::Builder};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tarim_proto::decision::v1::{
    BatchDecideRequest, Decision, DecisionRequest, Reserve, decision_service_client::DecisionServiceClient,
    value::Kind,
};
use tokio::net::TcpStream;
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    codegen::Service,
    transport::{self, Channel},
};

use super::{
    bank::{Bank, Served, request, text},
    watched::samples,
};
use crate::{journal::power::Power, service::metrics::CALLS};

/// Who answers a single call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Ours,
    Tonic,
}

impl Way {
    /// The method that is called with: tonic asks of none, so what is no POST is left to it, and answered as one.
    fn method(self) -> Method {
        match self {
            Self::Ours => Method::POST,
            Self::Tonic => Method::PUT,
        }
    }
}

/// A client's connection that calls in such a way.
#[derive(Clone)]
struct By(Way, Channel);

impl Service<hyper::Request<Body>> for By {
    type Response = hyper::Response<Body>;
    type Error = transport::Error;
    type Future = <Channel as Service<hyper::Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.1.poll_ready(context)
    }

    fn call(&mut self, mut request: hyper::Request<Body>) -> Self::Future {
        *request.method_mut() = self.0.method();
        self.1.call(request)
    }
}

/// So many calls were answered our way: tonic takes no time of decoding.
async fn ours(served: &Served) -> f64 {
    samples(served).await[r#"tarim_stage_seconds_count{stage="decode"}"#]
}

async fn ask(
    served: &Served,
    call: &str,
    request: &DecisionRequest,
    timeout: Option<&str>,
    way: Way,
) -> Result<Response<Decision>, Status> {
    let mut request = Request::new(request.clone());
    if let Some(timeout) = timeout {
        request.metadata_mut().insert("grpc-timeout", timeout.parse().expect("ASCII"));
    }
    let mut calls = DecisionServiceClient::new(By(way, served.channel.clone()));
    match call {
        "CheckAdmission" => calls.check_admission(request).await,
        "DetectFraud" => calls.detect_fraud(request).await,
        "ScoreApplication" => calls.score_application(request).await,
        "AssignLimit" => calls.assign_limit(request).await,
        "QuoteRate" => calls.quote_rate(request).await,
        "Decide" => calls.decide(request).await,
        other => panic!("{other} is none of the six"),
    }
}

/// All that a caller can see, but for what he is known by: the message and what stands around it.
type Seen = Result<(Decision, Vec<String>), (Code, String, Vec<u8>)>;

fn seen(answer: Result<Response<Decision>, Status>) -> Seen {
    match answer {
        Ok(answer) => {
            let metadata = answer.metadata().clone();
            let told = metadata.as_ref().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
            let decision = answer.into_inner();
            assert!(!decision.request_id.is_empty() && !decision.decision_id.is_empty());
            let (request_id, decision_id) = (String::new(), String::new());
            Ok((Decision { request_id, decision_id, ..decision }, told))
        }
        Err(status) => Err((status.code(), status.message().to_owned(), status.details().to_vec())),
    }
}

#[tokio::test]
async fn both_ways_answer_the_same() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let requests = [
        (request("r1", "c1", []), None),
        (request("r2", "bad", []), Some("10S")),
        (request("r3", "nobody", []), None),
        (request("r4", "c1", [("amount_fen", text("a lot"))]), None),
        (request("r5", "c1", [("amount_fen", Kind::IntValue(-1))]), None),
        (request("", "c1", []), None),
        (DecisionRequest { member: "999".into(), ..request("r6", "c1", []) }, None),
        (DecisionRequest { reserve: Some(Reserve::default()), ..request("r7", "c1", []) }, None),
        (request("r8", "c1", []), Some("soon")),
    ];
    let mut codes = Vec::new();
    for (_, call) in CALLS {
        for (request, timeout) in &requests {
            // Each way decides for itself: of ids that are alike the second would be a repeat.
            let by = async |way: Way| {
                let mut request = request.clone();
                if !request.request_id.is_empty() {
                    request.request_id += &format!("{call}{way:?}");
                }
                seen(ask(&served, call, &request, *timeout, way).await)
            };
            let before = ours(&served).await;
            let theirs = by(Way::Tonic).await;
            assert_eq!(ours(&served).await, before, "{call} is not compared with itself");
            let answer = by(Way::Ours).await;
            assert_eq!(answer, theirs, "{call} of {request:?}");
            codes.push(answer.map_or_else(|(code, ..)| code, |_| Code::Ok));
        }
    }
    assert!(codes.contains(&Code::Ok) && codes.contains(&Code::InvalidArgument), "{codes:?}");
    assert!(ours(&served).await > 0.0, "that is how it is told who answers");
    served.end().await.expect("in order");
}

pub type Sender = http2::SendRequest<UnsyncBoxBody<Bytes, Infallible>>;

/// A caller who sends what he likes.
pub async fn raw(served: &Served) -> Sender {
    let stream = TcpStream::connect(served.running.address()).await.expect("it listens");
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

/// A call of the decision service, in its ordinary way.
pub fn post(name: &str) -> Builder {
    hyper::Request::post(format!("http://here/tarim.decision.v1.DecisionService/{name}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// Its body, in these pieces.
pub fn in_pieces(pieces: impl Stream<Item = Bytes> + Send + 'static) -> UnsyncBoxBody<Bytes, Infallible> {
    StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))).boxed_unsync()
}

/// Calls with a body in these pieces; gives the status that it ends with, and what came.
pub async fn call(
    sender: &mut Sender,
    call: Builder,
    pieces: impl Stream<Item = Bytes> + Send + 'static,
) -> (Code, Bytes) {
    let request = call.body(in_pieces(pieces)).expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let early = response.headers().get("grpc-status").cloned();
    let body = response.into_body().collect().await.expect("to the end");
    let late = body.trailers().and_then(|trailers| trailers.get("grpc-status").cloned());
    let status = early.or(late).expect("a status, in front or behind");
    (Code::from_bytes(status.as_bytes()), body.to_bytes())
}

/// Calls Decide in such a way, and gives the decision that came.
async fn decide(
    sender: &mut Sender,
    way: Way,
    headers: &[(&'static str, &'static str)],
    pieces: Vec<Bytes>,
) -> (Code, Option<Decision>) {
    let ordinary = post("Decide").method(way.method());
    let with_headers = headers.iter().fold(ordinary, |call, (name, value)| call.header(*name, *value));
    let (code, message) = call(sender, with_headers, stream::iter(pieces)).await;
    (code, message.get(5..).map(|bytes| Decision::decode(bytes).expect("a decision")))
}

/// A request with what stands before it.
pub fn framed(request: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(request.encoded_len() as u32);
    request.encode(&mut bytes).expect("it grows");
    bytes.freeze()
}

#[tokio::test]
async fn a_message_may_come_in_any_frames_and_must_be_one() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let mut sender = raw(&served).await;
    let whole = framed(&request("r1", "c1", []));
    let (code, first) = decide(&mut sender, Way::Ours, &[], vec![whole.clone()]).await;
    assert_eq!(code, Code::Ok);
    for way in [Way::Ours, Way::Tonic] {
        for size in [1, 3, 5, 6, whole.len() - 1, whole.len()] {
            let pieces = whole.chunks(size).map(|piece| whole.slice_ref(piece)).collect();
            let answer = decide(&mut sender, way, &[], pieces).await;
            assert_eq!(answer, (Code::Ok, first.clone()), "{way:?} {size}");
        }
        let damaged = Bytes::from_static(b"\0\0\0\0\x01\xff");
        for (pieces, code) in [
            (vec![], Code::Internal),
            (vec![whole.slice(..whole.len() - 1)], Code::Internal),
            (vec![damaged], Code::Internal),
            (vec![whole.clone(), whole.clone()], Code::Unimplemented),
        ] {
            assert_eq!(decide(&mut sender, way, &[], pieces).await, (code, None), "{way:?}");
        }
    }
    served.end().await.expect("in order");
}

/// A client of tonic's would give up by itself before it hears of it.
#[tokio::test]
async fn a_deadline_that_has_passed_is_told_either_way() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let mut sender = raw(&served).await;
    for way in [Way::Ours, Way::Tonic] {
        let late = vec![framed(&request(&format!("r{way:?}"), "c1", []))];
        let answer = decide(&mut sender, way, &[("grpc-timeout", "0n")], late).await;
        assert_eq!(answer, (Code::DeadlineExceeded, None), "{way:?}");
        // A body that does not end does not keep the call for ever, either.
        let soon = post("Decide").method(way.method()).header("grpc-timeout", "10m");
        assert_eq!(call(&mut sender, soon, stream::pending()).await.0, Code::DeadlineExceeded, "{way:?}");
    }
    // Nor is a whole batch kept until its caller says that it is all.
    let batch = framed(&BatchDecideRequest { requests: vec![request("late", "c1", [])] });
    let batch = stream::iter([batch]).chain(stream::pending());
    let late = post("BatchDecide").header("grpc-timeout", "0n");
    assert_eq!(call(&mut sender, late, batch).await, (Code::DeadlineExceeded, Bytes::new()));
    served.end().await.expect("in order");
}
