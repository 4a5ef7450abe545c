//! Sources: files as chunks of text columns.

mod csv;
mod decode;
mod json;
mod ndjson;
mod parquet;
mod text;

use std::{fs::File, io, path::Path};

use datafusion::{common::DataFusionError, parquet::errors::ParquetError};

pub(crate) use text::{Chunk, TextColumn};

use self::{csv::Csv, ndjson::Ndjson, parquet::Parquet};
use crate::standards::{Format, Source};

/// Why a file cannot be read as what its source says.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the file is empty")]
    Empty,
    #[error("the header cannot be read: {0}")]
    Header(String),
    #[error("line {line} is longer than 16 MiB: is this NDJSON?")]
    LongLine { line: u64 },
    #[error("column `{column}` is {is}, which has no text form")]
    ColumnType { column: String, is: String },
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    #[error(transparent)]
    DataFusion(#[from] DataFusionError),
}

/// An open file of one of the formats.
pub(crate) enum Reader {
    Csv(Box<Csv>),
    Ndjson(Ndjson),
    Parquet(Box<Parquet>),
}

impl Reader {
    pub fn open(path: &Path, source: &Source) -> Result<Self, ReadError> {
        let file = File::open(path)?;
        Ok(match source.format {
            Format::Csv => Self::Csv(Box::new(Csv::open(file, source)?)),
            Format::Ndjson => Self::Ndjson(Ndjson::open(file, source)),
            Format::Parquet => Self::Parquet(Box::new(Parquet::open(file)?)),
        })
    }

    /// The file's columns; None if each row may have others.
    pub fn columns(&self) -> Option<&[String]> {
        match self {
            Self::Csv(csv) => Some(csv.columns()),
            Self::Ndjson(_) => None,
            Self::Parquet(parquet) => Some(parquet.columns()),
        }
    }

    /// Asks for columns; chunks have them in this order. All must be among [`Reader::columns`].
    pub fn select(&mut self, names: &[String], rows: usize) -> Result<(), ReadError> {
        let positions = |columns: &[String]| -> Vec<usize> {
            names.iter().filter_map(|name| columns.iter().position(|c| c == name)).collect()
        };
        match self {
            Self::Csv(csv) => {
                let positions = positions(csv.columns());
                csv.select(positions);
            }
            Self::Ndjson(ndjson) => ndjson.select(names.to_vec()),
            Self::Parquet(parquet) => {
                let positions = positions(parquet.columns());
                parquet.select(&positions, rows)?;
            }
        }
        Ok(())
    }

    /// Reads about `rows` rows; none are left when the chunk stays empty.
    pub fn read(&mut self, rows: usize, chunk: &mut Chunk) -> Result<(), ReadError> {
        match self {
            Self::Csv(csv) => csv.read(rows, chunk),
            Self::Ndjson(ndjson) => ndjson.read(rows, chunk),
            Self::Parquet(parquet) => parquet.read(chunk),
        }
    }

    /// How far into the file it is.
    pub fn bytes_read(&self) -> u64 {
        match self {
            Self::Csv(csv) => csv.bytes_read(),
            Self::Ndjson(ndjson) => ndjson.bytes_read(),
            Self::Parquet(parquet) => parquet.bytes_read(),
        }
    }
}
