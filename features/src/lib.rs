//! What is known of an entity: expressions, packed rows, feature views, online store, lists

pub mod expr;
pub mod row;
