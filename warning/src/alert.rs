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

/// How many bytes a text takes as JSON, without its quotes: control characters take six each (`\u0001`; a few of them less).
pub(crate) fn bytes_as_json(text: &[u8]) -> usize {
    let more = |byte: &u8| match byte {
        0..0x20 => 5,
        b'"' | b'\\' => 1,
        _ => 0,
    };
    text.len() + text.iter().map(more).sum::<usize>()
}

/// Microseconds since 1970-01-01T00:00:00Z in ISO 8601.
pub fn time(us: i64) -> String {
    let (seconds, rest) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    Timestamp { seconds, nanos: rest as i32 * 1000 }.to_string()
}

pub(crate) fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_no_more_than_is_said() {
        for text in ["", "loan 贷款", "a \"b\" \\ c", "\u{1}\u{1f}\u{7f}", "\n\t\r\u{8}\u{c}"] {
            let (told, takes) = (bytes_as_json(text.as_bytes()), json!(text).to_string().len() - 2);
            match text.contains('\n') {
                true => assert!(told > takes, "{text:?}: {told} for {takes}"),
                false => assert_eq!(told, takes, "{text:?}"),
            }
        }
    }
}
