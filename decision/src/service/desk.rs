//! The desk: takes one request from its arrival to its answer.
//!
//! ```text
//! slot ─ check ─ known? ─ claim ─ gather ─ decide ─ deadline? ─ journal ═ index ═ answer, free the claim
//!  │       │       └─ in the journal, or in flight: its answer          ╰ from here on it is decided,
//!  └─ none: Busy, at once                                                 whether or not the caller waits
//! ```
//!
//! Everything up to the journal takes microseconds and runs on the caller's task. The rest is waiting for
//! the disk; it is driven by the journal's own thread, so a caller that goes away changes nothing.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use prost::Message;
use tarim_datamart::{Tokeniser, Value};
use tarim_proto::decision::v1::{self as wire, DecisionRequest, JournalEntry};
use tokio::sync::oneshot;

use super::{
    Clock, Deadline, Refusal,
    pending::{Claim, Key, Pending},
    serving::{Serving, Work},
};
use crate::{
    convert,
    engine::{Application, Engine, FieldError},
    journal::{Journal, JournalError},
    outcome::Call,
};

/// Longest request id, in characters.
const REQUEST_ID_MAX: usize = 64;

/// What decisions are made with.
pub struct Desk {
    pub serving: Arc<ArcSwap<Serving>>,
    pub journal: Arc<Journal>,
    pub tokeniser: Arc<Tokeniser>,
    pub clock: Clock,
    pub pending: Pending,
}

/// A decision on its way into the journal.
struct Made {
    entry: JournalEntry,
    decision: wire::Decision,
}

impl Desk {
    /// Decides a request, or gives the answer that it had before. `slot` is held until the decision is
    /// durable: it bounds how many are in flight.
    pub async fn decide<S: Send + 'static>(
        &self,
        request: DecisionRequest,
        call: Call,
        deadline: Deadline,
        slot: S,
    ) -> Result<Arc<wire::Decision>, Refusal> {
        deadline.check()?;
        if !self.journal.is_open() {
            return Err(Refusal::Unavailable(CLOSED.into()));
        }
        check_key(&request.member, &request.request_id)?;
        let fingerprint = self.fingerprint(&request, call);
        let claim = loop {
            let first = match self.pending.claim(key(&request), &fingerprint) {
                Ok(claim) => break claim,
                Err(first) => first,
            };
            match deadline.wait(first.decision).await? {
                Ok(decision) if first.fingerprint == fingerprint => return Ok(decision),
                Ok(_) => return Err(Refusal::Differs),
                // It came to nothing: this one may be the first now.
                Err(_) => {}
            }
        };
        // Looked up with the claim in hand: what was in flight is in the journal before its claim is free.
        if let Some((number, entry)) = self.known(&request.member, &request.request_id).await? {
            if entry.fingerprint != fingerprint {
                return Err(Refusal::Differs);
            }
            return answer(number, entry).map(Arc::new);
        }
        let made = self.make(request, call, fingerprint)?;
        deadline.check()?;
        deadline.wait(self.record(made, claim, slot)).await?
    }

    /// The decision of a request id.
    pub async fn find(&self, member: String, request_id: String) -> Result<wire::Decision, Refusal> {
        check_key(&member, &request_id)?;
        let (number, entry) = self.known(&member, &request_id).await?.ok_or(Refusal::NotFound)?;
        answer(number, entry)
    }

    async fn known(&self, member: &str, request_id: &str) -> Result<Option<(u64, JournalEntry)>, Refusal> {
        if !self.journal.may_hold(member, request_id) {
            return Ok(None);
        }
        let (journal, member, request_id) = (self.journal.clone(), member.to_owned(), request_id.to_owned());
        let found = tokio::task::spawn_blocking(move || journal.find(&member, &request_id)).await;
        found.map_err(|e| damaged(&e))?.map_err(|e| damaged(&e))
    }

    /// What a repeat must have in common with the first request: everything. Keyed, since an application
    /// holds what a guesser could try out.
    fn fingerprint(&self, request: &DecisionRequest, call: Call) -> String {
        let mut bytes = vec![convert::wire_call(call) as u8];
        request.encode(&mut bytes).expect("a vector grows");
        self.tokeniser.token("request", blake3::hash(&bytes).to_hex().as_str())
    }

    /// Gathers and decides, with one engine throughout.
    fn make(&self, request: DecisionRequest, call: Call, fingerprint: String) -> Result<Made, Refusal> {
        let serving = self.serving.load();
        let engine = &serving.engine;
        let at_us = self.clock.now_us();
        let application = application(engine, &request)?;
        serving.work(|Work { inputs, scratch }| {
            engine.gather(&application, at_us, inputs)?;
            let decision = engine.decide(inputs, call, scratch).map_err(|e| damaged(&e))?;
            let mut recorded = Vec::new();
            inputs.encode(engine.rulebook(), &mut recorded).map_err(|e| damaged(&e))?;
            let decision = wire::Decision {
                request_id: request.request_id.clone(),
                member: request.member.clone(),
                product: request.product.clone(),
                decided_at: Some(convert::timestamp(at_us)),
                rulebook_version: engine.rulebook().version().to_owned(),
                feature_version: engine.snapshot().version().to_owned(),
                ..convert::wire_decision(&decision)
            };
            let entry = JournalEntry {
                application: self.tokenised(engine, request.application),
                member: request.member,
                request_id: request.request_id,
                call: convert::wire_call(call).into(),
                fingerprint,
                inputs: recorded,
                decision: Some(decision.clone()),
            };
            Ok(Made { entry, decision })
        })
    }

    /// The application as it came, but for personal fields.
    fn tokenised(
        &self,
        engine: &Engine,
        mut application: BTreeMap<String, wire::Value>,
    ) -> BTreeMap<String, wire::Value> {
        let standard = engine.rulebook().standards().table(APPLICATIONS);
        for field in standard.iter().flat_map(|table| &table.fields).filter(|field| field.personal) {
            if let Some(value) = application.get_mut(&field.name)
                && let Ok(Value::Utf8(text)) = convert::field_value(field, value)
            {
                *value = wire::Value {
                    kind: Some(wire::value::Kind::StringValue(self.tokeniser.token(&field.kind, &text))),
                };
            }
        }
        application
    }

    /// Gives the decision to the journal; the future is the caller's part of the waiting.
    fn record<S: Send + 'static>(
        &self,
        Made { entry, mut decision }: Made,
        claim: Claim,
        slot: S,
    ) -> impl Future<Output = Result<Arc<wire::Decision>, Refusal>> + use<S> {
        let (sender, receiver) = oneshot::channel();
        self.journal.submit(&entry, move |durable| {
            let answer = durable.map(|number| {
                decision.decision_id = number.to_string();
                let decision = Arc::new(decision);
                claim.resolve(decision.clone());
                decision
            });
            drop(slot);
            // The caller may have gone.
            let _ = sender.send(answer);
        });
        async move {
            match receiver.await {
                Ok(Ok(decision)) => Ok(decision),
                Ok(Err(e)) => Err(unavailable(&e)),
                Err(_) => Err(Refusal::Unavailable("the service is shutting down".into())),
            }
        }
    }
}

/// Said when the journal takes nothing more. Why it does not is for the log, not for callers.
const CLOSED: &str = "the decision journal cannot be written, so nothing is decided; see the service's log";

/// The standard that requests are checked by.
const APPLICATIONS: &str = "applications";

fn key(request: &DecisionRequest) -> Key {
    (request.member.clone(), request.request_id.clone())
}

fn check_key(member: &str, request_id: &str) -> Result<(), Refusal> {
    match request_id.chars().count() {
        0 => Err(Refusal::invalid("request_id", "it is empty; choose one that is unique within the member")),
        n if n > REQUEST_ID_MAX => {
            Err(Refusal::invalid("request_id", format!("it has {n} characters; at most {REQUEST_ID_MAX}")))
        }
        _ if member.is_empty() => Err(Refusal::invalid("member", "it is empty")),
        _ => Ok(()),
    }
}

/// The request's fields as values of the standard.
fn application(engine: &Engine, request: &DecisionRequest) -> Result<Application, FieldError> {
    let standard = engine.rulebook().standards().table(APPLICATIONS);
    let mut fields = Vec::with_capacity(request.application.len());
    for (name, value) in &request.application {
        let wrong = |message| FieldError { field: format!("application.{name}"), message };
        let field = standard
            .and_then(|table| table.field(name))
            .ok_or_else(|| wrong("the standard `applications` has no such field".into()))?;
        fields.push((name.clone(), convert::field_value(field, value).map_err(wrong)?));
    }
    Ok(Application { member: request.member.clone(), product: request.product.clone(), fields })
}

/// The decision as it was answered.
fn answer(number: u64, entry: JournalEntry) -> Result<wire::Decision, Refusal> {
    let decision = entry.decision.ok_or_else(|| {
        Refusal::Internal(format!("record {number} of the journal is of another format: it has no decision"))
    })?;
    Ok(wire::Decision { decision_id: number.to_string(), ..decision })
}

fn unavailable(e: &JournalError) -> Refusal {
    match e {
        JournalError::TooLong { .. } => Refusal::invalid("application", e.to_string()),
        _ => {
            tracing::debug!("refused: {e}");
            Refusal::Unavailable(CLOSED.into())
        }
    }
}

/// What no request should be able to cause.
fn damaged(e: &dyn std::error::Error) -> Refusal {
    tracing::error!("{e}");
    Refusal::Internal(e.to_string())
}
