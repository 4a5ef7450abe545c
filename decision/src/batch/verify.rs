//! Deciding rows of a batch once more by the online engine: rows packed from the same columns, row programs
//! in the place of physical expressions.

use arrow::array::RecordBatch;

use super::{BacktestError, Decided, facts::Rows};
use crate::{
    engine::{InputsBuilder, Replayer},
    outcome::{Call, Decision},
    rulebook::Rulebook,
};

/// Decides online what was decided in batch.
pub struct Verifier<'a> {
    rulebook: &'a Rulebook,
    builder: InputsBuilder<'a>,
    replayer: Replayer<'a>,
}

impl<'a> Verifier<'a> {
    pub fn new(rulebook: &'a Rulebook) -> Self {
        let (builder, replayer) = (InputsBuilder::new(rulebook), Replayer::new(rulebook));
        Self { rulebook, builder, replayer }
    }

    /// Sets [`Decided::online`] of the rows that come out otherwise, in any bit.
    pub fn check(&mut self, known: &RecordBatch, rows: &mut [Decided]) -> Result<(), BacktestError> {
        let facts = Rows::of(self.rulebook, known)?;
        for (i, row) in rows.iter_mut().enumerate() {
            let Ok(decision) = &row.decision else { continue };
            self.builder.start(row.as_of_us);
            for relation in 0..self.builder.relations().len() {
                let layout = &self.builder.relations()[relation].layout;
                for column in 0..layout.columns().len() {
                    self.builder.set(relation, column, &facts.value(relation, column, i).to_value())?;
                }
                for group in 1..layout.groups().len() {
                    if facts.is_stale(relation, group, i) {
                        self.builder.set_stale(relation, group);
                    }
                }
            }
            let inputs = self.builder.finish(&row.member, &row.product);
            let online = self.replayer.decide(&inputs, Call::All)?;
            if online != *decision || floats(&online) != floats(decision) {
                row.online = Some(online);
            }
        }
        Ok(())
    }
}

/// Bits of the floats of a decision, for which `==` is not enough: −0 and +0 are not the same.
fn floats(decision: &Decision) -> Vec<u64> {
    let score = decision.score.iter().flat_map(|s| [s.points, s.pd]);
    score.chain(decision.reasons.iter().filter_map(|r| r.points_lost)).map(f64::to_bits).collect()
}
