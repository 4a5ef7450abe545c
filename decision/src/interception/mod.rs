//! Interception: what a control point says to a loan, and what officers make of it.
//!
//! ```text
//!   Judged (a plan's rules of one point) ── intercepted ──► Interception: PASS, WARN or BLOCK, every reason
//!                                                               │ overridden, by an officer whose role the rule names
//!                                                               ▼
//!                                                           Interception: the same reasons, and who let them pass
//! ```
//!
//! Pure: the same whether the service asks or `tarim replay`. An interception carries with it who may override each of its
//! reasons, so whether an override is allowed hangs on what was answered, not on the rulebook of another day.

mod overriding;
#[cfg(test)]
mod tests;

use tarim_proto::decision::v1 as wire;

pub use self::overriding::{OverrideError, check, overridden};
use crate::{
    convert,
    outcome::{Clearance, Decision, Stage},
    wire::Heading,
};

/// The control point of a request; None: it names none that this release knows.
pub fn point(point: i32) -> Option<Stage> {
    match wire::ControlPoint::try_from(point).ok()? {
        wire::ControlPoint::Unspecified => None,
        wire::ControlPoint::Application => Some(Stage::Application),
        wire::ControlPoint::Contract => Some(Stage::Contract),
        wire::ControlPoint::Disbursement => Some(Stage::Disbursement),
    }
}

/// What was answered to an interception that was just made; `interception_id` is empty. `decision` is of a call for one
/// control point.
pub fn intercepted(
    decision: &Decision,
    heading: &Heading<'_>,
    point: wire::ControlPoint,
    subject: &str,
) -> wire::Interception {
    let mut interception = wire::Interception {
        request_id: heading.request_id.into(),
        member: heading.member.into(),
        product: heading.product.into(),
        point: point.into(),
        subject: subject.into(),
        reasons: convert::wire_decision(decision).reasons,
        intercepted_at: Some(convert::timestamp(heading.at_us)),
        rulebook_version: heading.rulebook_version.into(),
        feature_version: heading.feature_version.into(),
        ..Default::default()
    };
    interception.verdict = convert::wire_clearance(standing(&interception)).into();
    interception
}

/// How it stands: a reason blocks unless it was overridden, and whatever is told is at least a warning.
pub fn standing(interception: &wire::Interception) -> Clearance {
    let clearance = |reason: &wire::Reason| match reason.effect() {
        wire::Effect::Score => Clearance::Pass,
        wire::Effect::Warn | wire::Effect::Refer => Clearance::Warn,
        _ if is_overridden(interception, &reason.id) => Clearance::Warn,
        _ => Clearance::Block,
    };
    interception.reasons.iter().map(clearance).max().unwrap_or(Clearance::Pass)
}

fn is_overridden(interception: &wire::Interception, rule: &str) -> bool {
    interception.overrides.iter().any(|o| o.rule == rule)
}
