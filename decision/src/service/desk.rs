//! The desk: takes one request from its arrival to its answer.
//!
//! ```text
//! slot ─ check ─ known? ─ claim ─ gather ─ decide ─ deadline? ─ journal ═ index ═ answer, free the claim
//!  │       │       └─ in the journal, or in flight: its answer          ╰ from here on it is decided,
//!  └─ none: Busy, at once                                                 whether or not the caller waits
//! ```
//!
//! Everything up to the journal takes microseconds and runs on the caller's task. The rest is waiting for
//! the disk; what follows it is done by the journal's thread, so a caller that goes away changes nothing.

use std::{cell::RefCell, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use prost::Message;
use smallvec::SmallVec;
use tarim_datamart::Tokeniser;
use tarim_proto::{
    decision::v1 as wire,
    encoded::{Decision, DecisionRequest, JournalEntry},
};
use tokio::{
    sync::{Semaphore, oneshot},
    task::{JoinHandle, coop::consume_budget},
};

use super::{
    Clock, Deadline, Refusal, exposing, exposure, interception,
    metrics::{Lap, Metrics, Stopwatch},
    pending::{Claim, Identity, Pending, Taken},
    serving::{Serving, Work},
};
use crate::{
    convert,
    journal::{self, EntryHead, Journal, JournalError, Record, Records},
    outcome::{Call, Outcome},
    wire::{Heading, encode_decision},
};

/// Longest request id, in characters.
pub(super) const REQUEST_ID_MAX: usize = 64;

/// So many are looked up in the journal at once: each has a file open for it, and the journal itself must find one for its next
/// segment. Who asks then waits.
pub(super) const LOOKUPS_MAX: usize = 64;

/// What decisions are made with. Clones share everything.
#[derive(Clone)]
pub struct Desk {
    pub serving: Arc<ArcSwap<Serving>>,
    pub journal: Arc<Journal>,
    /// [`LOOKUPS_MAX`].
    pub lookups: Arc<Semaphore>,
    pub tokeniser: Arc<Tokeniser>,
    pub clock: Clock,
    pub pending: Pending,
    /// What passes a control point, one interception or override at a time.
    pub subjects: Pending,
    pub metrics: Arc<Metrics>,
    /// Where the ledger of exposures is asked.
    pub exposures: exposure::Desk,
    pub intercepted: Arc<interception::Metrics>,
}

/// A decision on its way into the journal.
pub(super) struct Made {
    record: Record,
    /// The decision, which has no number yet.
    pub(super) body: Bytes,
    outcome: Outcome,
    claim: Claim,
}

/// What came of a request that nobody has decided yet.
enum Tried {
    Made(Made),
    /// It reserves, or the ledger has to be asked for it: [`Desk::decide_apart`].
    Apart(Claim),
}

/// How far one of many requests came by itself.
enum Course {
    /// Decided; it is written with the others.
    Made(Bytes),
    /// Decided by itself: with the ledger, or a repeat of what reserves.
    Apart(JoinHandle<Result<Decision, Refusal>>),
    /// Others have, or had, its key.
    Repeat,
    Refused(Refusal),
}

impl Desk {
    /// Decides a request, or gives the answer that it had before. `slot` is held until the decision is
    /// durable: it bounds how many are in flight.
    pub async fn decide<S: Send + 'static>(
        &self,
        request: &DecisionRequest,
        call: Call,
        deadline: Deadline,
        slot: S,
    ) -> Result<Decision, Refusal> {
        let arrived = Instant::now();
        let mut identity = self.identify_decision(request, call, deadline)?;
        let claim = loop {
            let Taken { first, repeat } = match self.pending.claim(identity) {
                Ok(claim) => break claim,
                Err(taken) => taken,
            };
            match deadline.wait(first.answer()).await? {
                Some(decision) if first.of.fingerprint == repeat.fingerprint => {
                    self.metrics.mine().repeated();
                    return Ok(decision);
                }
                Some(_) => return Err(Refusal::Differs),
                // It came to nothing: this one may be the first now.
                None => identity = repeat,
            }
        };
        // Looked up with the claim in hand: what was in flight is in the journal before its claim is free.
        if let Some((number, entry)) = deadline.wait(self.known(claim.of())).await?? {
            if entry.fingerprint != claim.of().fingerprint {
                return Err(Refusal::Differs);
            }
            self.metrics.mine().repeated();
            return answer(number, entry);
        }
        let made = match self.make(request, call, claim, deadline, arrived)? {
            Tried::Made(made) => made,
            Tried::Apart(claim) => {
                let decided = self.decide_apart(request, call, claim, deadline, arrived, slot);
                return deadline.wait(decided).await?.map_err(|e| damaged(&e))?;
            }
        };
        let body = made.body.clone();
        let number = deadline.wait(self.record([made], call, slot)).await??;
        Ok(Decision::numbered(body, number))
    }

    /// Decides many requests, in their order. What is decided anew is written together, and waited for once.
    pub async fn decide_all<S: Clone + Send + 'static>(
        &self,
        requests: &[DecisionRequest],
        call: Call,
        deadline: Deadline,
        slot: S,
    ) -> Vec<Result<Decision, Refusal>> {
        let mut made = Vec::with_capacity(requests.len());
        let mut courses = Vec::with_capacity(requests.len());
        for request in requests {
            // Many decisions in a row would keep others from this thread.
            consume_budget().await;
            courses.push(self.start(request, call, deadline, &mut made, &slot));
        }
        let written = match made.is_empty() {
            true => Ok(0),
            false => deadline.wait(self.record(made, call, slot.clone())).await.flatten(),
        };
        let mut answers = Vec::with_capacity(courses.len());
        let mut nth = 0..;
        for (course, request) in courses.into_iter().zip(requests) {
            answers.push(match course {
                Course::Made(body) => written
                    .clone()
                    .map(|first| Decision::numbered(body, first + nth.next().expect("without end"))),
                Course::Apart(decided) => deadline
                    .wait(decided)
                    .await
                    .and_then(|decided| decided.unwrap_or_else(|e| Err(damaged(&e)))),
                Course::Repeat => self.decide(request, call, deadline, slot.clone()).await,
                Course::Refused(refusal) => Err(refusal),
            });
        }
        answers
    }

    /// Decides a request of many, unless its key is known.
    fn start<S: Clone + Send + 'static>(
        &self,
        request: &DecisionRequest,
        call: Call,
        deadline: Deadline,
        made: &mut Vec<Made>,
        slot: &S,
    ) -> Course {
        let arrived = Instant::now();
        let start = || {
            let identity = self.identify_decision(request, call, deadline)?;
            let claim = self.pending.claim(identity).ok();
            Ok(claim.filter(|claim| !self.journal.may_hold(claim.of().hash)))
        };
        let claim = match start() {
            Ok(Some(claim)) => claim,
            // It may have come to nothing: then many that reserve share the disk's time, as they do at first.
            Ok(None) if request.reserve.is_some() => {
                let (desk, request, slot) = (self.clone(), request.clone(), slot.clone());
                let decide = async move { desk.decide(&request, call, deadline, slot).await };
                return Course::Apart(tokio::spawn(decide));
            }
            Ok(None) => return Course::Repeat,
            Err(refusal) => return Course::Refused(refusal),
        };
        match self.make(request, call, claim, deadline, arrived) {
            Ok(Tried::Made(decided)) => {
                let body = decided.body.clone();
                made.push(decided);
                Course::Made(body)
            }
            Ok(Tried::Apart(claim)) => {
                Course::Apart(self.decide_apart(request, call, claim, deadline, arrived, slot.clone()))
            }
            Err(refusal) => Course::Refused(refusal),
        }
    }

    /// The decision of a request id.
    pub async fn find(&self, member: String, request_id: String) -> Result<Decision, Refusal> {
        check_key(&member, &request_id)?;
        let hash = self.journal.hash(&member, &request_id);
        let identity = Identity { member, request_id, hash, fingerprint: [0; 32] };
        let known = self.known(&identity).await?.filter(|(_, entry)| entry.interception.is_none());
        let (number, entry) = known.ok_or(Refusal::NotFound("request_id: nothing was decided under it"))?;
        answer(number, entry)
    }

    pub(super) async fn known(&self, of: &Identity) -> Result<Option<(u64, JournalEntry)>, Refusal> {
        if !self.journal.may_hold(of.hash) {
            return Ok(None);
        }
        let (member, request_id) = (of.member.clone(), of.request_id.clone());
        self.look_up(move |journal| journal.find(&member, &request_id)).await
    }

    /// Asks the journal for what it reads from the disk.
    pub(super) async fn look_up<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let one = self.lookups.clone().acquire_owned().await.map_err(|e| damaged(&e))?;
        let journal = self.journal.clone();
        let look = move || {
            let _one = one;
            look(&journal)
        };
        tokio::task::spawn_blocking(look).await.map_err(|e| damaged(&e))?.map_err(|e| damaged(&e))
    }

    /// May this request be decided, and what is it known by?
    fn identify_decision(
        &self,
        request: &DecisionRequest,
        call: Call,
        deadline: Deadline,
    ) -> Result<Identity, Refusal> {
        let DecisionRequest { member, request_id, .. } = request;
        exposing::check(request, call)?;
        self.identify(member, request_id, request, convert::wire_call(call), deadline)
    }

    /// May this request of a member be answered, and what is it known by?
    pub(super) fn identify(
        &self,
        member: &str,
        request_id: &str,
        request: &impl Message,
        call: wire::Call,
        deadline: Deadline,
    ) -> Result<Identity, Refusal> {
        deadline.check()?;
        if !self.journal.is_open() {
            return Err(Refusal::Unavailable(CLOSED.into()));
        }
        check_key(member, request_id)?;
        Ok(Identity {
            hash: self.journal.hash(member, request_id),
            fingerprint: self.fingerprint(request, call),
            member: member.to_owned(),
            request_id: request_id.to_owned(),
        })
    }

    /// What a repeat must have in common with the first request: everything. Keyed, since an application
    /// holds what a guesser could try out.
    fn fingerprint(&self, request: &impl Message, call: wire::Call) -> [u8; 32] {
        thread_local! {
            static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        BYTES.with_borrow_mut(|bytes| {
            bytes.clear();
            bytes.push(call as u8);
            request.encode_raw(bytes);
            self.tokeniser.keyed_hash("request", bytes)
        })
    }

    /// Gathers and decides, with one engine throughout, unless that takes more than this thread.
    fn make(
        &self,
        request: &DecisionRequest,
        call: Call,
        claim: Claim,
        deadline: Deadline,
        arrived: Instant,
    ) -> Result<Tried, Refusal> {
        if request.reserve.is_some() {
            return Ok(Tried::Apart(claim));
        }
        let mut watch = Stopwatch::since(arrived, self.metrics.mine());
        let serving = self.serving.load();
        let engine = &serving.engine;
        let at_us = self.clock.now_us();
        let made = serving.work(|work| {
            let Work { inputs, look, .. } = work;
            look.take_back(inputs);
            engine.gather_fields(&request.member, &request.product, request.application(), at_us, inputs)?;
            let (gathered, asks) = (Instant::now(), engine.asks_exposure(inputs, call));
            if asks && !self.glance(engine, inputs, look, &request.request_id) {
                // It is gathered anew, and counted then.
                return Ok(Tried::Apart(claim));
            }
            watch.lap_until(Lap::Gather, gathered);
            if asks {
                watch.lap(Lap::Look);
            }
            self.finish(&serving, work, request, call, claim, at_us, watch).map(Tried::Made)
        })?;
        // What is past its deadline does not become a decision.
        deadline.check()?;
        Ok(made)
    }

    /// Decides from what was gathered, with one engine throughout.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn finish(
        &self,
        serving: &Serving,
        Work { inputs, scratch, .. }: &mut Work,
        request: &DecisionRequest,
        call: Call,
        claim: Claim,
        at_us: i64,
        mut watch: Stopwatch<'_>,
    ) -> Result<Made, Refusal> {
        let engine = &serving.engine;
        let (entry, outcome) = {
            let judged = engine.judge(inputs, call, scratch).map_err(|e| damaged(&e))?;
            watch.lap(Lap::Decide);
            serving.hits.count(&judged);
            let heading = Heading {
                request_id: &request.request_id,
                member: &request.member,
                product: &request.product,
                at_us,
                rulebook_version: engine.rulebook().version(),
                feature_version: engine.snapshot().version(),
            };
            let head = EntryHead {
                member: &request.member,
                request_id: &request.request_id,
                call: convert::wire_call(call),
                fingerprint: &claim.of().fingerprint,
            };
            // As it came, but for personal fields.
            let token = |name: &str| engine.token(inputs, name);
            let entry = head.encode(
                |out| request.encode_application(journal::APPLICATION, token, out),
                |out| inputs.encode(engine.rulebook(), out),
                |out| encode_decision(&judged, &heading, out),
            );
            watch.lap(Lap::Encode);
            (entry.map_err(|e| damaged(&e))?, judged.verdict().outcome)
        };
        let record = Record::new(claim.of().hash, entry.payload).map_err(|e| unavailable(&e))?;
        Ok(Made { record, body: entry.decision, outcome, claim })
    }

    /// Gives decisions to the journal, together; the future is the caller's part of the waiting, and gives the
    /// number of the first.
    pub(super) fn record<S: Send + 'static, I: IntoIterator<Item = Made>>(
        &self,
        made: I,
        call: Call,
        slot: S,
    ) -> impl Future<Output = Result<u64, Refusal>> + use<S, I> {
        let (sender, receiver) = oneshot::channel();
        let split = |Made { record, body, outcome, claim }| (record, (claim, body, outcome));
        let (records, claims): (Records, SmallVec<[_; 1]>) = made.into_iter().map(split).unzip();
        let metrics = self.metrics.clone();
        let submitted = Instant::now();
        self.journal.submit(records, move |durable| {
            if let Ok(first) = durable {
                let counters = metrics.mine();
                counters.lap(Lap::Journal).times(submitted.elapsed(), claims.len());
                for (number, (claim, body, outcome)) in (first..).zip(claims) {
                    counters.decided(call, outcome);
                    claim.resolve(body, number);
                }
            }
            drop(slot);
            // The caller may have gone.
            let _ = sender.send(durable);
        });
        async move {
            match receiver.await {
                Ok(durable) => durable.map_err(|e| unavailable(&e)),
                Err(_) => Err(Refusal::Unavailable("the service is shutting down".into())),
            }
        }
    }
}

/// Said when the journal takes nothing more. Why it does not is for the log, not for callers.
pub(super) const CLOSED: &str =
    "the decision journal cannot be written, so nothing is decided; see the service's log";

pub(super) fn check_key(member: &str, request_id: &str) -> Result<(), Refusal> {
    match request_id.chars().count() {
        0 => Err(Refusal::invalid("request_id", "it is empty; choose one that is unique within the member")),
        n if n > REQUEST_ID_MAX => {
            Err(Refusal::invalid("request_id", format!("it has {n} characters; at most {REQUEST_ID_MAX}")))
        }
        _ if member.is_empty() => Err(Refusal::invalid("member", "it is empty")),
        _ => Ok(()),
    }
}

/// The decision as it was answered.
fn answer(number: u64, entry: JournalEntry) -> Result<Decision, Refusal> {
    let decision = entry.decision.ok_or_else(|| {
        Refusal::Internal(format!("record {number} of the journal is of another format: it has no decision"))
    })?;
    Ok(decision.renumbered(number))
}

pub(super) fn unavailable(e: &JournalError) -> Refusal {
    match e {
        JournalError::TooLong { .. } => Refusal::invalid("application", e.to_string()),
        _ => {
            tracing::debug!("refused: {e}");
            Refusal::Unavailable(CLOSED.into())
        }
    }
}

/// What no request should be able to cause.
pub(super) fn damaged(e: &dyn std::error::Error) -> Refusal {
    tracing::error!("{e}");
    Refusal::Internal(e.to_string())
}
