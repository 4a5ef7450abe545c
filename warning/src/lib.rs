//! Early warning: events in, alerts out.
//!
//! Nothing is here yet: the room is kept, so that what it will share with `decision` (expressions, windows,
//! lists) grows in `features`.
