//! Single decisions are the same on the wire whether or not tonic's layers are between; and what no client of tonic's sends.

use std::convert::Infallible;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, client::conn::http2, http::request::Builder};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tarim_proto::decision::v1::{Decision, DecisionRequest, Reserve, value::Kind};
use tokio::net::TcpStream;
use tonic::{Code, Request, Response, Status};

use super::bank::{Bank, Served, request, text};
use crate::{journal::power::Power, service::metrics::CALLS};

/// Asks; `by_tonic`: in a way that is left to tonic.
async fn ask(
    served: &Served,
    call: &str,
    request: &DecisionRequest,
    timeout: Option<&str>,
    by_tonic: bool,
) -> Result<Response<Decision>, Status> {
    let mut request = Request::new(request.clone());
    if let Some(timeout) = timeout {
        request.metadata_mut().insert("grpc-timeout", timeout.parse().expect("ASCII"));
    }
    if by_tonic {
        request.metadata_mut().insert("grpc-encoding", "identity".parse().expect("ASCII"));
    }
    let mut calls = served.client();
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
            let by = async |way: &str, by_tonic| {
                let mut request = request.clone();
                if !request.request_id.is_empty() {
                    request.request_id += &format!("{call}{way}");
                }
                seen(ask(&served, call, &request, *timeout, by_tonic).await)
            };
            let (ours, theirs) = (by("a", false).await, by("b", true).await);
            assert_eq!(ours, theirs, "{call} of {request:?}");
            codes.push(ours.map_or_else(|(code, ..)| code, |_| Code::Ok));
        }
    }
    assert!(codes.contains(&Code::Ok) && codes.contains(&Code::InvalidArgument), "{codes:?}");
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

/// Calls Decide, and gives the decision that came.
async fn decide(
    sender: &mut Sender,
    headers: &[(&'static str, &'static str)],
    pieces: Vec<Bytes>,
) -> (Code, Option<Decision>) {
    let ordinary = headers.iter().fold(post("Decide"), |call, (name, value)| call.header(*name, *value));
    let (code, message) = call(sender, ordinary, stream::iter(pieces)).await;
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
    let (code, first) = decide(&mut sender, &[], vec![whole.clone()]).await;
    assert_eq!(code, Code::Ok);
    for size in [1, 3, 5, 6, whole.len() - 1] {
        let pieces = whole.chunks(size).map(|piece| whole.slice_ref(piece)).collect();
        assert_eq!(decide(&mut sender, &[], pieces).await, (Code::Ok, first.clone()), "{size}");
    }
    let damaged = Bytes::from_static(b"\0\0\0\0\x01\xff");
    for (pieces, code) in [
        (vec![], Code::Internal),
        (vec![whole.slice(..whole.len() - 1)], Code::Internal),
        (vec![damaged], Code::Internal),
        (vec![whole.clone(), whole.clone()], Code::Unimplemented),
    ] {
        assert_eq!(decide(&mut sender, &[], pieces).await, (code, None));
    }
    served.end().await.expect("in order");
}

/// A client of tonic's would give up by itself before it hears of it.
#[tokio::test]
async fn a_deadline_that_has_passed_is_told_either_way() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let mut sender = raw(&served).await;
    for by_tonic in [false, true] {
        let headers: &[_] = match by_tonic {
            false => &[("grpc-timeout", "0n")],
            true => &[("grpc-timeout", "0n"), ("grpc-encoding", "identity")],
        };
        let late = framed(&request(&format!("r{by_tonic}"), "c1", []));
        assert_eq!(
            decide(&mut sender, headers, vec![late]).await,
            (Code::DeadlineExceeded, None),
            "{by_tonic}"
        );
    }
    // A body that does not end does not keep the call for ever, either.
    let soon = post("Decide").header("grpc-timeout", "10m");
    assert_eq!(call(&mut sender, soon, stream::pending()).await.0, Code::DeadlineExceeded);
    served.end().await.expect("in order");
}
