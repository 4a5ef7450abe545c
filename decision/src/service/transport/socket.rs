//! A socket whose writes are gathered: what is written in one turn of its connection leaves in one call to the system.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Bytes that are gathered at most; then the socket must take some before there are more.
const GATHERED_MAX: usize = 256 << 10;

/// A handle of a socket, for HTTP/2 (or TLS) to read and write and for the connection to flush. Both are on one task.
#[derive(Clone)]
pub struct Socket(Arc<Mutex<State>>);

struct State {
    stream: TcpStream,
    /// What is to be written, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// Whoever writes does not flush.
    gathers: bool,
    /// So many bytes may be read.
    allowed: usize,
    /// Somebody wanted to read more than that.
    held_back: bool,
}

impl Socket {
    pub fn new(stream: TcpStream) -> Self {
        let (allowed, held_back) = (usize::MAX, false);
        let state = State { stream, out: Vec::new(), written: 0, gathers: false, allowed, held_back };
        Self(Arc::new(Mutex::new(state)))
    }

    /// From now on about so many bytes are read. Whoever wants more is told to wait, as if there were none, and is not
    /// woken: who allows looks at [`Socket::has_held_back`], and comes again.
    pub fn allow(&self, bytes: usize) {
        let mut state = self.state();
        (state.allowed, state.held_back) = (bytes, false);
    }

    /// There may be more to read than was allowed.
    pub fn has_held_back(&self) -> bool {
        self.state().held_back
    }

    /// From now on a flush by whoever writes does nothing, and [`Socket::poll_flush_all`] is what flushes: HTTP/2
    /// flushes behind every frame of some length.
    pub fn gather(&self) {
        self.state().gathers = true;
    }

    /// Writes what was gathered.
    pub fn poll_flush_all(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state().poll_drain(context)
    }

    /// Bytes that wait to be flushed.
    #[cfg(test)]
    pub fn gathered(&self) -> usize {
        let state = self.state();
        state.out.len() - state.written
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }
}

impl State {
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.out[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        self.out.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.allowed == 0 {
            state.held_back = true;
            return Poll::Pending;
        }
        let before = into.filled().len();
        let read = Pin::new(&mut state.stream).poll_read(context, into);
        state.allowed = state.allowed.saturating_sub(into.filled().len() - before);
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if state.out.len() >= GATHERED_MAX {
            ready!(state.poll_drain(context))?;
        }
        let before = state.out.len();
        pieces.iter().for_each(|piece| state.out.extend_from_slice(piece));
        Poll::Ready(Ok(state.out.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.gathers { Poll::Ready(Ok(())) } else { state.poll_drain(context) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        ready!(state.poll_drain(context))?;
        Pin::new(&mut state.stream).poll_shutdown(context)
    }
}
