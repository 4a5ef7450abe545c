//! The calls, as tonic has them.

use std::{
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use futures::{FutureExt, Stream, StreamExt, TryStreamExt, future::BoxFuture, stream::TryReadyChunksError};
use tarim_proto::{
    decision::v1::GetDecisionRequest,
    encoded::{
        BatchDecideRequest, BatchDecideResponse, Decision, DecisionRequest, StreamedDecision,
        decision_service_server::DecisionService, streamed_decision,
    },
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    Deadline, Refusal,
    desk::Desk,
    metrics::{Counters, Lap},
};
use crate::outcome::{Call, Stage};

/// The decision service. Clones share everything.
#[derive(Clone)]
pub struct Rpc {
    pub desk: Arc<Desk>,
    /// One for each single request in flight.
    pub slots: Arc<Semaphore>,
    /// One for each stream, and each batch: a stream that is there at once.
    pub streams: Arc<Semaphore>,
    /// Requests of one stream that are in flight at once.
    pub stream_window: usize,
    /// Where batches and parts of streams are decided: calls beside them go on meanwhile.
    pub workers: Handle,
    /// True once the service is shutting down.
    pub stopping: watch::Receiver<bool>,
}

type Answer = Result<Response<Decision>, Status>;

impl Rpc {
    /// A slot at once, or none: a queue in front of a service that is behind only makes it later.
    pub(super) fn slot(
        &self,
        slots: &Arc<Semaphore>,
        what: &'static str,
    ) -> Result<OwnedSemaphorePermit, Refusal> {
        if *self.stopping.borrow() {
            return Err(Refusal::Unavailable(STOPPING.into()));
        }
        slots.clone().try_acquire_owned().map_err(|_| Refusal::Busy(what))
    }

    /// Decides a single request that tonic has read, since [`super::unary`] left it to tonic.
    async fn unary(&self, request: Request<DecisionRequest>, call: Call) -> Answer {
        let deadline = Deadline::of(request.extensions());
        self.single(request.into_inner(), call, deadline).await.map(Response::new)
    }

    /// Decides a single request.
    pub(super) async fn single(
        &self,
        request: DecisionRequest,
        call: Call,
        deadline: Deadline,
    ) -> Result<Decision, Status> {
        let arrived = Instant::now();
        let answer = match self.slot(&self.slots, "requests") {
            Ok(slot) => self.desk.decide(&request, call, deadline, slot).await,
            Err(refusal) => Err(refusal),
        };
        let counters = self.desk.metrics.mine();
        counters.lap(Lap::Total).time(arrived.elapsed());
        note(counters, &request, call, &answer);
        Ok(answer?)
    }

    /// A request that could not be read: nobody knows whose it is.
    pub(super) fn unread(&self, call: impl fmt::Debug, status: &Status) {
        self.desk.metrics.mine().refused(status.code());
        let (code, message) = (status.code(), start(status.message(), 1024));
        match Refusal::CODES.contains(&code) && code != Code::ResourceExhausted {
            true => tracing::warn!(?call, ?code, "{message}"),
            // Whoever called has gone, or too many came: the metrics have it.
            false => tracing::debug!(?call, ?code, "{message}"),
        }
    }

    /// A call that is refused as a whole, or asks for what was decided before.
    pub(super) fn refuse(&self, what: &'static str, refusal: Refusal) -> Status {
        self.desk.metrics.mine().refused(refusal.code());
        match refusal {
            Refusal::Busy(_) | Refusal::Unavailable(_) => {
                tracing::debug!(what, code = ?refusal.code(), "{}", refusal.message())
            }
            _ => tracing::warn!(what, code = ?refusal.code(), "{}", start(&refusal.message(), 1024)),
        }
        refusal.into()
    }

    /// The answers to many requests, in their order.
    async fn many(
        self,
        requests: Vec<DecisionRequest>,
        deadline: Deadline,
        slot: Arc<OwnedSemaphorePermit>,
    ) -> Vec<StreamedDecision> {
        let arrived = Instant::now();
        let answers = self.desk.decide_all(&requests, Call::All, deadline, slot).await;
        let counters = self.desk.metrics.mine();
        counters.lap(Lap::Total).times(arrived.elapsed(), requests.len());
        let streamed = |(request, answer): (DecisionRequest, _)| {
            note(counters, &request, Call::All, &answer);
            let result = match answer {
                Ok(decision) => streamed_decision::Result::Decision(decision),
                Err(refusal) => streamed_decision::Result::Error(Refusal::streamed(&refusal)),
            };
            StreamedDecision { request_id: request.request_id, result: Some(result) }
        };
        requests.into_iter().zip(answers).map(streamed).collect()
    }
}

#[tonic::async_trait]
impl DecisionService for Rpc {
    async fn check_admission(&self, request: Request<DecisionRequest>) -> Answer {
        self.unary(request, Call::One(Stage::Admission)).await
    }

    async fn detect_fraud(&self, request: Request<DecisionRequest>) -> Answer {
        self.unary(request, Call::One(Stage::Fraud)).await
    }

    async fn score_application(&self, request: Request<DecisionRequest>) -> Answer {
        self.unary(request, Call::One(Stage::Score)).await
    }

    async fn assign_limit(&self, request: Request<DecisionRequest>) -> Answer {
        self.unary(request, Call::One(Stage::Limit)).await
    }

    async fn quote_rate(&self, request: Request<DecisionRequest>) -> Answer {
        self.unary(request, Call::One(Stage::Rate)).await
    }

    async fn decide(&self, request: Request<DecisionRequest>) -> Answer {
        self.unary(request, Call::All).await
    }

    type DecideStreamStream = Pin<Box<dyn Stream<Item = Result<StreamedDecision, Status>> + Send>>;

    /// Requests are decided as they have come in: what has arrived is decided and handed to the journal together,
    /// up to a quarter of the window, and while it waits for the disk the next quarter is, perhaps on another thread.
    /// When the window is full the stream is not read: the caller feels it by HTTP/2 flow control.
    async fn decide_stream(
        &self,
        request: Request<Streaming<DecisionRequest>>,
    ) -> Result<Response<Self::DecideStreamStream>, Status> {
        let slot = self.slot(&self.streams, "streams and batches");
        let slot = Arc::new(slot.map_err(|refusal| self.refuse("DecideStream", refusal))?);
        let deadline = Deadline::of(request.extensions());
        let rpc = self.clone();
        let (parts, each) = parts(self.stream_window);
        let answers = Accepted::new(request.into_inner(), deadline, self.stopping.clone())
            .try_ready_chunks(each)
            .map(move |arrived| {
                let (rpc, slot) = (rpc.clone(), slot.clone());
                let (requests, ended) = match arrived {
                    Ok(requests) => (requests, None),
                    Err(TryReadyChunksError(requests, status)) => (requests, Some(Err(status))),
                };
                async move {
                    // A task of its own: one part of the window is decided while others are.
                    let workers = rpc.workers.clone();
                    let answers = workers.spawn(rpc.many(requests, deadline, slot)).await;
                    // An error: it panicked, which no request should be able to cause, or the workers have ended.
                    let (answers, broken) = match answers {
                        Ok(answers) => (answers, None),
                        Err(e) => (Vec::new(), Some(Err(Status::internal(e.to_string())))),
                    };
                    futures::stream::iter(answers.into_iter().map(Ok).chain(broken).chain(ended))
                }
            })
            .buffered(parts)
            .flatten();
        Ok(Response::new(Box::pin(answers)))
    }

    async fn batch_decide(
        &self,
        request: Request<BatchDecideRequest>,
    ) -> Result<Response<BatchDecideResponse>, Status> {
        let refuse = |refusal| self.refuse("BatchDecide", refusal);
        let slot = Arc::new(self.slot(&self.streams, "streams and batches").map_err(refuse)?);
        let deadline = Deadline::of(request.extensions());
        let BatchDecideRequest { requests, count } = request.into_inner();
        if !(1..=BATCH_MAX).contains(&count) {
            let what = format!("there are {count}; send 1 to {BATCH_MAX}");
            return Err(refuse(Refusal::invalid("requests", what)));
        }
        // A task of its own: the connection, and its other requests, go on meanwhile.
        let answers = self.workers.spawn(self.clone().many(requests, deadline, slot)).await;
        // An error: it panicked, which no request should be able to cause, or the workers have ended.
        let answers = answers.map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(BatchDecideResponse { answers }))
    }

    async fn get_decision(&self, request: Request<GetDecisionRequest>) -> Answer {
        let refuse = |refusal| self.refuse("GetDecision", refusal);
        let _slot = self.slot(&self.slots, "requests").map_err(refuse)?;
        let deadline = Deadline::of(request.extensions());
        let GetDecisionRequest { member, request_id } = request.into_inner();
        let found = deadline.wait(self.desk.find(member, request_id)).await.flatten();
        Ok(Response::new(found.map_err(refuse)?))
    }
}

/// Parts of a stream's window that are under way side by side: two of them would wait for the disk at the same time,
/// now and then, and nobody decide.
const PARTS: usize = 4;

/// In how many parts a window of at least one request is under way, and of how many each: never more than the window.
fn parts(window: usize) -> (usize, usize) {
    let parts = PARTS.min(window);
    (parts, window / parts)
}

/// Said to whoever comes too late.
const STOPPING: &str = "the service is shutting down; send what has no answer to another one";

/// Most requests of a batch.
pub const BATCH_MAX: usize = BatchDecideRequest::MOST;

/// The requests of a stream, until the caller ends it, its deadline passes, or the service shuts down. The
/// latter two are told as an error, behind the answers to everything accepted before.
struct Accepted {
    requests: Streaming<DecisionRequest>,
    /// Why no more are accepted, when it comes to that; None: it has ended.
    end: Option<BoxFuture<'static, Refusal>>,
}

impl Accepted {
    fn new(
        requests: Streaming<DecisionRequest>,
        deadline: Deadline,
        mut stopping: watch::Receiver<bool>,
    ) -> Self {
        let end = async move {
            tokio::select! {
                biased;
                // An error means that the sender is gone, and the service with it.
                _ = stopping.wait_for(|stopping| *stopping) => Refusal::Unavailable(STOPPING.into()),
                () = deadline.passed() => Refusal::Late,
            }
        };
        Self { requests, end: Some(end.boxed()) }
    }
}

impl Stream for Accepted {
    type Item = Result<DecisionRequest, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        let next = match end.poll_unpin(context) {
            Poll::Ready(refusal) => Some(Err(refusal.into())),
            Poll::Pending => ready!(pin!(&mut self.requests).poll_next(context)),
        };
        if !matches!(next, Some(Ok(_))) {
            self.end = None;
        }
        Poll::Ready(next)
    }
}

/// Counts a refusal, and writes it to the log with what the caller knows its request by. Of a good request the
/// log tells at level `debug` only, and so it does of what is too much or comes while nothing is decided: a
/// service in trouble does not spend its time on telling so of each, when the log or the metrics have the cause.
fn note(counters: &Counters, request: &DecisionRequest, call: Call, answer: &Result<Decision, Refusal>) {
    // A caller chooses these; until they are checked they may be of any length.
    let (request_id, member) = (start(&request.request_id, 64), start(&request.member, 64));
    macro_rules! line {
        ($level:ident, $refusal:expr) => {
            tracing::$level!(
                request_id,
                member,
                ?call,
                code = ?$refusal.code(),
                "{}",
                start(&$refusal.message(), 1024)
            )
        };
    }
    match answer {
        Ok(_) => tracing::debug!(request_id, member, ?call, "decided"),
        Err(refusal) => {
            counters.refused(refusal.code());
            match refusal {
                Refusal::Busy(_) | Refusal::Unavailable(_) => line!(debug, refusal),
                Refusal::Internal(_) => line!(error, refusal),
                _ => line!(warn, refusal),
            }
        }
    }
}

/// The first `bytes` of a text, or nearly.
fn start(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_never_exceed_the_window() {
        for window in 1..=1000 {
            let (parts, each) = parts(window);
            assert!(parts >= 1 && each >= 1 && parts * each <= window, "{parts} of {each} for {window}");
        }
        assert_eq!(parts(256), (4, 64));
    }
}
