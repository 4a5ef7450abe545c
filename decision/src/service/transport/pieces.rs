//! The one message of a call, on its way to tonic.
//!
//! tonic decodes a message as soon as it is whole, and then waits for the end of what is sent before anybody looks at the call: for
//! ever, and for any number of them. So here, as for [single decisions](crate::service::unary), so many messages that come in
//! several pieces are under way at once, in all connections together, and none for longer than a while, or than its caller
//! waits. One that comes in a single piece has no permit, and is handed on when nothing comes behind it: decoded, it may take a
//! hundred times as much memory.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures::{FutureExt, future::BoxFuture};
use http_body_util::{BodyExt, combinators::Fuse};
use hyper::body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::service::{
    Deadline, Refusal,
    unary::{HEAD, not_all_there, several_messages},
};

/// The body of a request that is one message.
pub struct Pieces<B, T> {
    body: Fuse<B>,
    long: Arc<Semaphore>,
    deadline: Deadline,
    /// When nothing is waited for any longer.
    until: Deadline,
    late: Option<BoxFuture<'static, ()>>,
    /// Hears why the message is not handed on.
    tell: T,
    /// What stands before the message, as far as it has come.
    head: [u8; HEAD],
    /// Bytes that have come, those of the head among them.
    came: usize,
    /// The message, in one piece; something may come behind it.
    whole: Option<Bytes>,
    /// It comes in several, and its end has not come.
    permit: Option<OwnedSemaphorePermit>,
}

impl<B: Body, T: Fn(&Status)> Pieces<B, T> {
    /// It may take so long to come, and its end as well, whatever its caller's deadline.
    pub fn new(body: B, deadline: Deadline, most: Duration, long: Arc<Semaphore>, tell: T) -> Self {
        Self {
            body: body.fuse(),
            long,
            deadline,
            until: deadline.within(most),
            late: None,
            tell,
            head: [0; HEAD],
            came: 0,
            whole: None,
            permit: None,
        }
    }

    /// Takes note of what has come. Whether that is the message, whole.
    fn took(&mut self, data: &[u8]) -> Result<bool, Status> {
        let is_first = self.came == 0;
        if let Some(head) = self.head.get_mut(self.came..) {
            let some = head.len().min(data.len());
            head[..some].copy_from_slice(&data[..some]);
        }
        self.came += data.len();
        let all = (self.came >= HEAD).then(|| HEAD + (&self.head[1..]).get_u32() as usize);
        if all.is_some_and(|all| self.came > all) {
            return Err(several_messages());
        }
        let is_whole = is_first && all == Some(self.came);
        if !is_whole && self.permit.is_none() {
            let permit = self.long.clone().try_acquire_owned();
            self.permit = Some(permit.map_err(|_| Refusal::Busy("long messages"))?);
        }
        Ok(is_whole)
    }

    fn refuse(&self, status: Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        (self.tell)(&status);
        Poll::Ready(Some(Err(status)))
    }
}

impl<B, T> Body for Pieces<B, T>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Unpin,
    T: Fn(&Status) + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame,
                // Whoever called has gone, or what he sends is no HTTP/2: hardly anybody reads this.
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(Status::from_error(Box::new(e))))),
                Poll::Ready(None) => {
                    self.permit = None;
                    return Poll::Ready(self.whole.take().map(|message| Ok(Frame::data(message))));
                }
                Poll::Pending => {
                    let until = self.until;
                    ready!(self.late.get_or_insert_with(|| until.passed().boxed()).poll_unpin(context));
                    // Whoever asks once more must not wake what has ended.
                    self.late = None;
                    return self.refuse(not_all_there(self.deadline));
                }
            };
            let Ok(data) = frame.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            match self.took(&data) {
                Ok(true) => self.whole = Some(data),
                Ok(false) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(status) => return self.refuse(status),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, convert::Infallible};

    use futures::{Stream, stream};
    use http_body_util::StreamBody;
    use tonic::Code;

    use super::*;

    /// What is sent in these pieces, and what comes behind them.
    fn sent(
        pieces: &[&'static [u8]],
        then: impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Unpin,
    ) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames: Vec<_> = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece)))).collect();
        StreamBody::new(futures::StreamExt::chain(stream::iter(frames), then))
    }

    /// Reads to the end, and never waits. What is refused is told, once.
    fn read(pieces: &[&'static [u8]], long: usize) -> Result<Bytes, Code> {
        let told = RefCell::new(Vec::new());
        let body = sent(pieces, stream::empty());
        let long = Arc::new(Semaphore::new(long));
        let tell = |status: &Status| told.borrow_mut().push(status.code());
        let all = Pieces::new(body, Deadline::default(), HOUR, long, tell).collect();
        let all = all.now_or_never().expect("all is there");
        let read = all.map(|all| all.to_bytes()).map_err(|status| status.code());
        assert_eq!(told.into_inner(), read.as_ref().err().copied().into_iter().collect::<Vec<_>>());
        read
    }

    const HOUR: Duration = Duration::from_secs(3600);

    const ONE: &[u8] = b"\0\0\0\0\x03abc";

    #[test]
    fn what_comes_in_pieces_takes_a_permit() {
        // A whole message wants none.
        for pieces in [&[ONE][..], &[ONE, b""], &[b"", ONE]] {
            assert_eq!(read(pieces, 0).expect("whole"), ONE);
        }
        assert_eq!(read(&[b"\0\0\0\0\0"], 0).expect("an empty one"), &b"\0\0\0\0\0"[..]);
        for cut in 1..ONE.len() {
            let pieces = [&ONE[..cut], &ONE[cut..]];
            assert_eq!(read(&pieces, 0), Err(Code::ResourceExhausted), "{cut}");
            assert_eq!(read(&pieces, 1).expect("there is a permit"), ONE, "{cut}");
        }
        let bytes: Vec<_> = ONE.chunks(1).collect();
        assert_eq!(read(&bytes, 1).expect("one is enough for all its pieces"), ONE);
    }

    #[test]
    fn what_is_not_all_there_is_for_tonic_to_refuse() {
        for cut in 1..ONE.len() {
            assert_eq!(read(&[&ONE[..cut]], 1).expect("as far as it goes"), &ONE[..cut], "{cut}");
        }
        assert_eq!(read(&[], 0).expect("as far as it goes"), "");
    }

    #[test]
    fn there_is_one_message() {
        let two: &[u8] = b"\0\0\0\0\x03abc\0\0\0\0\0";
        assert_eq!(read(&[two], 1), Err(Code::Unimplemented));
        for cut in 1..two.len() {
            assert_eq!(read(&[&two[..cut], &two[cut..]], 1), Err(Code::Unimplemented), "{cut}");
        }
    }

    /// A message that is whole is decoded, and waits, too, as long as its end has not come.
    #[test]
    fn a_permit_is_held_to_the_end_of_what_is_sent() {
        let long = Arc::new(Semaphore::new(1));
        let (end, ended) = futures::channel::oneshot::channel::<()>();
        let then = futures::StreamExt::filter_map(ended.into_stream(), |_| std::future::ready(None));
        let both = [&ONE[..4], &ONE[4..]];
        let body = sent(&both, Box::pin(then));
        let mut pieces = Pieces::new(body, Deadline::default(), HOUR, long.clone(), |_: &Status| ());
        for piece in both {
            let frame = pieces.frame().now_or_never().expect("it is there").expect("a piece");
            assert_eq!(frame.expect("a piece").into_data().expect("a piece"), piece);
        }
        assert_eq!(long.available_permits(), 0);
        end.send(()).expect("it is waited for");
        assert!(pieces.frame().now_or_never().expect("it is there").is_none());
        assert_eq!(long.available_permits(), 1);
        // Whoever asks once more has the same answer.
        assert!(pieces.frame().now_or_never().expect("it is there").is_none());
    }

    /// Nor is it handed on, and decoded, before.
    #[tokio::test]
    async fn a_message_in_one_piece_waits_for_the_end_of_what_is_sent() {
        let long = Arc::new(Semaphore::new(0));
        let body = sent(&[ONE], stream::pending());
        let mut pieces = Pieces::new(body, Deadline::default(), HOUR, long, |_: &Status| ());
        assert!(pieces.frame().now_or_never().is_none());
    }

    #[tokio::test]
    async fn nothing_is_waited_for_longer_than_a_while_or_than_its_caller_waits() {
        let long = Arc::new(Semaphore::new(1));
        let gone = Deadline::default().within(Duration::ZERO);
        // The whole message among them: tonic waits for its end.
        let sent_so_far: [&[&'static [u8]]; 5] =
            [&[], &[&ONE[..1]], &[&ONE[..7]], &[ONE], &[&ONE[..6], &ONE[6..]]];
        for (deadline, most) in [(Deadline::default(), Duration::ZERO), (gone, HOUR)] {
            for pieces in sent_so_far {
                let told = RefCell::new(Vec::new());
                let tell = |status: &Status| told.borrow_mut().push(status.code());
                let body = sent(pieces, stream::pending());
                let late = Pieces::new(body, deadline, most, long.clone(), tell).collect().await;
                assert_eq!(
                    late.expect_err("nothing more comes").code(),
                    Code::DeadlineExceeded,
                    "{pieces:?}"
                );
                assert_eq!(told.into_inner(), [Code::DeadlineExceeded], "{pieces:?}");
                assert_eq!(long.available_permits(), 1);
            }
        }
    }
}
