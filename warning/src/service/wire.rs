//! Warnings as they are told, and requests as they are read.

use std::ops::RangeInclusive;

use tarim_proto::warning::v1 as wire;

use super::Refusal;
use crate::{
    delivery::Kind,
    ledger::{Bodies, Filter, LedgerError, PushFilter},
    lifecycle::{Id, NewChange, State, Warning},
};

/// A warning, with what the alert says that opened it.
pub fn warning(warning: &Warning, bodies: &dyn Bodies) -> Result<wire::Warning, LedgerError> {
    let step = |(i, step): (usize, &crate::lifecycle::Step)| wire::Change {
        change_id: warning.change_id(i + 1),
        from: step.from.wire().into(),
        to: step.to.wire().into(),
        by: step.by.to_string(),
        at_us: step.at_us,
        why: step.why.to_string(),
        escalated_to: step.escalated_to.as_deref().unwrap_or_default().to_owned(),
    };
    Ok(wire::Warning {
        warning_id: warning.id.to_string(),
        alert: Some(bodies.body(warning.body)?),
        level: warning.level.into(),
        state: warning.state.wire().into(),
        count: warning.count,
        first_raised_at_us: warning.first_raised_us,
        last_raised_at_us: warning.last_raised_us,
        history: warning.history.iter().enumerate().map(step).collect(),
        inspection: warning.inspection.map(|inspection| wire::Inspection {
            inspection_id: format!("{}-inspection", warning.id),
            kind: wire::InspectionKind::Unscheduled.into(),
            due_at_us: inspection.due_at_us,
            done: inspection.done,
        }),
    })
}

/// A change that is asked for.
pub fn change(request: wire::ChangeRequest, to: State, at_us: i64) -> Result<NewChange, Refusal> {
    let wire::ChangeRequest { member, request_id, warning_id, by, why } = request;
    // Whoever only says that he looks into it need not say why.
    let whys = if to == State::Acknowledged { 0..=WHY_MAX } else { 1..=WHY_MAX };
    Ok(NewChange {
        member: text("member", member, 1..=NAME_MAX)?,
        request: text("request_id", request_id, 1..=NAME_MAX)?,
        warning: id(&warning_id)?,
        to,
        by: text("by", by, 1..=NAME_MAX)?,
        at_us,
        why: text("why", why, whys)?,
    })
}

/// Which warnings are listed.
pub fn filter(request: &wire::ListWarningsRequest) -> Result<Filter, Refusal> {
    let optional = |field, value: &String| -> Result<Option<String>, Refusal> {
        let value = text(field, value.clone(), 0..=NAME_MAX)?;
        Ok(Some(value).filter(|value| !value.is_empty()))
    };
    let state = wire::State::try_from(request.state)
        .map_err(|_| Refusal::invalid("state", format!("{} is no state", request.state)))?;
    let level = wire::Level::try_from(request.level_at_least)
        .map_err(|_| Refusal::invalid("level_at_least", format!("{} is no level", request.level_at_least)))?;
    Ok(Filter {
        customer: optional("customer_id", &request.customer_id)?,
        state: State::of_wire(state),
        at_least: Some(level).filter(|level| *level != wire::Level::Unspecified),
        rule: optional("rule_id", &request.rule_id)?,
    })
}

/// Which pushes are listed.
pub fn push_filter(request: &wire::ListPushesRequest) -> Result<PushFilter, Refusal> {
    let reader = text("manager", request.manager.clone(), 0..=NAME_MAX)?;
    let kind = wire::PushKind::try_from(request.kind)
        .map_err(|_| Refusal::invalid("kind", format!("{} is no kind of push", request.kind)))?;
    Ok(PushFilter { reader: Some(reader).filter(|reader| !reader.is_empty()), kind: Kind::of_wire(kind) })
}

pub fn id(text: &str) -> Result<Id, Refusal> {
    text.parse()
        .map_err(|()| Refusal::invalid("warning_id", "it must be 32 hexadecimal digits, in small letters"))
}

/// Code of a member.
pub fn member(text: String) -> Result<String, Refusal> {
    self::text("member", text, 1..=NAME_MAX)
}

/// Id of a customer.
pub fn customer(text: String) -> Result<String, Refusal> {
    self::text("customer_id", text, 1..=NAME_MAX)
}

/// Longest name or id, and longest reason, in characters.
const NAME_MAX: usize = 64;
const WHY_MAX: usize = 2000;

fn text(field: &'static str, value: String, length: RangeInclusive<usize>) -> Result<String, Refusal> {
    let characters = value.chars().count();
    if !length.contains(&characters) {
        let (least, most) = (length.start(), length.end());
        return Err(Refusal::invalid(
            field,
            format!("it has {characters} characters; {least} to {most} are allowed"),
        ));
    }
    // What is only blank says nothing.
    if *length.start() > 0 && value.trim().is_empty() {
        return Err(Refusal::invalid(field, "it is blank"));
    }
    Ok(value)
}
