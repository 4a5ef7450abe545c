//! One connection, one task: its frames and all requests that came on it.

use std::{
    collections::VecDeque,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hyper::rt::Executor;

use super::socket::Socket;

/// A request on its way to its answer, which it writes itself.
type Request = BoxFuture<'static, ()>;

/// Requests that are begun, and requests that are answered, before what was answered is sent: a caller who has some of his
/// answers has something to do meanwhile, and so has the journal's disk.
const AT_ONCE: usize = 16;

/// Bytes that are read before what they ask for is begun, for the same reason: those of about as many requests.
const READ_AT_ONCE: usize = 16 << 10;

/// New requests that are begun in one turn, at most: then other connections of this thread have theirs.
const TURN: usize = 64;

/// Where HTTP/2 puts requests that have come.
#[derive(Clone, Default)]
pub struct Arrivals(Arc<Mutex<VecDeque<Request>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Arrivals {
    fn execute(&self, request: F) {
        // A panic, which no request should be able to cause, ends that request and no other; the log has it.
        let request = AssertUnwindSafe(request).catch_unwind().map(drop);
        self.0.lock().expect("not poisoned").push_back(Box::pin(request));
    }
}

/// A connection; `http` reads and writes its frames.
pub struct Connection<H> {
    http: Pin<Box<H>>,
    socket: Socket,
    arrivals: Arrivals,
    begun: FuturesUnordered<Request>,
}

impl<H> Connection<H> {
    /// `http` writes to `socket` (perhaps by way of TLS), and puts requests among `arrivals`.
    pub fn new(http: H, socket: Socket, arrivals: Arrivals) -> Self {
        socket.gather();
        Self { http: Box::pin(http), socket, arrivals, begun: FuturesUnordered::new() }
    }

    pub fn http(&mut self) -> Pin<&mut H> {
        self.http.as_mut()
    }
}

impl<H: Future<Output = hyper::Result<()>>> Future for Connection<H> {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { http, socket, arrivals, begun } = &mut *self;
        let mut left = TURN;
        loop {
            // Requests first: what they answer is there when frames are written.
            let mut answered = 0;
            while answered < AT_ONCE
                && let Poll::Ready(Some(())) = begun.poll_next_unpin(context)
            {
                answered += 1;
            }
            // What has come is begun before more is read, however fast a caller asks, and gives up, and asks again: hyper counts
            // only the streams that are open.
            let waiting = arrivals.0.lock().expect("not poisoned").len();
            socket.allow(if waiting < TURN { READ_AT_ONCE } else { 0 });
            if let Poll::Ready(ended) = http.as_mut().poll(context) {
                return Poll::Ready(ended);
            }
            // If that fails so does whoever reads next, who ends the connection.
            let _ = socket.poll_flush_all(context);
            let mut arrived = arrivals.0.lock().expect("not poisoned");
            // Nobody wakes this task for what it has not looked at itself.
            if arrived.is_empty() && answered < AT_ONCE && !socket.has_held_back() {
                return Poll::Pending;
            }
            let some = arrived.len().min(AT_ONCE).min(left);
            begun.extend(arrived.drain(..some));
            left -= some;
            if left == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use tokio::{
        io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf},
        net::{TcpListener, TcpStream},
        sync::oneshot,
    };

    use super::*;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let there =
            TcpStream::connect(listener.local_addr().expect("it is bound")).await.expect("it listens");
        let (here, _) = listener.accept().await.expect("a connection");
        (Socket::new(here), there)
    }

    #[tokio::test]
    async fn all_requests_go_on_and_one_that_panics_ends_no_other() {
        let (socket, mut there) = pair().await;
        let arrivals = Arrivals::default();
        for byte in 0..100 {
            let mut socket = socket.clone();
            arrivals.execute(async move {
                assert_ne!(byte, 3, "the test wants a request that panics");
                socket.write_all(&[byte]).await.expect("written");
                socket.flush().await.expect("flushed");
            });
        }
        let mut connection = Connection::new(pending(), socket.clone(), arrivals.clone());
        let expected: Vec<u8> = (0..100).filter(|byte| *byte != 3).collect();
        let mut read = vec![0; expected.len()];
        tokio::select! {
            ended = &mut connection => panic!("{ended:?}"),
            all = there.read_exact(&mut read) => drop(all.expect("all of them")),
        }
        assert_eq!(read, expected);
    }

    #[tokio::test]
    async fn answers_leave_in_pieces_when_many_are_there_at_once() {
        let (socket, mut there) = pair().await;
        let arrivals = Arrivals::default();
        let (wake, woken) = tokio::sync::watch::channel(false);
        let most = Arc::new(AtomicUsize::new(0));
        let count = TURN - 1;
        for _ in 0..count {
            let (mut socket, mut woken, most) = (socket.clone(), woken.clone(), most.clone());
            arrivals.execute(async move {
                woken.wait_for(|woken| *woken).await.expect("the test wakes it");
                socket.write_all(b"x").await.expect("gathered");
                most.fetch_max(socket.gathered(), Ordering::Relaxed);
            });
        }
        let mut connection = Connection::new(pending(), socket, arrivals);
        assert!(futures::poll!(&mut connection).is_pending(), "all are begun, and wait");
        wake.send(true).expect("they wait");
        assert!(futures::poll!(&mut connection).is_pending());
        assert!(connection.begun.is_empty(), "all are answered");
        there.read_exact(&mut vec![0; count]).await.expect("all of them");
        assert_eq!(most.load(Ordering::Relaxed), AT_ONCE);
    }

    #[tokio::test]
    async fn more_than_may_be_read_is_held_back_until_it_may() {
        let (mut socket, mut there) = pair().await;
        there.write_all(b"abcdef").await.expect("written");
        let mut two = [0; 2];
        socket.allow(3);
        socket.read_exact(&mut two).await.expect("allowed");
        assert_eq!(&two, b"ab");
        // What is left of it is more than nothing.
        socket.read_exact(&mut two).await.expect("allowed");
        assert!(!socket.has_held_back());
        assert!(futures::poll!(std::pin::pin!(socket.read_u8())).is_pending());
        assert!(socket.has_held_back());
        socket.allow(1);
        assert!(!socket.has_held_back());
        assert_eq!(socket.read_u8().await.expect("allowed"), b'e');
    }

    /// Reads, is never done, and says when it has read so many bytes.
    struct Reader {
        socket: Socket,
        left: usize,
        done: Option<oneshot::Sender<()>>,
    }

    impl Future for Reader {
        type Output = hyper::Result<()>;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let mut bytes = [0; 1024];
            let mut into = ReadBuf::new(&mut bytes);
            while let Poll::Ready(read) = Pin::new(&mut self.socket).poll_read(context, &mut into) {
                read.expect("it can be read");
                self.left -= into.filled().len();
                into.clear();
                if self.left == 0 {
                    self.done.take().expect("nothing is sent after it").send(()).expect("the test waits");
                }
            }
            Poll::Pending
        }
    }

    /// Makes so many requests of all that it is allowed to read, and notes how many wait.
    struct Asker {
        socket: Socket,
        arrivals: Arrivals,
        most: Arc<AtomicUsize>,
    }

    impl Future for Asker {
        type Output = hyper::Result<()>;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let mut bytes = [0; READ_AT_ONCE];
            let mut into = ReadBuf::new(&mut bytes);
            let Self { socket, arrivals, most } = &mut *self;
            while let Poll::Ready(read) = Pin::new(&mut *socket).poll_read(context, &mut into) {
                read.expect("it can be read");
                // Each of 27 bytes, as a caller sends who asks and gives up.
                into.filled().chunks(27).for_each(|_| arrivals.execute(async {}));
                most.fetch_max(arrivals.0.lock().expect("not poisoned").len(), Ordering::Relaxed);
                into.clear();
            }
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn what_has_come_is_begun_before_more_is_read() {
        let (socket, mut there) = pair().await;
        let (arrivals, most) = (Arrivals::default(), Arc::<AtomicUsize>::default());
        let asker = Asker { socket: socket.clone(), arrivals: arrivals.clone(), most: most.clone() };
        let connection = tokio::spawn(Connection::new(asker, socket, arrivals));
        // All of it has been read when the other end has taken it: what is left fits into the buffers between them.
        there.write_all(&vec![0; 64 << 20]).await.expect("written");
        connection.abort();
        let most = most.load(Ordering::Relaxed);
        assert!((1..TURN + 2 * READ_AT_ONCE / 27).contains(&most), "{most} waited at once");
    }

    /// Nothing but the connection itself comes back for what was held back.
    #[tokio::test]
    async fn all_that_came_is_read_though_not_at_once() {
        let (socket, mut there) = pair().await;
        let left = 5 * READ_AT_ONCE + 1;
        let (done, all_read) = oneshot::channel();
        let reader = Reader { socket: socket.clone(), left, done: Some(done) };
        let connection = tokio::spawn(Connection::new(reader, socket, Arrivals::default()));
        there.write_all(&vec![0; left]).await.expect("written");
        let read = tokio::time::timeout(Duration::from_secs(30), all_read).await;
        read.expect("it does not stop in the middle").expect("it has read all");
        connection.abort();
    }

    #[tokio::test]
    async fn a_flush_by_whoever_writes_does_nothing_until_its_turn_is_over() {
        let (mut socket, mut there) = pair().await;
        socket.write_all(b"a").await.expect("written");
        socket.flush().await.expect("flushed");
        assert_eq!(there.read_u8().await.expect("it has left"), b'a');
        socket.gather();
        for byte in [b"b", b"c"] {
            socket.write_all(byte).await.expect("gathered");
            socket.flush().await.expect("does nothing");
        }
        assert_eq!(socket.gathered(), 2);
        std::future::poll_fn(|context| socket.poll_flush_all(context)).await.expect("flushed");
        assert_eq!(socket.gathered(), 0);
        let mut both = [0; 2];
        there.read_exact(&mut both).await.expect("both");
        assert_eq!(&both, b"bc");
        socket.write_all(b"d").await.expect("gathered");
        socket.shutdown().await.expect("what was gathered leaves first");
        let mut rest = Vec::new();
        there.read_to_end(&mut rest).await.expect("to the end");
        assert_eq!(rest, b"d");
    }
}
