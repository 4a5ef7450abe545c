//! Parquet: its columns are cast to text, so that the gate reads every source alike.

use std::fs::File;

use arrow::{
    array::{Array, RecordBatch},
    compute::{can_cast_types, cast},
    datatypes::{DataType, SchemaRef},
};
use datafusion::{
    common::cast::as_string_array,
    parquet::arrow::{
        ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
};

use super::{Chunk, ReadError, text::Defect};
use crate::gate::{Broken, rules};

pub(crate) struct Parquet {
    file: File,
    schema: SchemaRef,
    columns: Vec<String>,
    total_rows: u64,
    bytes: u64,
    reader: Option<ParquetRecordBatchReader>,
    /// Position in the projected batch of each column that is asked for.
    order: Vec<usize>,
    rows_read: u64,
}

impl Parquet {
    pub fn open(file: File) -> Result<Self, ReadError> {
        let bytes = file.metadata()?.len();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file.try_clone()?)?;
        let schema = builder.schema().clone();
        Ok(Self {
            columns: schema.fields().iter().map(|f| f.name().clone()).collect(),
            total_rows: builder.metadata().file_metadata().num_rows().try_into().unwrap_or(0),
            file,
            schema,
            bytes,
            reader: None,
            order: Vec::new(),
            rows_read: 0,
        })
    }

    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The share of the file that corresponds to the rows read.
    pub fn bytes_read(&self) -> u64 {
        (u128::from(self.bytes) * u128::from(self.rows_read) / u128::from(self.total_rows.max(1))) as u64
    }

    /// Asks for columns, by position, in batches of `rows` rows.
    pub fn select(&mut self, positions: &[usize], rows: usize) -> Result<(), ReadError> {
        for position in positions {
            let field = self.schema.field(*position);
            if field.data_type().is_nested() || !can_cast_types(field.data_type(), &DataType::Utf8) {
                return Err(ReadError::ColumnType {
                    column: field.name().clone(),
                    is: field.data_type().to_string(),
                });
            }
        }
        // A projection keeps the file's order of columns.
        let mut projected: Vec<usize> = positions.to_vec();
        projected.sort_unstable();
        projected.dedup();
        self.order = positions.iter().filter_map(|p| projected.binary_search(p).ok()).collect();
        let builder = ParquetRecordBatchReaderBuilder::try_new(self.file.try_clone()?)?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), projected);
        self.reader = Some(builder.with_projection(mask).with_batch_size(rows).build()?);
        Ok(())
    }

    /// Reads the next batch; none is left when the chunk stays empty.
    pub fn read(&mut self, chunk: &mut Chunk) -> Result<(), ReadError> {
        chunk.clear(self.order.len());
        let Some(batch) = self.reader.as_mut().and_then(Iterator::next) else { return Ok(()) };
        let batch: RecordBatch = batch?;
        for (column, position) in chunk.columns.iter_mut().zip(&self.order) {
            let values = batch.column(*position);
            let text = cast(values, &DataType::Utf8)?;
            // Arrow's cast makes NULL of bytes that are no UTF-8; to lose a value silently is no option.
            let nulls = values.logical_nulls();
            for (row, value) in as_string_array(&text)?.iter().enumerate() {
                if value.is_none() && nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                    let name = batch.schema_ref().field(*position).name();
                    let message = format!("the column `{name}` has bytes that are no UTF-8");
                    let broken = Broken { rule: rules::ENCODING.into(), message };
                    chunk.defects.push(Defect { row, broken, line: None });
                }
                column.push(value);
            }
        }
        let rows = batch.num_rows() as u64;
        chunk.lines.extend(self.rows_read + 1..=self.rows_read + rows);
        self.rows_read += rows;
        Ok(())
    }
}
