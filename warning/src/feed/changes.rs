//! Changes out.

use std::sync::atomic::Ordering;

use serde_json::{Value as Json, json};

use super::{
    kafka::{Edge, FeedError},
    tell::{Tell, tell},
};
use crate::{
    alert::time,
    ledger::{Change, Unsent},
};

/// Tells changes until it is told to stop and has told all.
pub fn run(edge: &Edge) -> Result<(), FeedError> {
    let topic = Tell {
        topic: &edge.settings.changes,
        outbox: edge.ledger.outbox(),
        key: |change: &Change| format!("{}/{}", change.warning.member, change.warning.customer),
        json: |change: &Unsent<Change>| Ok(change_json(change)),
        failed: "cannot send changes to their topic, which `tarim warn init` makes",
    };
    tell(edge, &topic, |through, count| {
        edge.ledger.sent(through);
        edge.fed.sent.fetch_add(count, Ordering::Relaxed);
    })
}

/// A change as JSON: the names of the `.proto` file, times in ISO 8601. Of an opening `from` and `by` are null, and `at` is
/// when the alert arose.
pub fn change_json(change: &Change) -> Json {
    let Change { warning, step } = change;
    let opening = json!({ "from": null, "to": "open", "by": null, "at": time(warning.first_raised_us), "why": null, "escalated_to": null });
    let made = step.checked_sub(1).and_then(|i| warning.history.get(i)).map(|step| {
        json!({
            "from": step.from.name(),
            "to": step.to.name(),
            "by": &*step.by,
            "at": time(step.at_us),
            "why": &*step.why,
            "escalated_to": step.escalated_to.as_deref(),
        })
    });
    let inspection = warning.inspection.map(|inspection| {
        json!({
            "inspection_id": format!("{}-inspection", warning.id),
            "kind": "unscheduled",
            "due_at": time(inspection.due_at_us),
            "done": inspection.done,
        })
    });
    let mut json = json!({
        "change_id": warning.change_id(*step),
        "warning_id": warning.id.to_string(),
        "member": &*warning.member,
        "customer_id": &*warning.customer,
        "rule_id": &*warning.rule,
        "key": &*warning.key,
        "level": warning.level.as_str_name().trim_start_matches("LEVEL_").to_lowercase(),
        "count": warning.count,
    });
    if let (Json::Object(json), Json::Object(step)) = (&mut json, made.unwrap_or(opening)) {
        json.extend(step);
        json.insert("inspection".into(), inspection.unwrap_or_default());
    }
    json
}
