//! Operations one by one: whatever is too rare, or too much of its own kind, for a loop in [`super::runs`].

use tarim_datamart::Type;

use super::{
    Bound, Constants, dictionary,
    reads::has_code,
    registers::{Registers, Text, Truth},
    schedule::Step,
};
use crate::{
    expr::{
        kernel,
        op::{Bank, Op, Reg},
    },
    row::{Dictionary, Row},
};

/// What operations work with.
pub struct Machine<'m> {
    pub constants: &'m Constants,
    pub bound: &'m Bound,
    pub rows: &'m [Row<'m>],
    /// Texts of the relations that are not given as rows.
    pub texts: &'m Dictionary,
    pub r: &'m mut Registers,
    pub work: &'m mut String,
}

impl Machine<'_> {
    #[inline(never)]
    pub fn run(&mut self, step: &Step) {
        let to = step.to as usize;
        match step.op {
            Op::Not(a) => self.r.booleans[to] = !self.r.booleans[a as usize],
            Op::And(a, b) => {
                self.r.booleans[to] = self.r.booleans[a as usize].and(self.r.booleans[b as usize]);
            }
            Op::Or(a, b) => {
                self.r.booleans[to] = self.r.booleans[a as usize].or(self.r.booleans[b as usize]);
            }
            Op::IsTrue(a) => self.r.booleans[to] = (self.boolean(a) == Some(true)).into(),
            Op::IsFalse(a) => self.r.booleans[to] = (self.boolean(a) == Some(false)).into(),
            Op::IsNull(bank, a) => {
                self.r.booleans[to] = Truth::from(match bank {
                    Bank::Boolean => self.boolean(a).is_none(),
                    Bank::Float => self.float(a).is_nan(),
                    Bank::Int => self.int(a).is_none(),
                    Bank::Text => self.r.texts[a as usize].is_none(),
                })
            }
            Op::Compare(c, bank, a, b) => {
                self.r.booleans[to] = Truth::from(match bank {
                    Bank::Boolean => c.apply(self.boolean(a), self.boolean(b)),
                    Bank::Float => c.floats(self.float(a), self.float(b)),
                    Bank::Int => c.apply(self.int(a), self.int(b)),
                    Bank::Text => c.apply(self.text(a), self.text(b)),
                });
            }
            Op::TextIs(a, constant) => self.r.booleans[to] = self.text_is(a, constant).into(),
            Op::In(bank, a, set) => self.r.booleans[to] = self.is_in(bank, a, set as usize).into(),
            Op::Like(a, pattern) => {
                let pattern = &self.constants.patterns[pattern as usize];
                self.r.booleans[to] = self.text(a).map(|text| pattern.matches(text)).into();
            }
            Op::Test(f, a, b) => {
                let both = self.text(a).zip(self.text(b));
                self.r.booleans[to] = both.map(|(a, b)| f.apply(a, b)).into();
            }
            Op::ParseBoolean(a) => self.r.booleans[to] = self.text(a).and_then(kernel::parse_boolean).into(),

            Op::Arithmetic(f, a, b) => self.r.floats[to] = f.apply(self.float(a), self.float(b)),
            Op::Negate(a) => self.r.floats[to] = -self.float(a),
            Op::Float(f, a) => self.r.floats[to] = f.apply(self.float(a)),
            Op::Float2(f, a, b) => self.r.floats[to] = f.apply(self.float(a), self.float(b)),
            Op::Widen(a) => self.r.floats[to] = self.int(a).map_or(f64::NAN, |a| a as f64),
            Op::ParseFloat(a) => self.r.floats[to] = self.text(a).map_or(f64::NAN, kernel::parse_float),

            Op::Int(f, a) => self.r.ints[to] = self.int(a).and_then(|a| f.apply(a)).into(),
            Op::Between(f, a, b) => {
                self.r.ints[to] = self.int(a).zip(self.int(b)).and_then(|(a, b)| f.apply(a, b)).into();
            }
            Op::BooleanToInt(a) => self.r.ints[to] = self.boolean(a).map(i64::from).into(),
            Op::FloatToInt(a) => self.r.ints[to] = kernel::float_to_int(self.float(a)).into(),
            Op::Length(a) => self.r.ints[to] = self.text(a).map(kernel::length).into(),
            Op::ParseInt(a) => self.r.ints[to] = self.text(a).and_then(kernel::parse_int).into(),
            Op::ParseDate(a) => self.r.ints[to] = self.text(a).and_then(kernel::parse_date).into(),
            Op::ParseTimestamp(a) => self.r.ints[to] = self.text(a).and_then(kernel::parse_timestamp).into(),

            Op::TextKey(a, names) => self.r.ints[to] = self.text_key(a, names as usize).into(),

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
                Bank::Boolean => self.r.booleans[to] = choice.of(self.boolean(a), self.boolean(b)).into(),
                Bank::Float => self.r.floats[to] = choice.float(self.float(a), self.float(b)),
                Bank::Int => self.r.ints[to] = choice.of(self.int(a), self.int(b)).into(),
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
        self.r.booleans[a as usize].get()
    }

    #[inline]
    fn float(&self, a: Reg) -> f64 {
        self.r.floats[a as usize]
    }

    #[inline]
    fn int(&self, a: Reg) -> Option<i64> {
        self.r.ints[a as usize].get()
    }

    fn text(&self, a: Reg) -> Option<&str> {
        match self.r.texts[a as usize]? {
            Text::Code { relation, code } => dictionary(self.rows, self.texts, relation).get(code),
            Text::Buffer { start, end } => Some(&self.r.buffer[start as usize..end as usize]),
        }
    }

    fn text_is(&self, a: Reg, constant: u32) -> Option<bool> {
        Some(match self.r.texts[a as usize]? {
            Text::Code { relation, code } => self.bound.code(constant as usize, relation as usize) == code,
            Text::Buffer { start, end } => {
                self.r.buffer[start as usize..end as usize] == self.constants.texts[constant as usize]
            }
        })
    }

    fn text_key(&self, a: Reg, names: usize) -> Option<i64> {
        Some(match self.r.texts[a as usize]? {
            Text::Code { relation, code } => self.bound.keys(names, relation as usize).of(code),
            Text::Buffer { start, end } => {
                self.constants.names[names].key(&self.r.buffer[start as usize..end as usize])
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
                Text::Code { relation, code } => has_code(self.bound.set(set, relation as usize), code),
                Text::Buffer { start, end } => {
                    self.constants.has_text(set, &self.r.buffer[start as usize..end as usize])
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
