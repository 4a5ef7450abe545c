//! What callers send in pieces, and over connections that they keep: however much that is, others have their answers.

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use tarim_proto::decision::v1::{BatchDecideRequest, BatchDecideResponse, StreamedDecision};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_client::ServerReflectionClient,
};

use super::{
    bank::{Bank, Served, request},
    unary::{Sender, call, framed, in_pieces, post, raw},
    watched::samples,
};
use crate::{
    journal::power::Power,
    service::{transport::REFLECTIONS_MAX, unary::LONG_MAX},
};

/// What comes back, without what stands before each message.
fn messages<T: prost::Message + Default>(mut came: &[u8]) -> Vec<T> {
    let mut messages = Vec::new();
    while let Some((head, rest)) = came.split_first_chunk::<5>() {
        let len = u32::from_be_bytes(head[1..].try_into().expect("four bytes")) as usize;
        messages.push(T::decode(&rest[..len]).expect("a message"));
        came = &rest[len..];
    }
    messages
}

/// A batch of one, in two pieces.
fn batch() -> [Bytes; 2] {
    let whole = framed(&BatchDecideRequest { requests: vec![request("batch", "c1", [])] });
    [whole.slice(..20), whole.slice(20..)]
}

/// Sends batches of which the rest never comes, until no more are read.
async fn upload(sender: &mut Sender) -> JoinSet<()> {
    let mut uploads = JoinSet::new();
    // Some are refused, so that it does not matter who else is answered meanwhile.
    for _ in 0..2 * LONG_MAX {
        let body = in_pieces(stream::iter([batch()[0].clone()]).chain(stream::pending()));
        let upload = sender.send_request(post("BatchDecide").body(body).expect("a request"));
        uploads.spawn(upload.map(drop));
    }
    while call(sender, post("BatchDecide"), stream::iter(batch())).await.0 == Code::Ok {}
    uploads
}

#[tokio::test]
async fn uploads_of_one_caller_end_no_stream_of_another() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let (mut uploader, mut caller) = (raw(&served).await, raw(&served).await);
    let (code, answer) = call(&mut caller, post("BatchDecide"), stream::iter(batch())).await;
    assert_eq!((code, messages::<BatchDecideResponse>(&answer)[0].answers.len()), (Code::Ok, 1));
    let uploads = upload(&mut uploader).await;
    let refused = samples(&served).await[r#"tarim_refusals_total{code="ResourceExhausted"}"#];
    assert!(refused > 0.0, "what is refused before it is read is counted");
    // On a busy stream most frames end in the middle of a message.
    let all = ["r1", "r2", "r3"].map(|id| framed(&request(id, "c1", []))).concat();
    let pieces: Vec<Bytes> = all.chunks(all.len() / 3 - 4).map(Bytes::copy_from_slice).collect();
    let (code, answers) = call(&mut caller, post("DecideStream"), stream::iter(pieces)).await;
    let ids: Vec<_> = messages::<StreamedDecision>(&answers).into_iter().map(|a| a.request_id).collect();
    assert_eq!((code, ids), (Code::Ok, ["r1", "r2", "r3"].map(str::to_owned).into()));
    drop((uploads, uploader, caller));
    served.end().await.expect("in order");
}

/// A caller who has said all, but not that it is all, keeps neither memory nor a slot.
#[tokio::test]
async fn a_call_whose_end_does_not_come_is_refused() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let mut caller = raw(&served).await;
    let [head, rest] = batch();
    let whole = Bytes::from([&head[..], &rest].concat());
    for pieces in [vec![], vec![head.clone()], vec![head, rest], vec![whole]] {
        let soon = post("BatchDecide").header("grpc-timeout", "10m");
        let pieces = stream::iter(pieces).chain(stream::pending());
        assert_eq!(call(&mut caller, soon, pieces).await, (Code::DeadlineExceeded, Bytes::new()));
    }
    let seen = samples(&served).await;
    assert_eq!(seen[r#"tarim_refusals_total{code="DeadlineExceeded"}"#], 4.0);
    assert_eq!(seen[r#"tarim_decisions_total{call="Decide",outcome="APPROVE"}"#], 0.0);
    drop(caller);
    served.end().await.expect("in order");
}

/// A stream of questions about the calls, which asks none until its sender is gone.
async fn reflection(
    served: &Served,
) -> Result<(mpsc::Sender<ServerReflectionRequest>, Streaming<ServerReflectionResponse>), Status> {
    let mut client = ServerReflectionClient::new(served.channel.clone());
    let (sender, questions) = mpsc::channel(1);
    let answers = client.server_reflection_info(ReceiverStream::new(questions)).await?;
    Ok((sender, answers.into_inner()))
}

#[tokio::test]
async fn only_so_many_ask_about_the_calls_at_once() {
    let bank = Bank::new().await;
    let served = bank.serve(&Power::default()).await;
    let mut open = Vec::new();
    for _ in 0..REFLECTIONS_MAX {
        open.push(reflection(&served).await.expect("a stream"));
    }
    let refused = reflection(&served).await.expect_err("one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(samples(&served).await[r#"tarim_refusals_total{code="ResourceExhausted"}"#], 1.0);
    served.decide(&request("r", "c1", [])).await.expect("decisions have slots of their own");
    let (sender, mut answers) = open.pop().expect("it is open");
    drop(sender);
    assert!(answers.message().await.expect("it ends in order").is_none());
    reflection(&served).await.expect("one has ended");
    drop(open);
    served.end().await.expect("in order");
}
