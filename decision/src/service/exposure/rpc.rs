//! The calls, as tonic has them.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use tarim_proto::exposure::v1::{
    CommitRequest, Counter, CounterKey, Exposure, FileLargeRequest, GetUtilisationRequest, LargeExposure,
    ListExposuresRequest, ListLargeRequest, OperationAnswer, ReleaseRequest, RepayRequest, ReserveRequest,
    exposure_service_server::ExposureService, list_exposures_request::Of,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    desk::{Desk, note_refusal},
    refusal::Refusal,
    wire::{self, Asks},
};
use crate::{
    exposure::{Core, CounterUse, Filter},
    service::Deadline,
};

/// The exposure service. Clones share everything.
#[derive(Clone)]
pub struct Rpc {
    pub desk: Desk,
}

type Answer = Result<Response<OperationAnswer>, Status>;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers of a stream that wait for the caller to take them.
const AHEAD: usize = 256;

impl Rpc {
    async fn operate<R: Asks>(&self, request: Request<R>) -> Answer {
        let deadline = Deadline::of(request.extensions());
        let answer = self.desk.operate(request.into_inner(), deadline).await?;
        Ok(Response::new(wire::answer(answer)))
    }

    /// What is told of a ledger that stands still, one by one. `tell` runs on a thread that may wait; it is to stop when it
    /// is told that nobody listens any more.
    async fn stream<T: Send + 'static>(
        &self,
        kind: &'static str,
        member: &str,
        as_of: Option<prost_types::Timestamp>,
        deadline: Deadline,
        tell: impl FnOnce(&Core, Teller<T>) -> Result<(), Refusal> + Send + 'static,
    ) -> Result<Answers<T>, Refusal> {
        let slot = self.desk.slot(&self.desk.streams, "queries in flight")?;
        wire::name("member", member)?;
        let as_of_us = wire::optional_time("as_of", as_of)?;
        let core = self.desk.view(as_of_us, deadline).await?;
        if core.schemes().members.binary_search_by(|code| code.as_str().cmp(member)).is_err() {
            // A ledger as it was is as large as that of today: it is not to go on a thread that has connections.
            tokio::task::spawn_blocking(move || drop(core));
            return Err(Refusal::NotFound(format!("`{member}` is not a member of the federation")));
        }
        let (sender, receiver) = mpsc::channel(AHEAD);
        let member = member.to_owned();
        tokio::task::spawn_blocking(move || {
            let teller = Teller { to: sender.clone(), deadline, _slot: slot };
            if let Err(refusal) = tell(&core, teller) {
                note_refusal(&member, "", kind, &refusal);
                let _ = sender.blocking_send(Err(refusal.into()));
            }
        });
        let late = futures::stream::once(async move {
            deadline.passed().await;
            Err(Refusal::Late.into())
        });
        // The caller hears of its deadline at once, and the thread at its next word.
        let answers = ReceiverStream::new(receiver).map(Some).chain(futures::stream::iter([None]));
        let answers = futures::stream::select(answers, late.map(Some));
        let mut ended = false;
        let answers = answers.take_while(move |answer| {
            let goes_on = answer.is_some() && !ended;
            ended = ended || matches!(answer, Some(Err(_)));
            std::future::ready(goes_on)
        });
        Ok(Box::pin(answers.filter_map(std::future::ready)))
    }
}

/// What is answered to a question, or why nothing is, which the log has too.
fn told<T>(
    kind: &str,
    member: &str,
    asked: Result<Answers<T>, Refusal>,
) -> Result<Response<Answers<T>>, Status> {
    asked.map(Response::new).map_err(|refusal| {
        note_refusal(member, "", kind, &refusal);
        refusal.into()
    })
}

/// Takes what is told to the caller.
struct Teller<T> {
    to: mpsc::Sender<Result<T, Status>>,
    deadline: Deadline,
    _slot: OwnedSemaphorePermit,
}

impl<T> Teller<T> {
    fn all(self, all: impl Iterator<Item = T>) -> Result<(), Refusal> {
        for one in all {
            self.deadline.check().map_err(|_| Refusal::Late)?;
            if self.to.blocking_send(Ok(one)).is_err() {
                break;
            }
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl ExposureService for Rpc {
    async fn reserve(&self, request: Request<ReserveRequest>) -> Answer {
        self.operate(request).await
    }

    async fn commit(&self, request: Request<CommitRequest>) -> Answer {
        self.operate(request).await
    }

    async fn repay(&self, request: Request<RepayRequest>) -> Answer {
        self.operate(request).await
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Answer {
        self.operate(request).await
    }

    async fn file_large(&self, request: Request<FileLargeRequest>) -> Answer {
        self.operate(request).await
    }

    type GetUtilisationStream = Answers<Counter>;

    async fn get_utilisation(
        &self,
        request: Request<GetUtilisationRequest>,
    ) -> Result<Response<Answers<Counter>>, Status> {
        const KIND: &str = "GetUtilisation";
        let deadline = Deadline::of(request.extensions());
        let GetUtilisationRequest { member, limit, used_share_at_least: used_share, as_of } =
            request.into_inner();
        if !(0.0..=f64::MAX).contains(&used_share) {
            let what = format!("{used_share} is no share; write 0.8 for four fifths");
            return told(KIND, &member, Err(Refusal::invalid("used_share_at_least", what)));
        }
        let of = member.clone();
        let tell = move |core: &Core, teller: Teller<Counter>| {
            let limit = (!limit.is_empty()).then_some(limit.as_str());
            if let Some(limit) = limit {
                known_limit(core, limit)?;
            }
            let filter = Filter { member: Some(&of), limit, used_share };
            teller.all(core.utilisation(filter).map(wire::counter))
        };
        told(KIND, &member, self.stream(KIND, &member, as_of, deadline, tell).await)
    }

    type ListExposuresStream = Answers<Exposure>;

    async fn list_exposures(
        &self,
        request: Request<ListExposuresRequest>,
    ) -> Result<Response<Answers<Exposure>>, Status> {
        const KIND: &str = "ListExposures";
        let deadline = Deadline::of(request.extensions());
        let ListExposuresRequest { member, of, as_of } = request.into_inner();
        let Some(of) = of else {
            let what = "say of what: an exposure, a customer_id or a counter";
            return told(KIND, &member, Err(Refusal::invalid("of", what)));
        };
        let at = member.clone();
        let tell = move |core: &Core, teller: Teller<Exposure>| match of {
            Of::Exposure(id) => {
                let unknown = || Refusal::NotFound(format!("member `{at}` has no exposure `{id}`"));
                let found = core.exposure(&at, &id).ok_or_else(unknown)?;
                teller.all(std::iter::once(wire::exposure(found)))
            }
            Of::CustomerId(customer) => teller.all(core.exposures_of(&at, &customer).map(wire::exposure)),
            Of::Counter(key) => {
                let counter = find(core, &at, key)?;
                // A counter of the federation sums over all members, but another's exposures are not told.
                let own = core.behind(&counter).filter(|state| state.member == at);
                teller.all(own.map(wire::exposure))
            }
        };
        told(KIND, &member, self.stream(KIND, &member, as_of, deadline, tell).await)
    }

    type ListLargeStream = Answers<LargeExposure>;

    async fn list_large(
        &self,
        request: Request<ListLargeRequest>,
    ) -> Result<Response<Answers<LargeExposure>>, Status> {
        const KIND: &str = "ListLarge";
        let deadline = Deadline::of(request.extensions());
        let ListLargeRequest { member, filed_too, as_of } = request.into_inner();
        let of = member.clone();
        let tell = move |core: &Core, teller: Teller<LargeExposure>| {
            teller.all(core.large(&of, filed_too).map(wire::large))
        };
        told(KIND, &member, self.stream(KIND, &member, as_of, deadline, tell).await)
    }
}

fn known_limit(core: &Core, limit: &str) -> Result<(), Refusal> {
    let all = &core.schemes().schemes;
    if all.iter().any(|scheme| scheme.id == limit) {
        return Ok(());
    }
    let all: Vec<_> = all.iter().map(|scheme| scheme.id.as_str()).collect();
    Err(Refusal::NotFound(format!("limit: there is no `{limit}`; there are {}", all.join(", "))))
}

/// The counter that a caller means: of its member, or of the federation.
fn find(core: &Core, member: &str, CounterKey { limit, per }: CounterKey) -> Result<CounterUse, Refusal> {
    known_limit(core, &limit)?;
    let filter = Filter { member: Some(member), limit: Some(&limit), ..Filter::default() };
    let is = |counter: &CounterUse| {
        counter.per.len() == per.len() && counter.per.iter().all(|a| per.get(&a.name) == Some(&a.value))
    };
    let found = core.utilisation(filter).find(is);
    found.ok_or_else(|| {
        Refusal::NotFound(format!(
            "counter.per: limit `{limit}` has no such counter in use; GetUtilisation lists those that it has"
        ))
    })
}
