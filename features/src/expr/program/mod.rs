//! The row program: what many expressions compile to, and how it runs.
//!
//! ```text
//!  part 0: packed rows ─► loads ─► runs of operations ─► answers ─┐
//!          ┌──────── results of what asked, by `put` ◄────────────┘ policy logic
//!  part 1: └─► runs of operations ─► answers …
//! ```
//!
//! A program is made of several sets of expressions (its *parts*), run one after the other: what a later part
//! reads of the results of an earlier one is put in between. A register is written once (static single
//! assignment), so equal operations share one register, however many expressions and parts they come from:
//! a part computes what none before it has. [`schedule`] puts equal operations together, [`runs`] says why.

mod load;
mod machine;
mod registers;
mod runs;
mod schedule;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tarim_datamart::Type;

use self::{machine::Machine, runs::Run};
pub(super) use self::{
    registers::{Registers, Text, Truth},
    schedule::{Column, Draft, PartDraft, Step},
};
use super::{
    answers::RowAnswers,
    kernel::LikePattern,
    op::{Bank, Reg},
};
use crate::row::{Dictionary, Layout, Row};

/// Many expressions, compiled together.
#[derive(Debug)]
pub struct Program {
    /// Tells programs apart, so that a scratch knows whose it is.
    id: u64,
    layouts: Vec<Arc<Layout>>,
    parts: Arc<[Part]>,
    /// All registers before anything is read: constants in their places.
    start: Registers,
    inlets: BTreeMap<(usize, usize), Inlet>,
    constants: Constants,
}

/// Expressions that are computed together.
#[derive(Debug)]
struct Part {
    runs: Vec<Run>,
    outputs: Vec<Output>,
    /// Registers of the answers up to the first that is not a boolean: conditions are looked at in one go.
    conditions: Vec<Reg>,
    /// Registers of the answers that are texts.
    texts: Vec<Reg>,
}

/// Where the answer of an expression is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub ty: Type,
    pub from: Reg,
}

/// Where a program takes a value that is computed between two parts.
#[derive(Clone, Copy, Debug)]
pub struct Inlet {
    pub(super) relation: u32,
    pub(super) bank: Bank,
    pub(super) to: Reg,
}

/// Constants that operations refer to by index.
#[derive(Debug, Default)]
pub(super) struct Constants {
    /// Texts that something is compared with: bound to codes per dictionary.
    pub texts: Vec<String>,
    /// Sets of indexes into `texts`, sorted by text.
    pub text_sets: Vec<Vec<u32>>,
    /// Sorted.
    pub int_sets: Vec<Vec<i64>>,
    /// Sorted; no NaN, no −0.
    pub float_sets: Vec<Vec<f64>>,
    pub patterns: Vec<LikePattern>,
}

/// A program's text constants as codes of the dictionaries in use.
#[derive(Clone, Debug)]
pub struct Bound {
    program: u64,
    /// The dictionaries, by relation.
    versions: Vec<(u64, usize)>,
    /// By constant and relation; [`ABSENT`] where the dictionary lacks the text.
    codes: Vec<u32>,
    /// By set and relation: sorted codes.
    sets: Vec<Vec<u32>>,
}

/// No dictionary has this code.
const ABSENT: u32 = u32::MAX;

/// Registers to evaluate programs with; reusable, and warm once it has seen a program.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    program: u64,
    registers: Registers,
    /// Length of the constants at the buffer's start.
    constant_len: usize,
    parts: Option<Arc<[Part]>>,
    /// Where a text is made before it joins the buffer.
    work: String,
}

/// A program at work on one row of each relation.
pub struct Evaluation<'a> {
    program: &'a Program,
    bound: &'a Bound,
    rows: &'a [Row<'a>],
    scratch: &'a mut Scratch,
}

/// A value for an [`Inlet`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Given {
    Null,
    Boolean(bool),
    Int64(i64),
    Float64(f64),
    /// By code in the dictionary of its relation's row.
    Text(u32),
    Date32(i32),
    Timestamp(i64),
}

impl Program {
    fn new(
        layouts: Vec<Arc<Layout>>,
        parts: Vec<Part>,
        start: Registers,
        inlets: BTreeMap<(usize, usize), Inlet>,
        constants: Constants,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, layouts, parts: parts.into(), start, inlets, constants }
    }

    /// Number of operations run for one row of each relation, loads included.
    pub fn len(&self) -> usize {
        self.parts.iter().flat_map(|p| &p.runs).map(Run::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where a column of a relation that is computed between parts is taken; None: nothing reads it.
    pub fn inlet(&self, relation: usize, column: usize) -> Option<Inlet> {
        self.inlets.get(&(relation, column)).copied()
    }

    /// Looks the text constants up in the dictionaries that rows will be read with, one per relation. To be
    /// done again for each new generation of dictionaries.
    ///
    /// # Panics
    /// If there is not one dictionary for each relation.
    pub fn bind(&self, dictionaries: &[&Dictionary]) -> Bound {
        assert_eq!(dictionaries.len(), self.layouts.len(), "one dictionary per relation");
        let code = |text: u32, d: &Dictionary| d.code(&self.constants.texts[text as usize]);
        let codes = (0..self.constants.texts.len() as u32)
            .flat_map(|text| dictionaries.iter().map(move |d| code(text, d).unwrap_or(ABSENT)))
            .collect();
        let sets = self
            .constants
            .text_sets
            .iter()
            .flat_map(|set| {
                dictionaries.iter().map(move |d| {
                    let mut codes: Vec<u32> = set.iter().filter_map(|text| code(*text, d)).collect();
                    codes.sort_unstable();
                    codes
                })
            })
            .collect();
        let versions = dictionaries.iter().map(|d| d.version()).collect();
        Bound { program: self.id, versions, codes, sets }
    }

    /// Begins to evaluate over one row of each relation, in the order of the scope; of a relation that is
    /// computed between parts only the row's dictionary counts. Allocates nothing once the scratch is warm (but
    /// see [`super`]: `lower` of Greek), and nor do the parts.
    ///
    /// # Panics
    /// If `bound` is of another program or of another dictionary than a row's codes, or a row is not of its
    /// relation's layout: slips of the caller that must not become wrong answers.
    pub fn start<'a>(
        &'a self,
        bound: &'a Bound,
        rows: &'a [Row<'a>],
        scratch: &'a mut Scratch,
    ) -> Evaluation<'a> {
        assert_eq!(bound.program, self.id, "the constants were bound for another program");
        assert_eq!(rows.len(), self.layouts.len(), "one row per relation");
        for (row, layout) in rows.iter().zip(&self.layouts) {
            assert!(
                std::ptr::eq(row.layout(), layout.as_ref())
                    || row.layout().fingerprint() == layout.fingerprint(),
                "a row is of another layout than its relation"
            );
        }
        scratch.prepare(self);
        Evaluation { program: self, bound, rows, scratch }
    }

    /// Evaluates all parts, with nothing put in between.
    pub fn evaluate(&self, bound: &Bound, rows: &[Row<'_>], scratch: &mut Scratch) {
        let mut evaluation = self.start(bound, rows, scratch);
        for part in 0..self.parts.len() {
            evaluation.run(part);
        }
    }
}

impl Evaluation<'_> {
    /// Computes a part; those before it have been computed.
    pub fn run(&mut self, part: usize) {
        let Scratch { registers, work, .. } = &mut *self.scratch;
        let part = &self.program.parts[part];
        let mut machine = Machine {
            constants: &self.program.constants,
            bound: self.bound,
            rows: self.rows,
            r: registers,
            work,
        };
        for run in &part.runs {
            machine.run_all(run);
        }
        // Answers outlive the rows.
        for text in &part.texts {
            registers.keep(*text, self.rows);
        }
    }

    /// The answers of a part that was computed.
    pub fn answers(&self, part: usize) -> RowAnswers<'_> {
        self.scratch.answers(part)
    }

    /// Puts a value where the parts to come read it.
    ///
    /// # Panics
    /// If the value is not of the column's type.
    pub fn put(&mut self, inlet: Inlet, value: Given) {
        let (r, at) = (&mut self.scratch.registers, inlet.to as usize);
        match (inlet.bank, value) {
            (bank, Given::Null) => r.set_null(bank, inlet.to),
            (Bank::Boolean, Given::Boolean(b)) => r.booleans[at] = b.into(),
            (Bank::Float, Given::Float64(x)) => r.floats[at] = x,
            (Bank::Int, Given::Int64(i) | Given::Timestamp(i)) => r.ints[at] = Some(i).into(),
            (Bank::Int, Given::Date32(d)) => r.ints[at] = Some(i64::from(d)).into(),
            (Bank::Text, Given::Text(code)) => {
                r.texts[at] = Some(Text::Code { relation: inlet.relation, code })
            }
            (bank, value) => panic!("{value:?} was put where a {bank:?} is read"),
        }
    }
}

impl Scratch {
    pub fn new() -> Self {
        Self::default()
    }

    fn prepare(&mut self, program: &Program) {
        if self.program != program.id {
            self.registers.clone_from(&program.start);
            self.constant_len = program.start.buffer.len();
            self.parts = Some(program.parts.clone());
            self.program = program.id;
        }
        self.registers.buffer.truncate(self.constant_len);
        // Nothing of the row before is seen, even by a part whose step was left out.
        for inlet in program.inlets.values() {
            self.registers.set_null(inlet.bank, inlet.to);
        }
    }

    /// The answers of a part, as they were last computed.
    ///
    /// # Panics
    /// If the scratch has not evaluated a program with that part.
    pub fn answers(&self, part: usize) -> RowAnswers<'_> {
        let parts = self.parts.as_ref().expect("a program was evaluated");
        let Part { outputs, conditions, .. } = &parts[part];
        RowAnswers { outputs, conditions, registers: &self.registers }
    }
}
