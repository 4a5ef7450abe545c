//! Runs: one operation for many registers at once, in a loop without a branch.
//!
//! An interpreter that looks at one operation after the other spends more on choosing what to do than on
//! doing it. So operations of one kind that do not depend on each other stand together, and what is chosen
//! is a loop. Each says which register it writes, so that the answers of a part can lie side by side.

use super::{
    machine::Machine,
    registers::{Int, Registers, Truth, known_or_nan},
    schedule::Step,
    span::Span,
};
use crate::expr::{
    function::Choice,
    kernel::FloatFn,
    op::{Arithmetic, Bank, Comparison, Reg},
};

/// An operation of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unary {
    pub of: Reg,
    pub to: Reg,
}

/// An operation of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binary {
    pub of: [Reg; 2],
    pub to: Reg,
}

/// Which comparison with constants, whose answers lie side by side: nothing has to be looked up but the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thresholds {
    pub comparison: Comparison,
    /// Where the first answer is written.
    pub to: Reg,
    /// Where what the first is compared with stands in [`Constants::compared`](super::Constants::compared).
    pub first: u32,
}

/// One operation many times; on what, stands in [`Runs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Run {
    /// Of booleans.
    Copy,
    Not,
    And,
    Or,
    CompareFloats(Comparison),
    CompareInts(Comparison),
    /// Of registers with constants.
    FloatThresholds(Thresholds),
    IntThresholds(Thresholds),
    Arithmetic(Arithmetic),
    Float(FloatFn),
    ChooseFloats(Choice),
    Widen,
    /// Of a bank's registers.
    IsNull(Bank),
    /// One after the other.
    Each,
}

/// The runs of all parts, in order, and what they work on: all of a kind in one list.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct Runs {
    runs: Vec<(Run, Span)>,
    unary: Vec<Unary>,
    binary: Vec<Binary>,
    registers: Vec<Reg>,
    steps: Vec<Step>,
}

/// What a run works on, while a program is made.
#[derive(Debug)]
pub enum Operands {
    Unary(Vec<Unary>),
    Binary(Vec<Binary>),
    Registers(Vec<Reg>),
    Steps(Vec<Step>),
}

impl Runs {
    /// Number of operations.
    pub fn len(&self) -> usize {
        self.runs.iter().map(|(_, span)| span.len()).sum()
    }

    /// The runs that were added since there were so many.
    pub fn since(&self, count: usize) -> Span {
        Span::of(count..self.runs.len())
    }

    /// Number of runs.
    pub fn count(&self) -> usize {
        self.runs.len()
    }

    /// Nothing more is added.
    pub fn shrink(&mut self) {
        let Self { runs, unary, binary, registers, steps } = self;
        runs.shrink_to_fit();
        unary.shrink_to_fit();
        binary.shrink_to_fit();
        registers.shrink_to_fit();
        steps.shrink_to_fit();
    }

    /// Adds a run. Its operands are of the kind that it works on.
    pub fn push(&mut self, run: Run, on: Operands) {
        let span = match on {
            Operands::Unary(of) => Span::add(&mut self.unary, of),
            Operands::Binary(of) => Span::add(&mut self.binary, of),
            Operands::Registers(of) => Span::add(&mut self.registers, of),
            Operands::Steps(of) => Span::add(&mut self.steps, of),
        };
        self.runs.push((run, span));
    }
}

impl Machine<'_> {
    /// Runs some of the runs, in their order.
    #[inline(never)]
    pub fn run_all(&mut self, which: Span, runs: &Runs) {
        for (run, span) in which.on(&runs.runs) {
            self.run_each(*run, *span, runs);
        }
    }

    /// (Inlined, but for what works longer than a call takes: most runs are short, and a call would cost as much.)
    #[inline(always)]
    fn run_each(&mut self, run: Run, span: Span, on: &Runs) {
        match run {
            Run::Copy => inside(&mut self.r.booleans, span.on(&on.unary), |a| a),
            Run::Not => inside(&mut self.r.booleans, span.on(&on.unary), |a| !a),
            Run::And => pairs(&mut self.r.booleans, span.on(&on.binary), Truth::and),
            Run::Or => pairs(&mut self.r.booleans, span.on(&on.binary), Truth::or),
            Run::CompareFloats(comparison) => compare_floats(comparison, span.on(&on.binary), self.r),
            Run::CompareInts(comparison) => compare_ints(comparison, span.on(&on.binary), self.r),
            Run::FloatThresholds(thresholds) => {
                float_thresholds(thresholds, span.on(&on.registers), &self.constants.compared, self.r);
            }
            Run::IntThresholds(thresholds) => {
                int_thresholds(thresholds, span.on(&on.registers), &self.constants.compared, self.r);
            }
            Run::Arithmetic(f) => {
                let (floats, of) = (&mut self.r.floats, span.on(&on.binary));
                match f {
                    Arithmetic::Add => pairs(floats, of, |a, b| a + b),
                    Arithmetic::Subtract => pairs(floats, of, |a, b| a - b),
                    Arithmetic::Multiply => pairs(floats, of, |a, b| a * b),
                    Arithmetic::Divide => pairs(floats, of, |a, b| a / b),
                    Arithmetic::Remainder => pairs(floats, of, |a, b| a % b),
                }
            }
            Run::Float(f) => inside(&mut self.r.floats, span.on(&on.unary), |a| f.apply(a)),
            Run::ChooseFloats(choice) => {
                pairs(&mut self.r.floats, span.on(&on.binary), |a, b| choice.float(a, b));
            }
            Run::Widen => {
                for Unary { of, to } in span.on(&on.unary) {
                    let Int { value, known } = self.r.ints[*of as usize];
                    self.r.floats[*to as usize] = known_or_nan((value as f64).to_bits(), known);
                }
            }
            Run::IsNull(bank) => self.are_null(bank, span.on(&on.unary)),
            Run::Each => {
                for step in span.on(&on.steps) {
                    self.run(step);
                }
            }
        }
    }

    #[inline(never)]
    fn are_null(&mut self, bank: Bank, of: &[Unary]) {
        let Registers { booleans, floats, ints, texts, .. } = &mut *self.r;
        for Unary { of, to } in of {
            let of = *of as usize;
            let null = match bank {
                Bank::Boolean => booleans[of].get().is_none(),
                Bank::Float => floats[of].is_nan(),
                Bank::Int => !ints[of].known,
                Bank::Text => texts[of].is_none(),
            };
            booleans[*to as usize] = null.into();
        }
    }
}

impl Thresholds {
    #[inline]
    fn each<R: Copy>(
        self,
        of: &[Reg],
        compared: &[u64],
        write: &mut [Truth],
        read: &[R],
        f: impl Fn(R, u64) -> Truth,
    ) {
        let write = &mut write[self.to as usize..][..of.len()];
        let constants = &compared[self.first as usize..][..of.len()];
        for ((to, of), constant) in write.iter_mut().zip(of).zip(constants) {
            *to = f(read[*of as usize], *constant);
        }
    }
}

#[inline(never)]
fn float_thresholds(thresholds: Thresholds, of: &[Reg], compared: &[u64], r: &mut Registers) {
    let (write, read) = (&mut r.booleans, r.floats.as_slice());
    // A comparison with NaN is false; but for that it is not equal.
    let known = |a: f64, holds: bool| Truth::of(!a.is_nan(), holds);
    let b = f64::from_bits;
    match thresholds.comparison {
        Comparison::Eq => thresholds.each(of, compared, write, read, |a, c| known(a, a == b(c))),
        Comparison::NotEq => {
            thresholds.each(of, compared, write, read, |a, c| known(a, !a.is_nan() & (a != b(c))));
        }
        Comparison::Lt => thresholds.each(of, compared, write, read, |a, c| known(a, a < b(c))),
        Comparison::LtEq => thresholds.each(of, compared, write, read, |a, c| known(a, a <= b(c))),
        Comparison::Gt => thresholds.each(of, compared, write, read, |a, c| known(a, a > b(c))),
        Comparison::GtEq => thresholds.each(of, compared, write, read, |a, c| known(a, a >= b(c))),
        Comparison::Distinct | Comparison::NotDistinct => {
            thresholds.each(of, compared, write, read, |a, c| thresholds.comparison.floats(a, b(c)).into());
        }
    }
}

#[inline(never)]
fn int_thresholds(thresholds: Thresholds, of: &[Reg], compared: &[u64], r: &mut Registers) {
    let (write, read) = (&mut r.booleans, r.ints.as_slice());
    let known = |a: Int, holds: bool| Truth::of(a.known, a.known & holds);
    let b = |constant: u64| constant as i64;
    match thresholds.comparison {
        Comparison::Eq => thresholds.each(of, compared, write, read, |a, c| known(a, a.value == b(c))),
        Comparison::NotEq => thresholds.each(of, compared, write, read, |a, c| known(a, a.value != b(c))),
        Comparison::Lt => thresholds.each(of, compared, write, read, |a, c| known(a, a.value < b(c))),
        Comparison::LtEq => thresholds.each(of, compared, write, read, |a, c| known(a, a.value <= b(c))),
        Comparison::Gt => thresholds.each(of, compared, write, read, |a, c| known(a, a.value > b(c))),
        Comparison::GtEq => thresholds.each(of, compared, write, read, |a, c| known(a, a.value >= b(c))),
        Comparison::Distinct | Comparison::NotDistinct => {
            thresholds.each(of, compared, write, read, |a, c| {
                thresholds.comparison.apply(a.get(), Some(b(c))).into()
            });
        }
    }
}

#[inline(never)]
fn compare_floats(comparison: Comparison, of: &[Binary], r: &mut Registers) {
    let (write, read) = (&mut r.booleans, r.floats.as_slice());
    match comparison {
        Comparison::Eq => floats(write, of, read, |a, b| a == b),
        Comparison::NotEq => floats(write, of, read, |a, b| a != b),
        Comparison::Lt => floats(write, of, read, |a, b| a < b),
        Comparison::LtEq => floats(write, of, read, |a, b| a <= b),
        Comparison::Gt => floats(write, of, read, |a, b| a > b),
        Comparison::GtEq => floats(write, of, read, |a, b| a >= b),
        Comparison::Distinct | Comparison::NotDistinct => {
            compare(write, of, read, |a, b| comparison.floats(a, b).into());
        }
    }
}

#[inline(never)]
fn compare_ints(comparison: Comparison, of: &[Binary], r: &mut Registers) {
    let (write, read) = (&mut r.booleans, r.ints.as_slice());
    match comparison {
        Comparison::Eq => ints(write, of, read, |a, b| a == b),
        Comparison::NotEq => ints(write, of, read, |a, b| a != b),
        Comparison::Lt => ints(write, of, read, |a, b| a < b),
        Comparison::LtEq => ints(write, of, read, |a, b| a <= b),
        Comparison::Gt => ints(write, of, read, |a, b| a > b),
        Comparison::GtEq => ints(write, of, read, |a, b| a >= b),
        Comparison::Distinct | Comparison::NotDistinct => {
            compare(write, of, read, |a, b| comparison.apply(a.get(), b.get()).into());
        }
    }
}

/// From one register of a bank to another.
#[inline]
fn inside<T: Copy>(bank: &mut [T], of: &[Unary], f: impl Fn(T) -> T) {
    for Unary { of, to } in of {
        bank[*to as usize] = f(bank[*of as usize]);
    }
}

/// From two registers of a bank to one of the same.
#[inline]
fn pairs<T: Copy>(bank: &mut [T], of: &[Binary], f: impl Fn(T, T) -> T) {
    for Binary { of: [a, b], to } in of {
        bank[*to as usize] = f(bank[*a as usize], bank[*b as usize]);
    }
}

#[inline]
fn compare<T: Copy>(write: &mut [Truth], of: &[Binary], read: &[T], f: impl Fn(T, T) -> Truth) {
    for Binary { of: [a, b], to } in of {
        write[*to as usize] = f(read[*a as usize], read[*b as usize]);
    }
}

#[inline]
fn floats(write: &mut [Truth], of: &[Binary], read: &[f64], holds: impl Fn(f64, f64) -> bool) {
    compare(write, of, read, |a, b| {
        let known = !(a.is_nan() | b.is_nan());
        Truth::of(known, known & holds(a, b))
    });
}

#[inline]
fn ints(write: &mut [Truth], of: &[Binary], read: &[Int], holds: impl Fn(i64, i64) -> bool) {
    compare(write, of, read, |a, b| {
        let known = a.known & b.known;
        Truth::of(known, known & holds(a.value, b.value))
    });
}
