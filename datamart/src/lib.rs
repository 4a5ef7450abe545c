//! The risk datamart: data standards, quality gate, Delta tables, SQL sessions.

pub mod text;
pub mod value;

pub use text::{Place, Problem, Problems, SourceText};
pub use value::{Type, Value};
