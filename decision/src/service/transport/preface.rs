//! The first words of HTTP/2, which never change: a caller says them in time, or is not served.
//!
//! hyper waits for them for ever: not before they have come does it ask now and then whether anybody is there.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// Their length in bytes (RFC 9113, 3.4).
const LEN: usize = 24;

/// A connection that fails if they have not come in time; then it is as it was.
pub struct Prefaced<S> {
    stream: S,
    /// None: they have come.
    waited: Option<Waited>,
}

struct Waited {
    /// Bytes that have not come.
    left: usize,
    late: Pin<Box<Sleep>>,
}

impl<S> Prefaced<S> {
    pub fn new(stream: S, until: Instant) -> Self {
        Self { stream, waited: Some(Waited { left: LEN, late: Box::pin(sleep_until(until)) }) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefaced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, waited } = &mut *self;
        let before = into.filled().len();
        let read = Pin::new(stream).poll_read(context, into);
        let Some(Waited { left, late }) = waited else { return read };
        if read.is_pending() {
            ready!(late.as_mut().poll(context));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "it says no HTTP/2")));
        }
        *left = left.saturating_sub(into.filled().len() - before);
        if *left == 0 {
            *waited = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefaced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    #[tokio::test]
    async fn who_has_not_said_all_of_it_in_time_is_cut_off() {
        for said in 0..LEN {
            let (mut there, here) = tokio::io::duplex(64);
            // That is over.
            let mut here = Prefaced::new(here, Instant::now());
            there.write_all(&PREFACE[..said]).await.expect("open");
            here.read_exact(&mut vec![0; said]).await.expect("what has come is read");
            let late = here.read_u8().await.expect_err("nothing more comes");
            assert_eq!(late.kind(), io::ErrorKind::TimedOut, "{said}");
        }
    }

    #[tokio::test]
    async fn who_has_said_it_may_be_silent() {
        for piece in [1, 5, LEN] {
            let (mut there, here) = tokio::io::duplex(64);
            let mut here = Prefaced::new(here, Instant::now());
            for piece in PREFACE.chunks(piece) {
                there.write_all(piece).await.expect("open");
                here.read_exact(&mut vec![0; piece.len()]).await.expect("it has come");
            }
            assert!(here.read_u8().now_or_never().is_none(), "in pieces of {piece}");
            there.write_u8(b'x').await.expect("open");
            assert_eq!(here.read_u8().await.expect("it has come"), b'x');
            here.write_u8(b'y').await.expect("open");
            assert_eq!(there.read_u8().await.expect("it has come"), b'y');
        }
    }
}
