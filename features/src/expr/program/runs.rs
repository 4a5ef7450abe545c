//! Runs: one operation for many registers at once, in a loop without a branch.
//!
//! An interpreter that looks at one operation after the other spends more on choosing what to do than on
//! doing it. So operations of one kind that do not depend on each other stand together, and what is chosen
//! is a loop. The registers that a run writes lie side by side, so the loop walks through them; and as they
//! lie behind all that it can read, one split of the bank separates what is read from what is written.

use super::{
    load::Load,
    machine::Machine,
    registers::{Int, Truth, known_or_nan},
    schedule::Step,
};
use crate::expr::op::{Arithmetic, Comparison, Reg};

/// Operands of an operation of two.
pub type Pair = [Reg; 2];

/// One operation many times. `to` is the first register that it writes; the others follow.
#[derive(Debug)]
pub enum Run {
    Load(Load),
    Not {
        to: Reg,
        of: Box<[Reg]>,
    },
    And {
        to: Reg,
        of: Box<[Pair]>,
    },
    Or {
        to: Reg,
        of: Box<[Pair]>,
    },
    CompareFloats {
        comparison: Comparison,
        to: Reg,
        of: Box<[Pair]>,
    },
    CompareInts {
        comparison: Comparison,
        to: Reg,
        of: Box<[Pair]>,
    },
    Arithmetic {
        f: Arithmetic,
        to: Reg,
        of: Box<[Pair]>,
    },
    Widen {
        to: Reg,
        of: Box<[Reg]>,
    },
    /// One after the other.
    Each(Box<[Step]>),
}

impl Run {
    /// Number of operations.
    pub fn len(&self) -> usize {
        match self {
            Run::Load(load) => load.len(),
            Run::Not { of, .. } | Run::Widen { of, .. } => of.len(),
            Run::And { of, .. }
            | Run::Or { of, .. }
            | Run::CompareFloats { of, .. }
            | Run::CompareInts { of, .. }
            | Run::Arithmetic { of, .. } => of.len(),
            Run::Each(steps) => steps.len(),
        }
    }
}

impl Machine<'_, '_> {
    pub fn run_all(&mut self, run: &Run) {
        match run {
            Run::Load(load) => load.run(self.rows, self.bound, self.r),
            Run::Not { to, of } => {
                let (read, write) = self.r.booleans.split_at_mut(*to as usize);
                each(write, of, |a| !read[a as usize]);
            }
            Run::And { to, of } => {
                let (read, write) = self.r.booleans.split_at_mut(*to as usize);
                each(write, of, |[a, b]| read[a as usize].and(read[b as usize]));
            }
            Run::Or { to, of } => {
                let (read, write) = self.r.booleans.split_at_mut(*to as usize);
                each(write, of, |[a, b]| read[a as usize].or(read[b as usize]));
            }
            Run::CompareFloats { comparison, to, of } => {
                let write = &mut self.r.booleans[*to as usize..];
                let read = self.r.floats.as_slice();
                match comparison {
                    Comparison::Eq => floats(write, of, read, |a, b| a == b),
                    Comparison::NotEq => floats(write, of, read, |a, b| a != b),
                    Comparison::Lt => floats(write, of, read, |a, b| a < b),
                    Comparison::LtEq => floats(write, of, read, |a, b| a <= b),
                    Comparison::Gt => floats(write, of, read, |a, b| a > b),
                    Comparison::GtEq => floats(write, of, read, |a, b| a >= b),
                    Comparison::Distinct | Comparison::NotDistinct => {
                        each(write, of, |[a, b]| {
                            comparison.floats(read[a as usize], read[b as usize]).into()
                        });
                    }
                }
            }
            Run::CompareInts { comparison, to, of } => {
                let write = &mut self.r.booleans[*to as usize..];
                let read = self.r.ints.as_slice();
                match comparison {
                    Comparison::Eq => ints(write, of, read, |a, b| a == b),
                    Comparison::NotEq => ints(write, of, read, |a, b| a != b),
                    Comparison::Lt => ints(write, of, read, |a, b| a < b),
                    Comparison::LtEq => ints(write, of, read, |a, b| a <= b),
                    Comparison::Gt => ints(write, of, read, |a, b| a > b),
                    Comparison::GtEq => ints(write, of, read, |a, b| a >= b),
                    Comparison::Distinct | Comparison::NotDistinct => {
                        let get = |a: Reg| read[a as usize].get();
                        each(write, of, |[a, b]| comparison.apply(get(a), get(b)).into());
                    }
                }
            }
            Run::Arithmetic { f, to, of } => {
                let (read, write) = self.r.floats.split_at_mut(*to as usize);
                let read = &*read;
                match f {
                    Arithmetic::Add => each(write, of, |[a, b]| read[a as usize] + read[b as usize]),
                    Arithmetic::Subtract => each(write, of, |[a, b]| read[a as usize] - read[b as usize]),
                    Arithmetic::Multiply => each(write, of, |[a, b]| read[a as usize] * read[b as usize]),
                    Arithmetic::Divide => each(write, of, |[a, b]| read[a as usize] / read[b as usize]),
                    Arithmetic::Remainder => each(write, of, |[a, b]| read[a as usize] % read[b as usize]),
                }
            }
            Run::Widen { to, of } => {
                let read = self.r.ints.as_slice();
                each(&mut self.r.floats[*to as usize..], of, |a| {
                    let Int { value, known } = read[a as usize];
                    known_or_nan((value as f64).to_bits(), known)
                });
            }
            Run::Each(steps) => steps.iter().for_each(|step| self.run(step)),
        }
    }
}

#[inline]
fn each<T, O: Copy>(write: &mut [T], of: &[O], f: impl Fn(O) -> T) {
    for (to, of) in write.iter_mut().zip(of) {
        *to = f(*of);
    }
}

#[inline]
fn floats(write: &mut [Truth], of: &[Pair], read: &[f64], holds: impl Fn(f64, f64) -> bool) {
    each(write, of, |[a, b]| {
        let (a, b) = (read[a as usize], read[b as usize]);
        let known = !(a.is_nan() | b.is_nan());
        Truth::of(known, known & holds(a, b))
    });
}

#[inline]
fn ints(write: &mut [Truth], of: &[Pair], read: &[Int], holds: impl Fn(i64, i64) -> bool) {
    each(write, of, |[a, b]| {
        let (a, b) = (read[a as usize], read[b as usize]);
        let known = a.known & b.known;
        Truth::of(known, known & holds(a.value, b.value))
    });
}
