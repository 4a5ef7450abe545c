//! Between messages of the wire and those of the ledger. What can be told to be wrong by itself is told here, with its field.

use prost_types::Timestamp;
use tarim_proto::exposure::v1 as wire;

use super::{looks::names as decided, recover, refusal::Refusal};
use crate::{
    convert::{microseconds, timestamp},
    exposure::{
        ATTRIBUTES_MAX, Answer, Attribute, Commit, CounterUse, ExposureState, FEN_MAX, FileLarge, Large,
        NAME_MAX, Operation, Release, Repay, Reserve,
    },
};

/// A request that asks for an operation.
pub trait Asks {
    /// Its place among [`KINDS`](super::metrics::KINDS).
    const KIND: usize;
    /// What is asked for, if it makes sense.
    fn operation(self) -> Result<Operation, Refusal>;
    /// Member, and what the operation is of: for the log.
    fn of(&self) -> (&str, &str);
}

impl Asks for wire::ReserveRequest {
    const KIND: usize = 0;

    fn operation(self) -> Result<Operation, Refusal> {
        let Self { member, exposure, customer_id, attributes, amount_fen, expires_at } = self;
        names(&[("member", &member), ("exposure", &exposure), ("customer_id", &customer_id)])?;
        if decided::request_of(&exposure).is_some() {
            let what = "such names are of exposures that decisions reserve; choose one that does not begin with `decide:`";
            return Err(Refusal::invalid("exposure", what));
        }
        if attributes.len() > ATTRIBUTES_MAX {
            let what = format!("there are {}; at most {ATTRIBUTES_MAX} fit", attributes.len());
            return Err(Refusal::invalid("attributes", what));
        }
        for (attribute, value) in &attributes {
            name("attributes", attribute)?;
            name(&format!("attributes.{attribute}"), value)?;
        }
        amount(amount_fen)?;
        // 0 would be never, and nobody means 1970.
        let expires_us = match optional_time("expires_at", expires_at)? {
            Some(us) if us <= 0 => {
                return Err(Refusal::invalid("expires_at", "it has passed; write a later time"));
            }
            at => at.unwrap_or(0),
        };
        let attributes = attributes.into_iter().map(|(name, value)| Attribute { name, value }).collect();
        let customer = customer_id;
        Ok(Operation::Reserve(Reserve {
            member,
            exposure,
            customer,
            attributes,
            fen: amount_fen,
            expires_us,
        }))
    }

    fn of(&self) -> (&str, &str) {
        (&self.member, &self.exposure)
    }
}

impl Asks for wire::CommitRequest {
    const KIND: usize = 1;

    fn operation(self) -> Result<Operation, Refusal> {
        let Self { member, exposure, key, amount_fen: fen, grow } = self;
        keyed(&member, &exposure, &key)?;
        amount(fen)?;
        Ok(Operation::Commit(Commit { member, exposure, key, fen, grow }))
    }

    fn of(&self) -> (&str, &str) {
        (&self.member, &self.exposure)
    }
}

impl Asks for wire::RepayRequest {
    const KIND: usize = 2;

    fn operation(self) -> Result<Operation, Refusal> {
        let Self { member, exposure, key, amount_fen: fen } = self;
        keyed(&member, &exposure, &key)?;
        amount(fen)?;
        Ok(Operation::Repay(Repay { member, exposure, key, fen }))
    }

    fn of(&self) -> (&str, &str) {
        (&self.member, &self.exposure)
    }
}

impl Asks for wire::ReleaseRequest {
    const KIND: usize = 3;

    fn operation(self) -> Result<Operation, Refusal> {
        let Self { member, exposure, key, amount_fen: fen } = self;
        keyed(&member, &exposure, &key)?;
        if fen != 0 {
            amount(fen)?;
        }
        Ok(Operation::Release(Release { member, exposure, key, fen }))
    }

    fn of(&self) -> (&str, &str) {
        (&self.member, &self.exposure)
    }
}

impl Asks for wire::FileLargeRequest {
    const KIND: usize = 4;

    fn operation(self) -> Result<Operation, Refusal> {
        let Self { member, large, reference, officer } = self;
        names(&[("member", &member), ("reference", &reference), ("officer", &officer)])?;
        if large == 0 {
            return Err(Refusal::invalid(
                "large",
                "give the number of the large exposure; ListLarge tells it",
            ));
        }
        Ok(Operation::FileLarge(FileLarge { member, large, reference, officer }))
    }

    fn of(&self) -> (&str, &str) {
        (&self.member, &self.reference)
    }
}

fn names(all: &[(&str, &String)]) -> Result<(), Refusal> {
    all.iter().try_for_each(|(field, text)| name(field, text))
}

/// Checks what an operation on an exposure is found by.
fn keyed(member: &str, exposure: &str, key: &str) -> Result<(), Refusal> {
    for (field, text) in [("member", member), ("exposure", exposure), ("key", key)] {
        name(field, text)?;
    }
    if key == recover::KEY && decided::request_of(exposure).is_some() {
        let what =
            "by this key the server gives back what a decision reserved that was never made; choose another";
        return Err(Refusal::invalid("key", what));
    }
    Ok(())
}

/// Checks a name of the caller's.
pub fn name(field: &str, text: &str) -> Result<(), Refusal> {
    match text.len() {
        0 => Err(Refusal::invalid(field, "it is empty; give it")),
        1..=NAME_MAX => Ok(()),
        n => Err(Refusal::invalid(field, format!("it has {n} bytes; at most {NAME_MAX} fit"))),
    }
}

fn amount(fen: i64) -> Result<(), Refusal> {
    if (1..=FEN_MAX).contains(&fen) {
        return Ok(());
    }
    Err(Refusal::invalid("amount_fen", format!("{fen} is no amount; write 1 to {FEN_MAX}")))
}

/// Microseconds since 1970, if a time is given.
pub fn optional_time(field: &str, time: Option<Timestamp>) -> Result<Option<i64>, Refusal> {
    time.map(|time| microseconds(&time).map_err(|what| Refusal::invalid(field, what))).transpose()
}

pub fn answer(answer: Answer) -> wire::OperationAnswer {
    let Answer { sequence, warnings, large } = answer;
    wire::OperationAnswer { sequence, warnings: warnings.into_iter().map(counter).collect(), large }
}

pub fn counter(counter: CounterUse) -> wire::Counter {
    let headroom_fen = counter.headroom_fen();
    let CounterUse { limit, member, per, used_fen, warning_fen, hard_fen } = counter;
    let per = per.into_iter().map(|Attribute { name, value }| (name, value)).collect();
    wire::Counter { limit, member, per, used_fen, warning_fen, hard_fen, headroom_fen }
}

pub fn exposure(state: ExposureState) -> wire::Exposure {
    wire::Exposure {
        member: state.member,
        exposure: state.exposure,
        customer_id: state.customer,
        group: state.group.unwrap_or_default(),
        attributes: state.attributes.into_iter().map(|Attribute { name, value }| (name, value)).collect(),
        reserved_fen: state.reserved_fen,
        outstanding_fen: state.outstanding_fen,
        expires_at: state.expires_us.map(timestamp),
    }
}

pub fn large(large: Large) -> wire::LargeExposure {
    use wire::large_exposure::To;
    let filing = large.filed.map(|(reference, officer, at)| wire::Filing {
        reference,
        officer,
        filed_at: Some(timestamp(at)),
    });
    wire::LargeExposure {
        number: large.number,
        member: large.member,
        to: Some(if large.is_customer { To::CustomerId(large.id) } else { To::Group(large.id) }),
        recognised_at: Some(timestamp(large.recognised_us)),
        recognised_fen: large.fen,
        used_fen: large.used_fen,
        filing,
    }
}
