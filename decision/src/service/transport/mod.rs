//! HTTP/2 for the calls: a task for each connection, in which everything that came on it is answered.
//!
//! ```text
//!  accept ─► TLS ─► connection, one task:  frames in ─► requests that can go on ─► frames out ─► one write
//!                                             ▲                  │ wait for the journal
//!                                             └──────────────────┘ woken once for a whole group
//! ```
//!
//! tonic's own server makes a task of each request, which any thread may take, and writes each answer by itself. Of
//! calls that take microseconds that is most of what they cost: threads wake each other, fight over the connection's
//! state, and enter the system for every answer. Here single calls of one connection share a thread, which reads,
//! begins and answers some of them at a time: the caller and the disk have work again while others are decided. A
//! caller who wants more than one thread gives opens more connections, or a stream, or sends batches: the work of those
//! is spread.

mod connection;
mod pieces;
mod preface;
mod sent;
mod socket;
mod tls;

use std::{convert::Infallible, net, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use http_body_util::BodyExt;
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http2,
    service::Service,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsAcceptor;
use tonic::{
    Status,
    service::{Routes, interceptor::InterceptedService},
};

pub use self::tls::{Tls, TlsError};
use self::{
    connection::{Arrivals, Connection},
    pieces::Pieces,
    preface::Prefaced,
    sent::Sent,
    socket::Socket,
};
use super::{
    Deadline, Refusal, Threads,
    server::{Stamp, stopped},
    unary::{Answer, READ_MAX, Unary},
};

/// What answers requests.
#[derive(Clone)]
pub struct Calls {
    pub single: Arc<Unary>,
    pub others: InterceptedService<Routes, Stamp>,
    /// One for each stream of questions about the calls.
    pub reflections: Arc<Semaphore>,
}

/// Streams of questions about the calls that are open at once: people ask, and their tools, not the systems that have
/// decisions made.
pub const REFLECTIONS_MAX: usize = 32;

type Answered = Result<Response<Answer>, Infallible>;

impl Service<Request<Incoming>> for Calls {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Answered>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        // Now, not when its turn comes: what nobody waits for any more is not decided.
        let deadline = Deadline::of_headers(request.headers());
        match Unary::call_of(&request) {
            Some(call) => self.single.clone().answer(request, call, deadline).map(Ok).boxed(),
            None => self.other(request, deadline),
        }
    }
}

impl Calls {
    /// Has tonic answer.
    fn other(
        &self,
        mut request: Request<Incoming>,
        deadline: Result<Deadline, Refusal>,
    ) -> BoxFuture<'static, Answered> {
        // Where it cannot be read, tonic's stamp refuses it.
        let deadline = deadline.ok().inspect(|deadline| _ = request.extensions_mut().insert(*deadline));
        let others = TowerToHyperService::new(self.others.clone());
        match Sent::by(request.uri().path()) {
            Sent::One => {
                let (single, path) = (self.single.clone(), request.uri().clone());
                let long = single.long().clone();
                let tell = move |status: &Status| single.unread(path.path(), status);
                let deadline = deadline.unwrap_or_default();
                let request = request.map(|body| Pieces::new(body, deadline, READ_MAX, long, tell));
                others.call(request).map_ok(|answer| answer.map(other)).boxed()
            }
            Sent::Stream => others.call(request).map_ok(|answer| answer.map(other)).boxed(),
            Sent::Reflection => match self.reflections.clone().try_acquire_owned() {
                // Until its answers are taken, too.
                Ok(permit) => {
                    let held = move |frame| {
                        let _ = &permit;
                        frame
                    };
                    others
                        .call(request)
                        .map_ok(|answer| answer.map(|body| other(body.map_frame(held))))
                        .boxed()
                }
                Err(_) => {
                    let status = Status::from(Refusal::Busy("streams of reflection"));
                    self.single.unread(request.uri().path(), &status);
                    let refused = status.into_http::<tonic::body::Body>().map(Answer::Other);
                    std::future::ready(Ok(refused)).boxed()
                }
            },
        }
    }
}

/// What tonic answers.
fn other(body: impl Body<Data = Bytes, Error = Status> + Send + 'static) -> Answer {
    Answer::Other(tonic::body::Body::new(body))
}

/// What connections have in common.
#[derive(Clone)]
pub struct Transport {
    pub calls: Calls,
    /// Connections at once; one more waits in the system's queue.
    pub max_connections: usize,
    /// Requests of one connection that are in flight at once, streams among them.
    pub max_requests: u32,
    /// None: in clear.
    pub tls: Option<TlsAcceptor>,
    /// Longest time that a caller has for TLS and the first words of HTTP/2 together, from when he is here.
    pub handshake: Duration,
}

/// How often a connection is asked whether anybody is there, and how long an answer is waited for.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// [`Transport::handshake`], for callers on any network.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

impl Transport {
    /// Serves until `stopping`, and then until every caller has his answers and is gone.
    ///
    /// Connections are dealt out to the lanes of `threads`; None: they are tasks of this runtime.
    pub async fn serve(
        self,
        listener: TcpListener,
        threads: Option<Threads>,
        stopping: watch::Receiver<bool>,
    ) {
        let mut connections = JoinSet::new();
        let mut held_back = false;
        {
            let mut stop = std::pin::pin!(stopped(stopping.clone()));
            loop {
                while let Some(ended) = connections.try_join_next() {
                    note(ended);
                }
                let full = connections.len() >= self.max_connections;
                // Said once: who is at the bound may be there often.
                if full && !std::mem::replace(&mut held_back, true) {
                    tracing::warn!(
                        "{} connections are open, and no more may be: whoever comes waits until one ends\n    fix: have callers share \
                         connections, or raise the limit of open files (ulimit -Hn; LimitNOFILE= of systemd)",
                        connections.len()
                    );
                }
                let accept = async { listener.accept().await.and_then(|(stream, _)| stream.into_std()) };
                tokio::select! {
                    () = &mut stop => break,
                    Some(ended) = connections.join_next(), if full => note(ended),
                    accepted = accept, if !full => match accepted {
                        Ok(stream) => {
                            let talk = self.clone().talk(stream, stopping.clone());
                            match &threads {
                                Some(threads) => threads.lane().begin(&mut connections, talk),
                                None => drop(connections.spawn(talk)),
                            }
                        }
                        // Too many open files, for instance.
                        Err(e) => {
                            tracing::warn!("no connection can be accepted: {e}");
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    },
                }
            }
        }
        // New callers are refused from here on, instead of waiting for a turn that does not come.
        drop(listener);
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    }

    /// Talks to a caller, on the thread that runs it.
    async fn talk(self, stream: net::TcpStream, stopping: watch::Receiver<bool>) {
        let stream = TcpStream::from_std(stream).and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let stream = match stream {
            Ok(stream) => stream,
            Err(e) => return tracing::warn!("a connection cannot be served: {e}"),
        };
        // Who says nothing is not served: HTTP/2 and TLS both begin with what the caller says.
        let (most, until) = (self.handshake, Instant::now() + self.handshake);
        if timeout_at(until, stream.readable()).await.is_err() {
            return tracing::debug!("a connection says nothing after {most:?}");
        }
        let socket = Socket::new(stream);
        let Some(tls) = &self.tls else {
            return self.http(Prefaced::new(socket.clone(), until), socket, stopping).await;
        };
        match timeout_at(until, tls.accept(socket.clone())).await {
            Ok(Ok(stream)) => self.http(Prefaced::new(stream, until), socket, stopping).await,
            Ok(Err(e)) => tracing::debug!("a connection has no TLS: {e}"),
            Err(_) => tracing::debug!("a connection has no TLS after {most:?}"),
        }
    }

    async fn http(
        self,
        stream: Prefaced<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
        socket: Socket,
        stopping: watch::Receiver<bool>,
    ) {
        let arrivals = Arrivals::default();
        let mut http = http2::Builder::new(arrivals.clone());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(self.max_requests)
            // As other servers of gRPC: none of its callers reads the time from there.
            .auto_date_header(false)
            .keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1);
        let http = http.serve_connection(TokioIo::new(stream), self.calls);
        let mut connection = Connection::new(http, socket, arrivals);
        let ended = tokio::select! {
            biased;
            ended = &mut connection => ended,
            () = stopped(stopping) => {
                connection.http().graceful_shutdown();
                connection.await
            }
        };
        if let Err(e) = ended {
            tracing::debug!("a connection broke: {e}");
        }
    }
}

/// A connection has ended. It should do so by itself: else its thread has ended before the service, or it panicked.
fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(e) = ended {
        tracing::error!("a connection was cut off: {e}");
    }
}
