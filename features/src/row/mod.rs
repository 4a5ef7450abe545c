//! Packed rows: everything known of one entity in one run of bytes.
//!
//! ```text
//! | present bits | booleans | group times | cells of 8 bytes | 7 | … | 1 | tail: strings |
//! |<------------------------- fixed_len bytes ------------------------->|
//! ```
//!
//! A [`Layout`] says where each column lies; it is worked out once, from the schema, when a rulebook is
//! compiled. A [`RowBuilder`] writes rows, a [`Row`] reads one. Numbers are little-endian, cells are not
//! aligned. Integers and dates whose range is known are stored as the distance from the range's lower end, in as
//! few bytes as the range needs. (One load reads a number of any width: see [`Uint`].)
//!
//! A utf8 cell is a `u32`, or, of a column whose codes are declared, as narrow as the codes of the layout allow. With the
//! high bit of a `u32` 0 it is a code of the row's [`Dictionary`], so that equal
//! strings are equal codes and take four bytes; with the high bit 1 the other bits are an offset into
//! the row itself, where a `u32` length and the UTF-8 text stand. A row whose texts are all declared codes or of the second
//! kind is *self-contained*: the decision journal keeps such rows.
//!
//! Columns that are computed together form a [`Group`] with one time in the row; once that time is older
//! than the group's freshness, every column of the group reads as NULL.

mod builder;
mod dictionary;
mod layout;
mod reader;
#[cfg(test)]
mod tests;

pub use builder::{CellError, RowBuilder};
pub use dictionary::Dictionary;
pub use layout::{Cell, Column, Group, Layout, LayoutError, Slot, Uint, end_of_range};
pub(crate) use reader::RawText;
pub use reader::{Row, RowError, TextCell};
