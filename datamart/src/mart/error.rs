//! What can go wrong with the datamart as a whole; bad rows are no error.

use std::{io, path::PathBuf};

use datafusion::common::DataFusionError;
use deltalake::DeltaTableError;

/// Why a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use {} as the datamart's folder: {source}\n    fix: name another with --home, or make it writable", folder.display())]
    Folder { folder: PathBuf, source: io::Error },

    #[error("cannot {doing} the Delta table in {}: {source}", folder.display())]
    Delta { doing: &'static str, folder: PathBuf, source: Box<DeltaTableError> },

    #[error(
        "column `{column}` of the Delta table in {} is {is}, but the standard says {wanted}\n    \
         fix: give the field another name, or load the table anew into another home",
        folder.display()
    )]
    ColumnType { folder: PathBuf, column: String, is: String, wanted: String },

    #[error(
        "`{table}` cannot be the name of a result table\n    \
         fix: use lower-case letters, digits and _, and no name of a table of the standards"
    )]
    ResultName { table: String },

    #[error("what was to be written did not come to its end: the table is as it was")]
    Incomplete,

    #[error("the record of a load in {} cannot be read: {why}", folder.display())]
    Record { folder: PathBuf, why: String },

    #[error(transparent)]
    DataFusion(#[from] DataFusionError),

    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
}
