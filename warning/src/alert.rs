//! Alerts and dead letters as JSON: the names of the `.proto` file, times in ISO 8601.

use prost_types::Timestamp;
use serde_json::{Value as Json, json};
use tarim_proto::warning::v1::{Alert, DeadLetter};

/// An alert.
pub fn alert(alert: &Alert) -> Json {
    let values: serde_json::Map<String, Json> = alert
        .values
        .iter()
        .map(|v| (v.name.clone(), if v.value.is_empty() { Json::Null } else { json!(v.value) }))
        .collect();
    let events: Vec<Json> = alert
        .events
        .iter()
        .map(|e| json!({ "event_id": e.event_id, "partition": e.partition, "offset": e.offset }))
        .collect();
    json!({
        "alert_id": alert.alert_id,
        "member": alert.member,
        "customer_id": alert.customer_id,
        "rule_id": alert.rule_id,
        "level": word(alert.level().as_str_name(), "LEVEL_"),
        "push": word(alert.push().as_str_name(), "PUSH_"),
        "key": alert.key,
        "raised_at": time(alert.raised_at_us),
        "zh": alert.zh,
        "en": alert.en,
        "unknown": alert.unknown,
        "values": values,
        "events": events,
        "rulebook_version": alert.rulebook_version,
        "repeats": alert.repeats,
        "group": alert.group,
    })
}

/// A dead letter. A payload that is not UTF-8 is given in hexadecimal.
pub fn dead_letter(letter: &DeadLetter) -> Json {
    let payload = match std::str::from_utf8(&letter.payload) {
        Ok(text) => json!({ "payload": text }),
        Err(_) => {
            let hex: String = letter.payload.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "payload_hex": hex })
        }
    };
    let mut json = json!({ "reason": letter.reason, "partition": letter.partition, "offset": letter.offset });
    if let (Some(json), Json::Object(payload)) = (json.as_object_mut(), payload) {
        json.extend(payload);
        // Only the beginning of it is there.
        json.extend(letter.payload_bytes.map(|bytes| ("payload_bytes".into(), bytes.into())));
    }
    json
}

/// Microseconds since 1970-01-01T00:00:00Z in ISO 8601.
pub fn time(us: i64) -> String {
    let (seconds, rest) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    Timestamp { seconds, nanos: rest as i32 * 1000 }.to_string()
}

pub(crate) fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}
