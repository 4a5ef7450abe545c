//! What the tests of expressions share: rows of named values, in both of their forms.

pub mod generate;

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema},
};
use datafusion::common::ScalarValue;
use tarim_datamart::{Type, Value};
use tarim_features::row::{Column, Dictionary, Layout, RowBuilder};

/// The time at which all rows are read: 2026-06-30T10:00:00Z.
pub const NOW_US: i64 = 1_782_813_600_000_000;

pub fn scalar(ty: Type, value: &Value) -> ScalarValue {
    match (ty, value) {
        (_, Value::Boolean(b)) => ScalarValue::Boolean(Some(*b)),
        (_, Value::Int64(n)) => ScalarValue::Int64(Some(*n)),
        (_, Value::Float64(x)) => ScalarValue::Float64(Some(*x)),
        (_, Value::Utf8(s)) => ScalarValue::Utf8(Some(s.clone())),
        (_, Value::Date32(d)) => ScalarValue::Date32(Some(*d)),
        (_, Value::Timestamp(us)) => ScalarValue::TimestampMicrosecond(Some(*us), None),
        (ty, Value::Null) => ScalarValue::try_from(&ty.arrow()).expect("every type has a NULL"),
    }
}

/// A batch of flat columns `relation.column`, given row by row.
pub fn batch(columns: &[(String, Type)], rows: &[Vec<Value>]) -> RecordBatch {
    let fields: Vec<Field> = columns.iter().map(|(name, ty)| Field::new(name, ty.arrow(), true)).collect();
    let array = |i: usize| {
        let ty = columns[i].1;
        ScalarValue::iter_to_array(rows.iter().map(|row| scalar(ty, &row[i]))).expect("one type")
    };
    let arrays: Vec<ArrayRef> =
        if rows.is_empty() { vec![] } else { (0..columns.len()).map(array).collect() };
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).expect("columns fit")
}

/// A packed row of the values of a layout's columns. Texts for which `by_code` answers true go through the
/// dictionary. Groups are as fresh as can be.
pub fn packed(
    layout: &Arc<Layout>,
    values: &[Value],
    dictionary: &mut Dictionary,
    mut by_code: impl FnMut(usize) -> bool,
) -> Vec<u8> {
    let mut builder = RowBuilder::new(layout);
    for (i, value) in values.iter().enumerate() {
        match value {
            Value::Utf8(s) if by_code(i) => builder.set_text_code(i, dictionary.intern(s)),
            value => builder.set(i, value),
        }
        .expect("the value fits its column");
    }
    for group in 1..layout.groups().len() {
        builder.set_group_time(group, NOW_US);
    }
    builder.finish().to_vec()
}

pub fn layout(columns: &[(&str, Type)]) -> Arc<Layout> {
    let columns = columns.iter().map(|(name, ty)| Column::new(*name, *ty)).collect();
    Arc::new(Layout::new(columns, vec![]).expect("the columns make a layout"))
}
