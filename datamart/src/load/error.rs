//! Why a file was not loaded. Whatever it is, the datamart is as it was before.

use std::{io, path::PathBuf};

use datafusion::common::DataFusionError;

use super::{FailPoint, LoadReport, source::ReadError};
use crate::{Problem, mart};

/// Why a file was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the standards have no table `{table}`\n    fix: use one of {tables}")]
    NoTable { table: String, tables: String },

    #[error(
        "no source of {of} takes the file {file}\n    \
         fix: add a [[source]] whose `files` matches its name, or rename the file; known are {known}"
    )]
    NoSource { file: String, of: String, known: String },

    #[error(
        "{table}.{field} comes from the column `{column}`, which the file has not (it has: {columns})\n    \
         fix: correct the source's [source.map], or the delimiter or header in [[source]]"
    )]
    Column { table: String, field: String, column: String, columns: String },

    #[error("the column `{column}` stands twice in the header\n    fix: rename one of the two")]
    TwiceInHeader { column: String },

    #[error(
        "{table}.{field} comes from SQL that cannot be computed: {sql}: {why}\n    fix: correct it in [source.map]"
    )]
    Sql { table: String, field: String, sql: String, why: String },

    #[error(transparent)]
    Standard(Problem),

    #[error("cannot read {}: {source}", file.display())]
    Read { file: PathBuf, source: Box<ReadError> },

    #[error(
        "the file {} changed while it was read\n    fix: load it again when it is complete",
        file.display()
    )]
    Changed { file: PathBuf },

    #[error("cannot lock {}: {source}\n    fix: make the datamart's folder writable", file.display())]
    Lock { file: PathBuf, source: io::Error },

    #[error(
        "{percent:.2} % of the rows are bad, more than the {allowed} % allowed: nothing was loaded\n{}",
        report.findings()
    )]
    TooManyBad { percent: f64, allowed: f64, report: Box<LoadReport> },

    #[error(transparent)]
    Mart(#[from] mart::Error),

    #[error(transparent)]
    DataFusion(#[from] DataFusionError),

    #[error("the load was stopped by a test at {0:?}")]
    Stopped(FailPoint),
}

impl From<arrow::error::ArrowError> for LoadError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::DataFusion(error.into())
    }
}
