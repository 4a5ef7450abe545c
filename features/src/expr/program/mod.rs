//! The row program: what many expressions compile to, and how it runs.
//!
//! ```text
//!  start:  packed rows ─► reads: predicates, keys, loads
//!  part 0:                └─► runs of operations ─► answers ─────────┐
//!          ┌──────── results of what asked, by `put` ◄── policy logic┘
//!  part 1: └─► runs of operations ─► answers …
//! ```
//!
//! A program is made of several sets of expressions (its *parts*), run one after the other: what a later part
//! reads of the results of an earlier one is put in between. A register is written once (static single
//! assignment), so equal operations share one register, however many expressions and parts they come from, and
//! run with the first part that can. [`schedule`] puts equal operations together, [`runs`] says why.

mod bound;
mod machine;
mod reads;
mod registers;
mod runs;
mod schedule;
mod shape;
mod span;

use std::sync::Arc;

use tarim_datamart::Type;

pub use self::{bound::Bound, shape::Shapes};
use self::{
    machine::Machine,
    registers::{Int, known_or_nan},
    shape::{Part, Shape},
};
pub(super) use self::{
    reads::Names,
    registers::{Registers, Start, Text, Truth},
    schedule::{Column, Draft, PartDraft, Step},
};
use super::{
    answers::RowAnswers,
    kernel::LikePattern,
    op::{Bank, Reg},
    scope::Relations,
};
use crate::row::{Dictionary, Row};

/// Many expressions, compiled together.
#[derive(Debug)]
pub struct Program {
    /// Tells programs apart, so that a scratch knows whose it is.
    id: u64,
    /// Shared with all programs of one scope.
    relations: Relations,
    /// Shared with programs that differ by constants only.
    shape: Arc<Shape>,
    start: Start,
    constants: Constants,
}

/// Where the answer of an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Output {
    pub ty: Type,
    /// Of a text that is asked for by its key only: of the key.
    pub from: Reg,
    /// It is a text that is asked for by its key only.
    pub keyed: bool,
}

impl Output {
    #[inline]
    pub fn bank(&self) -> Bank {
        if self.keyed { Bank::Int } else { Bank::of(self.ty) }
    }
}

/// Where a program takes a value that is computed between two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inlet {
    pub(super) relation: u32,
    pub(super) bank: Bank,
    pub(super) to: Reg,
    /// It is an integer, and taken as a float.
    pub(super) widened: bool,
}

/// Constants that operations refer to by index.
#[derive(Debug, Default)]
pub(super) struct Constants {
    /// What predicates compare with, in their order; behind that, the bits of what registers are compared with.
    pub compared: Vec<u64>,
    /// Texts that something is compared with: bound to codes per dictionary.
    pub texts: Vec<String>,
    /// Sets of indexes into `texts`, sorted by text.
    pub text_sets: Vec<Vec<u32>>,
    /// Sorted.
    pub int_sets: Vec<Vec<i64>>,
    /// Sorted; no NaN, no −0.
    pub float_sets: Vec<Vec<f64>>,
    pub patterns: Vec<LikePattern>,
    /// Texts that have a key, by set of them.
    pub names: Vec<Names>,
}

impl Constants {
    /// Is the text among those of a set?
    fn has_text(&self, set: usize, text: &str) -> bool {
        self.text_sets[set].binary_search_by(|t| self.texts[*t as usize].as_str().cmp(text)).is_ok()
    }
}

/// Key of the texts that have no name.
pub const OTHER_TEXT: i64 = -1;

/// Registers to evaluate programs with; reusable, and warm once it has seen a program.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    program: u64,
    registers: Registers,
    /// Where a text is made before it joins the buffer.
    work: String,
}

/// A program at work on one row of each relation.
pub struct Evaluation<'a> {
    program: &'a Program,
    machine: Machine<'a>,
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

/// A number, a date or a time by its bits, for an [`Inlet`] of its type: what is read of panes need not become a [`Given`], which
/// is told apart again at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number {
    /// Of a float its bits, of all else the integer.
    pub bits: i64,
    pub known: bool,
}

impl Number {
    #[inline]
    pub fn float(value: f64) -> Self {
        Self { bits: value.to_bits() as i64, known: !value.is_nan() }
    }

    #[inline]
    pub fn int(value: i64) -> Self {
        Self { bits: value, known: true }
    }
}

impl Program {
    /// Number of operations run for one row of each relation, reading included.
    pub fn len(&self) -> usize {
        self.shape.reads.len() + self.shape.runs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where a column of a relation that is computed between parts is taken; None: nothing reads it.
    pub fn inlet(&self, relation: usize, column: usize) -> Option<Inlet> {
        self.shape.inlets.iter().find(|(of, _)| *of == (relation, column)).map(|(_, inlet)| *inlet)
    }

    /// The same program, of which no more is its own than must be.
    pub fn sharing(self, shapes: &mut Shapes) -> Self {
        Self { shape: shapes.share(&self.shape), ..self }
    }

    /// Whether both have one shape, and share it.
    pub fn shares_shape_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shape, &other.shape)
    }

    /// Begins to evaluate: reads one row of each relation that is given, in the order of the scope. `texts` is the
    /// dictionary of whatever is put between parts. Allocates nothing once the scratch is warm (but see [`super`]:
    /// `lower` of Greek), and nor do the parts.
    ///
    /// # Panics
    /// If `bound` is of another program, or a row that something is read of has another dictionary than it was bound to, or
    /// not its relation's layout: slips of the caller that must not become wrong answers.
    pub fn start<'a>(
        &'a self,
        bound: &'a Bound,
        rows: &'a [Row<'a>],
        texts: &'a Dictionary,
        scratch: &'a mut Scratch,
    ) -> Evaluation<'a> {
        assert_eq!(bound.program(), self.id, "the constants were bound for another program");
        assert_eq!(rows.len(), self.shape.given, "one row per relation that is given");
        for relation in self.shape.reads.relations() {
            let (row, (_, layout)) = (&rows[relation], &self.relations[relation]);
            let version = &bound.versions()[relation];
            assert!(
                std::ptr::eq(row.layout(), layout.as_ref())
                    || row.layout().fingerprint() == layout.fingerprint(),
                "a row is of another layout than its relation"
            );
            assert_eq!(
                row.dictionary().version(),
                *version,
                "the constants were bound to another dictionary"
            );
        }
        scratch.prepare(self);
        let Scratch { registers: r, work, .. } = scratch;
        self.shape.reads.run(rows, &self.constants, bound, r);
        Evaluation {
            program: self,
            machine: Machine { constants: &self.constants, bound, rows, texts, r, work },
        }
    }

    #[inline]
    fn answers<'a>(&'a self, registers: &'a Registers, part: usize) -> RowAnswers<'a> {
        let Part { outputs, conditions, .. } = &self.shape.parts[part];
        let conditions = &registers.booleans[conditions.start as usize..conditions.end as usize];
        RowAnswers { outputs, conditions, registers }
    }

    /// Evaluates all parts, with nothing put in between.
    pub fn evaluate(&self, bound: &Bound, rows: &[Row<'_>], scratch: &mut Scratch) {
        let mut evaluation = self.start(bound, rows, Dictionary::none(), scratch);
        for part in 0..self.shape.parts.len() {
            evaluation.run(part);
        }
    }
}

impl Evaluation<'_> {
    /// Computes a part; those before it have been computed. (Most parts have nothing left to compute.)
    #[inline]
    pub fn run(&mut self, part: usize) {
        let Shape { parts, runs, .. } = &*self.program.shape;
        let Part { runs: which, texts, .. } = &parts[part];
        if !which.is_empty() {
            self.machine.run_all(*which, runs);
        }
        if !texts.is_empty() {
            self.keep(texts);
        }
    }

    /// Answers outlive the rows.
    #[inline(never)]
    fn keep(&mut self, texts: &[Reg]) {
        for text in texts {
            self.machine.r.keep(*text, self.machine.rows, self.machine.texts);
        }
    }

    /// The answers of a part that was computed.
    #[inline]
    pub fn answers(&self, part: usize) -> RowAnswers<'_> {
        self.program.answers(self.machine.r, part)
    }

    /// Puts a value where the parts to come read it.
    ///
    /// # Panics
    /// If the value is not of the column's type.
    #[inline]
    pub fn put(&mut self, inlet: Inlet, value: Given) {
        let (r, at) = (&mut *self.machine.r, inlet.to as usize);
        match (inlet.bank, value) {
            (bank, Given::Null) => r.set_null(bank, inlet.to),
            (Bank::Boolean, Given::Boolean(b)) => r.booleans[at] = b.into(),
            (Bank::Float, Given::Float64(x)) if !inlet.widened => r.floats[at] = x,
            (Bank::Float, Given::Int64(i)) if inlet.widened => r.floats[at] = i as f64,
            (Bank::Int, Given::Int64(i) | Given::Timestamp(i)) => r.ints[at] = Some(i).into(),
            (Bank::Int, Given::Date32(d)) => r.ints[at] = Some(i64::from(d)).into(),
            (Bank::Text, Given::Text(code)) => {
                r.texts[at] = Some(Text::Code { relation: inlet.relation, code })
            }
            (bank, value) => panic!("{value:?} was put where a {bank:?} is read"),
        }
    }

    /// The same of a number, which is of the column's type.
    ///
    /// # Panics
    /// If the column is a boolean or a text.
    #[inline]
    pub fn put_number(&mut self, inlet: Inlet, Number { bits, known }: Number) {
        let (r, at) = (&mut *self.machine.r, inlet.to as usize);
        match inlet.bank {
            Bank::Float if inlet.widened => r.floats[at] = known_or_nan((bits as f64).to_bits(), known),
            Bank::Float => r.floats[at] = known_or_nan(bits as u64, known),
            Bank::Int => r.ints[at] = Int { value: if known { bits } else { 0 }, known },
            bank => panic!("a number was put where a {bank:?} is read"),
        }
    }
}

/// The dictionary that a relation's codes are of.
fn dictionary<'a>(rows: &[Row<'a>], texts: &'a Dictionary, relation: u32) -> &'a Dictionary {
    rows.get(relation as usize).map_or(texts, Row::dictionary)
}

impl Scratch {
    pub fn new() -> Self {
        Self::default()
    }

    fn prepare(&mut self, program: &Program) {
        if self.program != program.id {
            self.registers.begin(&program.start, program.shape.lens);
            self.program = program.id;
        }
        self.registers.buffer.truncate(program.start.buffer.len());
        // Nothing of the row before is seen, even by a part whose step was left out.
        self.registers.set_nulls(&program.shape.puts);
    }

    /// The answers of a part of a program, as they were last computed.
    ///
    /// # Panics
    /// If the last program that was evaluated is another one, or has no such part.
    pub fn answers<'a>(&'a self, program: &'a Program, part: usize) -> RowAnswers<'a> {
        assert_eq!(self.program, program.id, "the scratch holds the answers of another program");
        program.answers(&self.registers, part)
    }
}
