//! The scalar functions of expressions: one plain function each, run by both engines.
//!
//! The row program calls them on registers, DataFusion through [`super::udf`] on arrays. They are total:
//! whatever they are given, they answer a value or NULL, and never fail. A Float64 is passed bare and NaN
//! stands for NULL, on the way in and on the way out.

mod float;
mod text;
mod time;

pub use float::{Float2Fn, FloatFn, float_to_int};
pub use text::{
    LikePattern, TextFn, TextTest, length, parse_boolean, parse_float, parse_int, substr, write_boolean,
    write_float, write_int,
};
pub use time::{Between, IntFn, Part, parse_date, parse_timestamp, write_date, write_timestamp};
