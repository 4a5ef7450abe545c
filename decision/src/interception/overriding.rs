//! Overriding: an officer lets blocking reasons pass, where the rules allow it.

use tarim_proto::decision::v1 as wire;

use super::standing;
use crate::convert;

/// Most reasons that one request overrides.
const OVERRIDES_MAX: usize = 100;
/// Longest text that says why, in characters.
const REASON_MAX: usize = 1000;
/// Longest id, name and role of an officer, in characters.
const OFFICER_MAX: usize = 64;

/// Why nothing was overridden.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// The caller must correct a field.
    #[error("{field}: {what}")]
    Invalid { field: String, what: String },
    /// A rule, or its roles, do not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// Somebody else did before.
    #[error("{0}")]
    Done(String),
}

fn invalid(field: impl Into<String>, what: impl Into<String>) -> OverrideError {
    OverrideError::Invalid { field: field.into(), what: what.into() }
}

/// Is everything there that an override must say, whatever it is of?
pub fn check(request: &wire::OverrideRequest) -> Result<&wire::Officer, OverrideError> {
    let officer = request.officer.as_ref();
    let officer =
        officer.ok_or_else(|| invalid("officer", "it is missing: an override is somebody's own"))?;
    for (field, text) in
        [("officer.id", &officer.id), ("officer.name", &officer.name), ("officer.role", &officer.role)]
    {
        says_something(field, text, OFFICER_MAX)?;
    }
    match request.overrides.len() {
        0 => return Err(invalid("overrides", "there is none: name each rule that is overridden, and why")),
        n if n > OVERRIDES_MAX => {
            return Err(invalid("overrides", format!("there are {n}; at most {OVERRIDES_MAX}")));
        }
        _ => {}
    }
    for (i, one) in request.overrides.iter().enumerate() {
        says_something(&format!("overrides[{i}].reason"), &one.reason, REASON_MAX)?;
        if request.overrides[..i].iter().any(|before| before.rule == one.rule) {
            return Err(invalid(format!("overrides[{i}].rule"), format!("`{}` is named twice", one.rule)));
        }
    }
    Ok(officer)
}

fn says_something(field: &str, text: &str, max: usize) -> Result<(), OverrideError> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(invalid(field, "it is empty"));
    }
    if length > max {
        return Err(invalid(field, format!("it has {length} characters; at most {max}")));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(invalid(field, "it has control characters"));
    }
    Ok(())
}

/// The interception with what a request overrides: all of it, or nothing.
pub fn overridden(
    interception: &wire::Interception,
    request: &wire::OverrideRequest,
    at_us: i64,
) -> Result<wire::Interception, OverrideError> {
    let officer = check(request)?;
    let mut after = interception.clone();
    for (i, wire::OverrideReason { rule, reason }) in request.overrides.iter().enumerate() {
        may_override(interception, officer, i, rule)?;
        after.overrides.push(wire::OverriddenReason {
            rule: rule.clone(),
            reason: reason.clone(),
            officer: Some(officer.clone()),
            overridden_at: Some(convert::timestamp(at_us)),
            request_id: request.request_id.clone(),
        });
    }
    after.verdict = convert::wire_clearance(standing(&after)).into();
    Ok(after)
}

fn may_override(
    interception: &wire::Interception,
    officer: &wire::Officer,
    i: usize,
    rule: &str,
) -> Result<(), OverrideError> {
    let Some(reason) = interception.reasons.iter().find(|reason| reason.id == rule) else {
        let what = format!("the interception has no reason `{rule}`");
        return Err(invalid(format!("overrides[{i}].rule"), what));
    };
    if reason.effect() != wire::Effect::Block {
        let what = format!("rule `{rule}` does not block, so there is nothing to override");
        return Err(OverrideError::Forbidden(what));
    }
    if let Some(before) = interception.overrides.iter().find(|o| o.rule == rule) {
        let by = before.officer.as_ref().map(|officer| officer.id.as_str()).unwrap_or_default();
        return Err(OverrideError::Done(format!(
            "rule `{rule}` was overridden before, by officer {by} with request {}",
            before.request_id
        )));
    }
    let roles = &reason.override_roles;
    if roles.is_empty() {
        return Err(OverrideError::Forbidden(format!("rule `{rule}` allows no override")));
    }
    if !roles.contains(&officer.role) {
        return Err(OverrideError::Forbidden(format!(
            "rule `{rule}` may be overridden by {}, not by {}",
            roles.join(" or "),
            officer.role
        )));
    }
    Ok(())
}
