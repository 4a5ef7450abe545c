//! Feature views: definitions of features, read from a rulebook and checked.
//!
//! ```text
//! features/entities.toml ─┐
//! features/<view>.toml   ─┼─ read ─> check against the standards (plans every SQL) ─> FeatureSet
//! lists/<any>.toml       ─┘                                                             │
//!                                        row layouts, definitions' fingerprints <───────┤
//!                                        point in time ([`crate::spine`])       <───────┤
//!                                        materialise ([`crate::materialise`])   <───────┘
//! ```
//!
//! What a view may say is decided by one aim: its values at a time depend on nothing that happened, or
//! became known, later, and are the same bits however they are computed. So a source is rows only
//! ([`source`]), and a feature is made of aggregates whose result does not depend on the order of facts
//! ([`aggregate`]).

pub(crate) mod aggregate;
pub(crate) mod arithmetic;
mod bounds;
mod distinct;
pub(crate) mod exact;
pub(crate) mod origin;
pub(crate) mod read;
mod set;
pub(crate) mod source;
mod span;

use tarim_datamart::{Place, Type, Value};

pub use set::FeatureSet;
pub use span::{parse_span, show_span};

use self::source::Facts;

/// Features that are computed together from one source and go stale together.
#[derive(Clone, Debug)]
pub struct View {
    pub name: String,
    pub zh: String,
    pub en: String,
    /// Where its facts come from, and when they happened and became known.
    pub(crate) facts: Facts,
    /// A value older than this, in microseconds, is NULL; None: it never goes stale.
    pub freshness_us: Option<i64>,
    /// How old the values are, as an aggregate; None: as old as their computation.
    pub timestamp: Option<Sql>,
    pub features: Vec<Feature>,
    pub place: Place,
}

impl View {
    /// The table, or the SELECT, that its facts come from.
    pub fn source(&self) -> &str {
        self.facts.source.text()
    }
}

/// A piece of SQL and where it stands.
#[derive(Clone, Debug)]
pub struct Sql {
    pub text: String,
    pub place: Place,
}

/// One feature.
#[derive(Clone, Debug)]
pub struct Feature {
    pub name: String,
    pub zh: String,
    pub en: String,
    pub ty: Type,
    pub sql: Sql,
    /// Value of a known entity where the aggregate is NULL; NULL if none is given.
    pub default: Value,
    /// Int64 and date32 only: least and greatest value (of a date: days since 1970-01-01), both included. A value
    /// outside is an error.
    pub range: Option<(i64, i64)>,
    /// Utf8 only: all values that it may have; empty: any. Another value is an error.
    pub codes: Vec<String>,
}
