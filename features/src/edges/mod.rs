//! Edges between customers: along which the risk of one is the risk of another.
//!
//! ```text
//!  features/edges/*.toml ──► EdgeSet: definitions, checked against the standards     (set)
//!                                │
//!  the datamart's tables ──► SQL ┴─► rows (member, from, to, since, until)           (load)
//!                                        │
//!                                        ▼
//!                                     Builder ──► Edges ─┬► near: one or two hops    (build, graph)
//!                                                        └► connected: who hangs together
//! ```
//!
//! An edge says that risk flows from one customer to another while it stands: from `since` on, and before `until`. It never
//! leads from one member to another: both its ends are customers of the member of its row.
//!
//! [`Edges`] are of one moment of the datamart, and are never changed; whoever wants newer ones loads them anew.

mod build;
mod connected;
mod graph;
mod load;
mod set;

pub use build::{Builder, Row, TooMany};
pub use graph::{Edges, Near, Neighbour, Search};
pub use load::{LoadError, load};
pub use set::{Edge, EdgeSet};
