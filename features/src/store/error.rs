//! What can be wrong with a store.

use std::path::{Path, PathBuf};

/// Why a store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {what} {path}: {error}", path = path.display())]
    Io { what: &'static str, path: PathBuf, error: std::io::Error },
    #[error(
        "{path} is damaged: {what}. Nothing of it is used; run `tarim materialize` to write a new \
         generation, or roll back to an older one",
        path = path.display()
    )]
    Damaged { path: PathBuf, what: String },
    #[error(
        "the online store {path} is empty; run `tarim materialize` first",
        path = path.display()
    )]
    Empty { path: PathBuf },
    #[error("the online store has nothing of {what}, which the rulebook defines: run `tarim materialize`")]
    Missing { what: String },
    #[error(
        "generation {generation}: {what} was materialised by another definition than the rulebook's; \
         run `tarim materialize` with this rulebook"
    )]
    OtherDefinition { generation: u64, what: String },
    #[error("generation {generation} is not in the online store; it has {kept}")]
    NoGeneration { generation: u64, kept: String },
    #[error(
        "the online store {path} has no generation {version} (any more); it has {kept}",
        path = path.display()
    )]
    Gone { path: PathBuf, version: String, kept: String },
    #[error(
        "`{0}` is no version of a generation, such as 12-3f9a02bc: `tarim materialize --list` shows those that are kept"
    )]
    NoVersion(String),
    #[error(
        "another process is publishing to {path}; wait until it has finished",
        path = path.display()
    )]
    Busy { path: PathBuf },
    #[error("{path}: the key {key:?} came twice; a key is unique", path = path.display())]
    Repeated { path: PathBuf, key: String },
    #[error("{what}, at the key {key:?}")]
    TooLong { what: String, key: String },
}

impl StoreError {
    pub(super) fn io(what: &'static str, path: &Path, error: std::io::Error) -> Self {
        Self::Io { what, path: path.into(), error }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), what: what.into() }
    }
}
