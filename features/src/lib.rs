//! What is known of an entity: expressions, packed rows, feature views, online store, lists.
//!
//! ```text
//!  rulebook/features, lists ──► FeatureSet: entities, views, lists                        (entity, view, list)
//!                                   │
//!            ┌──────────────────────┴──────────────────────┐
//!   one time, all entities                     many applications, each at its own time
//!   materialise ──► packed rows ──► store      spine::point_in_time ──► columns
//!   (materialise)     (row)        (store)              (spine)
//!            │                                              │
//!            └────────► expr: row program    │   expr: DataFusion ◄──┘      the same bits
//! ```
//!
//! Windows over events live in [`stream`], for the warning pipeline, and so do the [`edges`] along which a warning spreads. The
//! rulebook's folder itself ([`folder`]) is here, since both `decision` and `warning` read it; so is what `warning` tells
//! `decision` of a customer ([`warnings`]).
//!
//! - **In**: definitions of a rulebook, and a session over the datamart. **Out**: snapshots of packed rows for
//!   the decision service, columns for backtests, and expressions that run over either.
//! - Nothing can look into the future: a view sees a fact only if it happened before the time asked for, and
//!   was known by then. The engine adds that join; analysts cannot leave it out.
//! - The member is part of every key. Readers never block on a writer.

pub mod edges;
pub mod entity;
pub mod expr;
pub mod folder;
pub mod list;
pub mod materialise;
pub mod pages;
pub mod row;
pub mod spine;
pub mod store;
pub mod stream;
pub mod view;
pub mod warnings;
