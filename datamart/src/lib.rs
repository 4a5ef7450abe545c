//! The risk datamart: data standards, quality gate, Delta tables, SQL sessions.
//!
//! ```text
//!  rulebook/standards ──► Standards: tables, fields, codes, checks, sources      (standards/)
//!                              │
//!  file ──► source ──► text ──► gate ──► good rows ──► Delta <table>             (load/, gate/, mart/)
//!  CSV, NDJSON, Parquet        │   └──► bad rows ───► Delta _quarantine/<table>
//!                              │
//!  application's fields ──► Field::check, RowChecks::check, Tokeniser            (the same gate, online)
//!
//!  Datamart::session() ──► DataFusion over every table, its quarantine, and `loads`
//!  Datamart::write()   ──► result tables of other crates
//! ```
//!
//! - **In**: [`Standards::read`] takes the text of a rulebook, [`Datamart::load`] files. **Out**: sessions.
//! - What is personal never leaves the gate: not in a table, a quarantined row, a message or a report. It is
//!   checked as it is, and then a [`Tokeniser`] puts a token in its place.
//! - What a load promises (whole or not at all, once only) is kept by the order of its commits: see [`mart`].
//! - To add a check that standards can name, add a variant to [`checks::Builtin`]: the SQL function
//!   `valid_<name>` comes with it. To add a format, add a reader to `load/source`: it yields columns of text.
//!
//! Analysts find the text formats in `RULEBOOK.md`.

pub mod checks;
mod date_trunc;
mod functions;
pub mod gate;
mod listing;
pub mod load;
pub mod mart;
mod section;
pub mod sheet;
mod sql;
pub mod standards;
pub mod text;
pub mod times;
pub mod token;
pub mod value;
mod whole;

pub use functions::register as register_functions;
pub use gate::{Broken, RowChecks};
pub use listing::files_in;
pub use load::{LoadError, LoadOptions, LoadReport};
pub use mart::{Datamart, Error, LoadRecord, WriteMode};
pub use section::{At, Document, Item, Section, nearest};
pub use standards::{CodeList, Field, RowCheck, Source, Standards, Table};
pub use text::{Place, Problem, Problems, SourceText};
pub use token::{KeyError, Tokeniser};
pub use value::{Type, Value, ValueRef};
pub use whole::WholeFile;
