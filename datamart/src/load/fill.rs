//! Filling a field from what its mapping names.

use std::ops::Range;

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    compute::cast,
    datatypes::DataType,
};
use datafusion::common::{
    DataFusionError,
    cast::{
        as_boolean_array, as_date32_array, as_float64_array, as_int64_array, as_string_array,
        as_timestamp_microsecond_array,
    },
};

use super::{
    cells::Filler,
    plan::{Feed, SqlFeed},
    source::{Chunk, TextColumn},
};
use crate::{
    Field, Type, Value,
    gate::{
        Broken,
        parse::{self, Unscaled},
        rules, shorten,
    },
};

/// Adds a value for every row of a chunk; rows that are not readable are NULL.
pub(crate) fn fill(filler: &mut Filler<'_>, feed: &Feed, chunk: &Chunk, readable: &[bool]) {
    match feed {
        Feed::Nothing => each(filler, readable, |filler, _| filler.push_text(None)),
        Feed::Constant(value) => each(filler, readable, |filler, _| filler.push_value(value)),
        Feed::Column(column) => {
            let column = &chunk.columns[*column];
            each(filler, readable, |filler, row| filler.push_text(column.get(row)));
        }
        Feed::Values { column, values } => {
            let column = &chunk.columns[*column];
            each(filler, readable, |filler, row| match column.get(row) {
                None => filler.push_text(None),
                Some(text) => match values.get(text) {
                    Some(value) => filler.push_value(value),
                    None => filler.push_broken(unmapped(filler.field(), text)),
                },
            });
        }
        Feed::Scale { column, scale } => {
            let column = &chunk.columns[*column];
            each(filler, readable, |filler, row| match column.get(row) {
                None => filler.push_text(None),
                Some(text) => match parse::scaled(text, *scale) {
                    Ok(scaled) => filler.push_value(&Value::Int64(scaled)),
                    Err(why) => filler.push_broken(unscaled(filler.field(), text, *scale, why)),
                },
            });
        }
        Feed::Sql(sql) => match sql.evaluate(chunk, 0..readable.len(), filler.field()) {
            Ok(result) => each(filler, readable, |filler, row| result.push(filler, row)),
            // A row that cannot be computed must not cost the others: row by row.
            Err(_) => each(filler, readable, |filler, row| {
                match sql.evaluate(chunk, row..row + 1, filler.field()) {
                    Ok(result) => result.push(filler, 0),
                    Err(_) => filler.push_broken(incomputable(filler.field())),
                }
            }),
        },
    }
}

fn each(filler: &mut Filler<'_>, readable: &[bool], mut push: impl FnMut(&mut Filler<'_>, usize)) {
    for (row, readable) in readable.iter().enumerate() {
        match readable {
            true => push(filler, row),
            false => filler.push_null(),
        }
    }
}

/// What an expression gives: texts are read as the source's texts are, others are of the field's type.
enum Computed {
    Texts(ArrayRef),
    Values(ArrayRef),
}

impl SqlFeed {
    fn evaluate(
        &self,
        chunk: &Chunk,
        rows: Range<usize>,
        field: &Field,
    ) -> Result<Computed, DataFusionError> {
        let count = rows.len();
        let slice = |column: &usize| {
            let mut slice = TextColumn::with_capacity(count);
            rows.clone().for_each(|row| slice.push(chunk.columns[*column].get(row)));
            slice.into_array()
        };
        let columns = self.columns.iter().map(slice).collect::<Result<Vec<_>, _>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        let result = self.compiled.expr.evaluate(&batch)?.into_array(count)?;
        Ok(match result.data_type() {
            DataType::Utf8 => Computed::Texts(result),
            DataType::Utf8View | DataType::LargeUtf8 => Computed::Texts(cast(&result, &DataType::Utf8)?),
            _ => {
                let cast_result = cast(&result, &field.ty.arrow())?;
                // Arrow's cast makes NULL of what does not fit; to lose a value silently is no option. (Of what is all NULL by its
                // type, Arrow counts none.)
                if cast_result.null_count() != result.logical_null_count() {
                    let why = format!("{} does not fit {}", self.compiled.ty, field.ty);
                    return Err(DataFusionError::Execution(why));
                }
                Computed::Values(cast_result)
            }
        })
    }
}

impl Computed {
    fn push(&self, filler: &mut Filler<'_>, row: usize) {
        let pushed = match self {
            Self::Texts(texts) => as_string_array(texts).map(|texts| {
                let text = texts.is_valid(row).then(|| texts.value(row).trim_matches(' '));
                filler.push_text(text.filter(|t| !t.is_empty()));
            }),
            Self::Values(values) => value_at(values, filler.field().ty, row).map(|v| filler.push_value(&v)),
        };
        if pushed.is_err() {
            filler.push_broken(incomputable(filler.field()));
        }
    }
}

fn value_at(values: &ArrayRef, ty: Type, row: usize) -> Result<Value, DataFusionError> {
    if values.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match ty {
        Type::Boolean => Value::Boolean(as_boolean_array(values)?.value(row)),
        Type::Int64 => Value::Int64(as_int64_array(values)?.value(row)),
        Type::Float64 => Value::Float64(as_float64_array(values)?.value(row)),
        Type::Utf8 => Value::Utf8(as_string_array(values)?.value(row).to_owned()),
        Type::Date32 => Value::Date32(as_date32_array(values)?.value(row)),
        Type::Timestamp => Value::Timestamp(as_timestamp_microsecond_array(values)?.value(row)),
    })
}

fn unmapped(field: &Field, text: &str) -> Broken {
    field.broken(rules::MAPPING, || match field.withheld {
        true => "the mapping does not list the source's text".into(),
        false => format!("the mapping does not list {}", field.quoted(text)),
    })
}

fn unscaled(field: &Field, text: &str, scale: i64, why: Unscaled) -> Broken {
    let number = || if field.withheld { "the value".into() } else { shorten(text) };
    field.broken(rules::SCALE, || match why {
        Unscaled::NotDecimal => format!("{} is not a decimal number", field.quoted(text)),
        Unscaled::Inexact => format!("{} times {scale} is not a whole number", number()),
        Unscaled::TooLarge => format!("{} times {scale} is too large", number()),
    })
}

fn incomputable(field: &Field) -> Broken {
    field.broken(rules::MAPPING, || "the mapping's SQL cannot be computed for this row".into())
}
