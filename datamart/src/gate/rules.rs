//! Names of the rules that are always there; built-in checks and row checks bring names of their own.

/// A value that must be there is not.
pub const REQUIRED: &str = "required";
/// The text is no value of the field's type.
pub const TYPE: &str = "type";
/// Too few or too many characters.
pub const LENGTH: &str = "length";
/// Below `min` or above `max`.
pub const RANGE: &str = "range";
/// The regular expression does not match.
pub const PATTERN: &str = "pattern";
/// Not in the code list.
pub const CODES: &str = "codes";
/// `values` of the mapping does not list the source's text.
pub const MAPPING: &str = "mapping";
/// The decimal times `scale` is not a whole number that fits.
pub const SCALE: &str = "scale";
/// The key is already taken, in the table or earlier in the file.
pub const KEY: &str = "key";
/// The row is of another member than the load is for.
pub const MEMBER: &str = "member";
/// The line is no row: wrong number of columns, an open quote, no JSON object.
pub const ROW: &str = "row";
/// The line (of Parquet: a text) has bytes that are no characters in the source's encoding.
pub const ENCODING: &str = "encoding";

/// All of them.
pub const ALL: [&str; 12] =
    [REQUIRED, TYPE, LENGTH, RANGE, PATTERN, CODES, MAPPING, SCALE, KEY, MEMBER, ROW, ENCODING];
