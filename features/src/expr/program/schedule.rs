//! From operations in the order in which they were compiled to runs of equal ones.
//!
//! ```text
//!   constants, results of steps | reads | part 0: level 1, level 2, … | part 1: level 1, …
//! ```
//!
//! - What is looked at in rows is [read](super::reads) before anything is computed: columns that are held against constants
//!   as predicates, texts whose key alone is asked for as keys; integers that are widened are loaded as floats, and a column
//!   that nothing else looks at is not loaded.
//! - An operation runs with the first part that has all of its operands, whichever part asks for it: what depends on
//!   rows alone runs at once, however many steps there are.
//! - Its level is one more than the highest among its operands of the same part, so those of one level can run in
//!   any order: equal ones become a run.
//! - Registers are numbered anew: the conditions of each part side by side, all others in the order in which
//!   they are written.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tarim_datamart::Type;

use super::{
    Constants, Inlet, Output, Program,
    reads::{Against, KeyOf, Load, Predicate, Reads, RowReads},
    registers::{Registers, Start},
    runs::{Binary, Operands, Run, Runs, Thresholds, Unary},
    shape::{Part, Shape},
};
use crate::{
    expr::{
        function::Choice,
        kernel::FloatFn,
        op::{Arithmetic, Bank, Comparison, Op, Reg},
        scope::Relations,
    },
    row::{Cell, Slot},
};

/// One operation and the register that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// It is an integer, and read as a float.
    pub widened: bool,
}

impl Column {
    /// The bank that it is read to.
    fn bank(&self) -> Bank {
        match self.slot.cell {
            Cell::Boolean { .. } => Bank::Boolean,
            Cell::Int { .. } if !self.widened => Bank::Int,
            Cell::Int { .. } | Cell::Float { .. } => Bank::Float,
            Cell::Text { .. } => Bank::Text,
        }
    }
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
    /// The relation that is put when this part has run.
    pub puts: Option<u32>,
}

/// What can share a loop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Not,
    And,
    Or,
    CompareFloats(Comparison),
    CompareInts(Comparison),
    /// With a constant, by an answer that may lie anywhere.
    FloatThresholds(Comparison),
    IntThresholds(Comparison),
    Arithmetic(Arithmetic),
    Float(FloatFn),
    ChooseFloats(Choice),
    Widen,
    IsNull(Bank),
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
            Op::Float(f, _) => Kind::Float(f),
            Op::Choose(choice, Bank::Float, ..) => Kind::ChooseFloats(choice),
            Op::Widen(_) => Kind::Widen,
            Op::IsNull(bank, _) => Kind::IsNull(bank),
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
    /// Old numbers in their new order; None: a register that is new.
    order: PerBank<Option<Reg>>,
    /// How many constants there are: the first ones.
    constants: [Reg; 4],
}

impl Numbers {
    /// Constants come first, if something reads them in their registers: most are those of predicates and thresholds. Inlets
    /// follow.
    fn new(draft: &Draft, variable: &PerBank<bool>) -> Self {
        let (new, order) = (PerBank::of(&draft.registers, Reg::MAX), PerBank::default());
        let mut numbers = Self { new, next: [0; 4], order, constants: [0; 4] };
        let thresholds = draft.thresholds(variable);
        for (bank, old) in draft.read().difference(&thresholds).copied() {
            if !variable.get(bank, old) {
                numbers.give(bank, old);
            }
        }
        numbers.constants = numbers.next;
        for inlet in draft.inlets.values() {
            numbers.of(inlet.bank, inlet.to);
        }
        numbers
    }

    /// The number of a register, which it is given if it has none.
    fn of(&mut self, bank: Bank, old: Reg) -> Reg {
        match self.new.get(bank, old) {
            Reg::MAX => self.give(bank, old),
            number => number,
        }
    }

    fn give(&mut self, bank: Bank, old: Reg) -> Reg {
        let number = self.add(bank, Some(old));
        self.new.set(bank, old, number);
        number
    }

    fn add(&mut self, bank: Bank, old: Option<Reg>) -> Reg {
        let number = self.next[bank as usize];
        self.next[bank as usize] += 1;
        self.order.0[bank as usize].push(old);
        number
    }

    /// Puts conditions side by side, in their order. What has its place already, since it is a constant or is asked
    /// twice, is copied when the part has run.
    fn conditions(&mut self, outputs: &[Output]) -> Conditions {
        let first = self.next[Bank::Boolean as usize];
        let mut copies = Vec::new();
        for output in outputs {
            match self.new.get(Bank::Boolean, output.from) {
                Reg::MAX => _ = self.give(Bank::Boolean, output.from),
                of => copies.push(Unary { of, to: self.add(Bank::Boolean, None) }),
            }
        }
        Conditions { at: first..self.next[Bank::Boolean as usize], copies }
    }

    /// The constants that have numbers.
    fn start(&self, draft: &Registers) -> Start {
        let old = |bank: Bank| {
            let first = &self.order.0[bank as usize][..self.constants[bank as usize] as usize];
            first.iter().map(|old| old.expect("a constant is no new register") as usize)
        };
        Start {
            booleans: old(Bank::Boolean).map(|old| draft.booleans[old]).collect(),
            floats: old(Bank::Float).map(|old| draft.floats[old]).collect(),
            ints: old(Bank::Int).map(|old| draft.ints[old]).collect(),
            texts: old(Bank::Text).map(|old| draft.texts[old]).collect(),
            buffer: draft.buffer.clone(),
        }
    }
}

/// Where the conditions of a part are.
struct Conditions {
    at: Range<Reg>,
    copies: Vec<Unary>,
}

impl PartDraft {
    /// The answers up to the first that is not a boolean.
    fn conditions(&self) -> &[Output] {
        let count = self.outputs.iter().take_while(|o| o.ty == Type::Boolean).count();
        &self.outputs[..count]
    }
}

impl Draft {
    /// Puts equal operations together.
    pub fn schedule(mut self, relations: Relations, given: usize) -> Program {
        self.widen_inlets();
        let mut variable = self.variable();
        let mut rows = self.take();
        self.own_constants(&mut variable);
        let mut numbers = Numbers::new(&self, &variable);
        self.advance();
        let drafts = std::mem::take(&mut self.parts);
        // Before anything else has a number: their places are theirs, whenever they are computed.
        let conditions: Vec<Conditions> =
            drafts.iter().map(|part| numbers.conditions(part.conditions())).collect();
        let mut levels = PerBank::of(&self.registers, 0_u32);
        let mut parts = Vec::with_capacity(drafts.len());
        for row in rows.values_mut() {
            for of in row.predicates.values_mut() {
                of.sort_by_key(|(p, _)| p.at());
                of.iter_mut().for_each(|(p, _)| p.to = numbers.of(Bank::Boolean, p.to));
            }
            row.keys.iter_mut().for_each(|key| key.to = numbers.of(Bank::Int, key.to));
        }
        for c in drafts.iter().flat_map(|part| &part.columns) {
            let to = numbers.of(c.bank(), c.to);
            let (kind, load) = Load::of(c.slot, c.widened, to).expect("a boolean is a predicate");
            rows.entry(c.relation).or_default().loads.entry(kind).or_default().push(load);
        }
        let mut constants = std::mem::take(&mut self.constants);
        let (reads, compared) = Reads::new(rows);
        constants.compared = compared;
        let mut runs = Runs::default();
        for (part, Conditions { at, copies }) in drafts.into_iter().zip(conditions) {
            let before = runs.count();
            let mut steps: BTreeMap<(u32, Kind), Vec<Step>> = BTreeMap::new();
            for step in part.steps {
                let mut level = 0;
                step.op.map(|bank, register| {
                    level = level.max(levels.get(bank, register));
                    register
                });
                // What earlier parts have computed counts as a constant: see below.
                levels.set(step.op.bank(), step.to, level + 1);
                let step = Step { op: self.constant_last(step.op, &variable), ..step };
                let kind = match self.threshold(step.op, &variable) {
                    // A condition has its place already.
                    Some((kind, _)) if numbers.new.get(Bank::Boolean, step.to) == Reg::MAX => kind,
                    _ => Kind::of(step.op),
                };
                steps.entry((level, kind)).or_default().push(step);
            }
            for ((_, kind), steps) in &steps {
                let (run, on) = run(*kind, steps, &mut numbers, &self.registers, &mut constants.compared);
                runs.push(run, on);
            }
            for step in steps.values().flatten() {
                levels.set(step.op.bank(), step.to, 0);
            }
            if !copies.is_empty() {
                runs.push(Run::Copy, Operands::Unary(copies));
            }
            let outputs: Vec<Output> = part
                .outputs
                .into_iter()
                .enumerate()
                .map(|(i, o)| match at.clone().nth(i) {
                    Some(from) => Output { from, ..o },
                    None => Output { from: numbers.new.get(o.bank(), o.from), ..o },
                })
                .collect();
            let read = outputs.iter().filter(|o| o.bank() == Bank::Text);
            let mut texts: Vec<Reg> = read.map(|o| o.from).collect();
            texts.sort_unstable();
            texts.dedup();
            parts.push(Part { runs: runs.since(before), outputs, conditions: at, texts });
        }
        let inlets = self
            .inlets
            .into_iter()
            .map(|(column, inlet)| (column, Inlet { to: numbers.new.get(inlet.bank, inlet.to), ..inlet }))
            .collect::<Vec<_>>();
        let puts = [Bank::Boolean, Bank::Float, Bank::Int, Bank::Text].map(|bank| {
            inlets.iter().map(|(_, inlet)| inlet).filter(|inlet| inlet.bank == bank).map(|i| i.to).collect()
        });
        static NEXT: AtomicU64 = AtomicU64::new(1);
        constants.compared.shrink_to_fit();
        runs.shrink();
        let given = given.min(relations.len());
        let shape = Shape { given, reads, runs, parts, inlets, puts, lens: numbers.next };
        Program {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            relations,
            shape: Arc::new(shape),
            start: numbers.start(&self.registers),
            constants,
        }
    }

    /// Integers that are put, and that nothing looks at but as floats, are put as floats.
    fn widen_inlets(&mut self) {
        let mut floats: HashMap<Reg, Reg> = HashMap::new();
        let mut integers: BTreeSet<Reg> = BTreeSet::new();
        for part in &self.parts {
            for step in &part.steps {
                if let Op::Widen(a) = step.op
                    && *floats.entry(a).or_insert(step.to) == step.to
                {
                    continue;
                }
                step.op.map(|bank, register| {
                    if bank == Bank::Int {
                        integers.insert(register);
                    }
                    register
                });
            }
            integers.extend(part.outputs.iter().filter(|o| o.bank() == Bank::Int).map(|o| o.from));
        }
        for inlet in self.inlets.values_mut().filter(|i| i.bank == Bank::Int && !integers.contains(&i.to)) {
            let Some(float) = floats.get(&inlet.to).copied() else { continue };
            *inlet = Inlet { bank: Bank::Float, to: float, widened: true, ..*inlet };
            for part in &mut self.parts {
                part.steps.retain(|s| s.op.bank() != Bank::Float || s.to != float);
            }
        }
    }

    /// Gives every use of a constant a register of its own: else two thresholds that happen to be equal would make another
    /// [shape](super::shape).
    fn own_constants(&mut self, variable: &mut PerBank<bool>) {
        for step in self.parts.iter_mut().flat_map(|part| &mut part.steps) {
            let registers = &mut self.registers;
            step.op = step.op.map(|bank, register| match variable.get(bank, register) {
                true => register,
                false => {
                    variable.0[bank as usize].push(false);
                    registers.copy(bank, register)
                }
            });
        }
    }

    /// The kind of a comparison with a constant that is known, if its answer may lie anywhere, and the constant.
    fn threshold(&self, op: Op, variable: &PerBank<bool>) -> Option<(Kind, Reg)> {
        let Op::Compare(c, bank, a, b) = self.constant_last(op, variable) else { return None };
        if !variable.get(bank, a) || variable.get(bank, b) {
            return None;
        }
        match bank {
            Bank::Float if !self.registers.floats[b as usize].is_nan() => Some((Kind::FloatThresholds(c), b)),
            Bank::Int if self.registers.ints[b as usize].known => Some((Kind::IntThresholds(c), b)),
            _ => None,
        }
    }

    /// The constants of comparisons that are no conditions themselves: nothing looks for them in a register.
    fn thresholds(&self, variable: &PerBank<bool>) -> BTreeSet<(Bank, Reg)> {
        let outputs = self.parts.iter().flat_map(PartDraft::conditions);
        let conditions: BTreeSet<Reg> = outputs.map(|output| output.from).collect();
        let steps = self.parts.iter().flat_map(|part| &part.steps);
        // (Such a comparison writes a boolean, as conditions are.)
        let constant = |step: &Step| match self.threshold(step.op, variable)? {
            _ if conditions.contains(&step.to) => None,
            (Kind::FloatThresholds(_), constant) => Some((Bank::Float, constant)),
            (_, constant) => Some((Bank::Int, constant)),
        };
        steps.filter_map(constant).collect()
    }

    /// Moves each operation to the first part that has its operands.
    fn advance(&mut self) {
        let mut since = PerBank::of(&self.registers, 0_usize);
        for (part, draft) in self.parts.iter().enumerate() {
            for inlet in self.inlets.values().filter(|inlet| draft.puts == Some(inlet.relation)) {
                since.set(inlet.bank, inlet.to, part + 1);
            }
        }
        for part in 0..self.parts.len() {
            for step in std::mem::take(&mut self.parts[part].steps) {
                let mut first = 0;
                step.op.map(|bank, register| {
                    first = first.max(since.get(bank, register));
                    register
                });
                debug_assert!(first <= part, "a part reads what is put before it");
                since.set(step.op.bank(), step.to, first);
                self.parts[first].steps.push(step);
            }
        }
    }

    /// Which registers something writes.
    fn written(&self) -> PerBank<bool> {
        let mut written = PerBank::of(&self.registers, false);
        for part in &self.parts {
            for c in &part.columns {
                written.set(c.bank(), c.to, true);
            }
            for s in &part.steps {
                written.set(s.op.bank(), s.to, true);
            }
        }
        written
    }

    /// Which registers something reads.
    fn read(&self) -> BTreeSet<(Bank, Reg)> {
        let mut read = BTreeSet::new();
        for part in &self.parts {
            for step in &part.steps {
                step.op.map(|bank, register| {
                    read.insert((bank, register));
                    register
                });
            }
            read.extend(part.outputs.iter().map(|o| (o.bank(), o.from)));
        }
        read
    }

    /// Which registers are no constants.
    fn variable(&self) -> PerBank<bool> {
        let mut variable = self.written();
        for inlet in self.inlets.values() {
            variable.set(inlet.bank, inlet.to, true);
        }
        variable
    }

    /// A comparison of which only the first operand is a constant, the other way round.
    fn constant_last(&self, op: Op, variable: &PerBank<bool>) -> Op {
        match op {
            Op::Compare(c, bank, a, b) if !variable.get(bank, a) && variable.get(bank, b) => {
                Op::Compare(c.mirrored(), bank, b, a)
            }
            op => op,
        }
    }

    /// Takes predicates and keys, which read rows by themselves, out of the steps, and columns that nothing looks at any more
    /// out of what is loaded; by relation.
    fn take(&mut self) -> BTreeMap<u32, RowReads> {
        let variable = self.variable();
        let columns = self.parts.iter().flat_map(|part| &part.columns);
        let columns: HashMap<(Bank, Reg), Column> = columns.map(|c| ((c.bank(), c.to), *c)).collect();
        let against = |op: Op| -> Option<(Column, Against)> {
            let constant = |bank, register| !variable.get(bank, register);
            let registers = &self.registers;
            match op {
                Op::Compare(c, bank, a, b) => {
                    let (c, a, b) = if constant(bank, a) { (c.mirrored(), b, a) } else { (c, a, b) };
                    let against = match bank {
                        _ if !constant(bank, b) => return None,
                        Bank::Float => Against::Float(c, registers.floats[b as usize]),
                        Bank::Int => Against::Int(c, registers.ints[b as usize].get()?),
                        Bank::Boolean | Bank::Text => return None,
                    };
                    Some((*columns.get(&(bank, a))?, against))
                }
                Op::TextIs(a, text) => Some((*columns.get(&(Bank::Text, a))?, Against::Text(text))),
                Op::In(Bank::Text, a, set) => Some((*columns.get(&(Bank::Text, a))?, Against::Set(set))),
                _ => None,
            }
        };
        let mut rows: BTreeMap<u32, RowReads> = BTreeMap::new();
        for part in &mut self.parts {
            let mut take = |column: &Column, against, to| {
                let Some((kind, predicate, constant)) = Predicate::of(column.slot, against, to) else {
                    return false;
                };
                let row = rows.entry(column.relation).or_default();
                row.predicates.entry(kind).or_default().push((predicate, constant));
                true
            };
            part.columns.retain(|c| !take(c, Against::Itself, c.to));
            part.steps
                .retain(|s| !against(s.op).is_some_and(|(column, against)| take(&column, against, s.to)));
            part.steps.retain(|s| {
                let Op::TextKey(a, names) = s.op else { return true };
                let Some(column) = columns.get(&(Bank::Text, a)) else { return true };
                let row = rows.entry(column.relation).or_default();
                row.keys.push(KeyOf::new(column.slot, names, s.to));
                false
            });
            let PartDraft { columns: loads, steps, .. } = part;
            steps.retain(|s| {
                let Op::Widen(a) = s.op else { return true };
                let Some(column) = columns.get(&(Bank::Int, a)) else { return true };
                loads.push(Column { to: s.to, widened: true, ..*column });
                false
            });
        }
        let read = self.read();
        for part in &mut self.parts {
            part.columns.retain(|c| read.contains(&(c.bank(), c.to)));
        }
        rows
    }
}

/// A run of steps of one kind and level, their registers numbered; what registers are compared with is added to `compared`.
fn run(
    kind: Kind,
    steps: &[Step],
    numbers: &mut Numbers,
    constants: &Registers,
    compared: &mut Vec<u64>,
) -> (Run, Operands) {
    // Operands stand before, so they have their numbers.
    let mapped: Vec<Step> = steps
        .iter()
        .map(|s| Step {
            op: s.op.map(|bank, register| numbers.new.get(bank, register)),
            to: numbers.of(s.op.bank(), s.to),
        })
        .collect();
    let one = || {
        let unary = |s: &Step| match s.op {
            Op::Not(of) | Op::Widen(of) | Op::IsNull(_, of) | Op::Float(_, of) => Unary { of, to: s.to },
            op => unreachable!("{op:?} has not one operand"),
        };
        Operands::Unary(mapped.iter().map(unary).collect())
    };
    let two = || {
        let binary = |s: &Step| match s.op {
            Op::And(a, b)
            | Op::Or(a, b)
            | Op::Compare(_, _, a, b)
            | Op::Arithmetic(_, a, b)
            | Op::Choose(_, _, a, b) => Binary { of: [a, b], to: s.to },
            op => unreachable!("{op:?} has not two operands"),
        };
        Operands::Binary(mapped.iter().map(binary).collect())
    };
    // In one order with the registers that they write, which are new.
    let to = mapped.first().map_or(0, |step| step.to);
    let against = steps.iter().zip(&mapped).map(|(old, new)| match (old.op, new.op) {
        (Op::Compare(_, _, _, constant), Op::Compare(_, _, of, _)) => (of, constant as usize),
        (op, _) => unreachable!("{op:?} is no comparison"),
    });
    match kind {
        Kind::FloatThresholds(comparison) => {
            let thresholds = Thresholds { comparison, to, first: compared.len() as u32 };
            let (of, floats): (Vec<Reg>, Vec<usize>) = against.unzip();
            compared.extend(floats.iter().map(|at| constants.floats[*at].to_bits()));
            (Run::FloatThresholds(thresholds), Operands::Registers(of))
        }
        Kind::IntThresholds(comparison) => {
            let thresholds = Thresholds { comparison, to, first: compared.len() as u32 };
            let (of, ints): (Vec<Reg>, Vec<usize>) = against.unzip();
            compared.extend(ints.iter().map(|at| constants.ints[*at].value as u64));
            (Run::IntThresholds(thresholds), Operands::Registers(of))
        }
        Kind::Not => (Run::Not, one()),
        Kind::And => (Run::And, two()),
        Kind::Or => (Run::Or, two()),
        Kind::CompareFloats(comparison) => (Run::CompareFloats(comparison), two()),
        Kind::CompareInts(comparison) => (Run::CompareInts(comparison), two()),
        Kind::Arithmetic(f) => (Run::Arithmetic(f), two()),
        Kind::Float(f) => (Run::Float(f), one()),
        Kind::ChooseFloats(choice) => (Run::ChooseFloats(choice), two()),
        Kind::Widen => (Run::Widen, one()),
        Kind::IsNull(bank) => (Run::IsNull(bank), one()),
        Kind::Each(_) => (Run::Each, Operands::Steps(mapped)),
    }
}
