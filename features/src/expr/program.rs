//! The row program: what many expressions compile to, and how it runs.
//!
//! ```text
//! loads: packed rows ─► registers      ops, in order: registers ─► registers      outputs: registers
//! ```
//!
//! A register is written once (static single assignment), so equal operations share one register, however
//! many expressions they come from. Constants are registers that no operation writes. A NULL float is NaN:
//! arithmetic then needs no test for NULL, and NaN *is* NULL in our meaning. A text is never copied out of a
//! dictionary; it is a code, or a range of the scratch's buffer, where constants, texts of the rows' own
//! tails and computed texts stand.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tarim_datamart::Type;

use super::{
    kernel::{self, LikePattern},
    op::{Bank, Op, Reg, and, or},
};
use crate::row::{Dictionary, Layout, Row, Slot, TextCell};

/// Many expressions, compiled together to one list of operations.
#[derive(Debug)]
pub struct Program {
    /// Tells programs apart, so that a scratch knows whose it is.
    id: u64,
    layouts: Vec<Arc<Layout>>,
    loads: Vec<Load>,
    steps: Vec<Step>,
    /// All registers before anything is read: constants in their places.
    start: Registers,
    outputs: Arc<[Output]>,
    constants: Constants,
}

/// Reads a column of a row into a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub relation: u32,
    pub slot: Slot,
    pub bank: Bank,
    pub to: Reg,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub op: Op,
    pub to: Reg,
}

/// Where the answer of an expression is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub ty: Type,
    pub from: Reg,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Registers {
    pub booleans: Vec<Option<bool>>,
    pub floats: Vec<f64>,
    pub ints: Vec<Option<i64>>,
    pub texts: Vec<Option<Text>>,
    /// What texts of the second kind point into.
    pub buffer: String,
}

/// A text in a register.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text {
    /// By code in the dictionary of a relation's row.
    Code { relation: u32, code: u32 },
    /// By range in the buffer.
    Buffer { start: u32, end: u32 },
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
    outputs: Option<Arc<[Output]>>,
    /// Where a text is made before it joins the buffer.
    work: String,
}

impl Program {
    pub(super) fn new(
        layouts: Vec<Arc<Layout>>,
        loads: Vec<Load>,
        steps: Vec<Step>,
        start: Registers,
        outputs: Vec<Output>,
        constants: Constants,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, layouts, loads, steps, start, outputs: outputs.into(), constants }
    }

    /// Number of operations run for one row of each relation, loads included.
    pub fn len(&self) -> usize {
        self.loads.len() + self.steps.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

    /// Evaluates all expressions over one row of each relation, in the order of the scope. The answers are in
    /// `scratch` ([`super::Answers`]). Allocates nothing once the scratch is warm (but see
    /// [`super`]: `lower` of Greek).
    ///
    /// # Panics
    /// If `bound` is of another program or of another dictionary than a row's codes, or a row is not of its
    /// relation's layout: slips of the caller that must not become wrong answers.
    pub fn evaluate(&self, bound: &Bound, rows: &[Row<'_>], scratch: &mut Scratch) {
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
        let Scratch { registers, work, .. } = scratch;
        for load in &self.loads {
            let relation = load.relation as usize;
            registers.load(load, &rows[relation], bound.versions[relation]);
        }
        let mut machine = Machine { constants: &self.constants, bound, rows, r: registers, work };
        for step in &self.steps {
            machine.run(step);
        }
        // Answers outlive the rows.
        for output in self.outputs.iter().filter(|o| o.ty == Type::Utf8) {
            registers.keep(output.from, rows);
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
            self.outputs = Some(program.outputs.clone());
            self.program = program.id;
        }
        self.registers.buffer.truncate(self.constant_len);
    }

    /// The type and register of an expression's answer.
    ///
    /// # Panics
    /// If the scratch has not evaluated a program with that expression.
    pub(super) fn output(&self, index: usize) -> Output {
        self.outputs.as_ref().expect("a program was evaluated")[index]
    }

    pub(super) fn registers(&self) -> &Registers {
        &self.registers
    }
}

impl Registers {
    pub fn text_in_buffer(&self, register: Reg) -> Option<&str> {
        match self.texts[register as usize]? {
            Text::Buffer { start, end } => Some(&self.buffer[start as usize..end as usize]),
            Text::Code { .. } => None,
        }
    }

    /// Appends to the buffer.
    pub fn push(&mut self, text: &str) -> Text {
        let start = self.buffer.len() as u32;
        self.buffer.push_str(text);
        Text::Buffer { start, end: self.buffer.len() as u32 }
    }

    fn load(&mut self, load: &Load, row: &Row<'_>, bound: (u64, usize)) {
        let to = load.to as usize;
        match load.bank {
            Bank::Boolean => self.booleans[to] = row.bool_at(load.slot),
            Bank::Float => self.floats[to] = row.float_at(load.slot).unwrap_or(f64::NAN),
            Bank::Int => {
                self.ints[to] = match load.slot.cell {
                    crate::row::Cell::Date { .. } => row.date_at(load.slot).map(i64::from),
                    crate::row::Cell::Timestamp { .. } => row.timestamp_at(load.slot),
                    _ => row.int_at(load.slot),
                }
            }
            Bank::Text => {
                self.texts[to] = match row.text_cell_at(load.slot) {
                    Some(TextCell::Code(code)) => {
                        let version = row.dictionary().version();
                        assert_eq!(version, bound, "the constants were bound to another dictionary");
                        // A code that the dictionary lacks is a damaged row: it reads as NULL, as Row does.
                        ((code as usize) < version.1).then_some(Text::Code { relation: load.relation, code })
                    }
                    Some(TextCell::Text(text)) => Some(self.push(text)),
                    None => None,
                }
            }
        }
    }

    /// Moves the text of a register into the buffer.
    fn keep(&mut self, register: Reg, rows: &[Row<'_>]) {
        if let Some(Text::Code { relation, code }) = self.texts[register as usize] {
            let text = rows[relation as usize].dictionary().get(code).unwrap_or_default();
            self.texts[register as usize] = Some(self.push(text));
        }
    }
}

/// What operations work with.
struct Machine<'m, 'r> {
    constants: &'m Constants,
    bound: &'m Bound,
    rows: &'m [Row<'r>],
    r: &'m mut Registers,
    work: &'m mut String,
}

impl Machine<'_, '_> {
    fn run(&mut self, step: &Step) {
        let to = step.to as usize;
        match step.op {
            Op::Not(a) => self.r.booleans[to] = self.boolean(a).map(|a| !a),
            Op::And(a, b) => self.r.booleans[to] = and(self.boolean(a), self.boolean(b)),
            Op::Or(a, b) => self.r.booleans[to] = or(self.boolean(a), self.boolean(b)),
            Op::IsTrue(a) => self.r.booleans[to] = Some(self.boolean(a) == Some(true)),
            Op::IsFalse(a) => self.r.booleans[to] = Some(self.boolean(a) == Some(false)),
            Op::IsNull(bank, a) => {
                self.r.booleans[to] = Some(match bank {
                    Bank::Boolean => self.boolean(a).is_none(),
                    Bank::Float => self.float(a).is_nan(),
                    Bank::Int => self.int(a).is_none(),
                    Bank::Text => self.r.texts[a as usize].is_none(),
                })
            }
            Op::Compare(c, bank, a, b) => {
                self.r.booleans[to] = match bank {
                    Bank::Boolean => c.apply(self.boolean(a), self.boolean(b)),
                    Bank::Float => c.floats(self.float(a), self.float(b)),
                    Bank::Int => c.apply(self.int(a), self.int(b)),
                    Bank::Text => c.apply(self.text(a), self.text(b)),
                }
            }
            Op::TextIs(a, constant) => self.r.booleans[to] = self.text_is(a, constant),
            Op::In(bank, a, set) => self.r.booleans[to] = self.is_in(bank, a, set as usize),
            Op::Like(a, pattern) => {
                let pattern = &self.constants.patterns[pattern as usize];
                self.r.booleans[to] = self.text(a).map(|text| pattern.matches(text));
            }
            Op::Test(f, a, b) => {
                let both = self.text(a).zip(self.text(b));
                self.r.booleans[to] = both.map(|(a, b)| f.apply(a, b));
            }
            Op::ParseBoolean(a) => self.r.booleans[to] = self.text(a).and_then(kernel::parse_boolean),

            Op::Arithmetic(f, a, b) => self.r.floats[to] = f.apply(self.float(a), self.float(b)),
            Op::Negate(a) => self.r.floats[to] = -self.float(a),
            Op::Float(f, a) => self.r.floats[to] = f.apply(self.float(a)),
            Op::Float2(f, a, b) => self.r.floats[to] = f.apply(self.float(a), self.float(b)),
            Op::Widen(a) => self.r.floats[to] = self.int(a).map_or(f64::NAN, |a| a as f64),
            Op::ParseFloat(a) => self.r.floats[to] = self.text(a).map_or(f64::NAN, kernel::parse_float),

            Op::Int(f, a) => self.r.ints[to] = self.int(a).and_then(|a| f.apply(a)),
            Op::Between(f, a, b) => {
                self.r.ints[to] = self.int(a).zip(self.int(b)).and_then(|(a, b)| f.apply(a, b));
            }
            Op::BooleanToInt(a) => self.r.ints[to] = self.boolean(a).map(i64::from),
            Op::FloatToInt(a) => self.r.ints[to] = kernel::float_to_int(self.float(a)),
            Op::Length(a) => self.r.ints[to] = self.text(a).map(kernel::length),
            Op::ParseInt(a) => self.r.ints[to] = self.text(a).and_then(kernel::parse_int),
            Op::ParseDate(a) => self.r.ints[to] = self.text(a).and_then(kernel::parse_date),
            Op::ParseTimestamp(a) => self.r.ints[to] = self.text(a).and_then(kernel::parse_timestamp),

            Op::Text(f, a) => self.make(to, |m, out| {
                f.apply(m.text(a)?, out);
                Some(())
            }),
            Op::Concat(a, b) => self.make(to, |m, out| {
                let (a, b) = m.text(a).zip(m.text(b))?;
                out.push_str(a);
                out.push_str(b);
                Some(())
            }),
            Op::Substr(a, start, count) => self.make(to, |m, out| {
                out.push_str(kernel::substr(m.text(a)?, m.int(start)?, m.int(count)?));
                Some(())
            }),
            Op::Write(ty, a) => self.make(to, |m, out| m.write(ty, a, out)),

            Op::Choose(choice, bank, a, b) => match bank {
                Bank::Boolean => self.r.booleans[to] = choice.of(self.boolean(a), self.boolean(b)),
                Bank::Float => self.r.floats[to] = choice.float(self.float(a), self.float(b)),
                Bank::Int => self.r.ints[to] = choice.of(self.int(a), self.int(b)),
                Bank::Text => {
                    let (x, y) = (self.text(a), self.text(b));
                    // Which of the two is the answer is told by address and length, or by being NULL.
                    let chosen = choice.of(x, y);
                    self.r.texts[to] = match chosen {
                        None => None,
                        Some(c) if x.is_some_and(|x| std::ptr::eq(x, c)) => self.r.texts[a as usize],
                        Some(_) => self.r.texts[b as usize],
                    };
                }
            },
            Op::Select(bank, condition, a, b) => {
                let from = if self.boolean(condition) == Some(true) { a } else { b } as usize;
                match bank {
                    Bank::Boolean => self.r.booleans[to] = self.r.booleans[from],
                    Bank::Float => self.r.floats[to] = self.r.floats[from],
                    Bank::Int => self.r.ints[to] = self.r.ints[from],
                    Bank::Text => self.r.texts[to] = self.r.texts[from],
                }
            }
        }
    }

    #[inline]
    fn boolean(&self, a: Reg) -> Option<bool> {
        self.r.booleans[a as usize]
    }

    #[inline]
    fn float(&self, a: Reg) -> f64 {
        self.r.floats[a as usize]
    }

    #[inline]
    fn int(&self, a: Reg) -> Option<i64> {
        self.r.ints[a as usize]
    }

    fn text(&self, a: Reg) -> Option<&str> {
        match self.r.texts[a as usize]? {
            Text::Code { relation, code } => self.rows[relation as usize].dictionary().get(code),
            Text::Buffer { start, end } => Some(&self.r.buffer[start as usize..end as usize]),
        }
    }

    fn text_is(&self, a: Reg, constant: u32) -> Option<bool> {
        Some(match self.r.texts[a as usize]? {
            Text::Code { relation, code } => {
                self.bound.codes[constant as usize * self.bound.versions.len() + relation as usize] == code
            }
            Text::Buffer { start, end } => {
                self.r.buffer[start as usize..end as usize] == self.constants.texts[constant as usize]
            }
        })
    }

    fn is_in(&self, bank: Bank, a: Reg, set: usize) -> Option<bool> {
        match bank {
            Bank::Int => Some(self.constants.int_sets[set].binary_search(&self.int(a)?).is_ok()),
            Bank::Float => {
                let x = self.float(a);
                let set = &self.constants.float_sets[set];
                // −0 finds +0: total_cmp would not.
                (!x.is_nan()).then(|| set.binary_search_by(|y| y.total_cmp(&(x + 0.0))).is_ok())
            }
            Bank::Text => Some(match self.r.texts[a as usize]? {
                Text::Code { relation, code } => self.bound.sets
                    [set * self.bound.versions.len() + relation as usize]
                    .binary_search(&code)
                    .is_ok(),
                Text::Buffer { start, end } => {
                    let text = &self.r.buffer[start as usize..end as usize];
                    let texts = &self.constants.texts;
                    self.constants.text_sets[set]
                        .binary_search_by(|t| texts[*t as usize].as_str().cmp(text))
                        .is_ok()
                }
            }),
            Bank::Boolean => unreachable!("a boolean IN is compiled to comparisons"),
        }
    }

    /// Makes a text: in the work space first, since what it is made of may stand in the buffer.
    fn make(&mut self, to: usize, write: impl FnOnce(&Self, &mut String) -> Option<()>) {
        let mut work = std::mem::take(self.work);
        work.clear();
        let made = write(self, &mut work);
        self.r.texts[to] = made.map(|()| self.r.push(&work));
        *self.work = work;
    }

    fn write(&self, ty: Type, a: Reg, out: &mut String) -> Option<()> {
        let written = match ty {
            Type::Boolean => {
                kernel::write_boolean(self.boolean(a)?, out);
                true
            }
            Type::Int64 => {
                kernel::write_int(self.int(a)?, out);
                true
            }
            Type::Float64 => {
                let x = self.float(a);
                kernel::write_float(x, out);
                !x.is_nan()
            }
            Type::Date32 => kernel::write_date(self.int(a)?, out),
            Type::Timestamp => kernel::write_timestamp(self.int(a)?, out),
            Type::Utf8 => unreachable!("a text is not written as a text"),
        };
        written.then_some(())
    }
}
