//! Between the wire and what the engine works with.
//!
//! A request's values become values of the standard `applications` here, and nowhere else. A caller
//! with a typed client sends the field's own kind; a caller with JSON cannot, so what loses nothing is
//! accepted as well:
//!
//! | field | kinds that are accepted |
//! |---|---|
//! | boolean | `bool_value` |
//! | int64 | `int_value`; `double_value` that is whole and within ±2^53 |
//! | float64 | `double_value`; `int_value` within ±2^53 |
//! | utf8 | `string_value` |
//! | date32 | `date_value`, or the same as `string_value`: `2026-01-31` |
//! | timestamp | `timestamp_value` in whole microseconds; `string_value` in ISO 8601 |
//!
//! Texts are read as a load reads them: blanks at both ends do not count, and an empty one is NULL. A
//! number in a text is refused: a caller that sends "5" where 5 is meant has a mistake elsewhere, too.

use prost_types::Timestamp;
use tarim_datamart::{Type, Value, ValueRef, standards::Field};
use tarim_proto::{decision::v1 as wire, encoded::FieldValue};

use crate::engine::Sent;
use crate::outcome::{Call, Clearance, Decision, Effect, NamedValue, Outcome, Reason, Reservation, Stage};

/// Integers up to here are exact in a float64.
const EXACT: i64 = 1 << 53;

/// A request's value as a value of a field, or what is wrong with it. The field's rules are not yet checked.
pub fn field_value<'v>(field: &Field, value: FieldValue<'v>) -> Result<ValueRef<'v>, String> {
    Ok(match (field.ty, value) {
        (_, FieldValue::None) => ValueRef::Null,
        (Type::Boolean, FieldValue::Bool(b)) => ValueRef::Boolean(b),
        (Type::Int64, FieldValue::Int(i)) => ValueRef::Int64(i),
        (Type::Int64, FieldValue::Double(x)) => {
            if x.trunc() != x || x.abs() > EXACT as f64 {
                return Err(format!("{x} is not a whole number within ±2^53"));
            }
            ValueRef::Int64(x as i64)
        }
        (Type::Float64, FieldValue::Double(x)) => ValueRef::Float64(x),
        (Type::Float64, FieldValue::Int(i)) => {
            if !(-EXACT..=EXACT).contains(&i) {
                return Err(format!("{i} is not exact as a float64; send a double_value"));
            }
            ValueRef::Float64(i as f64)
        }
        (Type::Utf8 | Type::Date32 | Type::Timestamp, FieldValue::Text(text))
        | (Type::Date32, FieldValue::Date(text)) => {
            field.parse(text).map_err(|broken| broken.of_field(&field.name).to_owned())?
        }
        (Type::Timestamp, FieldValue::Timestamp(time)) => ValueRef::Timestamp(microseconds(&time)?),
        (ty, value) => return Err(format!("it is {}, and must be {}", kind_name(value), type_name(ty))),
    })
}

impl<'v> Sent<'v> for FieldValue<'v> {
    fn value(self, field: &Field) -> Result<ValueRef<'v>, String> {
        field_value(field, self)
    }
}

/// As JSON has it, with the field of `Value` that it came in.
fn kind_name(value: FieldValue<'_>) -> &'static str {
    match value {
        FieldValue::None => "a value without a kind",
        FieldValue::Bool(_) => "true or false (bool_value)",
        FieldValue::Int(_) => "a whole number (int_value)",
        FieldValue::Double(_) => "a number (double_value)",
        FieldValue::Text(_) => "a text (string_value)",
        FieldValue::Date(_) => "a date (date_value)",
        FieldValue::Timestamp(_) => "a time (timestamp_value)",
    }
}

/// What is to be sent.
fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Boolean => "true or false (bool_value)",
        Type::Int64 => "a whole number (int_value)",
        Type::Float64 => "a number (double_value)",
        Type::Utf8 => "a text (string_value)",
        Type::Date32 => "a date such as \"2026-01-31\" (string_value or date_value)",
        Type::Timestamp => "a time such as \"2026-01-31T10:00:00Z\" (string_value or timestamp_value)",
    }
}

/// Microseconds since 1970-01-01T00:00:00Z of a protobuf time, which must be a whole number of them.
pub fn microseconds(time: &Timestamp) -> Result<i64, String> {
    let nanos = i64::from(time.nanos);
    if !(0..1_000_000_000).contains(&nanos) {
        return Err(format!("{nanos} nanoseconds are not within a second"));
    }
    if nanos % 1000 != 0 {
        return Err(format!("{nanos} nanoseconds are not whole microseconds"));
    }
    let micros = time.seconds.checked_mul(1_000_000).and_then(|us| us.checked_add(nanos / 1000));
    micros.ok_or_else(|| format!("{} seconds since 1970 are out of range", time.seconds))
}

/// The protobuf time of microseconds since 1970-01-01T00:00:00Z.
pub fn timestamp(us: i64) -> Timestamp {
    Timestamp { seconds: us.div_euclid(1_000_000), nanos: (us.rem_euclid(1_000_000) * 1000) as i32 }
}

/// A value on the wire; NULL is the absence of one.
pub fn wire_value(value: &Value) -> Option<wire::Value> {
    use wire::value::Kind;
    let kind = match value {
        Value::Null => return None,
        Value::Boolean(b) => Kind::BoolValue(*b),
        Value::Int64(i) => Kind::IntValue(*i),
        Value::Float64(x) => Kind::DoubleValue(*x),
        Value::Utf8(text) => Kind::StringValue(text.clone()),
        Value::Date32(_) => Kind::DateValue(value.to_string()),
        Value::Timestamp(us) => Kind::TimestampValue(timestamp(*us)),
    };
    Some(wire::Value { kind: Some(kind) })
}

/// A decision on the wire. Who asked, when, and what it was decided by are the caller's to add.
pub fn wire_decision(decision: &Decision) -> wire::Decision {
    let score = decision.score.as_ref();
    wire::Decision {
        outcome: wire_outcome(decision.outcome).into(),
        stages: decision
            .stages
            .iter()
            .map(|(stage, outcome)| wire::StageOutcome {
                stage: wire_stage(*stage).into(),
                outcome: wire_outcome(*outcome).into(),
            })
            .collect(),
        reasons: decision.reasons.iter().map(wire_reason).collect(),
        score_points: score.map(|s| s.points),
        grade: score.map(|s| s.grade.clone()).unwrap_or_default(),
        pd: score.map(|s| s.pd),
        limit_fen: decision.limit_fen,
        rate_ppm: decision.rate_ppm,
        reservation: decision.reservation.as_ref().map(wire_reservation),
        ..Default::default()
    }
}

/// Room that was taken, on the wire.
pub fn wire_reservation(reservation: &Reservation) -> wire::Reservation {
    let Reservation { exposure, fen, expires_us, sequence } = reservation;
    wire::Reservation {
        exposure: exposure.clone(),
        amount_fen: *fen,
        expires_at: Some(timestamp(*expires_us)),
        sequence: *sequence,
    }
}

pub fn wire_reason(reason: &Reason) -> wire::Reason {
    wire::Reason {
        id: reason.id.clone(),
        stage: wire_stage(reason.stage).into(),
        effect: wire_effect(reason.effect).into(),
        zh: reason.zh.clone(),
        en: reason.en.clone(),
        unknown: reason.unknown,
        values: reason.values.iter().map(wire_named_value).collect(),
        points_lost: reason.points_lost,
        override_roles: reason.override_roles.clone(),
    }
}

fn wire_named_value(value: &NamedValue) -> wire::NamedValue {
    wire::NamedValue { name: value.name.clone(), value: wire_value(&value.value), stale: value.stale }
}

pub fn wire_outcome(outcome: Outcome) -> wire::Outcome {
    match outcome {
        Outcome::Approve => wire::Outcome::Approve,
        Outcome::Refer => wire::Outcome::Refer,
        Outcome::Decline => wire::Outcome::Decline,
    }
}

pub fn wire_clearance(clearance: Clearance) -> wire::Verdict {
    match clearance {
        Clearance::Pass => wire::Verdict::Pass,
        Clearance::Warn => wire::Verdict::Warn,
        Clearance::Block => wire::Verdict::Block,
    }
}

/// A value as a client's message has it, as the server reads it.
pub fn sent(value: &wire::Value) -> FieldValue<'_> {
    use wire::value::Kind;
    match &value.kind {
        None => FieldValue::None,
        Some(Kind::BoolValue(b)) => FieldValue::Bool(*b),
        Some(Kind::IntValue(i)) => FieldValue::Int(*i),
        Some(Kind::DoubleValue(x)) => FieldValue::Double(*x),
        Some(Kind::StringValue(text)) => FieldValue::Text(text),
        Some(Kind::DateValue(date)) => FieldValue::Date(date),
        Some(Kind::TimestampValue(time)) => FieldValue::Timestamp(*time),
    }
}

pub fn wire_stage(stage: Stage) -> wire::Stage {
    match stage {
        Stage::Admission => wire::Stage::Admission,
        Stage::Fraud => wire::Stage::Fraud,
        Stage::Score => wire::Stage::Score,
        Stage::Limit => wire::Stage::Limit,
        Stage::Rate => wire::Stage::Rate,
        Stage::Application => wire::Stage::Application,
        Stage::Contract => wire::Stage::Contract,
        Stage::Disbursement => wire::Stage::Disbursement,
    }
}

pub fn wire_effect(effect: Effect) -> wire::Effect {
    match effect {
        Effect::Score => wire::Effect::Score,
        Effect::Warn => wire::Effect::Warn,
        Effect::Refer => wire::Effect::Refer,
        Effect::Decline => wire::Effect::Decline,
        Effect::Block => wire::Effect::Block,
    }
}

/// A call as the journal has it.
pub fn wire_call(call: Call) -> wire::Call {
    match call {
        Call::One(Stage::Admission) => wire::Call::CheckAdmission,
        Call::One(Stage::Fraud) => wire::Call::DetectFraud,
        Call::One(Stage::Score) => wire::Call::ScoreApplication,
        Call::One(Stage::Limit) => wire::Call::AssignLimit,
        Call::One(Stage::Rate) => wire::Call::QuoteRate,
        Call::One(Stage::Application | Stage::Contract | Stage::Disbursement) => wire::Call::Intercept,
        Call::All => wire::Call::Decide,
    }
}

/// The call that decided a journal entry; None: it is no decision, or a later release knows more calls than this one.
pub fn call(call: wire::Call) -> Option<Call> {
    Some(match call {
        // Which control point is not said by the call: `crate::interception` reads those.
        wire::Call::Unspecified | wire::Call::Intercept | wire::Call::Override => return None,
        wire::Call::CheckAdmission => Call::One(Stage::Admission),
        wire::Call::DetectFraud => Call::One(Stage::Fraud),
        wire::Call::ScoreApplication => Call::One(Stage::Score),
        wire::Call::AssignLimit => Call::One(Stage::Limit),
        wire::Call::QuoteRate => Call::One(Stage::Rate),
        wire::Call::Decide => Call::All,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tarim_datamart::Standards;
    use wire::value::Kind;

    use super::*;

    fn text(text: &str) -> Kind {
        Kind::StringValue(text.into())
    }

    fn time(seconds: i64, nanos: i32) -> Kind {
        Kind::TimestampValue(Timestamp { seconds, nanos })
    }

    /// Every kind for every type: what it becomes, or None where it is refused.
    #[test]
    fn kinds_become_values_of_their_field_or_are_refused() {
        let date = || Kind::DateValue("1970-01-02".into());
        let cases: Vec<(&str, Kind, Option<Value>)> = vec![
            ("urgent", Kind::BoolValue(true), Some(Value::Boolean(true))),
            ("urgent", Kind::IntValue(1), None),
            ("urgent", Kind::DoubleValue(1.0), None),
            ("urgent", text("true"), None),
            ("urgent", date(), None),
            ("urgent", time(0, 0), None),
            ("amount_fen", Kind::BoolValue(true), None),
            ("amount_fen", Kind::IntValue(i64::MAX), Some(Value::Int64(i64::MAX))),
            ("amount_fen", Kind::DoubleValue(-3.0), Some(Value::Int64(-3))),
            ("amount_fen", Kind::DoubleValue(EXACT as f64), Some(Value::Int64(EXACT))),
            ("amount_fen", Kind::DoubleValue(EXACT as f64 * 2.0), None),
            ("amount_fen", Kind::DoubleValue(0.5), None),
            ("amount_fen", Kind::DoubleValue(f64::NAN), None),
            ("amount_fen", Kind::DoubleValue(f64::INFINITY), None),
            ("amount_fen", text("5"), None),
            ("amount_fen", date(), None),
            ("amount_fen", time(0, 0), None),
            ("income", Kind::BoolValue(false), None),
            ("income", Kind::IntValue(-EXACT), Some(Value::Float64(-(EXACT as f64)))),
            ("income", Kind::IntValue(EXACT + 1), None),
            ("income", Kind::IntValue(i64::MIN), None),
            ("income", Kind::DoubleValue(-0.0), Some(Value::Float64(-0.0))),
            ("income", text("0.5"), None),
            ("income", date(), None),
            ("income", time(0, 0), None),
            ("customer_id", Kind::BoolValue(true), None),
            ("customer_id", Kind::IntValue(1), None),
            ("customer_id", Kind::DoubleValue(1.0), None),
            ("customer_id", text(" c1 "), Some(Value::Utf8("c1".into()))),
            ("customer_id", text("  "), Some(Value::Null)),
            ("customer_id", date(), None),
            ("customer_id", time(0, 0), None),
            ("birth", Kind::BoolValue(true), None),
            ("birth", Kind::IntValue(1), None),
            ("birth", Kind::DoubleValue(1.0), None),
            ("birth", text("1970-01-02"), Some(Value::Date32(1))),
            ("birth", text("1970-02-30"), None),
            ("birth", text(""), Some(Value::Null)),
            ("birth", date(), Some(Value::Date32(1))),
            ("birth", time(0, 0), None),
            ("signed_at", Kind::BoolValue(true), None),
            ("signed_at", Kind::IntValue(1), None),
            ("signed_at", Kind::DoubleValue(1.0), None),
            ("signed_at", text("1970-01-01T00:00:01Z"), Some(Value::Timestamp(1_000_000))),
            ("signed_at", text("yesterday"), None),
            ("signed_at", date(), None),
            ("signed_at", time(-1, 1_000), Some(Value::Timestamp(-999_999))),
            ("signed_at", time(0, 1), None),
            ("signed_at", time(0, -1_000), None),
            ("signed_at", time(0, 1_000_000_000), None),
            ("signed_at", time(i64::MAX, 0), None),
        ];
        let rulebook = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service/tests/rulebook");
        let standards = Standards::read(&rulebook).expect("the standards of the tests");
        let table = standards.table("applications").expect("the table of applications");
        for (field, kind, expected) in cases {
            let field = table.field(field).expect("a field");
            let value = wire::Value { kind: Some(kind.clone()) };
            let sent = match &kind {
                Kind::BoolValue(b) => FieldValue::Bool(*b),
                Kind::IntValue(i) => FieldValue::Int(*i),
                Kind::DoubleValue(x) => FieldValue::Double(*x),
                Kind::StringValue(s) => FieldValue::Text(s),
                Kind::DateValue(s) => FieldValue::Date(s),
                Kind::TimestampValue(time) => FieldValue::Timestamp(*time),
            };
            let found = field_value(field, sent).ok().map(ValueRef::to_value);
            assert_eq!(found, expected, "{kind:?} for {} {}", field.ty, field.name);
            if let (Some(found), Kind::DateValue(_) | Kind::TimestampValue(_) | Kind::BoolValue(_)) =
                (found, kind)
            {
                assert_eq!(wire_value(&found), Some(value), "and back");
            }
        }
        let field = table.field("income").expect("a field");
        assert!(field_value(field, FieldValue::None).is_ok_and(ValueRef::is_null));
        // Whoever writes JSON knows no names of the wire, and whoever has a typed client no others.
        let said = field_value(field, FieldValue::Text("0.5")).unwrap_err();
        assert_eq!(said, "it is a text (string_value), and must be a number (double_value)");
    }

    #[test]
    fn calls_come_back_from_the_journal_as_they_went() {
        for known in Stage::ALL.map(Call::One).into_iter().chain([Call::All]) {
            assert_eq!(call(wire_call(known)), Some(known));
        }
        assert_eq!(call(wire::Call::Unspecified), None);
    }
}
