//! Scorecards, and the cells that scorecards and decision tables share.
//!
//! A value becomes a [key](domain), a [cell] is a set of keys, a [scorecard] is bins of such cells with
//! points; [`intervals`] find the cells that match a key without trying each. [`space`] tells what a set
//! of cells covers. What a scorecard asks about an applicant comes through
//! [`Answers`](tarim_features::expr::Answers): it does not know whether a row program or a column of a
//! batch replies.

pub mod cell;
pub mod csv;
pub mod domain;
pub mod intervals;
pub mod keys;
pub mod scorecard;
pub mod space;
