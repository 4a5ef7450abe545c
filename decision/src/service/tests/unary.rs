//! Single decisions are the same on the wire whether or not tonic's layers are between.

use tarim_proto::decision::v1::{Decision, DecisionRequest, Reserve, value::Kind};
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

/// All that a caller can see: the message and what stands around it.
type Seen = Result<(Decision, Vec<String>), (Code, String, Vec<u8>)>;

fn seen(answer: Result<Response<Decision>, Status>) -> Seen {
    match answer {
        Ok(answer) => {
            let metadata = answer.metadata().clone();
            let told = metadata.as_ref().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
            Ok((answer.into_inner(), told))
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
            let mut request = request.clone();
            if !request.request_id.is_empty() {
                request.request_id += call;
            }
            let first = seen(ask(&served, call, &request, *timeout, false).await);
            let again = seen(ask(&served, call, &request, *timeout, true).await);
            assert_eq!(first, again, "{call} of {request:?}");
            codes.push(first.map_or_else(|(code, ..)| code, |_| Code::Ok));
        }
    }
    assert!(codes.contains(&Code::Ok) && codes.contains(&Code::InvalidArgument), "{codes:?}");
    served.end().await.expect("in order");
}
