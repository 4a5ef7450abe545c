//! Decisions as JSON, one line each.

use serde_json::{Map, Value as Json, json};
use tarim_datamart::Value;

use super::{BacktestError, Decided, Slice, facts, table::feature_names};
use crate::{outcome::Reason, rulebook::Rulebook};

/// One application of a slice as JSON: its key by the names of the standard, `member`, `product`, `as_of`,
/// `outcome`, `score`, `grade`, `pd`, `limit_fen`, `rate` (a year, 0.0461 = 4.61 %), `rate_ppm`, `reasons` and,
/// if asked for, `features`. Without a plan it has `no_decision` in the place of an outcome.
pub fn line(rulebook: &Rulebook, slice: &Slice, row: usize, features: bool) -> Result<Json, BacktestError> {
    let decided = &slice.rows[row];
    let mut line = Map::new();
    let keys = rulebook.standards().table("applications").map(|t| t.key.as_slice()).unwrap_or_default();
    for (name, value) in keys.iter().zip(&decided.key) {
        line.insert(name.clone(), of_value(value));
    }
    line.insert("member".into(), json!(decided.member));
    line.insert("product".into(), json!(decided.product));
    line.insert("as_of".into(), of_value(&Value::Timestamp(decided.as_of_us)));
    outcome(decided, &mut line);
    if features {
        let mut all = Map::new();
        for (name, column) in feature_names(rulebook) {
            let column = slice.known.column_by_name(&column).ok_or(BacktestError::Column(column))?;
            all.insert(name, of_value(&facts::value(column, row).to_value()));
        }
        line.insert("features".into(), Json::Object(all));
    }
    Ok(Json::Object(line))
}

fn outcome(decided: &Decided, line: &mut Map<String, Json>) {
    let decision = match &decided.decision {
        Ok(decision) => decision,
        Err(why) => {
            line.insert("no_decision".into(), json!(why.to_string()));
            return;
        }
    };
    let score = decision.score.as_ref();
    line.insert("outcome".into(), json!(decision.outcome.to_string()));
    line.insert("score".into(), json!(score.map(|s| s.points)));
    line.insert("grade".into(), json!(score.map(|s| &s.grade)));
    line.insert("pd".into(), json!(score.map(|s| s.pd)));
    line.insert("limit_fen".into(), json!(decision.limit_fen));
    line.insert("rate".into(), json!(decision.rate_ppm.map(|ppm| ppm as f64 / 1e6)));
    line.insert("rate_ppm".into(), json!(decision.rate_ppm));
    line.insert("reasons".into(), reasons(&decision.reasons));
}

/// Reasons as a JSON array.
pub fn reasons(reasons: &[Reason]) -> Json {
    reasons
        .iter()
        .map(|r| {
            let values: Map<String, Json> =
                r.values.iter().map(|v| (v.name.clone(), of_value(&v.value))).collect();
            let stale: Vec<&str> = r.values.iter().filter(|v| v.stale).map(|v| v.name.as_str()).collect();
            let mut reason = Map::new();
            reason.insert("id".into(), json!(r.id));
            reason.insert("stage".into(), json!(r.stage.to_string()));
            reason.insert("effect".into(), json!(r.effect.to_string()));
            reason.insert("zh".into(), json!(r.zh));
            reason.insert("en".into(), json!(r.en));
            reason.insert("unknown".into(), json!(r.unknown));
            reason.insert("values".into(), Json::Object(values));
            if !stale.is_empty() {
                reason.insert("stale".into(), json!(stale));
            }
            if let Some(lost) = r.points_lost {
                reason.insert("points_lost".into(), json!(lost));
            }
            Json::Object(reason)
        })
        .collect()
}

/// A value as JSON: dates and times as ISO 8601; NaN and infinities, which JSON has no numbers for, as texts.
fn of_value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(b) => json!(b),
        Value::Int64(i) => json!(i),
        Value::Float64(x) if x.is_finite() => json!(x),
        Value::Utf8(s) => json!(s),
        other => json!(other.to_string()),
    }
}
