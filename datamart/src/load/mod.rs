//! Loading: files through the gate into Delta tables.
//!
//! ```text
//!            ┌──────────── thread ─────────────┐   channel   ┌───────── task ──────────┐
//! file ─► Reader ─► Chunk of text ─► Gate ─────┼── 2 deep ──►│ good → <table>          │
//!         CSV, NDJSON, Parquet     (admit.rs)  │             │ bad  → _quarantine/<table>
//!            └─────────────────────────────────┘             └─────────────────────────┘
//! commits: quarantine, then the table (this is the load, see crate::mart), then the index `_loads`
//! ```
//!
//! - **Memory** does not grow with the file, but for 16 to 40 bytes per row for its keys: chunks of 8,192 rows, at
//!   most four under way, and Parquet files that are closed at 64 MiB.
//! - **The same file again** (same bytes, table and member) changes nothing and says so, whatever its name.
//! - **Keys** are unique within the file and against the table. That the table already has one is found after
//!   the file was read (its keys are streamed past those of the file); only then is it read a second time.
//! - **One load per table at a time**: a second one waits for the first.
//! - Blanks at both ends of a text do not count, and an empty text is NULL.

mod admit;
mod cells;
mod error;
mod fill;
mod keys;
mod plan;
mod quarantine;
mod report;
mod run;
mod source;

pub use error::LoadError;
pub(crate) use quarantine::schema as quarantine_schema;
pub use report::{LoadReport, Sample};
pub use run::{FailPoint, LoadOptions};
pub use source::ReadError;
