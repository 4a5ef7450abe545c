//! Warnings as tables, as a card, and as JSON.

use std::fmt::Write;

use comfy_table::{ContentArrangement, Table};
use serde_json::{Value as Json, json};
use tarim_proto::warning::v1::{Alert, Warning};
use tarim_warning::alert;

use crate::materialize::LINES;

/// One line a warning.
pub fn table(warnings: &[Warning]) -> Table {
    let mut table = Table::new();
    table.load_preset(LINES);
    table.set_header([
        "warning",
        "opened",
        "last raised",
        "level",
        "state",
        "alerts",
        "customer",
        "rule",
        "what",
        "inspect by",
    ]);
    for warning in warnings {
        let alert = warning.alert.clone().unwrap_or_default();
        table.add_row([
            warning.warning_id.clone(),
            minute(warning.first_raised_at_us),
            minute(warning.last_raised_at_us),
            level(warning),
            state(warning.state().as_str_name()),
            warning.count.to_string(),
            alert.customer_id.clone(),
            alert.rule_id.clone(),
            what(&alert),
            due(warning),
        ]);
    }
    table
}

/// Everything about a warning.
pub fn card(warning: &Warning) -> String {
    let alert = warning.alert.clone().unwrap_or_default();
    let mut card = String::new();
    let mut line = |text: String| writeln!(card, "{text}").expect("a string grows");
    line(format!("{} · {} · {}", level(warning), state(warning.state().as_str_name()), what(&alert)));
    let mut facts = plain();
    let key = if alert.key.is_empty() { String::new() } else { format!(" · {}", alert.key) };
    let rows = [
        ("warning", warning.warning_id.clone()),
        ("member", alert.member.clone()),
        ("customer", alert.customer_id.clone()),
        ("rule", format!("{}{key}", alert.rule_id)),
        ("alerts", warning.count.to_string()),
        ("first raised", alert::time(warning.first_raised_at_us)),
        ("last raised", alert::time(warning.last_raised_at_us)),
        ("inspect by", due(warning)),
    ];
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        facts.add_row([name.to_owned(), value]);
    }
    line(facts.to_string());
    if !alert.values.is_empty() {
        let mut values = plain();
        values.set_header(["value", "when it fired"]);
        for value in &alert.values {
            let shown = if value.value.is_empty() { "unknown" } else { &value.value };
            values.add_row([value.name.as_str(), shown]);
        }
        line(values.to_string());
    }
    if !warning.history.is_empty() {
        let mut history = plain();
        history.set_header(["when", "what", "who", "why"]);
        for change in &warning.history {
            let to = match change.escalated_to.as_str() {
                "" => state(change.to().as_str_name()),
                role => format!("passed on to {role}"),
            };
            history.add_row([alert::time(change.at_us), to, change.by.clone(), change.why.clone()]);
        }
        line(history.to_string());
    }
    card.truncate(card.trim_end().len());
    card
}

/// A warning with the names of the `.proto` file, times in ISO 8601.
pub fn json(warning: &Warning) -> Json {
    let history: Vec<Json> = warning
        .history
        .iter()
        .map(|change| {
            json!({
                "change_id": change.change_id,
                "from": state(change.from().as_str_name()),
                "to": state(change.to().as_str_name()),
                "by": change.by,
                "at": alert::time(change.at_us),
                "why": change.why,
                "escalated_to": Some(&change.escalated_to).filter(|role| !role.is_empty()),
            })
        })
        .collect();
    let inspection = warning.inspection.as_ref().map(|inspection| {
        json!({
            "inspection_id": inspection.inspection_id,
            "kind": inspection.kind().as_str_name().trim_start_matches("INSPECTION_KIND_").to_lowercase(),
            "due_at": alert::time(inspection.due_at_us),
            "done": inspection.done,
        })
    });
    json!({
        "warning_id": warning.warning_id,
        "level": level(warning),
        "state": state(warning.state().as_str_name()),
        "count": warning.count,
        "first_raised_at": alert::time(warning.first_raised_at_us),
        "last_raised_at": alert::time(warning.last_raised_at_us),
        "history": history,
        "inspection": inspection,
        "alert": warning.alert.as_ref().map(alert::alert),
    })
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_preset(LINES).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn level(warning: &Warning) -> String {
    warning.level().as_str_name().trim_start_matches("LEVEL_").to_lowercase()
}

/// `STATE_OPEN` → `open`.
fn state(name: &str) -> String {
    name.trim_start_matches("STATE_").to_lowercase()
}

pub fn what(alert: &Alert) -> String {
    format!("{} {}", alert.zh, alert.en).trim().to_owned()
}

/// By when it is to be inspected, or that it was.
fn due(warning: &Warning) -> String {
    match &warning.inspection {
        None => String::new(),
        Some(inspection) if inspection.done => "done".into(),
        Some(inspection) => minute(inspection.due_at_us),
    }
}

/// As precisely as a table needs: 2026-06-30 10:00.
pub fn minute(us: i64) -> String {
    alert::time(us).chars().take(16).collect::<String>().replace('T', " ")
}
