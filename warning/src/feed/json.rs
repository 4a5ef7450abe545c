//! Alerts as JSON, read: the other way round of `crate::alert::alert`.

use prost_types::Timestamp;
use serde_json::{Map, Value as Json};
use tarim_proto::warning::v1::{Alert, EventRef, Evidence, Level, Push};

/// An alert, or what is wrong with it.
pub fn alert_of_json(text: &[u8]) -> Result<Alert, String> {
    let json: Json = serde_json::from_slice(text).map_err(|e| format!("it is not JSON: {e}"))?;
    let Json::Object(json) = json else { return Err("it is not a JSON object".into()) };
    let of = Fields(&json);
    let level = format!("LEVEL_{}", of.text("level")?.to_uppercase());
    let push = format!("PUSH_{}", of.text("push")?.to_uppercase());
    Ok(Alert {
        alert_id: of.text("alert_id")?,
        member: of.text("member")?,
        customer_id: of.text("customer_id")?,
        rule_id: of.text("rule_id")?,
        level: Level::from_str_name(&level).ok_or("level: it is none of blue, yellow, orange, red")?.into(),
        // An older release may not have told.
        push: Push::from_str_name(&push).unwrap_or_default().into(),
        key: of.text("key")?,
        raised_at_us: of.time("raised_at")?,
        zh: of.text("zh")?,
        en: of.text("en")?,
        unknown: of.flag("unknown")?,
        values: match json.get("values") {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Object(values)) => values.iter().map(evidence).collect::<Result<_, _>>()?,
            Some(_) => return Err("values: it is not an object".into()),
        },
        events: match json.get("events") {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Array(events)) => events.iter().map(event).collect::<Result<_, _>>()?,
            Some(_) => return Err("events: it is not an array".into()),
        },
        rulebook_version: of.text("rulebook_version")?,
        repeats: of.number("repeats")?,
        group: of.text("group")?,
    })
}

fn evidence((name, value): (&String, &Json)) -> Result<Evidence, String> {
    let value = match value {
        Json::Null => String::new(),
        Json::String(value) => value.clone(),
        _ => return Err(format!("values: `{name}` is not a text")),
    };
    Ok(Evidence { name: name.clone(), value })
}

fn event(json: &Json) -> Result<EventRef, String> {
    let Json::Object(json) = json else { return Err("events: one is not an object".into()) };
    let of = Fields(json);
    Ok(EventRef {
        event_id: of.text("event_id")?,
        partition: of.number("partition")?,
        offset: of.number("offset")?,
    })
}

/// Fields of an object. What is not there is empty, as on the wire.
struct Fields<'a>(&'a Map<String, Json>);

impl Fields<'_> {
    fn get(&self, name: &str) -> &Json {
        self.0.get(name).unwrap_or(&Json::Null)
    }

    fn text(&self, name: &str) -> Result<String, String> {
        match self.get(name) {
            Json::Null => Ok(String::new()),
            Json::String(text) => Ok(text.clone()),
            _ => Err(format!("{name}: it is not a text")),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        match self.get(name) {
            Json::Null => Ok(false),
            Json::Bool(flag) => Ok(*flag),
            _ => Err(format!("{name}: it is neither true nor false")),
        }
    }

    fn number<T: TryFrom<i64> + Default>(&self, name: &str) -> Result<T, String> {
        match self.get(name) {
            Json::Null => Ok(T::default()),
            json => {
                let number = json.as_i64().and_then(|n| T::try_from(n).ok());
                number.ok_or_else(|| format!("{name}: it is not a whole number in its range"))
            }
        }
    }

    fn time(&self, name: &str) -> Result<i64, String> {
        let text = self.text(name)?;
        let time: Timestamp =
            text.parse().map_err(|_| format!("{name}: `{text}` is not a time like 2026-06-30T10:00:00Z"))?;
        Ok(time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos) / 1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert;

    #[test]
    fn an_alert_is_read_as_it_was_written() {
        let whole = Alert {
            alert_id: "0123456789abcdef0123456789abcdef".into(),
            member: "001".into(),
            customer_id: "贷款户".into(),
            rule_id: "W1".into(),
            level: Level::Orange.into(),
            push: Push::Digest.into(),
            key: "loan-7".into(),
            raised_at_us: 1_767_225_600_123_456,
            zh: "贷款".into(),
            en: "a \"loan\"".into(),
            unknown: true,
            values: vec![
                Evidence { name: "b".into(), value: "1.5".into() },
                Evidence { name: "a".into(), value: String::new() },
            ],
            events: vec![EventRef { event_id: "e1".into(), partition: 3, offset: 9_000_000_000 }],
            rulebook_version: "v".into(),
            repeats: 4,
            group: "g".into(),
        };
        let long_ago = Alert { raised_at_us: -1, ..whole.clone() };
        for written in [whole, long_ago] {
            assert_eq!(alert_of_json(alert::alert(&written).to_string().as_bytes()), Ok(written));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let base = alert::alert(&Alert { level: Level::Red.into(), ..Alert::default() });
        for (field, value, said) in [
            ("level", Json::from("purple"), "level: "),
            ("member", Json::from(1), "member: it is not a text"),
            ("raised_at", Json::from("yesterday"), "raised_at: `yesterday`"),
            ("repeats", Json::from(-1), "repeats: "),
            ("unknown", Json::from("no"), "unknown: "),
            ("events", Json::from("e1"), "events: "),
            ("values", Json::from("v"), "values: "),
        ] {
            let mut bad = base.clone();
            bad[field] = value;
            let e = alert_of_json(bad.to_string().as_bytes()).unwrap_err();
            assert!(e.starts_with(said), "{e}");
        }
        assert!(alert_of_json(b"[]").is_err() && alert_of_json(b"{").is_err());
    }
}
