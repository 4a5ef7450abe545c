//! Limit schemes: what a rulebook's `limits/*.toml` say, checked and compiled.
//!
//! ```text
//!  limits/*.toml ──► LimitText ─┐
//!  members/*/member.toml        ├─► compile ──► SchemeSet: plain data, a line of each member in fen
//!   [limit.<id>] ──► Override ──┘   check           │
//!  parameters, products, code lists                 └─► the ledger, and its log (exposure/core)
//! ```
//!
//! A [`SchemeSet`] stands by itself: it names no parameter and no file, and it is written into the ledger's log as it
//! is. So a ledger can be read years later without the rulebook of then.

mod check;
mod compile;
mod domain;
mod mapping;
mod read;

pub use self::domain::{NONE, Unknown};
pub(crate) use self::{
    compile::{Around, compile},
    mapping::MappingText,
    read::{Override, read, read_overrides},
};

/// Most schemes of a rulebook: an exposure touches at most as many counters, and per hierarchy one each.
pub const SCHEMES_MAX: usize = 256;

/// All limit schemes of a rulebook.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SchemeSet {
    /// Version of the rulebook.
    #[prost(string, tag = "1")]
    pub version: String,
    /// Codes of the members, in order.
    #[prost(string, repeated, tag = "2")]
    pub members: Vec<String>,
    /// What exposures are told apart by. The first two are [`CUSTOMER`] and [`GROUP`].
    #[prost(message, repeated, tag = "3")]
    pub dimensions: Vec<Dimension>,
    /// In order of file name, and in a file as they stand.
    #[prost(message, repeated, tag = "4")]
    pub schemes: Vec<Scheme>,
    /// From how many fen on the exposure to a customer or group is large, by member. Empty: it is not said.
    #[prost(int64, repeated, tag = "5")]
    pub large_fen: Vec<i64>,
    /// Names of the edges (`features/edges`) along which customers are one group. Empty: it is not said.
    #[prost(string, repeated, tag = "6")]
    pub group_edges: Vec<String>,
}

impl SchemeSet {
    /// What a counter is apart by, as it is told: `customer`, `industry.section`.
    pub fn name_of(&self, per: &Per) -> String {
        let dimension = &self.dimensions[per.dimension as usize];
        match (per.level as usize).checked_sub(1) {
            Some(level) => format!("{}.{}", dimension.name, dimension.levels()[level]),
            None => dimension.name.clone(),
        }
    }
}

/// Index of the dimension `customer`.
pub const CUSTOMER: u32 = 0;
/// Index of the dimension `group`.
pub const GROUP: u32 = 1;

/// What exposures are told apart by.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dimension {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(enumeration = "Kind", tag = "2")]
    pub kind: i32,
    /// Of [`Kind::Codes`]: every code that there is.
    #[prost(message, repeated, tag = "3")]
    pub codes: Vec<Code>,
}

/// What values a dimension has, and how they roll up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Kind {
    /// Customers of a member.
    Customer = 0,
    /// Groups of connected customers of a member.
    Group = 1,
    /// GB/T 4754: class, group, division, section.
    Industry = 2,
    /// GB/T 2260: county, prefecture, province.
    Region = 3,
    /// A code list, with the parents that it gives.
    Codes = 4,
}

/// A code of a dimension.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Code {
    #[prost(string, tag = "1")]
    pub code: String,
    /// Empty: it has none.
    #[prost(string, tag = "2")]
    pub parent: String,
}

/// A limit: a counter for each value of what it is `per`, none of which may pass its hard line.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Scheme {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub zh: String,
    #[prost(string, tag = "3")]
    pub en: String,
    #[prost(enumeration = "Scope", tag = "4")]
    pub scope: i32,
    /// Counters apart for each of them.
    #[prost(message, repeated, tag = "5")]
    pub per: Vec<Per>,
    /// Exposures that it is of: those that every condition holds for.
    #[prost(message, repeated, tag = "6")]
    pub conditions: Vec<Condition>,
    /// It is enforced from then on, in microseconds since 1970-01-01T00:00:00Z.
    #[prost(int64, tag = "7")]
    pub from_us: i64,
    /// And before then.
    #[prost(int64, tag = "8")]
    pub to_us: i64,
    /// Of [`Scope::Member`] by member, of [`Scope::Federation`] one.
    #[prost(message, repeated, tag = "9")]
    pub lines: Vec<Lines>,
}

impl Scheme {
    /// Is it enforced at this time?
    pub fn in_force(&self, at_us: i64) -> bool {
        self.from_us <= at_us && at_us < self.to_us
    }
}

/// Over which exposures a counter sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Scope {
    /// Those of one member.
    Member = 0,
    /// Those of all members.
    Federation = 1,
}

/// A dimension at a level of its hierarchy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message)]
pub struct Per {
    /// Index in [`SchemeSet::dimensions`].
    #[prost(uint32, tag = "1")]
    pub dimension: u32,
    /// Counted from the top, from 1; 0: as it is given.
    #[prost(uint32, tag = "2")]
    pub level: u32,
}

/// A dimension has one of some values, or lies below one of them.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Condition {
    #[prost(uint32, tag = "1")]
    pub dimension: u32,
    #[prost(string, repeated, tag = "2")]
    pub any_of: Vec<String>,
}

/// The lines of a counter, in fen.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Lines {
    /// Above it, whoever takes more is told.
    #[prost(int64, tag = "1")]
    pub warning_fen: i64,
    /// Nothing is taken that would go above it.
    #[prost(int64, tag = "2")]
    pub hard_fen: i64,
}
