//! What the desk does about control points.

use prost::Message;
use smallvec::smallvec;
use tarim_proto::{
    decision::v1::{self as wire, InterceptRequest, Interception, JournalEntry, OverrideRequest},
    encoded,
};
use tokio::sync::oneshot;

use crate::{
    convert,
    engine::{Inputs, Look},
    interception::{self, OverrideError, overridden},
    journal::{Journal, Record},
    outcome::{Call, Stage},
    service::{
        Deadline, Refusal,
        desk::{CLOSED, Desk, REQUEST_ID_MAX, check_key, damaged, unavailable},
        pending::{Claim, Identity, Taken},
        serving::Work,
    },
    wire::Heading,
};

/// The right to answer a request, or what was answered to it before.
enum Claimed {
    Mine(Claim),
    Answered(Box<Interception>),
}

/// What an answer is journaled with.
struct Made {
    entry: JournalEntry,
    /// Its key, and its subject's turn.
    claims: [Claim; 2],
}

impl Desk {
    /// Asks a control point, or gives the answer that was given before. `slot` is held until the answer is durable.
    pub async fn intercept<S: Send + 'static>(
        &self,
        request: &InterceptRequest,
        deadline: Deadline,
        slot: S,
    ) -> Result<Interception, Refusal> {
        let call = wire::Call::Intercept;
        let identity = self.identify(&request.member, &request.request_id, request, call, deadline)?;
        let point = interception::point(request.point).ok_or_else(|| {
            Refusal::invalid("point", "it is none; name the application, the contract or the disbursement")
        })?;
        match request.subject.chars().count() {
            1..=REQUEST_ID_MAX => {}
            n => {
                let what = format!("it has {n} characters; 1 to {REQUEST_ID_MAX} say what is to pass");
                return Err(Refusal::invalid("subject", what));
            }
        }
        let claim = match self.claim_key(identity, deadline).await? {
            Claimed::Mine(claim) => claim,
            Claimed::Answered(interception) => return Ok(*interception),
        };
        let turn = self.turn(&request.member, request.point, &request.subject, deadline).await?;
        let entry = self.ask_point(request, point, claim.of(), deadline).await?;
        deadline.check()?;
        let answer = entry.interception.clone().expect("it was just made");
        let clearance = interception::standing(&answer);
        let metrics = self.intercepted.clone();
        let done = move || metrics.intercepted(point, clearance);
        let number = self.keep(Made { entry, claims: [claim, turn] }, deadline, slot, done).await?;
        Ok(Interception { interception_id: number.to_string(), ..answer })
    }

    /// Lets an officer override reasons of the latest interception of a subject.
    pub async fn override_reasons<S: Send + 'static>(
        &self,
        request: &OverrideRequest,
        deadline: Deadline,
        slot: S,
    ) -> Result<Interception, Refusal> {
        let OverrideRequest { request_id, member, interception: of, .. } = request;
        let identity = self.identify(member, request_id, request, wire::Call::Override, deadline)?;
        interception::check(request)?;
        let claim = match self.claim_key(identity, deadline).await? {
            Claimed::Mine(claim) => claim,
            Claimed::Answered(interception) => return Ok(*interception),
        };
        let made =
            self.find_intercepted(member, of, "interception: nothing was intercepted under it").await?;
        let turn = self.turn(member, made.point, &made.subject, deadline).await?;
        let latest = self.latest(member, &made, None).await?;
        if latest.request_id != *of {
            return Err(Refusal::Forbidden(format!(
                "`{}` was intercepted again, by request {}: only the latest interception can be overridden",
                made.subject, latest.request_id
            )));
        }
        let at_us = self.clock.now_us();
        let answer = overridden(&latest, request, at_us)?;
        deadline.check()?;
        let entry = JournalEntry {
            member: member.clone(),
            request_id: request_id.clone(),
            call: wire::Call::Override.into(),
            fingerprint: claim.of().fingerprint.to_vec(),
            interception: Some(answer.clone()),
            r#override: Some(request.clone()),
            at_us,
            ..Default::default()
        };
        let metrics = self.intercepted.clone();
        let reasons = request.overrides.len() as u64;
        let point = interception::point(answer.point);
        let done = move || point.into_iter().for_each(|point| metrics.overridden(point, reasons));
        self.keep(Made { entry, claims: [claim, turn] }, deadline, slot, done).await?;
        Ok(answer)
    }

    /// An interception as it stands.
    pub async fn find_interception(&self, member: &str, request_id: &str) -> Result<Interception, Refusal> {
        check_key(member, request_id)?;
        let made =
            self.find_intercepted(member, request_id, "request_id: nothing was intercepted under it").await?;
        self.latest(member, &made, Some(request_id)).await
    }

    /// The right to be the first with a key. Whoever had it before has written what it came to.
    async fn claim_key(&self, mut identity: Identity, deadline: Deadline) -> Result<Claimed, Refusal> {
        let claim = loop {
            match self.pending.claim(identity) {
                Ok(claim) => break claim,
                Err(Taken { first, repeat }) => {
                    if deadline.wait(first.answer()).await?.is_some() {
                        // Decisions tell each other; an interception is none.
                        return Err(Refusal::Differs);
                    }
                    identity = repeat;
                }
            }
        };
        let Some((number, entry)) = deadline.wait(self.known(claim.of())).await?? else {
            return Ok(Claimed::Mine(claim));
        };
        if entry.fingerprint != claim.of().fingerprint {
            return Err(Refusal::Differs);
        }
        self.metrics.mine().repeated();
        let none = || Refusal::Internal(format!("record {number} of the journal has no interception"));
        let answer = entry.interception.clone().ok_or_else(none)?;
        Ok(Claimed::Answered(Box::new(numbered(answer, number, entry.call))))
    }

    /// Waits until nothing else is under way with a subject.
    async fn turn(
        &self,
        member: &str,
        point: i32,
        subject: &str,
        deadline: Deadline,
    ) -> Result<Claim, Refusal> {
        let mut identity = Identity {
            member: member.to_owned(),
            request_id: format!("{point} {subject}"),
            hash: self.journal.subject_hash(member, point, subject),
            fingerprint: [0; 32],
        };
        loop {
            match self.subjects.claim(identity) {
                Ok(turn) => return Ok(turn),
                Err(Taken { first, repeat }) => {
                    deadline.wait(first.answer()).await?;
                    identity = repeat;
                }
            }
        }
    }

    /// Gathers, asks the ledger if a rule wants to know how exposures stand, and judges: with one engine throughout.
    async fn ask_point(
        &self,
        request: &InterceptRequest,
        point: Stage,
        identity: &Identity,
        deadline: Deadline,
    ) -> Result<JournalEntry, Refusal> {
        let serving = self.serving.load_full();
        let (engine, at_us) = (&serving.engine, self.clock.now_us());
        let InterceptRequest { request_id, member, product, subject, .. } = request;
        let call = Call::One(point);
        let mut inputs = Inputs::new();
        let fields = request.application.iter().map(|(name, value)| (name.as_str(), convert::sent(value)));
        engine.gather_fields(member, product, fields, at_us, &mut inputs)?;
        // As it came, but for personal fields.
        let mut application = request.application.clone();
        for (name, value) in &mut application {
            if let Some(token) = engine.token(&inputs, name) {
                value.kind = Some(wire::value::Kind::StringValue(token.into()));
            }
        }
        if engine.asks_exposure(&inputs, call) {
            let fen = engine.asked_fen(&inputs).unwrap_or(0);
            // What cannot be told, the ledger is not asked: it stays unknown.
            if let Ok(reserve) = engine.reserve(&inputs, subject, fen, 0) {
                let told = self.exposures.outlook(reserve, request.exposure.clone());
                let counters = deadline.wait(told).await?;
                engine.expose_told(&mut inputs, &mut Look::default(), counters.as_deref());
            }
        }
        serving.work(|Work { scratch, .. }| {
            let judged = engine.judge(&inputs, call, scratch).map_err(|e| damaged(&e))?;
            if !judged.plan().intercepts(point) {
                return Err(Refusal::Forbidden(format!(
                    "point: the rulebook says nothing of product `{product}` at this point, so nothing can pass it; write \
                     interception/{point}.toml"
                )));
            }
            serving.hits.count(&judged);
            let heading = Heading {
                request_id,
                member,
                product,
                at_us,
                rulebook_version: engine.rulebook().version(),
                feature_version: engine.snapshot().version(),
            };
            let decision = judged.tell();
            let mut bytes = Vec::new();
            inputs.encode(engine.rulebook(), &mut bytes).map_err(|e| damaged(&e))?;
            Ok(JournalEntry {
                member: member.clone(),
                request_id: request_id.clone(),
                call: wire::Call::Intercept.into(),
                fingerprint: identity.fingerprint.to_vec(),
                application,
                inputs: bytes,
                interception: Some(interception::intercepted(&decision, &heading, request.point(), subject)),
                ..Default::default()
            })
        })
    }

    /// Writes an answer down; `done` once it is durable. The number of its record.
    async fn keep<S: Send + 'static>(
        &self,
        Made { entry, claims }: Made,
        deadline: Deadline,
        slot: S,
        done: impl FnOnce() + Send + 'static,
    ) -> Result<u64, Refusal> {
        let of = entry.interception.as_ref().expect("an answer is of an interception");
        let subject = self.journal.subject_hash(&entry.member, of.point, &of.subject);
        let hash = self.journal.hash(&entry.member, &entry.request_id);
        let record = Record::new(hash, entry.encode_to_vec().into()).map_err(|e| unavailable(&e))?;
        let (sender, receiver) = oneshot::channel();
        self.journal.submit(smallvec![record.of_subject(subject)], move |durable| {
            if durable.is_ok() {
                done();
            }
            // Only now: whoever waits for the key or the subject finds it in the journal.
            drop((claims, slot));
            // The caller may have gone.
            let _ = sender.send(durable);
        });
        match deadline.wait(receiver).await? {
            Ok(durable) => durable.map_err(|e| unavailable(&e)),
            Err(_) => Err(Refusal::Unavailable(CLOSED.into())),
        }
    }

    /// What was answered to an interception first.
    async fn find_intercepted(
        &self,
        member: &str,
        request_id: &str,
        none: &'static str,
    ) -> Result<Interception, Refusal> {
        let identity = Identity {
            hash: self.journal.hash(member, request_id),
            member: member.to_owned(),
            request_id: request_id.to_owned(),
            fingerprint: [0; 32],
        };
        let intercept = |entry: &encoded::JournalEntry| entry.call == i32::from(wire::Call::Intercept);
        let found = self.known(&identity).await?.filter(|(_, entry)| intercept(entry));
        let (_, entry) = found.ok_or(Refusal::NotFound(none))?;
        entry.interception.ok_or(Refusal::NotFound(none))
    }

    /// The latest interception of a subject, or of one that was made, as it stands.
    async fn latest(
        &self,
        member: &str,
        made: &Interception,
        request_id: Option<&str>,
    ) -> Result<Interception, Refusal> {
        let (member, point) = (member.to_owned(), made.point);
        let (subject, request_id) = (made.subject.clone(), request_id.map(str::to_owned));
        let find = move |journal: &Journal| {
            let wanted = |i: &Interception| request_id.as_ref().is_none_or(|id| i.request_id == *id);
            journal.latest(&member, point, &subject, wanted)
        };
        let found = self.look_up(find).await?;
        let lost = || Refusal::Internal("an interception is not found by its subject".into());
        let (number, entry) = found.ok_or_else(lost)?;
        let call = entry.call;
        Ok(numbered(entry.interception.ok_or_else(lost)?, number, call))
    }
}

/// An interception's own record has its number; an override's carries it.
fn numbered(interception: Interception, number: u64, call: i32) -> Interception {
    match call == i32::from(wire::Call::Intercept) {
        true => Interception { interception_id: number.to_string(), ..interception },
        false => interception,
    }
}

impl From<OverrideError> for Refusal {
    fn from(e: OverrideError) -> Self {
        match e {
            OverrideError::Invalid { field, what } => Self::Invalid { field, what },
            OverrideError::Forbidden(why) => Self::Forbidden(why),
            OverrideError::Done(why) => Self::Done(why),
        }
    }
}
