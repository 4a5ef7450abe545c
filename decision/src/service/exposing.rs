//! Decisions that ask the exposure ledger, and those that reserve.
//!
//! ```text
//!  claim ─ gather ─ look ─ judge ─┬─ nothing to reserve ──────────────────────────┬─ encode ─ journal ═ answer
//!                     │           └─ reserve ═ durable: taken, or no room ─ judge ─┘
//!                     ╰ left behind by a breakdown: give it back, and look again
//! ```
//!
//! - **What reserves nothing mostly waits for nobody**: a glance at the ledger tells how counters stand, and the decision is made as any
//!   other is (`desk`). What follows is of those that reserve, and of those whose glance fell on a change.
//! - **Two disks, one answer.** Room is durable before the decision is. If the service breaks down in between, room is held for a
//!   decision that was never made: a repeat of the request finds it by name and gives it back before it takes anew (it may come
//!   to another amount, or none), and the next start gives back what nobody repeats ([`super::exposure`], `recover`). So each
//!   attempt of a request has a name of its own, and a repeat of what is journaled never comes here.
//! - **The reservation judges.** What was looked at may have changed: where there is no room any more it is a DECLINE with every
//!   counter that had none.
//! - **What a decision hangs on is journaled**: the row `exposure`, and what the ledger said to the reservation. So a replay needs
//!   no ledger.
//! - All of it is a task of its own: a caller that goes away, or whose deadline passes, leaves nothing half done.

use std::{fmt::Display, time::Instant};

use tarim_proto::{
    decision::v1::Reserve,
    encoded::{Decision, DecisionRequest},
};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    Deadline, Refusal,
    desk::{CLOSED, Desk, Made, damaged},
    exposure::{
        Refusal as Refused,
        looks::{Question, Stand, glance, names},
        recover::KEY,
    },
    metrics::{Lap, Stopwatch},
    pending::Claim,
    serving::{Serving, Work},
};
use crate::{
    convert::microseconds,
    engine::{Engine, Exposed, Inputs, Look, Short},
    exposure::{self, Answer, CounterUse, FEN_MAX, Ledger, LedgerError, Operation, Prepared, Release},
    outcome::{Call, Outcome, Reservation},
};

/// Place of a reservation among the kinds of operations that are counted.
const RESERVE: usize = 0;

/// What a request wants to reserve.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// At most.
    fen: i64,
    /// None: as the rulebook has it.
    expires_us: Option<i64>,
}

impl Wanted {
    fn of(reserve: &Reserve) -> Result<Self, Refusal> {
        let fen = reserve.amount_fen.unwrap_or(FEN_MAX);
        if !(1..=FEN_MAX).contains(&fen) {
            let what = format!("{fen} is no amount; write 1 to {FEN_MAX}, or leave it out");
            return Err(Refusal::invalid("reserve.amount_fen", what));
        }
        let expires = reserve.expires_at.as_ref().map(microseconds).transpose();
        let expires_us = expires.map_err(|what| Refusal::invalid("reserve.expires_at", what))?;
        Ok(Self { fen, expires_us })
    }
}

/// Can this call reserve what the request wants?
pub fn check(request: &DecisionRequest, call: Call) -> Result<(), Refusal> {
    let Some(reserve) = &request.reserve else { return Ok(()) };
    if call != Call::All {
        let what = "only Decide, DecideStream and BatchDecide reserve; leave it out, or call one of them";
        return Err(Refusal::invalid("reserve", what));
    }
    if request.request_id.len() > names::REQUEST_ID_MAX {
        let (len, most) = (request.request_id.len(), names::REQUEST_ID_MAX);
        let what = format!(
            "it has {len} bytes; of a request that reserves at most {most}: the exposure is named by it"
        );
        return Err(Refusal::invalid("request_id", what));
    }
    Wanted::of(reserve).map(drop)
}

impl Desk {
    /// Notes how counters stand for what was gathered. False: that cannot be told at once ([`Desk::decide_apart`]).
    pub(super) fn glance(
        &self,
        engine: &Engine,
        inputs: &mut Inputs,
        look: &mut Look,
        request_id: &str,
    ) -> bool {
        let unknown = |why: &dyn Display| {
            tracing::debug!(request_id, "it is not known how counters stand: {why}");
            None
        };
        let asked = engine.asked_fen(inputs);
        let told = match (self.exposures.opened(), engine.prospect(inputs)) {
            (_, Err(e)) => unknown(&e),
            // A rulebook with [exposure] has limits, so the ledger is about to be opened, or the server has none.
            (None, _) => unknown(&"no ledger is open"),
            (Some(ledger), Ok(prospect)) => match glance(ledger, &prospect, |seen| look.note(seen, asked)) {
                Some(told) => told,
                None if ledger.is_open() => return false,
                None => unknown(&"the ledger is closed"),
            },
        };
        if told.is_none() {
            look.unknown();
        }
        engine.expose(inputs, look);
        true
    }

    /// Decides a request that reserves, or whose glance at the ledger fell on a change, by itself.
    pub(super) fn decide_apart<S: Send + 'static>(
        &self,
        request: &DecisionRequest,
        call: Call,
        claim: Claim,
        deadline: Deadline,
        arrived: Instant,
        slot: S,
    ) -> JoinHandle<Result<Decision, Refusal>> {
        let (desk, request) = (self.clone(), request.clone());
        tokio::spawn(async move {
            let made = desk.make_exposed(&request, call, claim, deadline, arrived).await?;
            let body = made.body.clone();
            let number = desk.record([made], call, slot).await?;
            Ok(Decision::numbered(body, number))
        })
    }

    /// Decides with the ledger.
    async fn make_exposed(
        &self,
        request: &DecisionRequest,
        call: Call,
        claim: Claim,
        deadline: Deadline,
        arrived: Instant,
    ) -> Result<Made, Refusal> {
        let serving = self.serving.load_full();
        let mut work = serving.lend();
        let attempt = Attempt { desk: self, serving: &serving, request, call, deadline };
        let made = attempt.run(&mut work, claim, arrived).await;
        serving.give_back(work);
        made
    }
}

/// One attempt to decide a request with the ledger.
struct Attempt<'a> {
    desk: &'a Desk,
    serving: &'a Serving,
    request: &'a DecisionRequest,
    call: Call,
    deadline: Deadline,
}

impl Attempt<'_> {
    async fn run(&self, work: &mut Work, claim: Claim, arrived: Instant) -> Result<Made, Refusal> {
        let Self { desk, request, call, .. } = *self;
        // Asked with the claim in hand: what has failed before the claim was free may be on the disk all the same, and found when the
        // journal is opened anew, so nothing may be given back that its record promises.
        if !desk.journal.is_open() {
            return Err(Refusal::Unavailable(CLOSED.into()));
        }
        let engine = &self.serving.engine;
        let at_us = desk.clock.now_us();
        let wanted = request.reserve.as_ref().map(Wanted::of).transpose()?;
        let inputs = &mut work.inputs;
        let fields = request.application();
        let gathered = engine.gather_fields(&request.member, &request.product, fields, at_us, inputs);
        if gathered.is_err() && wanted.is_some() {
            // It may have been a good request under the rulebook of an earlier attempt.
            self.look(None, true).await?;
        }
        gathered?;
        let counters = || desk.metrics.mine();
        Stopwatch::since(arrived, counters()).lap(Lap::Gather);

        let asked = Instant::now();
        let stand = self.stand(inputs, wanted.is_some()).await?;
        counters().lap(Lap::Look).time(asked.elapsed());
        engine.expose_told(inputs, &mut work.look, stand.counters.as_deref());
        self.deadline.check()?;
        if let Some(wanted) = wanted {
            let verdict = *engine.judge(inputs, call, &mut work.scratch).map_err(|e| damaged(&e))?.verdict();
            if let (Outcome::Approve, Some(limit @ 1..)) = (verdict.outcome, verdict.limit_fen) {
                let asked = Instant::now();
                let exposed =
                    self.reserve(inputs, wanted, limit.min(wanted.fen), stand.attempt, at_us).await?;
                counters().lap(Lap::Reserve).time(asked.elapsed());
                inputs.reserved(exposed);
            }
        }
        let watch = Stopwatch::since(Instant::now(), counters());
        let made = desk.finish(self.serving, work, request, call, claim, at_us, watch);
        if let (Err(_), Some(taken)) = (&made, work.inputs.taken()) {
            // It comes to no decision, so it must hold nothing.
            let taken = taken.exposure.clone();
            self.give_back(self.ledger()?, taken).await?;
        }
        made
    }

    /// How counters stand.
    async fn stand(&self, inputs: &Inputs, reserves: bool) -> Result<Stand, Refusal> {
        let engine = &self.serving.engine;
        let reserve = engine.reserve(inputs, "", 1, 0).map_err(|e| self.unknown(&e)).ok();
        let stand = self.look(reserve, reserves).await?;
        if reserves && engine.rulebook().exposure().is_none() {
            let what = "the rulebook does not say what the exposure of an application is, so nothing can be reserved; write \
                        [exposure] in its limits/, or leave it out";
            return Err(Refusal::invalid("reserve", what));
        }
        Ok(stand)
    }

    /// Looks at the ledger. Of a request that reserves: once nothing is left behind of earlier attempts.
    async fn look(&self, reserve: Option<Prepared>, reserves: bool) -> Result<Stand, Refusal> {
        let Some(ledger) = self.desk.exposures.opened() else {
            // A rulebook with [exposure] has limits, so it is about to be opened, or the server has none.
            return if reserves { Err(closed("this server keeps none")) } else { Ok(Stand::default()) };
        };
        loop {
            let of = reserves.then(|| (self.request.member.clone(), self.request.request_id.clone()));
            let question = Question { reserve: reserve.clone(), of };
            let stand = match self.desk.exposures.looks.look(ledger, question).await {
                Ok(stand) => stand,
                Err(LedgerError::Busy) => return Err(Refusal::Busy("operations on exposures")),
                Err(e) if reserves => return Err(closed(&e)),
                Err(e) => {
                    self.unknown(&e);
                    return Ok(Stand::default());
                }
            };
            if stand.left.is_empty() {
                return Ok(stand);
            }
            for exposure in stand.left {
                tracing::warn!(
                    exposure,
                    "room is given back: it was taken for a decision that was never made"
                );
                self.give_back(ledger, exposure).await?;
            }
        }
    }

    fn unknown(&self, why: &dyn Display) {
        tracing::debug!(request_id = self.request.request_id, "it is not known how counters stand: {why}");
    }

    /// Takes room. What it comes to is durable, whether or not there was any.
    async fn reserve(
        &self,
        inputs: &Inputs,
        wanted: Wanted,
        fen: i64,
        attempt: u32,
        at_us: i64,
    ) -> Result<Exposed, Refusal> {
        let engine: &Engine = &self.serving.engine;
        if attempt > names::ATTEMPTS {
            let what = "it was tried too often; choose a new one";
            return Err(Refusal::invalid("request_id", what));
        }
        let mapping = engine.rulebook().exposure().expect("without it nothing is reserved");
        let expires_us = wanted.expires_us.unwrap_or_else(|| mapping.expires_us(at_us));
        // 0 would be never, and nobody means 1970.
        if expires_us <= at_us.max(0) {
            return Err(Refusal::invalid("reserve.expires_at", "it has passed; write a later time"));
        }
        let exposure = names::of(&self.request.request_id, attempt);
        let prepared = engine.reserve(inputs, &exposure, fen, expires_us);
        let prepared = prepared.map_err(|e| Refusal::invalid("application", e.to_string()))?;
        let ended = submit(self.ledger()?, prepared).await;
        self.desk.exposures.metrics.operation(RESERVE, &ended.clone().map_err(Refused::from));
        match ended {
            Ok(Answer { sequence, warnings, .. }) => Ok(Exposed {
                counters: warnings
                    .into_iter()
                    .map(|c| CounterUse { used_fen: c.used_fen - fen, ..c })
                    .collect(),
                taken: Some(Reservation { exposure, fen, expires_us, sequence }),
                ..Exposed::default()
            }),
            Err(LedgerError::Refused(exposure::Refusal::Breached(breaches))) => {
                let short =
                    breaches.into_iter().map(|b| Short { counter: Some(b.counter), fen: b.shortfall_fen });
                Ok(Exposed::breached(short))
            }
            // Who wrote a time can write a later one. Else it is the ledger that is ahead of the clock.
            Err(e @ LedgerError::Refused(exposure::Refusal::Passed { .. })) => Err(match wanted.expires_us {
                Some(_) => Refusal::invalid("reserve.expires_at", e.to_string()),
                None => closed(&e),
            }),
            Err(e) => Err(refusal(e)),
        }
    }

    async fn give_back(&self, ledger: &Ledger, exposure: String) -> Result<(), Refusal> {
        let release = Release { member: self.request.member.clone(), exposure, key: KEY.into(), fen: 0 };
        let given = submit(ledger, Prepared::new(Operation::Release(release))).await;
        given.map(drop).map_err(refusal)
    }

    fn ledger(&self) -> Result<&Ledger, Refusal> {
        self.desk.exposures.opened().map(|ledger| &**ledger).ok_or_else(|| closed("this server keeps none"))
    }
}

/// Does an operation; returns when it is durable.
async fn submit(ledger: &Ledger, prepared: Prepared) -> Result<Answer, LedgerError> {
    let (tell, told) = oneshot::channel();
    ledger.submit(prepared, move |answer| _ = tell.send(answer));
    told.await.unwrap_or_else(|_| Err(LedgerError::Closed("the service is shutting down".into())))
}

/// Why nothing was decided.
fn refusal(e: LedgerError) -> Refusal {
    use exposure::Refusal as R;
    match e {
        LedgerError::Busy => Refusal::Busy("operations on exposures"),
        LedgerError::Refused(R::UnknownValue(_) | R::Invalid(_)) => {
            Refusal::invalid("reserve", e.to_string())
        }
        LedgerError::Refused(R::UnknownMember(_) | R::Missing(_)) => Refusal::Unavailable(format!(
            "exposures are about to be counted by the limits of another rulebook; try again soon: {e}"
        )),
        LedgerError::Refused(_) => damaged(&e),
        _ => closed(&e),
    }
}

fn closed(why: impl Display) -> Refusal {
    Refusal::Unavailable(format!(
        "nothing can be reserved, so nothing was decided; repeat the request later, or leave `reserve` out: {why}"
    ))
}
