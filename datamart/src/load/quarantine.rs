//! Quarantined rows, as they stand in `_quarantine/<table>`.
//!
//! | column | holds |
//! |---|---|
//! | `load_id` | the load; `loads` has its record |
//! | `member` | the row's member, if it could be read |
//! | `source_file`, `source_line` | where it stands; of Parquet, the row's number |
//! | `row` | the source's columns that the mapping reads, as JSON, with tokens for personal text |
//! | `rules` | names of the rules that it breaks, with commas between |
//! | `broken` | the same with their messages: a JSON list of `{field, rule, message}` |

use std::sync::Arc;

use arrow::{
    array::{Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use serde_json::json;

use super::admit::BadRow;

/// Columns of every `_quarantine/<table>`.
pub(crate) fn schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("load_id"),
        text("member"),
        text("source_file"),
        Field::new("source_line", DataType::Int64, true),
        text("row"),
        text("rules"),
        text("broken"),
    ]))
}

/// Names of the rules that a row breaks, each once.
pub(crate) fn rules_of(row: &BadRow) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (_, broken) in &row.broken {
        if !names.contains(&broken.rule.as_str()) {
            names.push(&broken.rule);
        }
    }
    names
}

/// Rows of a load as a batch.
pub(crate) fn to_batch(rows: &[BadRow], load_id: &str, file: &str) -> Result<RecordBatch, ArrowError> {
    let broken = |row: &BadRow| {
        let list = row.broken.iter();
        let entries = list.map(|(field, b)| json!({ "field": field, "rule": b.rule, "message": b.message }));
        serde_json::Value::Array(entries.collect()).to_string()
    };
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(rows.iter().map(|_| Some(load_id)).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.member.as_deref()).collect::<StringArray>()),
            Arc::new(rows.iter().map(|_| Some(file)).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| i64::try_from(row.line).ok()).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| Some(row.row.as_str())).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| Some(rules_of(row).join(","))).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| Some(broken(row))).collect::<StringArray>()),
        ],
    )
}
