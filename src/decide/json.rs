//! Decisions as JSON, with the field names of the protobuf.

use serde_json::{Value as Json, json};
use tarim_decision::convert;
use tarim_proto::decision::v1::{Decision, Reason, Reservation, Value, value::Kind};
use tonic::Status;

/// A decision as one JSON object. What is absent on the wire is absent here.
pub fn decision(decision: &Decision) -> Json {
    let stages: Vec<Json> = decision
        .stages
        .iter()
        .map(|stage| json!({"stage": bare(stage.stage().as_str_name()), "outcome": bare(stage.outcome().as_str_name())}))
        .collect();
    let mut object = json!({
        "request_id": decision.request_id,
        "member": decision.member,
        "product": decision.product,
        "outcome": bare(decision.outcome().as_str_name()),
        "stages": stages,
        "reasons": decision.reasons.iter().map(reason).collect::<Vec<_>>(),
        "score_points": decision.score_points,
        "grade": (!decision.grade.is_empty()).then_some(&decision.grade),
        "pd": decision.pd,
        "limit_fen": decision.limit_fen,
        "rate_ppm": decision.rate_ppm,
        "decided_at": decision.decided_at.as_ref().map(ToString::to_string),
        "rulebook_version": decision.rulebook_version,
        "feature_version": decision.feature_version,
        "decision_id": decision.decision_id,
        "reservation": decision.reservation.as_ref().map(reservation),
    });
    drop_nulls(&mut object);
    object
}

fn reservation(reservation: &Reservation) -> Json {
    json!({
        "exposure": reservation.exposure,
        "amount_fen": reservation.amount_fen,
        "expires_at": reservation.expires_at.as_ref().map(ToString::to_string),
        "sequence": reservation.sequence,
    })
}

/// A request without a decision.
pub fn error(request_id: &str, status: &Status) -> Json {
    json!({"request_id": request_id, "error": {"code": code(status), "message": status.message()}})
}

/// The name that gRPC gives a code: INVALID_ARGUMENT.
pub fn code(status: &Status) -> String {
    let name = format!("{:?}", status.code());
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        if i > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

/// A reason as one JSON object.
pub fn reason(reason: &Reason) -> Json {
    let values: serde_json::Map<String, Json> = reason
        .values
        .iter()
        .map(|value| (value.name.clone(), value.value.as_ref().map_or(Json::Null, self::value)))
        .collect();
    let stale: Vec<&str> = reason.values.iter().filter(|v| v.stale).map(|v| v.name.as_str()).collect();
    let mut object = json!({
        "id": reason.id,
        "stage": bare(reason.stage().as_str_name()),
        "effect": bare(reason.effect().as_str_name()),
        "zh": reason.zh,
        "en": reason.en,
        "unknown": reason.unknown,
        "stale": (!stale.is_empty()).then_some(stale),
        "points_lost": reason.points_lost,
        "override_roles": (!reason.override_roles.is_empty()).then_some(&reason.override_roles),
    });
    drop_nulls(&mut object);
    // NULLs among the values are told: they are what was missing.
    object["values"] = Json::Object(values);
    object
}

fn value(value: &Value) -> Json {
    match &value.kind {
        None => Json::Null,
        Some(Kind::BoolValue(b)) => json!(b),
        Some(Kind::IntValue(i)) => json!(i),
        Some(Kind::DoubleValue(x)) if x.is_finite() => json!(x),
        // JSON has no number for these.
        Some(Kind::DoubleValue(x)) => json!(x.to_string()),
        Some(Kind::StringValue(text) | Kind::DateValue(text)) => json!(text),
        Some(Kind::TimestampValue(time)) => json!(time.to_string()),
    }
}

/// A value for people.
pub fn text(value: Option<&Value>) -> String {
    match value.and_then(|v| v.kind.as_ref()) {
        None => "–".into(),
        Some(Kind::BoolValue(b)) => b.to_string(),
        Some(Kind::IntValue(i)) => i.to_string(),
        Some(Kind::DoubleValue(x)) => x.to_string(),
        Some(Kind::StringValue(text) | Kind::DateValue(text)) => text.clone(),
        Some(Kind::TimestampValue(time)) => match convert::microseconds(time) {
            Ok(us) => tarim_datamart::Value::Timestamp(us).to_string(),
            Err(_) => time.to_string(),
        },
    }
}

/// `OUTCOME_APPROVE` → `APPROVE`, `VERDICT_PASS` → `PASS`.
pub fn bare(name: &str) -> &str {
    name.split_once('_').map_or(name, |(_, rest)| rest)
}

fn drop_nulls(object: &mut Json) {
    if let Json::Object(object) = object {
        object.retain(|_, value| !value.is_null());
    }
}
