//! Interceptions as JSON, with the field names of the protobuf.

use serde_json::{Value as Json, json};
use tarim_proto::decision::v1::{Interception, OverriddenReason};

use crate::decide::json::{bare, reason};

/// An interception as one JSON object.
pub fn interception(of: &Interception) -> Json {
    json!({
        "request_id": of.request_id,
        "member": of.member,
        "product": of.product,
        "point": of.point().as_str_name().trim_start_matches("CONTROL_POINT_"),
        "subject": of.subject,
        "verdict": bare(of.verdict().as_str_name()),
        "reasons": of.reasons.iter().map(reason).collect::<Vec<_>>(),
        "overrides": of.overrides.iter().map(overridden).collect::<Vec<_>>(),
        "intercepted_at": of.intercepted_at.as_ref().map(ToString::to_string),
        "rulebook_version": of.rulebook_version,
        "feature_version": of.feature_version,
        "interception_id": of.interception_id,
    })
}

fn overridden(of: &OverriddenReason) -> Json {
    let officer = of.officer.clone().unwrap_or_default();
    json!({
        "rule": of.rule,
        "reason": of.reason,
        "officer": {"id": officer.id, "name": officer.name, "role": officer.role},
        "overridden_at": of.overridden_at.as_ref().map(ToString::to_string),
        "request_id": of.request_id,
    })
}
