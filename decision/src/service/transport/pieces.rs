//! Messages that come in several pieces, on their way to tonic.
//!
//! tonic reads a message whole before anybody looks at its call, and waits for the rest of it for ever. So here, as for
//! [single decisions](crate::service::unary), so many of them are read at once, in all connections together, and none for longer than
//! a while, or than its caller waits.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use futures::{FutureExt, future::BoxFuture};
use hyper::body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::service::{
    Deadline, Refusal,
    unary::{HEAD, READ_MAX, not_all_there},
};

/// The body of a request: one message, or those of a stream.
pub struct Pieces<B> {
    body: B,
    long: Arc<Semaphore>,
    deadline: Deadline,
    /// Of a message's head, what has come.
    head: [u8; HEAD],
    head_len: usize,
    /// Of a message whose head has come: bytes that have not.
    left: usize,
    /// Some of a message has come, and not all.
    unfinished: Option<OwnedSemaphorePermit>,
    /// When nothing is waited for any longer.
    late: Option<BoxFuture<'static, ()>>,
}

impl<B> Pieces<B> {
    pub fn new(body: B, deadline: Deadline, long: Arc<Semaphore>) -> Self {
        let late = deadline.is_set().then(|| deadline.passed().boxed());
        Self { body, long, deadline, head: [0; HEAD], head_len: 0, left: 0, unfinished: None, late }
    }

    /// Follows the messages through what has come. Whether the last one is whole.
    fn follow(&mut self, mut data: &[u8]) -> bool {
        while !data.is_empty() {
            if self.left == 0 {
                let some = data.len().min(HEAD - self.head_len);
                data.copy_to_slice(&mut self.head[self.head_len..][..some]);
                self.head_len += some;
                if self.head_len < HEAD {
                    break;
                }
                self.left = (&self.head[1..]).get_u32() as usize;
                self.head_len = 0;
            }
            let some = data.len().min(self.left);
            data.advance(some);
            self.left -= some;
        }
        self.left == 0 && self.head_len == 0
    }

    fn took(&mut self, data: &[u8]) -> Result<(), Refusal> {
        let whole = self.follow(data);
        match (whole, &self.unfinished) {
            (true, Some(_)) => {
                self.unfinished = None;
                self.late = self.deadline.is_set().then(|| self.deadline.passed().boxed());
            }
            (false, None) => {
                let permit = self.long.clone().try_acquire_owned();
                self.unfinished = Some(permit.map_err(|_| Refusal::Busy("long messages"))?);
                self.late = Some(self.deadline.within(READ_MAX).passed().boxed());
            }
            _ => {}
        }
        Ok(())
    }
}

impl<B> Body for Pieces<B>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            // Whoever called has gone, or what he sends is no HTTP/2: hardly anybody reads this.
            Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(Status::from_error(Box::new(e))))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                if self.late.as_mut().is_none_or(|late| late.poll_unpin(context).is_pending()) {
                    return Poll::Pending;
                }
                // Whoever asks once more must not wake what has ended.
                self.late = None;
                return Poll::Ready(Some(Err(not_all_there(self.deadline))));
            }
        };
        let took = frame.data_ref().map_or(Ok(()), |data| self.took(data));
        Poll::Ready(Some(took.map(|()| frame).map_err(Status::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use futures::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tonic::Code;

    use super::*;

    fn pieces(
        sent: &[&'static [u8]],
        long: usize,
    ) -> Pieces<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        let frames: Vec<Result<_, Infallible>> =
            sent.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece)))).collect();
        Pieces::new(
            StreamBody::new(stream::iter(frames)),
            Deadline::default(),
            Arc::new(Semaphore::new(long)),
        )
    }

    /// Reads to the end; never waits.
    fn read(sent: &[&'static [u8]], long: usize) -> Result<Bytes, Status> {
        let read = pieces(sent, long).collect().now_or_never().expect("all is there");
        read.map(|all| all.to_bytes())
    }

    #[test]
    fn what_comes_in_pieces_takes_a_permit_until_it_is_whole() {
        let (one, two) = (&b"\0\0\0\0\x03abc"[..], &b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x01d"[..]);
        // Whole messages, one or more of them in each piece, want none.
        for sent in [&[one][..], &[two], &[one, one], &[two, one, b""]] {
            assert_eq!(read(sent, 0).expect("whole"), sent.concat());
        }
        for cut in 1..two.len() {
            let sent = [&two[..cut], &two[cut..]];
            let whole = [8, 13].contains(&cut);
            let refused = read(&sent, 0).err().map(|status| status.code());
            assert_eq!(refused, (!whole).then_some(Code::ResourceExhausted), "{cut}");
            assert_eq!(read(&sent, 1).expect("there is a permit"), two, "{cut}");
        }
        // One permit is enough for one after the other.
        assert_eq!(
            read(&[&one[..6], &one[6..], &one[..2], &one[2..]], 1).expect("a permit"),
            [one, one].concat()
        );
    }

    #[tokio::test]
    async fn the_rest_of_a_message_is_waited_for_no_longer_than_its_caller_waits() {
        let waiting = |sent: &'static [u8], deadline: Deadline, long: &Arc<Semaphore>| {
            let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(sent)))]);
            let body = StreamBody::new(first.chain(stream::pending()));
            Pieces::new(body, deadline, long.clone()).collect()
        };
        let long = Arc::new(Semaphore::new(1));
        let soon = Deadline::default().within(Duration::from_millis(5));
        for sent in [&b"\0\0\0\0\x03ab"[..], b"\0", b"\0\0\0\0\0"] {
            let late = waiting(sent, soon, &long).await.expect_err("nothing more comes");
            assert_eq!(late.code(), Code::DeadlineExceeded, "{sent:?}");
            assert_eq!(long.available_permits(), 1);
        }
        // A stream goes on for as long as its caller likes; a message that is under way has its permit meanwhile.
        for (sent, permits) in [(&b"\0\0\0\0\0"[..], 1), (b"\0", 0)] {
            let mut idle = std::pin::pin!(waiting(sent, Deadline::default(), &long));
            assert!(futures::poll!(&mut idle).is_pending(), "{sent:?}");
            assert_eq!(long.available_permits(), permits, "{sent:?}");
        }
    }
}
