//! Expressions: SQL, written once, run by two engines with the same bits.
//!
//! ```text
//!                      Scope: names          parameters             constants folded
//!  SQL ── parse, type, rewrite ──► Parsed ──── with ────► Checked ──── compile ────► ExprSet
//!        (plan, call)             a shared Expr                                      │     │
//!                                                        row program (online, stream)│     │DataFusion (batch)
//!                                                   fuse: Program ─► RowAnswers ◄────┘     └────► BatchAnswers
//! ```
//!
//! The policy logic above asks either of them through [`Answers`] and cannot tell which it was.
//!
//! # Meaning
//!
//! It is decided in one place, [`plan`], which writes every conversion out and turns whatever Tarim
//! understands in its own way into one of our own functions ([`function`]). A function has one kernel
//! ([`kernel`]), which both engines call. So the engines differ only in the operators that DataFusion
//! has itself: comparisons, + − * / %, AND OR NOT, IS, IN, CASE, LIKE and int64 → float64; the property test
//! `tests/expr_parity.rs` holds them together.
//!
//! | what | means |
//! |---|---|
//! | types | boolean, int64, float64, utf8, date32, timestamp (µs, UTC); an expression is of one of them |
//! | NULL | unknown; conditions are three-valued (Kleene); `IS [NOT] TRUE/FALSE/UNKNOWN/NULL` and `IS [NOT] DISTINCT FROM` answer TRUE or FALSE |
//! | arithmetic, math functions | in float64; int64 is widened, so nothing overflows (integers beyond 2^53 are rounded) |
//! | `x / 0`, `x % 0` | NULL |
//! | NaN, −0 | NULL and +0 wherever they are looked at: comparison, IN, CASE, COALESCE, `IS NULL`, an argument, a cast, a result. Only + − * / % pass them on. ±∞ are numbers |
//! | int64 with int64 | compared exactly; beside a float64 it is widened |
//! | texts | compared by code point; case and width matter; equal only if the same code points |
//! | dates beside timestamps | a date is its midnight, UTC |
//! | a constant text beside a date or timestamp | is read as one (`born < '1990-01-01'`); one that cannot be read is refused at check |
//! | other mixtures of types | refused at check; write a CAST |
//! | `CAST`, `TRY_CAST` | what cannot be cast is NULL (a *constant* that cannot be cast is refused by CAST); float64 → int64 goes towards zero; a timestamp's date is its day in UTC |
//! | text → date, timestamp | ISO 8601: `2026-01-31`, `20260131`, `2026-01-31 10:30:00.5+08:00` |
//! | `a - b` of dates | days; also `days_between`, `months_between` (whole months, end of month counts), `seconds_between`: the later one first |
//! | date ± `INTERVAL` | constant intervals; months first, the day cut to the month's length (2026-01-31 + 1 month = 2026-02-28) |
//! | `date_part`, `extract` | year, quarter, month, week (ISO), day, dow (Sunday 0), isodow, doy, hour, minute, second (whole) |
//! | years beyond ±262,000 | have no parts and no text: NULL |
//! | `round` | half away from zero; `round(x, 2)`, `round(x, -3)` |
//! | `sqrt(-1)`, `ln(-1)`, `power(-8, 0.5)` | NULL |
//! | `greatest`, `least` | NULL if any part is: the least of a base limit and an unknown income is unknown, not the base limit |
//! | `length`, `substr` | count code points; `substr` counts from 1, as PostgreSQL does |
//! | `a \|\| b`, `concat(a, b)` | NULL if either is; NULL as the empty text |
//! | `lower`, `upper`, `trim` | by Unicode (`upper('ß')` is `'SS'`) |
//! | `LIKE` | a constant pattern: `%`, `_`, and `\` before a literal one |
//! | AND, OR, CASE, COALESCE | all parts are always computed; none can fail, so nothing depends on the order |
//!
//! Anything else is refused when the rulebook is checked, naming the construct, file, line and what to write
//! instead.
//!
//! A compiled program allocates nothing (`tests/expr_no_alloc.rs`), with one exception: `lower` of a text with
//! a capital sigma (Σ), whose rule only the standard library's allocating function knows.

mod answers;
mod build;
mod call;
mod compile;
mod function;
mod kernel;
mod names;
mod op;
mod parsed;
mod plan;
mod program;
mod scope;
mod set;
mod simplify;
mod time;
mod types;
mod udf;

pub use answers::{Answers, BatchAnswers, RowAnswers};
pub use parsed::{Checked, Parsed};
pub use program::{Bound, Evaluation, Given, Inlet, Number, OTHER_TEXT, Program, Scratch, Shapes};
pub use scope::{ColumnRef, Scope, names_used};
pub use set::{BatchError, ExprId, ExprSet, fuse};
