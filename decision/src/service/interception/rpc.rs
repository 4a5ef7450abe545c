//! The calls, as tonic has them.

use std::time::Instant;

use tarim_proto::decision::v1::{
    GetInterceptionRequest, InterceptRequest, Interception, OverrideRequest,
    interception_service_server::InterceptionService,
};
use tonic::{Request, Response, Status};

use super::metrics::PointCall;
use crate::service::{Deadline, Refusal, rpc::Rpc};

type Answer = Result<Response<Interception>, Status>;

#[tonic::async_trait]
impl InterceptionService for Rpc {
    async fn intercept(&self, request: Request<InterceptRequest>) -> Answer {
        let arrived = Instant::now();
        let deadline = Deadline::of(request.extensions());
        let request = request.into_inner();
        let answer = match self.slot(&self.slots, "requests") {
            Ok(slot) => self.desk.intercept(&request, deadline, slot).await,
            Err(refusal) => Err(refusal),
        };
        self.told(PointCall::Intercept, arrived, &request.member, &request.request_id, answer)
    }

    async fn r#override(&self, request: Request<OverrideRequest>) -> Answer {
        let arrived = Instant::now();
        let deadline = Deadline::of(request.extensions());
        let request = request.into_inner();
        let answer = match self.slot(&self.slots, "requests") {
            Ok(slot) => self.desk.override_reasons(&request, deadline, slot).await,
            Err(refusal) => Err(refusal),
        };
        if let (Ok(interception), Some(officer)) = (&answer, &request.officer) {
            tracing::info!(
                member = request.member,
                officer = officer.id,
                role = officer.role,
                "interception {} was overridden",
                interception.interception_id
            );
        }
        self.told(PointCall::Override, arrived, &request.member, &request.request_id, answer)
    }

    async fn get_interception(&self, request: Request<GetInterceptionRequest>) -> Answer {
        let refuse = |refusal| self.refuse("GetInterception", refusal);
        let deadline = Deadline::of(request.extensions());
        let _slot = self.slot(&self.slots, "requests").map_err(refuse)?;
        let GetInterceptionRequest { member, request_id } = request.into_inner();
        let found = deadline.wait(self.desk.find_interception(&member, &request_id)).await.flatten();
        Ok(Response::new(found.map_err(refuse)?))
    }
}

impl Rpc {
    /// Takes the time of a call, counts and logs a refusal, as of a decision.
    fn told(
        &self,
        call: PointCall,
        arrived: Instant,
        member: &str,
        request_id: &str,
        answer: Result<Interception, Refusal>,
    ) -> Answer {
        self.desk.intercepted.times(call).time(arrived.elapsed());
        let call = call.name();
        // A caller chooses these; until they are checked they may be of any length.
        let (member, request_id) = (start(member), start(request_id));
        answer.map(Response::new).map_err(|refusal| {
            self.desk.metrics.mine().refused(refusal.code());
            let (code, message) = (refusal.code(), refusal.message());
            match refusal {
                Refusal::Busy(_) | Refusal::Unavailable(_) => {
                    tracing::debug!(request_id, member, call, ?code, "{message}");
                }
                Refusal::Internal(_) => tracing::error!(request_id, member, call, ?code, "{message}"),
                _ => tracing::warn!(request_id, member, call, ?code, "{message}"),
            }
            refusal.into()
        })
    }
}

fn start(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}
