//! A push as JSON: the names of the `.proto` file, times in ISO 8601.

use serde_json::{Value as Json, json};
use tarim_proto::warning::v1::{DigestGroup, DigestLine, PushMessage};

use crate::alert::{alert, time, word};

/// What a reader is told.
pub fn push_json(push: &PushMessage) -> Json {
    let escalation = push.escalation.as_ref().map(|escalation| {
        json!({
            "from": escalation.from,
            "open_since": time(escalation.open_since_us),
            "level": word(escalation.level().as_str_name(), "LEVEL_"),
            "count": escalation.count,
        })
    });
    let digest = push.digest.as_ref().map(|digest| {
        json!({
            "number": digest.number,
            "part": digest.part,
            "parts": digest.parts,
            "groups": digest.groups.iter().map(group).collect::<Vec<_>>(),
        })
    });
    let mut json = json!({
        "push_id": push.push_id,
        "kind": word(push.kind().as_str_name(), "PUSH_KIND_"),
        "member": push.member,
        "manager": push.manager,
        "at": time(push.at_us),
    });
    if let Json::Object(json) = &mut json {
        if !push.warning_id.is_empty() {
            json.insert("warning_id".into(), push.warning_id.clone().into());
        }
        json.extend(push.alert.iter().map(|found| ("alert".into(), alert(found))));
        json.extend(escalation.map(|escalation| ("escalation".into(), escalation)));
        json.extend(digest.map(|digest| ("digest".into(), digest)));
    }
    json
}

fn group(group: &DigestGroup) -> Json {
    json!({
        "group": group.group,
        "customer_id": group.customer_id,
        "level": word(group.level().as_str_name(), "LEVEL_"),
        "lines": group.lines.iter().map(line).collect::<Vec<_>>(),
    })
}

fn line(line: &DigestLine) -> Json {
    let from = Some(&line.escalated_from).filter(|from| !from.is_empty());
    json!({
        "warning_id": line.warning_id,
        "rule_id": line.rule_id,
        "key": line.key,
        "zh": line.zh,
        "en": line.en,
        "level": word(line.level().as_str_name(), "LEVEL_"),
        "state": word(line.state().as_str_name(), "STATE_"),
        "alerts": line.alerts,
        "held_back": line.held_back,
        "first_raised_at": time(line.first_raised_at_us),
        "last_raised_at": time(line.last_raised_at_us),
        "escalated_from": from,
    })
}
