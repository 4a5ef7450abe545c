//! The calls, as tonic has them.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use tarim_proto::decision::v1::{
    Decision, DecisionRequest, GetDecisionRequest, StreamedDecision,
    decision_service_server::DecisionService, streamed_decision,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::{Request, Response, Status, Streaming};

use super::{Deadline, Refusal, desk::Desk};
use crate::outcome::{Call, Stage};

/// The decision service. Clones share everything.
#[derive(Clone)]
pub struct Rpc {
    pub desk: Arc<Desk>,
    /// One for each single request in flight.
    pub slots: Arc<Semaphore>,
    /// One for each stream.
    pub streams: Arc<Semaphore>,
    /// Requests of one stream that are in flight at once.
    pub stream_window: usize,
    /// True once the service is shutting down.
    pub stopping: watch::Receiver<bool>,
}

type Answer = Result<Response<Decision>, Status>;

impl Rpc {
    /// A slot at once, or none: a queue in front of a service that is behind only makes it later.
    fn slot(&self, slots: &Arc<Semaphore>, what: &'static str) -> Result<OwnedSemaphorePermit, Refusal> {
        if *self.stopping.borrow() {
            return Err(Refusal::Unavailable(STOPPING.into()));
        }
        slots.clone().try_acquire_owned().map_err(|_| Refusal::Busy(what))
    }

    async fn single(&self, request: Request<DecisionRequest>, call: Call) -> Answer {
        let slot = self.slot(&self.slots, "requests")?;
        let deadline = Deadline::of(request.extensions());
        let decision = self.desk.decide(request.into_inner(), call, deadline, slot).await?;
        Ok(Response::new(Arc::unwrap_or_clone(decision)))
    }
}

#[tonic::async_trait]
impl DecisionService for Rpc {
    async fn check_admission(&self, request: Request<DecisionRequest>) -> Answer {
        self.single(request, Call::One(Stage::Admission)).await
    }

    async fn detect_fraud(&self, request: Request<DecisionRequest>) -> Answer {
        self.single(request, Call::One(Stage::Fraud)).await
    }

    async fn score_application(&self, request: Request<DecisionRequest>) -> Answer {
        self.single(request, Call::One(Stage::Score)).await
    }

    async fn assign_limit(&self, request: Request<DecisionRequest>) -> Answer {
        self.single(request, Call::One(Stage::Limit)).await
    }

    async fn quote_rate(&self, request: Request<DecisionRequest>) -> Answer {
        self.single(request, Call::One(Stage::Rate)).await
    }

    async fn decide(&self, request: Request<DecisionRequest>) -> Answer {
        self.single(request, Call::All).await
    }

    type DecideStreamStream = Pin<Box<dyn Stream<Item = Result<StreamedDecision, Status>> + Send>>;

    /// Requests are decided in order, up to a window ahead of the oldest that still waits for the disk,
    /// so that many of them share one sync. When the window is full the stream is not read: the caller
    /// feels it by HTTP/2 flow control.
    async fn decide_stream(
        &self,
        request: Request<Streaming<DecisionRequest>>,
    ) -> Result<Response<Self::DecideStreamStream>, Status> {
        let slot = Arc::new(self.slot(&self.streams, "streams")?);
        let deadline = Deadline::of(request.extensions());
        let desk = self.desk.clone();
        let answers = accepted(request.into_inner(), deadline, self.stopping.clone())
            .map(move |request| {
                let (desk, slot) = (desk.clone(), slot.clone());
                async move { Ok(streamed(&desk, request?, deadline, slot).await) }
            })
            .buffered(self.stream_window);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_decision(&self, request: Request<GetDecisionRequest>) -> Answer {
        let _slot = self.slot(&self.slots, "requests")?;
        let GetDecisionRequest { member, request_id } = request.into_inner();
        Ok(Response::new(self.desk.find(member, request_id).await?))
    }
}

/// Said to whoever comes too late.
const STOPPING: &str = "the service is shutting down; send what has no answer to another one";

/// The requests of a stream, until the caller ends it, its deadline passes, or the service shuts down. The
/// latter two are told as an error, behind the answers to everything accepted before.
fn accepted(
    requests: Streaming<DecisionRequest>,
    deadline: Deadline,
    stopping: watch::Receiver<bool>,
) -> impl Stream<Item = Result<DecisionRequest, Status>> {
    futures::stream::unfold(Some((requests, stopping)), move |open| async move {
        let (mut requests, mut stopping) = open?;
        let next = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => {
                Err(Refusal::Unavailable(STOPPING.into()).into())
            }
            () = deadline.passed() => Err(Refusal::Late.into()),
            next = requests.message() => next,
        };
        match next {
            Ok(Some(request)) => Some((Ok(request), Some((requests, stopping)))),
            Ok(None) => None,
            Err(status) => Some((Err(status), None)),
        }
    })
}

async fn streamed(
    desk: &Desk,
    request: DecisionRequest,
    deadline: Deadline,
    slot: Arc<OwnedSemaphorePermit>,
) -> StreamedDecision {
    let request_id = request.request_id.clone();
    let result = match desk.decide(request, Call::All, deadline, slot).await {
        Ok(decision) => streamed_decision::Result::Decision(Arc::unwrap_or_clone(decision)),
        Err(refusal) => streamed_decision::Result::Error(refusal.streamed()),
    };
    StreamedDecision { request_id, result: Some(result) }
}
