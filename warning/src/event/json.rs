//! Events in JSON, plain or in a Debezium envelope.

use serde_json::{Map, Value as Json};
use tarim_datamart::{Type, gate::parse};

use super::{
    Head, Raw, Rejected, Taken,
    debezium::{Envelope, Times},
    intake::{Desk, FEATURES, Intake, RULEBOOK, TICK},
};

/// Keys of an event's head.
const HEAD: [&str; 5] = ["event_id", "member", "customer_id", "happened_at", "known_at"];

pub(super) fn read<'r>(intake: &Intake, desk: &'r mut Desk, payload: &[u8]) -> Result<Taken<'r>, Rejected> {
    let json: Json = serde_json::from_slice(payload)
        .map_err(|e| Rejected::unreadable(format!("payload: it is not JSON: {e}")))?;
    let Json::Object(object) = &json else {
        return Err(Rejected::unreadable("payload: an event is a JSON object"));
    };
    match Envelope::of(object)? {
        Some(envelope) => debezium(intake, desk, &envelope),
        None => plain(intake, desk, object, Times::default()),
    }
}

/// A row: an event as such (an outbox), or the fields of a table of events.
fn debezium<'r>(intake: &Intake, desk: &'r mut Desk, envelope: &Envelope<'_>) -> Result<Taken<'r>, Rejected> {
    let Envelope { row, table, times } = *envelope;
    if row.values().any(Json::is_object) {
        return plain(intake, desk, row, times);
    }
    let table = table.ok_or_else(|| Rejected::because("source.table: the envelope does not name a table"))?;
    let kind = intake.kind(table).ok_or_else(|| intake.unknown_kind(table))?;
    let head = head(row, times)?;
    fields(intake, desk, kind, head, (row, times), true)
}

/// An object whose kind's fields are in an object of the kind's name.
fn plain<'r>(
    intake: &Intake,
    desk: &'r mut Desk,
    object: &Map<String, Json>,
    times: Times<'_>,
) -> Result<Taken<'r>, Rejected> {
    let mut bodies = object.iter().filter(|(key, _)| !HEAD.contains(&key.as_str()));
    let (Some((name, body)), None) = (bodies.next(), bodies.next()) else {
        return Err(Rejected::because(format!(
            "payload: an event has {} and one object named after its kind",
            HEAD.join(", ")
        )));
    };
    if name == TICK {
        return Desk::tick(&head(object, times)?);
    }
    if name == RULEBOOK {
        let features = match body.get("features") {
            None | Some(Json::Null) => None,
            // What is no text is no version either.
            Some(features) => Some(features.as_str().unwrap_or_default()),
        };
        return desk.rulebook(body.get("version").and_then(Json::as_str).unwrap_or_default(), features);
    }
    if name == FEATURES {
        return desk.features(body.get("version").and_then(Json::as_str).unwrap_or_default());
    }
    let kind = intake.kind(name).ok_or_else(|| intake.unknown_kind(name))?;
    match body {
        Json::Object(body) => {
            fields(intake, desk, kind, head(object, times)?, (body, Times::default()), false)
        }
        _ => Err(Rejected::because(format!("{name}: the fields of the kind are a JSON object"))),
    }
}

fn fields<'r>(
    intake: &Intake,
    desk: &'r mut Desk,
    kind: usize,
    head: Head<'_>,
    (body, times): (&Map<String, Json>, Times<'_>),
    flat: bool,
) -> Result<Taken<'r>, Rejected> {
    let of = intake.of(kind);
    let mut wrong = Vec::new();
    let mut values = Vec::with_capacity(of.field_count());
    for (name, value) in body {
        if flat && HEAD.contains(&name.as_str()) {
            continue;
        }
        match (of.column(name).filter(|c| !of.is_head(*c)), raw(value)) {
            (None, _) => wrong.push(of.unknown_field(name)),
            (Some(_), None) => wrong.push(format!("{name}: a list or an object is no value of a field")),
            (Some(column), Some(Raw::Int(number))) => match times.number(name, of.ty(column), number) {
                Ok(number) => values.push((column, Raw::Int(number))),
                Err(why) => wrong.push(why),
            },
            (Some(column), Some(raw)) => values.push((column, raw)),
        }
    }
    let mut event = desk.begin(intake, kind, head, wrong);
    for (column, raw) in values {
        event.set(column, raw);
    }
    event.finish()
}

fn head<'j>(object: &'j Map<String, Json>, times: Times<'_>) -> Result<Head<'j>, Rejected> {
    let text = |key: &str| match object.get(key) {
        None | Some(Json::Null) => Ok(""),
        Some(Json::String(text)) => Ok(text.as_str()),
        Some(other) => Err(Rejected::because(format!("{key}: {other} is not a text"))),
    };
    let time = |key: &str| match object.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Number(number)) if let Some(number) = number.as_i64() => {
            times.number(key, Type::Timestamp, number).map(Some).map_err(Rejected::because)
        }
        Some(Json::String(text)) if parse::timestamp(text).is_some() => Ok(parse::timestamp(text)),
        Some(other) => Err(Rejected::because(format!("{key}: {other} is not a time in ISO 8601"))),
    };
    Ok(Head {
        id: text("event_id")?,
        member: text("member")?,
        customer: text("customer_id")?,
        happened_at_us: time("happened_at")?,
        known_at_us: time("known_at")?,
    })
}

fn raw(value: &Json) -> Option<Raw<'_>> {
    Some(match value {
        Json::Null => Raw::Null,
        Json::Bool(b) => Raw::Boolean(*b),
        Json::Number(n) => match n.as_i64() {
            Some(i) => Raw::Int(i),
            None => Raw::Float(n.as_f64()?),
        },
        Json::String(text) => Raw::Text(text),
        Json::Array(_) | Json::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_the_nearest_number() {
        for share in (1..1019).map(|n| f64::from(n) / 1019.0) {
            let json: Json = serde_json::from_str(&share.to_string()).expect("a number");
            assert!(matches!(raw(&json), Some(Raw::Float(x)) if x.to_bits() == share.to_bits()), "{share}");
        }
    }
}
