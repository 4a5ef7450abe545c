//! From a shared `Expr` to operations. Equal operations become one (hash-consing).

use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, Operator, expr::ScalarFunction},
};
use hashbrown::HashMap;
use tarim_datamart::{Place, Problem, Type};

use super::{
    build::function_of,
    function::{Cast, Function},
    kernel::{FloatFn, LikePattern},
    names::quote,
    op::{Arithmetic, Bank, Comparison, Op, Reg},
    parsed::column_ref,
    program::{Column, Draft, Inlet, Names, Output, PartDraft, Program, Step},
    scope::Relations,
};

/// Whether an expression can run as a row program.
pub(super) fn verify(relations: &Relations, expr: &Expr, place: &Place) -> Result<(), Problem> {
    Builder::new(relations, usize::MAX).expr(expr).map(|_| ()).map_err(|e| e.at(place))
}

/// Builds a program, part by part.
pub(super) struct Builder<'a> {
    relations: &'a Relations,
    /// So many relations are given as rows, the first ones; others are computed between parts.
    given: usize,
    draft: Draft,
    /// The part that expressions are added to.
    part: PartDraft,
    known_columns: HashMap<(usize, usize), Reg>,
    known_ops: HashMap<Op, Reg>,
    known_constants: HashMap<(Bank, Option<Vec<u8>>), Reg>,
}

/// What the row program cannot run.
pub(super) struct Unsupported {
    what: String,
    fix: &'static str,
}

impl Unsupported {
    fn new(expr: &Expr) -> Self {
        Self {
            what: format!("{} cannot run as a row program", quote(expr)),
            fix: "rewrite it with the constructs that RULEBOOK.md lists",
        }
    }

    pub fn at(self, place: &Place) -> Problem {
        place.problem(self.what, self.fix)
    }
}

type Compiled<T> = Result<T, Unsupported>;

impl<'a> Builder<'a> {
    /// The first `given` relations are given as rows, others are computed between parts.
    pub fn new(relations: &'a Relations, given: usize) -> Self {
        Self {
            relations,
            given,
            draft: Draft::default(),
            part: PartDraft::default(),
            known_columns: HashMap::new(),
            known_ops: HashMap::new(),
            known_constants: HashMap::new(),
        }
    }

    /// Adds an expression whose answer will be read; with `names`, a text that will be asked for by its key: the
    /// index of its name.
    pub fn output(&mut self, expr: &Expr, ty: Type, names: Option<&[String]>) -> Compiled<()> {
        let (_, mut from) = self.expr(expr)?;
        if let Some(names) = names {
            let names = position(&mut self.draft.constants.names, Names::new(names));
            from = self.op(Op::TextKey(from, names));
        }
        self.part.outputs.push(Output { ty, from, keyed: names.is_some() });
        Ok(())
    }

    /// What follows belongs to the next part, before which the relation `puts` is put.
    pub fn end_part(&mut self, puts: Option<usize>) {
        self.part.puts = puts.map(|relation| relation as u32);
        self.draft.parts.push(std::mem::take(&mut self.part));
    }

    pub fn finish(self) -> Program {
        self.draft.schedule(self.relations.clone(), self.given)
    }

    /// Compiles an expression; gives the register of its value.
    pub fn expr(&mut self, expr: &Expr) -> Compiled<(Bank, Reg)> {
        let op = match expr {
            Expr::Column(_) => return self.column(expr),
            Expr::Literal(value, _) => return self.literal(value).ok_or_else(|| Unsupported::new(expr)),
            Expr::Alias(alias) => return self.expr(&alias.expr),
            Expr::Not(x) => Op::Not(self.boolean(x)?),
            Expr::IsNull(x) => {
                let (bank, x) = self.expr(uncanon(x))?;
                Op::IsNull(bank, x)
            }
            Expr::IsNotNull(x) => {
                let (bank, x) = self.expr(uncanon(x))?;
                Op::Not(self.op(Op::IsNull(bank, x)))
            }
            Expr::IsTrue(x) => Op::IsTrue(self.boolean(x)?),
            Expr::IsNotTrue(x) => {
                let x = self.boolean(x)?;
                Op::Not(self.op(Op::IsTrue(x)))
            }
            Expr::IsFalse(x) => Op::IsFalse(self.boolean(x)?),
            Expr::IsNotFalse(x) => {
                let x = self.boolean(x)?;
                Op::Not(self.op(Op::IsFalse(x)))
            }
            Expr::IsUnknown(x) => Op::IsNull(Bank::Boolean, self.boolean(x)?),
            Expr::IsNotUnknown(x) => {
                let x = self.boolean(x)?;
                Op::Not(self.op(Op::IsNull(Bank::Boolean, x)))
            }
            Expr::Negative(x) => Op::Negate(self.float(x)?),
            Expr::BinaryExpr(b) => self.binary(&b.left, b.op, &b.right, expr)?,
            Expr::Between(b) => {
                let low = self.compare(&b.expr, Comparison::GtEq, &b.low, expr)?;
                let low = self.op(low);
                let high = self.compare(&b.expr, Comparison::LtEq, &b.high, expr)?;
                let high = self.op(high);
                let inside = Op::And(low, high);
                if b.negated { Op::Not(self.op(inside)) } else { inside }
            }
            Expr::InList(list) => {
                let found = self.in_list(&list.expr, &list.list, expr)?;
                if !list.negated {
                    return Ok((Bank::Boolean, found));
                }
                Op::Not(found)
            }
            Expr::Like(like) => {
                if like.case_insensitive || like.escape_char.is_some() {
                    return Err(Unsupported::new(expr));
                }
                let Expr::Literal(ScalarValue::Utf8(Some(pattern)), _) = like.pattern.as_ref() else {
                    return Err(Unsupported {
                        what: format!("the pattern of {} is not a constant", quote(expr)),
                        fix: "write the pattern as a text or a parameter, or use starts_with, ends_with or contains",
                    });
                };
                let x = self.of_bank(&like.expr, Bank::Text)?;
                let pattern = position(&mut self.draft.constants.patterns, LikePattern::new(pattern));
                let matches = Op::Like(x, pattern);
                if like.negated { Op::Not(self.op(matches)) } else { matches }
            }
            Expr::Case(case) => {
                let (_, first) = case.when_then_expr.first().ok_or_else(|| Unsupported::new(expr))?;
                let (bank, _) = self.expr(first)?;
                let mut value = match &case.else_expr {
                    Some(e) => self.of_bank(e, bank)?,
                    None => self.null(bank),
                };
                for (when, then) in case.when_then_expr.iter().rev() {
                    let condition = match &case.expr {
                        Some(base) => {
                            let same = self.compare(base, Comparison::Eq, when, expr)?;
                            self.op(same)
                        }
                        None => self.boolean(when)?,
                    };
                    let then = self.of_bank(then, bank)?;
                    value = self.op(Op::Select(bank, condition, then, value));
                }
                return Ok((bank, value));
            }
            Expr::Cast(cast) => match (Type::from_arrow(cast.field.data_type()), self.expr(&cast.expr)?) {
                (Some(Type::Float64), (Bank::Int, x)) => Op::Widen(x),
                _ => return Err(Unsupported::new(expr)),
            },
            Expr::ScalarFunction(call) => self.call(call, expr)?,
            _ => return Err(Unsupported::new(expr)),
        };
        Ok((op.bank(), self.op(op)))
    }

    fn binary(&mut self, a: &Expr, operator: Operator, b: &Expr, whole: &Expr) -> Compiled<Op> {
        if let Some(f) = Arithmetic::of(operator) {
            return Ok(Op::Arithmetic(f, self.float(a)?, self.float(b)?));
        }
        match operator {
            Operator::And => Ok(Op::And(self.boolean(a)?, self.boolean(b)?)),
            Operator::Or => Ok(Op::Or(self.boolean(a)?, self.boolean(b)?)),
            _ => match Comparison::of(operator) {
                Some(c) => self.compare(a, c, b, whole),
                None => Err(Unsupported::new(whole)),
            },
        }
    }

    fn compare(&mut self, a: &Expr, c: Comparison, b: &Expr, whole: &Expr) -> Compiled<Op> {
        // Comparisons of floats take NaN for NULL and −0 for 0 by themselves.
        let (a, b) = (uncanon(a), uncanon(b));
        if matches!(c, Comparison::Eq | Comparison::NotEq) {
            for (x, y) in [(a, b), (b, a)] {
                if let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = y {
                    let x = self.of_bank(x, Bank::Text)?;
                    let text = self.text_constant(text);
                    let same = Op::TextIs(x, text);
                    return Ok(if c == Comparison::Eq { same } else { Op::Not(self.op(same)) });
                }
            }
        }
        let (bank, x) = self.expr(a)?;
        let (other, y) = self.expr(b)?;
        if bank != other {
            return Err(Unsupported::new(whole));
        }
        Ok(Op::Compare(c, bank, x, y))
    }

    /// Constants of the list become a set; the others are compared one by one.
    fn in_list(&mut self, x: &Expr, list: &[Expr], whole: &Expr) -> Compiled<Reg> {
        let (bank, reg) = self.expr(uncanon(x))?;
        let mut found: Option<Reg> = None;
        let mut add = |builder: &mut Self, op: Op| {
            let one = builder.op(op);
            found = Some(match found {
                Some(found) => builder.op(Op::Or(found, one)),
                None => one,
            });
        };
        let (mut ints, mut floats, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for item in list {
            match item {
                Expr::Literal(ScalarValue::Int64(Some(n)), _) if bank == Bank::Int => ints.push(*n),
                Expr::Literal(ScalarValue::Date32(Some(d)), _) if bank == Bank::Int => ints.push((*d).into()),
                Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), None), _) if bank == Bank::Int => {
                    ints.push(*us);
                }
                Expr::Literal(ScalarValue::Float64(Some(f)), _) if bank == Bank::Float && !f.is_nan() => {
                    floats.push(f + 0.0);
                }
                Expr::Literal(ScalarValue::Utf8(Some(s)), _) if bank == Bank::Text => {
                    texts.push(self.text_constant(s));
                }
                item => {
                    let op = self.compare(x, Comparison::Eq, item, whole)?;
                    add(self, op);
                }
            }
        }
        if !ints.is_empty() {
            ints.sort_unstable();
            let set = position(&mut self.draft.constants.int_sets, ints);
            add(self, Op::In(bank, reg, set));
        }
        if !floats.is_empty() {
            floats.sort_unstable_by(f64::total_cmp);
            let set = position(&mut self.draft.constants.float_sets, floats);
            add(self, Op::In(bank, reg, set));
        }
        if !texts.is_empty() {
            texts.sort_unstable_by_key(|t| &self.draft.constants.texts[*t as usize]);
            let set = position(&mut self.draft.constants.text_sets, texts);
            add(self, Op::In(bank, reg, set));
        }
        found.ok_or_else(|| Unsupported::new(whole))
    }

    fn call(&mut self, call: &ScalarFunction, whole: &Expr) -> Compiled<Op> {
        let function = function_of(call).ok_or_else(|| Unsupported::new(whole))?;
        let types = function.arguments();
        if types.len() != call.args.len() {
            return Err(Unsupported::new(whole));
        }
        let args = std::iter::zip(&call.args, types)
            .map(|(arg, ty)| self.of_bank(arg, Bank::of(ty)))
            .collect::<Compiled<Vec<Reg>>>()?;
        let a = args[0];
        Ok(match function {
            Function::Float(f) => Op::Float(f, a),
            Function::Float2(f) => Op::Float2(f, a, args[1]),
            Function::Int(f) => Op::Int(f, a),
            Function::Between(f) => Op::Between(f, a, args[1]),
            Function::Text(f) => Op::Text(f, a),
            Function::Test(f) => Op::Test(f, a, args[1]),
            Function::Concat => Op::Concat(a, args[1]),
            Function::Substr => Op::Substr(a, args[1], args[2]),
            Function::Length => Op::Length(a),
            Function::Cast(Cast::BooleanToInt) => Op::BooleanToInt(a),
            Function::Cast(Cast::FloatToInt) => Op::FloatToInt(a),
            Function::Cast(Cast::ToText(Type::Utf8) | Cast::FromText(Type::Utf8)) => {
                return Err(Unsupported::new(whole));
            }
            Function::Cast(Cast::ToText(from)) => Op::Write(from, a),
            Function::Cast(Cast::FromText(Type::Boolean)) => Op::ParseBoolean(a),
            Function::Cast(Cast::FromText(Type::Int64)) => Op::ParseInt(a),
            Function::Cast(Cast::FromText(Type::Float64)) => Op::ParseFloat(a),
            Function::Cast(Cast::FromText(Type::Date32)) => Op::ParseDate(a),
            Function::Cast(Cast::FromText(Type::Timestamp)) => Op::ParseTimestamp(a),
            Function::Choice(choice, ty) => Op::Choose(choice, Bank::of(ty), a, args[1]),
        })
    }

    fn boolean(&mut self, expr: &Expr) -> Compiled<Reg> {
        self.of_bank(expr, Bank::Boolean)
    }

    fn float(&mut self, expr: &Expr) -> Compiled<Reg> {
        self.of_bank(expr, Bank::Float)
    }

    fn of_bank(&mut self, expr: &Expr, bank: Bank) -> Compiled<Reg> {
        let (given, reg) = self.expr(expr)?;
        if given == bank { Ok(reg) } else { Err(Unsupported::new(expr)) }
    }

    fn column(&mut self, expr: &Expr) -> Compiled<(Bank, Reg)> {
        let column = column_ref(self.relations, expr).ok_or_else(|| Unsupported::new(expr))?;
        let layout = &self.relations[column.relation].1;
        let bank = Bank::of(layout.columns()[column.column].ty);
        let slot = layout.slot(column.column);
        let key = (column.relation, column.column);
        if let Some(reg) = self.known_columns.get(&key) {
            return Ok((bank, *reg));
        }
        let to = self.draft.registers.add(bank);
        self.known_columns.insert(key, to);
        let relation = column.relation as u32;
        if column.relation >= self.given {
            self.draft.inlets.insert(key, Inlet { relation, bank, to, widened: false });
        } else {
            self.part.columns.push(Column { relation, slot, to, widened: false });
        }
        Ok((bank, to))
    }

    fn literal(&mut self, value: &ScalarValue) -> Option<(Bank, Reg)> {
        let (bank, bytes) = match value {
            ScalarValue::Boolean(b) => (Bank::Boolean, b.map(|b| vec![u8::from(b)])),
            ScalarValue::Float64(x) => (Bank::Float, x.map(|x| x.to_bits().to_le_bytes().to_vec())),
            ScalarValue::Int64(n) => (Bank::Int, n.map(|n| n.to_le_bytes().to_vec())),
            ScalarValue::Date32(d) => (Bank::Int, d.map(|d| i64::from(d).to_le_bytes().to_vec())),
            ScalarValue::TimestampMicrosecond(us, None) => {
                (Bank::Int, us.map(|us| us.to_le_bytes().to_vec()))
            }
            ScalarValue::Utf8(s) => (Bank::Text, s.as_ref().map(|s| s.clone().into_bytes())),
            _ => return None,
        };
        let key = (bank, bytes);
        if let Some(reg) = self.known_constants.get(&key) {
            return Some((bank, *reg));
        }
        let r = &mut self.draft.registers;
        let reg = r.add(bank);
        let at = reg as usize;
        match value {
            ScalarValue::Boolean(b) => r.booleans[at] = (*b).into(),
            ScalarValue::Float64(x) => r.floats[at] = x.unwrap_or(f64::NAN),
            ScalarValue::Int64(n) => r.ints[at] = (*n).into(),
            ScalarValue::Date32(d) => r.ints[at] = d.map(i64::from).into(),
            ScalarValue::TimestampMicrosecond(us, _) => r.ints[at] = (*us).into(),
            ScalarValue::Utf8(s) => r.texts[at] = s.as_ref().map(|s| r.push(s)),
            _ => {}
        }
        self.known_constants.insert(key, reg);
        Some((bank, reg))
    }

    fn null(&mut self, bank: Bank) -> Reg {
        if let Some(reg) = self.known_constants.get(&(bank, None)) {
            return *reg;
        }
        // A fresh register is NULL.
        let reg = self.draft.registers.add(bank);
        self.known_constants.insert((bank, None), reg);
        reg
    }

    fn text_constant(&mut self, text: &str) -> u32 {
        position(&mut self.draft.constants.texts, text.to_owned())
    }

    /// Adds an operation, unless it is there already.
    fn op(&mut self, op: Op) -> Reg {
        // The answer to `a AND b` is that to `b AND a`.
        let op = match op {
            Op::And(a, b) => Op::And(a.min(b), a.max(b)),
            Op::Or(a, b) => Op::Or(a.min(b), a.max(b)),
            op => op,
        };
        if let Some(reg) = self.known_ops.get(&op) {
            return *reg;
        }
        let to = self.draft.registers.add(op.bank());
        self.known_ops.insert(op, to);
        self.part.steps.push(Step { op, to });
        to
    }
}

/// An operand of something that takes NaN for NULL and −0 for 0 by itself.
fn uncanon(expr: &Expr) -> &Expr {
    match expr {
        Expr::ScalarFunction(call) if function_of(call) == Some(Function::Float(FloatFn::Canon)) => {
            uncanon(&call.args[0])
        }
        expr => expr,
    }
}

/// Index of an item, which is added if it is new.
fn position<T: PartialEq>(items: &mut Vec<T>, item: T) -> u32 {
    let at = items.iter().position(|i| *i == item).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    });
    at as u32
}
