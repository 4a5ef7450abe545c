//! A range table of 2,000 rows of which the last one hits, beside one of 20 rows.

use std::hint::black_box;

use tarim_benches::fixture::tabled::{CALL, Tabled};
use tarim_decision::engine::DecisionScratch;

use super::{Goal, Line, Quantity, Setting, Wanted};
use crate::measure::{rounds, timed};

pub struct BigTable;

impl Goal for BigTable {
    fn name(&self) -> &'static str {
        "big_table"
    }

    fn about(&self) -> &'static str {
        "a range table of 2,000 rows, last row hits, beside one of 20"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let open = |rows| Tabled::open(&setting.folder(&format!("big_table-{rows}"))?, rows);
        let small = open(20)?;
        let large = open(2000)?;
        // The same policy whose limit is what the row says, without a table: what remains is the table's.
        let none = open(0)?;
        let mut scratch = [(); 3].map(|()| DecisionScratch::default());
        let [a, b, c] = &mut scratch;
        let [small, large, none] = rounds(
            setting.budget(),
            [&mut || Ok(pass(&small, a)), &mut || Ok(pass(&large, b)), &mut || Ok(pass(&none, c))],
        )?;
        let line = |what: &str, large: f64, small: f64| {
            Line::new(what, Quantity::Time(large), Wanted::Slower(2.0))
                .beside("20 rows", Quantity::Time(small))
        };
        Ok(vec![
            line("2,000 rows, last row hits: a decision", large, small),
            line("2,000 rows, last row hits: beyond a decision without a table", large - none, small - none),
        ])
    }
}

/// One pass over all applications; gives nanoseconds for each.
fn pass(policy: &Tabled, scratch: &mut DecisionScratch) -> f64 {
    timed(&policy.inputs, |i| _ = black_box(policy.bank.judge(i, CALL, scratch)))
}
