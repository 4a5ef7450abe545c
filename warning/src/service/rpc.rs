//! The calls, as tonic has them.

use std::{collections::BTreeSet, sync::Arc};

use tarim_proto::warning::v1::{self as wire, warning_service_server::WarningService};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tonic::{Request, Response, Status};

use super::{Clock, Refusal, calls::Calls, pages, wire as convert};
use crate::{
    ledger::{Ledger, LedgerError, View},
    lifecycle::{Changed, State, Warning},
};

/// The warning service. Clones share everything.
#[derive(Clone)]
pub struct Rpc {
    pub ledger: Arc<Ledger>,
    pub clock: Clock,
    /// Codes of the rulebook's members.
    pub members: Arc<[String]>,
    /// One for each call in flight.
    pub slots: Arc<Semaphore>,
    /// True once the service is shutting down.
    pub stopping: watch::Receiver<bool>,
    pub calls: Calls,
}

/// Most names of account managers that an answer has.
const NAMES_MAX: usize = 1000;

/// Said to whoever comes too late.
const STOPPING: &str = "the service is shutting down; repeat what has no answer when it is back";

impl Rpc {
    /// A slot at once, or none: a queue in front of a service that is behind only makes it later.
    fn slot(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if *self.stopping.borrow() {
            return Err(Refusal::Unavailable(STOPPING.into()));
        }
        self.slots.clone().try_acquire_owned().map_err(|_| Refusal::Busy)
    }

    /// Reads from the disk, apart from what answers others meanwhile.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let view = self.ledger.view().clone();
        let read = tokio::task::spawn_blocking(move || read(&view)).await;
        Ok(read.map_err(|e| Refusal::Unavailable(format!("it was not read: {e}")))??)
    }

    async fn change(&self, request: Request<wire::ChangeRequest>, to: State) -> Answer {
        let request = request.into_inner();
        // A caller chooses these; until they are checked they may be of any length.
        let asked = (start(&request.member).to_owned(), start(&request.request_id).to_owned());
        let change = convert::change(request, to, self.clock.now_us());
        let answer = match (change, self.slot()) {
            (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
            (Ok(change), Ok(slot)) => {
                let (sender, receiver) = oneshot::channel();
                self.ledger.change(change, move |answer| {
                    drop(slot);
                    // A caller who is gone can ask again.
                    let _ = sender.send(answer);
                });
                let answer = receiver.await.map_err(|_| Refusal::Unavailable(STOPPING.into()));
                answer.and_then(|answer| Ok(answer??))
            }
        };
        let (member, request_id) = asked;
        let answer = match answer {
            Err(refusal) => Err(refusal),
            Ok(Changed::Made(warning) | Changed::Before(warning)) => {
                tracing::debug!(member, request_id, warning = %warning.id, to = to.name(), "warning changed");
                self.read(move |view| convert::warning(&warning, view)).await
            }
        };
        match answer {
            Ok(answer) => Ok(Response::new(answer)),
            Err(refusal) => {
                tracing::warn!(member, request_id, to = to.name(), code = ?refusal.code(), "{}", refusal.message());
                Err(refusal.into())
            }
        }
    }
}

fn warnings(found: &[Arc<Warning>], view: &View) -> Result<Vec<wire::Warning>, LedgerError> {
    found.iter().map(|warning| convert::warning(warning, view)).collect()
}

type Answer = Result<Response<wire::Warning>, Status>;

/// What the calls do.
impl Rpc {
    async fn list(
        &self,
        request: Request<wire::ListWarningsRequest>,
    ) -> Result<Response<wire::ListWarningsResponse>, Status> {
        let _slot = self.slot()?;
        let request = request.into_inner();
        let member = convert::member(request.member.clone())?;
        let filter = convert::filter(&request)?;
        let size = pages::size(request.page_size)?;
        let before = pages::before(&request.page_token, &member, &filter)?;
        let known_members = self.members_but(&member);
        let answer = self.read(move |view| {
            let page = view.page(&member, &filter, before, size);
            Ok(wire::ListWarningsResponse {
                warnings: warnings(&page.warnings, view)?,
                next_page_token: pages::token(&member, &filter, page.before),
                known_members,
            })
        });
        Ok(Response::new(answer.await?))
    }

    async fn get(&self, request: Request<wire::GetWarningRequest>) -> Answer {
        let _slot = self.slot()?;
        let wire::GetWarningRequest { member, warning_id } = request.into_inner();
        let (member, warning) = (convert::member(member)?, convert::id(&warning_id)?);
        let found = self.ledger.view().get(&member, warning);
        let not_found = || crate::lifecycle::Refused::NotFound { member, warning };
        let found = found.ok_or_else(|| Refusal::from(not_found()))?;
        Ok(Response::new(self.read(move |view| convert::warning(&found, view)).await?))
    }

    /// All members, if this is none; else none. Who was not told of members cannot say that one is none.
    fn members_but(&self, member: &str) -> Vec<String> {
        let may_be = self.members.is_empty() || self.members.iter().any(|code| code == member);
        if may_be || self.ledger.view().has(member) {
            return Vec::new();
        }
        let named = self.members.iter().cloned().chain(self.ledger.view().members());
        named.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// To whom of a member something was pushed, if nothing was to this one; else none.
    fn managers_but(&self, member: &str, manager: &str) -> Vec<String> {
        let mut all = self.ledger.inbox().readers(member);
        if all.iter().any(|name| name == manager) {
            return Vec::new();
        }
        all.sort_unstable();
        all.truncate(NAMES_MAX);
        all
    }

    async fn standing(
        &self,
        request: Request<wire::OpenWarningsRequest>,
    ) -> Result<Response<wire::OpenWarningsResponse>, Status> {
        let _slot = self.slot()?;
        let wire::OpenWarningsRequest { member, customer_id } = request.into_inner();
        let (member, customer) = (convert::member(member)?, convert::customer(customer_id)?);
        let standing = self.ledger.open_warnings().of(&member, &customer);
        let answer = self.read(move |view| {
            let mut found = view.numbered(&member, standing.iter().map(|stands| stands.number));
            // What was dealt with meanwhile stands no longer.
            found.retain(|warning| warning.state.stands());
            Ok(wire::OpenWarningsResponse { warnings: warnings(&found, view)? })
        });
        Ok(Response::new(answer.await?))
    }

    async fn pushes(
        &self,
        request: Request<wire::ListPushesRequest>,
    ) -> Result<Response<wire::ListPushesResponse>, Status> {
        let _slot = self.slot()?;
        let request = request.into_inner();
        let member = convert::member(request.member.clone())?;
        let filter = convert::push_filter(&request)?;
        let size = pages::size(request.page_size)?;
        let before = pages::before(&request.page_token, &member, &filter)?;
        let page = self.ledger.inbox().page(&member, &filter, before, size);
        let known_members = self.members_but(&member);
        let known_managers =
            filter.reader.as_ref().map_or_else(Vec::new, |name| self.managers_but(&member, name));
        let answer = self.read(move |view| {
            Ok(wire::ListPushesResponse {
                pushes: page.pushes.iter().map(|push| push.wire(view)).collect::<Result<_, _>>()?,
                next_page_token: pages::token(&member, &filter, page.before),
                known_members,
                known_managers,
            })
        });
        Ok(Response::new(answer.await?))
    }
}

#[tonic::async_trait]
impl WarningService for Rpc {
    async fn list_warnings(
        &self,
        request: Request<wire::ListWarningsRequest>,
    ) -> Result<Response<wire::ListWarningsResponse>, Status> {
        self.calls.count("ListWarnings", self.list(request)).await
    }

    async fn get_warning(&self, request: Request<wire::GetWarningRequest>) -> Answer {
        self.calls.count("GetWarning", self.get(request)).await
    }

    async fn acknowledge(&self, request: Request<wire::ChangeRequest>) -> Answer {
        self.calls.count("Acknowledge", self.change(request, State::Acknowledged)).await
    }

    async fn dispose(&self, request: Request<wire::ChangeRequest>) -> Answer {
        self.calls.count("Dispose", self.change(request, State::Disposed)).await
    }

    async fn escalate(&self, request: Request<wire::ChangeRequest>) -> Answer {
        self.calls.count("Escalate", self.change(request, State::Escalated)).await
    }

    async fn close(&self, request: Request<wire::ChangeRequest>) -> Answer {
        self.calls.count("Close", self.change(request, State::Closed)).await
    }

    async fn open_warnings(
        &self,
        request: Request<wire::OpenWarningsRequest>,
    ) -> Result<Response<wire::OpenWarningsResponse>, Status> {
        self.calls.count("OpenWarnings", self.standing(request)).await
    }

    async fn list_pushes(
        &self,
        request: Request<wire::ListPushesRequest>,
    ) -> Result<Response<wire::ListPushesResponse>, Status> {
        self.calls.count("ListPushes", self.pushes(request)).await
    }
}

/// The first bytes of a text.
fn start(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}
