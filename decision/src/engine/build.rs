//! Inputs from plain values: for rulebook tests, and to decide rows of a batch once more online.

use tarim_datamart::Value;
use tarim_features::row::{CellError, RowBuilder};

use super::inputs::Inputs;
use crate::rulebook::{Relation, Rulebook, Source};

/// Builds the inputs of one decision after the other.
pub struct InputsBuilder<'a> {
    given: &'a [Relation],
    builders: Vec<RowBuilder>,
    at_us: i64,
}

impl<'a> InputsBuilder<'a> {
    pub fn new(rulebook: &'a Rulebook) -> Self {
        let given = rulebook.given();
        let builders = given.iter().map(|r| RowBuilder::new(&r.layout)).collect();
        Self { given, builders, at_us: 0 }
    }

    /// The relations that are given, by the index that [`InputsBuilder::set`] takes.
    pub fn relations(&self) -> &'a [Relation] {
        self.given
    }

    /// Starts over: entities and how counters stand are unknown, all else NULL, and nothing is stale.
    pub fn start(&mut self, at_us: i64) {
        self.at_us = at_us;
        for (builder, relation) in self.builders.iter_mut().zip(self.given) {
            builder.clear();
            for group in 1..relation.layout.groups().len() {
                builder.set_group_time(group, at_us);
            }
            if matches!(relation.source, Source::Entity(_) | Source::Exposure) {
                builder.set_bool(0, false).expect("column 0 of these is `known`, a boolean");
            }
        }
    }

    /// Sets a value; a relation and a column by their indices.
    pub fn set(&mut self, relation: usize, column: usize, value: &Value) -> Result<(), CellError> {
        self.builders[relation].set(column, value)
    }

    /// Makes a group of columns (a feature view) stale.
    pub fn set_stale(&mut self, relation: usize, group: usize) {
        self.builders[relation].set_group_time(group, i64::MIN);
    }

    /// The inputs as they stand.
    pub fn finish(&self, member: &str, product: &str) -> Inputs {
        let mut inputs = Inputs {
            member: member.to_owned(),
            product: product.to_owned(),
            at_us: self.at_us,
            ..Inputs::default()
        };
        self.builders.iter().for_each(|row| inputs.rows.push(row.finish()));
        inputs
    }
}
