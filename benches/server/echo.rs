//! The ceiling: a server that decodes requests as the service does, decides nothing, and answers with bytes that
//! the service answered with.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tarim_proto::{
    decision::v1::GetDecisionRequest,
    encoded::{
        BatchDecideRequest, BatchDecideResponse, Decision, DecisionRequest, StreamedDecision,
        decision_service_server::DecisionService, streamed_decision,
    },
};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// Answers in turn with these, whatever is asked. Clones share them.
#[derive(Clone)]
pub struct Echo(Arc<Answers>);

struct Answers {
    answers: Vec<Bytes>,
    next: AtomicUsize,
}

type Answer = Result<Response<Decision>, Status>;

impl Echo {
    pub fn new(answers: Vec<Bytes>) -> Self {
        Self(Arc::new(Answers { answers, next: AtomicUsize::new(0) }))
    }

    fn answer(&self) -> Decision {
        let Answers { answers, next } = &*self.0;
        let n = next.fetch_add(1, Ordering::Relaxed);
        Decision::numbered(answers[n % answers.len()].clone(), n as u64)
    }

    fn streamed(&self, request: DecisionRequest) -> StreamedDecision {
        let result = Some(streamed_decision::Result::Decision(self.answer()));
        StreamedDecision { request_id: request.request_id, result }
    }
}

#[tonic::async_trait]
impl DecisionService for Echo {
    async fn check_admission(&self, _: Request<DecisionRequest>) -> Answer {
        Ok(Response::new(self.answer()))
    }

    async fn detect_fraud(&self, _: Request<DecisionRequest>) -> Answer {
        Ok(Response::new(self.answer()))
    }

    async fn score_application(&self, _: Request<DecisionRequest>) -> Answer {
        Ok(Response::new(self.answer()))
    }

    async fn assign_limit(&self, _: Request<DecisionRequest>) -> Answer {
        Ok(Response::new(self.answer()))
    }

    async fn quote_rate(&self, _: Request<DecisionRequest>) -> Answer {
        Ok(Response::new(self.answer()))
    }

    async fn decide(&self, _: Request<DecisionRequest>) -> Answer {
        Ok(Response::new(self.answer()))
    }

    type DecideStreamStream = Pin<Box<dyn Stream<Item = Result<StreamedDecision, Status>> + Send>>;

    async fn decide_stream(
        &self,
        requests: Request<Streaming<DecisionRequest>>,
    ) -> Result<Response<Self::DecideStreamStream>, Status> {
        let echo = self.clone();
        let answers = requests.into_inner().map(move |request| Ok(echo.streamed(request?)));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn batch_decide(
        &self,
        request: Request<BatchDecideRequest>,
    ) -> Result<Response<BatchDecideResponse>, Status> {
        let requests = request.into_inner().requests;
        Ok(Response::new(BatchDecideResponse {
            answers: requests.into_iter().map(|r| self.streamed(r)).collect(),
        }))
    }

    async fn get_decision(&self, _: Request<GetDecisionRequest>) -> Answer {
        Ok(Response::new(self.answer()))
    }
}
