//! What is known of an entity: expressions, packed rows, feature views, online store, lists

pub mod entity;
pub mod expr;
pub mod list;
pub mod materialise;
pub mod row;
pub mod spine;
pub mod store;
pub mod view;
