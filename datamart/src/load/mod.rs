//! Loading.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// Columns of every `_quarantine/<table>`.
pub(crate) fn quarantine_schema() -> SchemaRef {
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
