//! The course of many decisions at once: step by step, each over all rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use tarim_datamart::{Type, ValueRef};
use tarim_features::row::Dictionary;

use super::{BacktestError, facts::Rows, features::with_columns};
use crate::{
    outcome::{Call, Decision},
    policy::{Finding, Granted, Out, Work, judge, tell},
    rulebook::{Plan, Rulebook},
};

/// Decides every row of a flat batch by one plan.
pub fn decide(
    rulebook: &Rulebook,
    plan: &Plan,
    mut batch: RecordBatch,
) -> Result<Vec<Decision>, BacktestError> {
    let rows = batch.num_rows();
    let mut findings: Vec<Vec<Finding>> = vec![Vec::new(); rows];
    let mut granted = vec![Granted::default(); rows];
    let mut answered = Vec::with_capacity(plan.steps.len());
    let mut work = Work::default();
    for (index, step) in plan.runs(Call::All) {
        // Values to show are found by the index: steps of control points, which do not run here, stand behind all others.
        debug_assert_eq!(index, answered.len());
        let mut answers = step.step.exprs.evaluate_batch(&batch)?;
        let relation = step.relation.map(|r| &rulebook.relations()[r]);
        let width = relation.map_or(0, |r| r.layout.columns().len());
        let mut outs: Vec<Vec<Out>> = vec![Vec::with_capacity(rows); width];
        for (row, found) in findings.iter_mut().enumerate() {
            answers.seek(row);
            // A row's findings are put where the logic adds to, and back.
            work.clear();
            std::mem::swap(&mut work.findings, found);
            step.step.logic.run(index, &answers, &mut work);
            std::mem::swap(&mut work.findings, found);
            if step.relation == plan.limit {
                granted[row].limit = work.left().first().copied();
            }
            if step.relation == plan.rate {
                granted[row].rate = work.left().first().copied();
            }
            for (column, out) in outs.iter_mut().zip(work.left()) {
                column.push(*out);
            }
        }
        answered.push(answers);
        if let Some(relation) = relation {
            let results = relation.layout.columns().iter().zip(&outs).map(|(column, outs)| {
                let name = format!("{}.{}", relation.name, column.name);
                (name, array(column.ty, outs, rulebook.texts()))
            });
            batch = with_columns(&batch, results.collect())?;
        }
    }
    let facts = Rows::of(rulebook, &batch)?;
    let decisions = findings.iter_mut().zip(granted).enumerate().map(|(row, (findings, granted))| {
        let verdict = judge(plan, Call::All, findings, granted);
        tell(plan, Call::All, &verdict, findings, &facts.row(row, &answered))
    });
    Ok(decisions.collect())
}

/// Results of a step as a column of its relation's type.
fn array(ty: Type, outs: &[Out], texts: &Dictionary) -> ArrayRef {
    let values = outs.iter().map(|out| out.value(texts));
    macro_rules! column {
        ($array:ty, $variant:path) => {
            Arc::new(values.map(|v| if let $variant(x) = v { Some(x) } else { None }).collect::<$array>())
        };
    }
    match ty {
        Type::Boolean => column!(BooleanArray, ValueRef::Boolean),
        Type::Int64 => column!(Int64Array, ValueRef::Int64),
        Type::Float64 => column!(Float64Array, ValueRef::Float64),
        Type::Utf8 => column!(StringArray, ValueRef::Utf8),
        Type::Date32 => column!(Date32Array, ValueRef::Date32),
        Type::Timestamp => column!(TimestampMicrosecondArray, ValueRef::Timestamp),
    }
}
