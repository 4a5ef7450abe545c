//! The risk datamart: data standards, quality gate, Delta tables, SQL sessions.

pub mod checks;
mod functions;
pub mod gate;
pub mod load;
mod mart;
mod section;
mod sql;
pub mod standards;
pub mod text;
pub mod token;
pub mod value;

pub use functions::register as register_functions;
pub use gate::{Broken, RowChecks};
pub use load::{LoadError, LoadOptions, LoadReport};
pub use mart::{Datamart, Error, LoadRecord, WriteMode};
pub use section::{At, Document, Item, Section, nearest};
pub use standards::{CodeList, Field, RowCheck, Source, Standards, Table};
pub use text::{Place, Problem, Problems, SourceText};
pub use token::{KeyError, Tokeniser};
pub use value::{Type, Value};
