//! What a program does, apart from the constants that it does it with.
//!
//! Members and products mostly have the same rules with thresholds of their own. Their programs differ by constants only, so
//! they have one shape in common: a thread that decides for one after the other finds it in the cache, and brings no more
//! than the constants of each from memory.
//!
//! (Not where constants of one make two of its operations the same, which then are computed once: `b * 20` and `b * 20`, in
//! another program `b * 20` and `b * 25`.)

use std::{collections::HashSet, ops::Range, sync::Arc};

use super::{Inlet, Output, reads::Reads, runs::Runs, span::Span};
use crate::expr::op::Reg;

/// What programs have in common that differ by constants only.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// So many relations are given as rows, the first ones; others are computed between parts.
    pub given: usize,
    pub reads: Reads,
    /// Of all parts.
    pub runs: Runs,
    pub parts: Vec<Part>,
    /// By relation and column.
    pub inlets: Vec<((usize, usize), Inlet)>,
    /// Their registers, by bank.
    pub puts: [Box<[Reg]>; 4],
    /// Number of registers, by bank.
    pub lens: [u32; 4],
}

/// Expressions that are computed together.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// Which of the runs.
    pub runs: Span,
    pub outputs: Vec<Output>,
    /// Registers of the answers up to the first that is not a boolean: conditions are looked at in one go.
    pub conditions: Range<Reg>,
    /// Registers of the answers that are texts and will be read as such.
    pub texts: Vec<Reg>,
}

/// The shapes of many programs, each once.
#[derive(Debug, Default)]
pub struct Shapes(HashSet<Arc<Shape>>);

impl Shapes {
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same shape, of which there is one only.
    pub(super) fn share(&mut self, shape: &Arc<Shape>) -> Arc<Shape> {
        if let Some(known) = self.0.get(shape) {
            return known.clone();
        }
        self.0.insert(shape.clone());
        shape.clone()
    }
}
