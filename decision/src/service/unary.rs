//! Single decisions, past the layers that every other call goes through.
//!
//! ```text
//!  request ─┬─ one of six calls, plain ─► its one message ─► decode ─► decide ─► encode ─► one frame, and that all is well
//!           └─ anything else ───────────► tonic
//! ```
//!
//! Any call of tonic's may be a stream, so it routes, boxes and reads a single message as one, and writes one as such; where a decision
//! takes microseconds that tells. What is out of the ordinary about a call, such as
//! compression, is left to tonic, which knows it all; both are the same on the wire.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Body, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use prost::Message;
use tarim_proto::encoded::{Decision, DecisionRequest};
use tokio::sync::Semaphore;
use tonic::Status;

use super::{
    Deadline, Refusal,
    metrics::{CALLS, Lap},
    rpc::Rpc,
};
use crate::outcome::Call;

/// Answers single decisions.
pub struct Unary {
    rpc: Rpc,
    /// Longest message.
    max_message_bytes: usize,
    /// One for each message that comes in several pieces.
    long: Arc<Semaphore>,
}

/// So many messages that come in several pieces are read at once.
pub(super) const LONG_MAX: usize = 256;

/// The longest that a message may take to come, whatever its caller's deadline.
pub(super) const READ_MAX: Duration = Duration::from_secs(30);

/// Where the six calls are, each by its name behind it.
const PATH: &str = "/tarim.decision.v1.DecisionService/";

/// What stands before a message: whether it is compressed, and its length.
pub(super) const HEAD: usize = 1 + size_of::<u32>();

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const OK: HeaderValue = HeaderValue::from_static("0");

impl Unary {
    pub fn new(rpc: Rpc, max_message_bytes: usize) -> Self {
        Self { rpc, max_message_bytes, long: Arc::new(Semaphore::new(LONG_MAX)) }
    }

    /// What a call's one message takes a permit of if it comes in several pieces, whichever call it is.
    pub(super) fn long(&self) -> &Arc<Semaphore> {
        &self.long
    }

    /// A message of another call could not be read.
    pub(super) fn unread(&self, path: &str, status: &Status) {
        self.rpc.unread(path, status);
    }

    /// The call that a request makes; None: none of these, or not in the ordinary way.
    pub fn call_of<B>(request: &Request<B>) -> Option<Call> {
        let name = request.uri().path().strip_prefix(PATH)?;
        let (call, _) = CALLS.into_iter().find(|(_, of)| *of == name)?;
        let encoding = request.headers().get("grpc-encoding");
        let plain = request.method() == Method::POST && encoding.is_none_or(|of| of == "identity");
        plain.then_some(call)
    }

    /// Answers it. `deadline` is what its headers said when it arrived: that may be a while ago.
    pub async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        call: Call,
        deadline: Result<Deadline, Refusal>,
    ) -> Response<Answer> {
        let decided = match self.read(request, deadline).await {
            Ok((request, deadline)) => self.rpc.single(request, call, deadline).await,
            Err(status) => {
                self.rpc.unread(call, &status);
                Err(status)
            }
        };
        match decided {
            Ok(decision) => {
                let mut response = Response::new(Answer::Message(Some(framed(&decision))));
                response.headers_mut().insert(CONTENT_TYPE, GRPC);
                response
            }
            Err(status) => status.into_http::<tonic::body::Body>().map(Answer::Other),
        }
    }

    /// The request, and until when its caller waits.
    async fn read(
        &self,
        request: Request<Incoming>,
        deadline: Result<Deadline, Refusal>,
    ) -> Result<(DecisionRequest, Deadline), Status> {
        let deadline = deadline?;
        let read = message(request.into_body(), self.max_message_bytes, &self.long);
        let message = deadline.within(READ_MAX).wait(read).await.map_err(|_| not_all_there(deadline))??;
        let arrived = Instant::now();
        let request = DecisionRequest::decode(message).map_err(|e| Status::internal(e.to_string()))?;
        self.rpc.desk.metrics.mine().lap(Lap::Decode).time(arrived.elapsed());
        Ok((request, deadline))
    }
}

/// What is said when no more of a message is waited for.
pub(super) fn not_all_there(deadline: Deadline) -> Status {
    match deadline.check() {
        Ok(()) => Status::deadline_exceeded(format!("the message is not all there after {READ_MAX:?}")),
        Err(late) => late.into(),
    }
}

/// What is said when a call that has one message comes with more.
pub(super) fn several_messages() -> Status {
    Status::unimplemented("there are several messages; this call has one")
}

/// The one message of a call: mostly a piece of the frame that it came in. What comes in several is read for so many callers at
/// once as `long` has permits: it takes memory before it is known whether it finds a slot.
async fn message<B>(mut body: B, max_bytes: usize, long: &Semaphore) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Unpin,
{
    let mut message = Bytes::new();
    let mut permit = None;
    while let Some(frame) = body.frame().await {
        // Whoever called has gone, or what he sends is no HTTP/2: hardly anybody reads this.
        let frame = frame.map_err(|e| Status::from_error(Box::new(e)))?;
        let Ok(data) = frame.into_data() else { continue };
        message = match message.is_empty() {
            true => data,
            false => {
                let mut joined = BytesMut::from(message);
                joined.extend_from_slice(&data);
                joined.freeze()
            }
        };
        if message.len() >= HEAD {
            let len = check_head(&message[..HEAD], max_bytes)?;
            if message.len() > HEAD + len {
                return Err(several_messages());
            }
            if message.len() < HEAD + len && permit.is_none() {
                permit = Some(long.try_acquire().map_err(|_| Refusal::Busy("long messages"))?);
            }
        }
    }
    if message.len() < HEAD || message.len() < HEAD + check_head(&message[..HEAD], max_bytes)? {
        return Err(Status::internal("the message is not all there"));
    }
    Ok(message.split_off(HEAD))
}

/// Length of the message that such a head stands before.
fn check_head(mut head: &[u8], max_bytes: usize) -> Result<usize, Status> {
    if head.get_u8() != 0 {
        return Err(Status::internal(
            "the message says that it is compressed, and the call does not say how",
        ));
    }
    let len = head.get_u32() as usize;
    match len <= max_bytes {
        true => Ok(len),
        false => Err(Status::out_of_range(format!("the message has {len} bytes; at most {max_bytes}"))),
    }
}

/// A message with its head.
fn framed(decision: &Decision) -> Bytes {
    let len = decision.encoded_len();
    let mut bytes = BytesMut::with_capacity(HEAD + len);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(len).expect("a decision is shorter than a record of the journal"));
    decision.encode_raw(&mut bytes);
    bytes.freeze()
}

/// The body of an answer.
pub enum Answer {
    /// A message, and behind it, in trailers, that all is well; None: it has been sent, the trailers have not.
    Message(Option<Bytes>),
    /// Nothing is left.
    Ended,
    Other(tonic::body::Body),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match &mut *self {
            Self::Message(message) => match message.take() {
                Some(message) => Frame::data(message),
                None => {
                    *self = Self::Ended;
                    Frame::trailers(HeaderMap::from_iter([(STATUS, OK)]))
                }
            },
            Self::Ended => return Poll::Ready(None),
            Self::Other(body) => return Poll::Ready(ready!(Pin::new(body).poll_frame(context))),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Message(_) => false,
            Self::Ended => true,
            Self::Other(body) => body.is_end_stream(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{FutureExt, stream};
    use http_body_util::StreamBody;
    use tonic::Code;

    use super::*;

    /// Reads what comes in pieces; never waits.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max_bytes: usize) -> Result<Bytes, Status> {
        read_with(pieces, max_bytes, &Semaphore::new(1))
    }

    fn read_with<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
        max_bytes: usize,
        long: &Semaphore,
    ) -> Result<Bytes, Status> {
        let frames = pieces.into_iter().map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))));
        let frames: Vec<Result<_, Infallible>> = frames.collect();
        let read = message(StreamBody::new(stream::iter(frames)), max_bytes, long);
        read.now_or_never().expect("all is there")
    }

    #[test]
    fn what_comes_in_pieces_is_read_for_so_many_at_once() {
        let sent = b"\0\0\0\0\x06abcdef";
        let full = Semaphore::new(0);
        for whole in [&[&sent[..]][..], &[&sent[..2], &sent[2..]], &[&sent[..], b""]] {
            assert_eq!(read_with(whole.iter().copied(), 6, &full).expect("whole at once"), "abcdef");
        }
        let refused = read_with([&sent[..7], &sent[7..]], 6, &full).expect_err("too many");
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let one = Semaphore::new(1);
        for _ in 0..2 {
            let read = read_with([&sent[..7], &sent[7..9], &sent[9..]], 6, &one);
            assert_eq!(read.expect("one after the other"), "abcdef");
        }
    }

    #[test]
    fn a_message_is_the_same_in_any_pieces() {
        let sent = b"\0\0\0\0\x06abcdef";
        assert_eq!(read([&sent[..]], 6).expect("whole"), "abcdef");
        for cut in 0..=sent.len() {
            let (one, two) = sent.split_at(cut);
            assert_eq!(read([one, two], 6).expect("whole"), "abcdef", "{cut}");
            let (two, three) = two.split_at(two.len() / 2);
            assert_eq!(read([one, two, three], 6).expect("whole"), "abcdef", "{cut}");
            if cut < sent.len() {
                assert_eq!(read([one], 6).expect_err("cut off").code(), Code::Internal, "{cut}");
            }
        }
        assert_eq!(read([&b"\0\0\0\0\0"[..]], 6).expect("an empty one"), "");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (sent, code) in [
            (&b""[..], Code::Internal),
            (b"\x01\0\0\0\x01a", Code::Internal),
            (b"\x02\0\0\0\x01a", Code::Internal),
            (b"\0\0\0\0\x07abcdefg", Code::OutOfRange),
            // Nobody reads on.
            (b"\0\xff\xff\xff\xff", Code::OutOfRange),
            (b"\0\0\0\0\x01a\0\0\0\0\x01b", Code::Unimplemented),
            (b"\0\0\0\0\x01ab", Code::Unimplemented),
        ] {
            assert_eq!(read([sent], 6).expect_err("refused").code(), code, "{sent:?}");
        }
    }

    #[test]
    fn whatever_is_out_of_the_ordinary_is_left_to_tonic() {
        let post = |path: &str| Request::post(path).body(()).expect("a request");
        for (call, name) in CALLS {
            assert_eq!(Unary::call_of(&post(&format!("{PATH}{name}"))), Some(call));
        }
        for name in ["", "decide", "Decide/", "DecideStream", "BatchDecide", "GetDecision"] {
            assert_eq!(Unary::call_of(&post(&format!("{PATH}{name}"))), None, "{name}");
        }
        assert_eq!(Unary::call_of(&post("/tarim.decision.v1.Other/Decide")), None);
        let path = format!("{PATH}Decide");
        let get = Request::get(&path).body(()).expect("a request");
        let encoded =
            |encoding| Request::post(&path).header("grpc-encoding", encoding).body(()).expect("a request");
        assert_eq!([get, encoded("gzip")].map(|request| Unary::call_of(&request)), [None, None]);
        // That is no compression.
        assert_eq!(Unary::call_of(&encoded("identity")), Some(Call::All));
    }
}
