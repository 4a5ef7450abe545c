//! Parquet: its columns are cast to text, so that the gate reads every source alike.

use std::{fs::File, sync::Arc};

use arrow::{
    array::{Array, RecordBatch},
    compute::{can_cast_types, cast},
    datatypes::{DataType, SchemaRef, TimeUnit},
};
use datafusion::{
    common::cast::as_string_array,
    datasource::physical_plan::parquet::Int96Coercer,
    parquet::{
        arrow::{
            ProjectionMask,
            arrow_reader::{
                ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
                ParquetRecordBatchReaderBuilder,
            },
        },
        errors::ParquetError,
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
        let builder = builder(&file)?;
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
        let builder = builder(&self.file)?;
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

/// Times of 96 bits are read in microseconds: in nanoseconds, which is what Arrow makes of them, the years before
/// 1678 and after 2261 would become others.
fn builder(file: &File) -> Result<ParquetRecordBatchReaderBuilder<File>, ParquetError> {
    let file = file.try_clone()?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    let coercer = Int96Coercer::new(metadata.parquet_schema(), metadata.schema(), &TimeUnit::Microsecond);
    let metadata = match coercer.coerce() {
        Some(schema) => {
            let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
            ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)?
        }
        None => metadata,
    };
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata))
}
