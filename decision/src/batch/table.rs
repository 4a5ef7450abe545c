//! Decisions as columns: for Parquet and for a table of the datamart.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use tarim_datamart::Type;

use super::{BacktestError, Slice, json::reasons};
use crate::{
    outcome::Decision,
    rulebook::{Rulebook, Source},
};

/// Columns of a decision, after the key; features follow.
fn own_columns() -> [(&'static str, DataType); 14] {
    let time = Type::Timestamp.arrow();
    [
        ("member", DataType::Utf8),
        ("product", DataType::Utf8),
        ("as_of", time),
        ("outcome", DataType::Utf8),
        ("score", DataType::Float64),
        ("grade", DataType::Utf8),
        ("pd", DataType::Float64),
        ("limit_fen", DataType::Int64),
        ("rate", DataType::Float64),
        ("rate_ppm", DataType::Int64),
        ("reason_ids", DataType::Utf8),
        ("reasons", DataType::Utf8),
        ("no_decision", DataType::Utf8),
        ("rulebook_version", DataType::Utf8),
    ]
}

/// Names of the features in an output, each with its column in the flat batch. A feature goes by its own
/// name, with its entity's before it where two entities have one of that name.
pub fn feature_names(rulebook: &Rulebook) -> Vec<(String, String)> {
    let entities = || rulebook.relations().iter().filter(|r| matches!(r.source, Source::Entity(_)));
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for column in entities().flat_map(|r| r.layout.columns()) {
        *counts.entry(&column.name).or_default() += 1;
    }
    entities()
        .flat_map(|r| r.layout.columns().iter().map(move |c| (r, c)))
        .map(|(r, c)| {
            let full = format!("{}.{}", r.name, c.name);
            let name = if counts[c.name.as_str()] == 1 { c.name.clone() } else { full.clone() };
            (name, full)
        })
        .collect()
}

/// The schema of [`record_batch`].
pub fn schema(rulebook: &Rulebook, features: bool) -> SchemaRef {
    let mut fields: Vec<Field> = Vec::new();
    if let Some(table) = rulebook.standards().table("applications") {
        let keys = table.key.iter().filter_map(|k| table.field(k));
        fields.extend(keys.map(|f| Field::new(&f.name, f.ty.arrow(), true)));
    }
    fields.extend(own_columns().into_iter().map(|(name, ty)| Field::new(name, ty, true)));
    if features {
        let relations = || rulebook.relations().iter().filter(|r| matches!(r.source, Source::Entity(_)));
        let types = relations().flat_map(|r| r.layout.columns().iter().map(|c| c.ty.arrow()));
        fields.extend(
            feature_names(rulebook).into_iter().zip(types).map(|((n, _), ty)| Field::new(n, ty, true)),
        );
    }
    Arc::new(Schema::new(fields))
}

/// The decisions of a slice. `reasons` is a JSON array; `reason_ids` are the ids, with commas between.
pub fn record_batch(
    rulebook: &Rulebook,
    slice: &Slice,
    features: bool,
) -> Result<RecordBatch, BacktestError> {
    let column = |name: String| slice.known.column_by_name(&name).cloned().ok_or(BacktestError::Column(name));
    let mut columns: Vec<ArrayRef> = Vec::new();
    for key in rulebook.standards().table("applications").iter().flat_map(|t| &t.key) {
        columns.push(column(format!("application.{key}"))?);
    }
    let rows = || slice.rows.iter();
    let decisions = || rows().map(|r| r.decision.as_ref().ok());
    let text = |of: fn(&Decision) -> Option<String>| -> ArrayRef {
        Arc::new(decisions().map(|d| d.and_then(of)).collect::<StringArray>())
    };
    let float = |of: fn(&Decision) -> Option<f64>| -> ArrayRef {
        Arc::new(decisions().map(|d| d.and_then(of)).collect::<Float64Array>())
    };
    let int = |of: fn(&Decision) -> Option<i64>| -> ArrayRef {
        Arc::new(decisions().map(|d| d.and_then(of)).collect::<Int64Array>())
    };
    let no_decision: StringArray = rows().map(|r| r.decision.as_ref().err().map(|e| e.to_string())).collect();
    let version: StringArray = rows().map(|_| Some(rulebook.version())).collect();
    columns.extend([
        Arc::new(rows().map(|r| Some(r.member.as_str())).collect::<StringArray>()) as ArrayRef,
        Arc::new(rows().map(|r| Some(r.product.as_str())).collect::<StringArray>()),
        Arc::new(rows().map(|r| Some(r.as_of_us)).collect::<TimestampMicrosecondArray>()),
        text(|d| Some(d.outcome.to_string())),
        float(|d| d.score.as_ref().map(|s| s.points)),
        text(|d| d.score.as_ref().map(|s| s.grade.clone())),
        float(|d| d.score.as_ref().map(|s| s.pd)),
        int(|d| d.limit_fen),
        float(|d| d.rate_ppm.map(|ppm| ppm as f64 / 1e6)),
        int(|d| d.rate_ppm),
        text(|d| Some(d.reasons.iter().map(|r| r.id.as_str()).collect::<Vec<_>>().join(","))),
        text(|d| Some(reasons(&d.reasons).to_string())),
        Arc::new(no_decision),
        Arc::new(version),
    ]);
    if features {
        for (_, full) in feature_names(rulebook) {
            columns.push(column(full)?);
        }
    }
    Ok(RecordBatch::try_new(schema(rulebook, features), columns)?)
}
