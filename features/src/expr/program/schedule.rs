//! From operations in the order in which they were compiled to runs of equal ones.
//!
//! ```text
//!   constants, results of steps | part 0: loads, level 1, level 2, … | part 1: loads, level 1, …
//! ```
//!
//! An operation's level is one more than the highest among its operands of the same part, so those of one
//! level can run in any order: equal ones become a run. Then registers are numbered anew, in the order in
//! which they are written.

use std::{collections::BTreeMap, sync::Arc};

use tarim_datamart::Type;

use super::{
    Constants, Inlet, Output, Part, Program,
    load::{Kind as LoadKind, Load},
    registers::Registers,
    runs::Run,
};
use crate::{
    expr::op::{Arithmetic, Bank, Comparison, Op, Reg},
    row::{Layout, Slot},
};

/// One operation and the register that it writes.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub op: Op,
    pub to: Reg,
}

/// One column to read, and the register that it is read to.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub relation: u32,
    pub slot: Slot,
    pub to: Reg,
}

/// A program as it is compiled. Each register is written once, by what stands before all that reads it.
#[derive(Debug, Default)]
pub struct Draft {
    /// Before anything is read: constants in their places, everything else NULL.
    pub registers: Registers,
    pub constants: Constants,
    pub inlets: BTreeMap<(usize, usize), Inlet>,
    pub parts: Vec<PartDraft>,
}

/// What a part adds to those before it.
#[derive(Debug, Default)]
pub struct PartDraft {
    pub columns: Vec<Column>,
    pub steps: Vec<Step>,
    pub outputs: Vec<Output>,
}

/// What can share a loop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Not,
    And,
    Or,
    CompareFloats(Comparison),
    CompareInts(Comparison),
    Arithmetic(Arithmetic),
    Widen,
    /// Anything else that writes to this bank.
    Each(Bank),
}

impl Kind {
    fn of(op: Op) -> Self {
        match op {
            Op::Not(_) => Kind::Not,
            Op::And(..) => Kind::And,
            Op::Or(..) => Kind::Or,
            Op::Compare(c, Bank::Float, ..) => Kind::CompareFloats(c),
            Op::Compare(c, Bank::Int, ..) => Kind::CompareInts(c),
            Op::Arithmetic(f, ..) => Kind::Arithmetic(f),
            Op::Widen(_) => Kind::Widen,
            op => Kind::Each(op.bank()),
        }
    }
}

/// Register numbers by bank.
#[derive(Default)]
struct PerBank<T>([Vec<T>; 4]);

impl<T: Copy> PerBank<T> {
    fn of(r: &Registers, value: T) -> Self {
        Self([r.booleans.len(), r.floats.len(), r.ints.len(), r.texts.len()].map(|len| vec![value; len]))
    }

    fn get(&self, bank: Bank, register: Reg) -> T {
        self.0[bank as usize][register as usize]
    }

    fn set(&mut self, bank: Bank, register: Reg, value: T) {
        self.0[bank as usize][register as usize] = value;
    }
}

/// Numbers registers in the order in which they are written.
struct Numbers {
    new: PerBank<Reg>,
    next: [Reg; 4],
    /// Old numbers in their new order.
    order: PerBank<Reg>,
}

impl Numbers {
    /// What nothing writes (constants and inlets) comes first.
    fn new(draft: &Draft) -> Self {
        let mut written = PerBank::of(&draft.registers, false);
        for part in &draft.parts {
            for c in &part.columns {
                written.set(LoadKind::of(c.slot.cell).bank(), c.to, true);
            }
            for s in &part.steps {
                written.set(s.op.bank(), s.to, true);
            }
        }
        let mut numbers =
            Self { new: PerBank::of(&draft.registers, Reg::MAX), next: [0; 4], order: PerBank::default() };
        for bank in [Bank::Boolean, Bank::Float, Bank::Int, Bank::Text] {
            for (old, written) in written.0[bank as usize].iter().enumerate() {
                if !written {
                    numbers.give(bank, old as Reg);
                }
            }
        }
        numbers
    }

    fn give(&mut self, bank: Bank, old: Reg) -> Reg {
        let number = self.next[bank as usize];
        self.next[bank as usize] += 1;
        self.new.set(bank, old, number);
        self.order.0[bank as usize].push(old);
        number
    }

    fn registers(&self, draft: &Registers) -> Registers {
        fn take<T: Copy>(order: &[Reg], from: &[T]) -> Vec<T> {
            order.iter().map(|old| from[*old as usize]).collect()
        }
        let [booleans, floats, ints, texts] = &self.order.0;
        Registers {
            booleans: take(booleans, &draft.booleans),
            floats: take(floats, &draft.floats),
            ints: take(ints, &draft.ints),
            texts: take(texts, &draft.texts),
            buffer: draft.buffer.clone(),
        }
    }
}

impl Draft {
    /// Puts equal operations together.
    pub fn schedule(mut self, layouts: Vec<Arc<Layout>>) -> Program {
        let mut numbers = Numbers::new(&self);
        let mut levels = PerBank::of(&self.registers, 0_u32);
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in std::mem::take(&mut self.parts) {
            let mut runs = Vec::new();
            let mut loads: BTreeMap<(u32, LoadKind), Vec<Column>> = BTreeMap::new();
            for column in part.columns {
                loads.entry((column.relation, LoadKind::of(column.slot.cell))).or_default().push(column);
            }
            for ((relation, kind), columns) in loads {
                let to = columns.iter().map(|c| numbers.give(kind.bank(), c.to)).min().unwrap_or_default();
                let cells = columns.iter().map(|c| c.slot.into()).collect();
                runs.push(Run::Load(Load { relation, kind, to, cells }));
            }
            let mut steps: BTreeMap<(u32, Kind), Vec<Step>> = BTreeMap::new();
            for step in part.steps {
                let mut level = 0;
                step.op.map(|bank, register| {
                    level = level.max(levels.get(bank, register));
                    register
                });
                // What earlier parts have computed counts as a constant: see below.
                levels.set(step.op.bank(), step.to, level + 1);
                steps.entry((level, Kind::of(step.op))).or_default().push(step);
            }
            for ((_, kind), steps) in &steps {
                runs.push(run(*kind, steps, &mut numbers));
            }
            for step in steps.values().flatten() {
                levels.set(step.op.bank(), step.to, 0);
            }
            let new = |o: Output| Output { from: numbers.new.get(Bank::of(o.ty), o.from), ..o };
            let outputs: Vec<Output> = part.outputs.into_iter().map(new).collect();
            let mut texts: Vec<Reg> = outputs.iter().filter(|o| o.ty == Type::Utf8).map(|o| o.from).collect();
            texts.sort_unstable();
            texts.dedup();
            let booleans = outputs.iter().take_while(|o| o.ty == Type::Boolean);
            let conditions = booleans.map(|o| o.from).collect();
            parts.push(Part { runs, outputs, conditions, texts });
        }
        let inlets = self
            .inlets
            .into_iter()
            .map(|(column, inlet)| (column, Inlet { to: numbers.new.get(inlet.bank, inlet.to), ..inlet }));
        Program::new(layouts, parts, numbers.registers(&self.registers), inlets.collect(), self.constants)
    }
}

/// A run of steps of one kind and level, their registers numbered.
fn run(kind: Kind, steps: &[Step], numbers: &mut Numbers) -> Run {
    // Operands first: they stand before, whatever number this run gives.
    let mapped: Vec<Op> =
        steps.iter().map(|s| s.op.map(|bank, register| numbers.new.get(bank, register))).collect();
    let to: Vec<Reg> = steps.iter().map(|s| numbers.give(s.op.bank(), s.to)).collect();
    let first = to[0];
    let one = || {
        let operand = |op: &Op| match *op {
            Op::Not(a) | Op::Widen(a) => a,
            op => unreachable!("{op:?} has not one operand"),
        };
        mapped.iter().map(operand).collect()
    };
    let two = || {
        let operands = |op: &Op| match *op {
            Op::And(a, b) | Op::Or(a, b) | Op::Compare(_, _, a, b) | Op::Arithmetic(_, a, b) => [a, b],
            op => unreachable!("{op:?} has not two operands"),
        };
        mapped.iter().map(operands).collect()
    };
    match kind {
        Kind::Not => Run::Not { to: first, of: one() },
        Kind::And => Run::And { to: first, of: two() },
        Kind::Or => Run::Or { to: first, of: two() },
        Kind::CompareFloats(comparison) => Run::CompareFloats { comparison, to: first, of: two() },
        Kind::CompareInts(comparison) => Run::CompareInts { comparison, to: first, of: two() },
        Kind::Arithmetic(f) => Run::Arithmetic { f, to: first, of: two() },
        Kind::Widen => Run::Widen { to: first, of: one() },
        Kind::Each(_) => Run::Each(mapped.iter().zip(to).map(|(op, to)| Step { op: *op, to }).collect()),
    }
}
