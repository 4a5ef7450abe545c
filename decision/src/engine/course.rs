//! The course of one decision: steps in order, each with the rows of those before it.

use tarim_datamart::Value;
use tarim_features::{
    expr::{Bound, Scratch},
    row::{Row, RowBuilder},
};

use super::{DecideError, Inputs};
use crate::{
    outcome::{Call, Decision},
    policy::{Facts, Out, Work, conclude},
    rulebook::Rulebook,
};

/// What a decision is worked out in, reused from one to the next by its thread.
#[derive(Default)]
pub struct DecisionScratch {
    scratch: Scratch,
    work: Work,
    /// Of each relation: packs its rows, a row of NULLs, and the row that its step left.
    builders: Vec<RowBuilder>,
    blanks: Vec<Vec<u8>>,
    results: Vec<Vec<u8>>,
    /// The rulebook that all this is for.
    version: String,
}

impl DecisionScratch {
    fn prepare(&mut self, rulebook: &Rulebook) {
        if self.version != rulebook.version() {
            self.builders = rulebook.relations().iter().map(|r| RowBuilder::new(&r.layout)).collect();
            self.blanks = self.builders.iter().map(|b| b.finish().to_vec()).collect();
            self.results = vec![Vec::new(); self.builders.len()];
            self.version = rulebook.version().to_owned();
        }
        self.work.clear();
    }
}

/// Runs the steps that a call needs and concludes.
pub(super) fn run(
    rulebook: &Rulebook,
    bound: &[Bound],
    inputs: &Inputs,
    call: Call,
    scratch: &mut DecisionScratch,
) -> Result<Decision, DecideError> {
    let plan = rulebook.plan(&inputs.member, &inputs.product)?;
    scratch.prepare(rulebook);
    let DecisionScratch { scratch, work, builders, blanks, results, .. } = scratch;
    let mut results: Vec<Option<&mut Vec<u8>>> = results.iter_mut().map(Some).collect();
    let relations = rulebook.relations();
    let damaged = |i: usize| move |source| DecideError::Row { relation: relations[i].name.clone(), source };
    let result_row = |i: usize, bytes| {
        Row::new(&relations[i].layout, bytes, rulebook.texts(), inputs.at_us).map_err(damaged(i))
    };
    let mut rows: Vec<Row<'_>> = Vec::with_capacity(relations.len());
    for (i, relation) in relations.iter().enumerate() {
        rows.push(if relation.source.is_input() {
            inputs.row(i, relation).map_err(damaged(i))?
        } else {
            // Until its step has run, a result is a row of NULLs.
            result_row(i, blanks[i].as_slice())?
        });
    }
    for (index, step) in plan.runs(call) {
        step.step.exprs.program().evaluate(&bound[step.step.index], &rows, scratch);
        step.step.logic.run(index, &*scratch, work);
        let Some((relation, result)) = step.relation.and_then(|r| Some((r, results[r].take()?))) else {
            continue;
        };
        pack(&work.out, &mut builders[relation], result);
        rows[relation] = result_row(relation, result.as_slice())?;
    }
    Ok(conclude(plan, call, &work.findings, &Rows(&rows)))
}

/// Packs a step's result.
fn pack(out: &[Out], builder: &mut RowBuilder, result: &mut Vec<u8>) {
    builder.clear();
    for (column, value) in out.iter().enumerate() {
        let set = match *value {
            Out::Null => Ok(()),
            Out::Boolean(b) => builder.set_bool(column, b),
            Out::Int64(i) => builder.set_int(column, i),
            Out::Float64(x) => builder.set_float(column, x),
            Out::Text(code) => builder.set_text_code(column, code),
            Out::Date32(d) => builder.set_date(column, d),
            Out::Timestamp(t) => builder.set_timestamp(column, t),
        };
        // A result's layout is made from the types of the very outputs that are packed here.
        set.expect("a step's result has the types of its relation");
    }
    result.clear();
    result.extend_from_slice(builder.finish());
}

/// The rows of one decision.
struct Rows<'a>(&'a [Row<'a>]);

impl Facts for Rows<'_> {
    fn column(&self, relation: usize, column: usize) -> (Value, bool) {
        let row = &self.0[relation];
        (row.get(column), row.is_stale(column))
    }
}
