//! Runs: one operation for many registers at once, in a loop without a branch.
//!
//! An interpreter that looks at one operation after the other spends more on choosing what to do than on
//! doing it. So operations of one kind that do not depend on each other stand together, and what is chosen
//! is a loop. Each says which register it writes, so that the answers of a part can lie side by side.

use super::{
    keys::Keys,
    load::Load,
    machine::Machine,
    predicate::Predicates,
    registers::{Int, Registers, Truth, known_or_nan},
    schedule::Step,
};
use crate::expr::op::{Arithmetic, Bank, Comparison, Reg};

/// An operation of one operand.
#[derive(Clone, Copy, Debug)]
pub struct Unary {
    pub of: Reg,
    pub to: Reg,
}

/// An operation of two operands.
#[derive(Clone, Copy, Debug)]
pub struct Binary {
    pub of: [Reg; 2],
    pub to: Reg,
}

/// Comparisons of registers with constants, whose answers lie side by side. Nothing has to be looked up but the register.
#[derive(Debug)]
pub struct Thresholds<T> {
    pub comparison: Comparison,
    /// No constant is NULL.
    pub of: Box<[(Reg, T)]>,
    /// Where the first answer is written.
    pub to: Reg,
}

/// One operation many times.
#[derive(Debug)]
pub enum Run {
    Predicates(Predicates),
    Keys(Keys),
    Load(Load),
    /// Of booleans.
    Copy(Box<[Unary]>),
    Not(Box<[Unary]>),
    And(Box<[Binary]>),
    Or(Box<[Binary]>),
    CompareFloats(Comparison, Box<[Binary]>),
    CompareInts(Comparison, Box<[Binary]>),
    FloatThresholds(Thresholds<f64>),
    IntThresholds(Thresholds<i64>),
    Arithmetic(Arithmetic, Box<[Binary]>),
    Widen(Box<[Unary]>),
    /// Of a bank's registers.
    IsNull(Bank, Box<[Unary]>),
    /// One after the other.
    Each(Box<[Step]>),
}

impl Run {
    /// Number of operations.
    pub fn len(&self) -> usize {
        match self {
            Run::Predicates(predicates) => predicates.len(),
            Run::Keys(keys) => keys.len(),
            Run::Load(load) => load.len(),
            Run::Copy(of) | Run::Not(of) | Run::Widen(of) | Run::IsNull(_, of) => of.len(),
            Run::And(of)
            | Run::Or(of)
            | Run::CompareFloats(_, of)
            | Run::CompareInts(_, of)
            | Run::Arithmetic(_, of) => of.len(),
            Run::FloatThresholds(of) => of.of.len(),
            Run::IntThresholds(of) => of.of.len(),
            Run::Each(steps) => steps.len(),
        }
    }
}

impl Machine<'_> {
    pub fn run_all(&mut self, runs: &[Run]) {
        for run in runs {
            self.run_each(run);
        }
    }

    /// (Inlined: most runs are short, and a call would cost as much.)
    #[inline(always)]
    fn run_each(&mut self, run: &Run) {
        match run {
            Run::Predicates(predicates) => {
                predicates.run(self.rows, self.constants, self.bound, &mut self.r.booleans);
            }
            Run::Keys(keys) => keys.run(self.rows, self.constants, self.bound, &mut self.r.ints),
            Run::Load(load) => load.run(self.rows, self.bound, self.r),
            Run::Copy(of) => inside(&mut self.r.booleans, of, |a| a),
            Run::Not(of) => inside(&mut self.r.booleans, of, |a| !a),
            Run::And(of) => pairs(&mut self.r.booleans, of, Truth::and),
            Run::Or(of) => pairs(&mut self.r.booleans, of, Truth::or),
            Run::CompareFloats(comparison, of) => {
                let (write, read) = (&mut self.r.booleans, self.r.floats.as_slice());
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
            Run::CompareInts(comparison, of) => {
                let (write, read) = (&mut self.r.booleans, self.r.ints.as_slice());
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
            Run::FloatThresholds(of) => of.floats(&mut self.r.booleans, &self.r.floats),
            Run::IntThresholds(of) => of.ints(&mut self.r.booleans, &self.r.ints),
            Run::Arithmetic(f, of) => match f {
                Arithmetic::Add => pairs(&mut self.r.floats, of, |a, b| a + b),
                Arithmetic::Subtract => pairs(&mut self.r.floats, of, |a, b| a - b),
                Arithmetic::Multiply => pairs(&mut self.r.floats, of, |a, b| a * b),
                Arithmetic::Divide => pairs(&mut self.r.floats, of, |a, b| a / b),
                Arithmetic::Remainder => pairs(&mut self.r.floats, of, |a, b| a % b),
            },
            Run::Widen(of) => {
                for Unary { of, to } in of {
                    let Int { value, known } = self.r.ints[*of as usize];
                    self.r.floats[*to as usize] = known_or_nan((value as f64).to_bits(), known);
                }
            }
            Run::IsNull(bank, of) => self.are_null(*bank, of),
            Run::Each(steps) => steps.iter().for_each(|step| self.run(step)),
        }
    }
}

impl Machine<'_> {
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

impl<T: Copy> Thresholds<T> {
    #[inline]
    fn each<R: Copy>(&self, write: &mut [Truth], read: &[R], f: impl Fn(R, T) -> Truth) {
        let write = &mut write[self.to as usize..][..self.of.len()];
        for (to, (of, constant)) in write.iter_mut().zip(&self.of) {
            *to = f(read[*of as usize], *constant);
        }
    }
}

impl Thresholds<f64> {
    #[inline]
    fn floats(&self, write: &mut [Truth], read: &[f64]) {
        // A comparison with NaN is false; but for that it is not equal.
        let known = |a: f64, holds: bool| Truth::of(!a.is_nan(), holds);
        match self.comparison {
            Comparison::Eq => self.each(write, read, |a, b| known(a, a == b)),
            Comparison::NotEq => self.each(write, read, |a, b| known(a, !a.is_nan() & (a != b))),
            Comparison::Lt => self.each(write, read, |a, b| known(a, a < b)),
            Comparison::LtEq => self.each(write, read, |a, b| known(a, a <= b)),
            Comparison::Gt => self.each(write, read, |a, b| known(a, a > b)),
            Comparison::GtEq => self.each(write, read, |a, b| known(a, a >= b)),
            Comparison::Distinct | Comparison::NotDistinct => {
                self.each(write, read, |a, b| self.comparison.floats(a, b).into());
            }
        }
    }
}

impl Thresholds<i64> {
    #[inline]
    fn ints(&self, write: &mut [Truth], read: &[Int]) {
        let known = |a: Int, holds: bool| Truth::of(a.known, a.known & holds);
        match self.comparison {
            Comparison::Eq => self.each(write, read, |a, b| known(a, a.value == b)),
            Comparison::NotEq => self.each(write, read, |a, b| known(a, a.value != b)),
            Comparison::Lt => self.each(write, read, |a, b| known(a, a.value < b)),
            Comparison::LtEq => self.each(write, read, |a, b| known(a, a.value <= b)),
            Comparison::Gt => self.each(write, read, |a, b| known(a, a.value > b)),
            Comparison::GtEq => self.each(write, read, |a, b| known(a, a.value >= b)),
            Comparison::Distinct | Comparison::NotDistinct => {
                self.each(write, read, |a, b| self.comparison.apply(a.get(), Some(b)).into());
            }
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
