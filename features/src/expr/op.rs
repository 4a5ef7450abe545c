//! The operations of the row program.

use std::cmp::Ordering;

use datafusion::logical_expr::Operator;
use tarim_datamart::Type;

use super::{
    function::Choice,
    kernel::{Between, Float2Fn, FloatFn, IntFn, TextFn, TextTest},
};

/// Registers of one kind lie together: dates and timestamps are integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Bank {
    Boolean,
    Float,
    Int,
    Text,
}

impl Bank {
    #[inline]
    pub fn of(ty: Type) -> Self {
        match ty {
            Type::Boolean => Bank::Boolean,
            Type::Float64 => Bank::Float,
            Type::Int64 | Type::Date32 | Type::Timestamp => Bank::Int,
            Type::Utf8 => Bank::Text,
        }
    }
}

/// Index of a register in its bank.
pub(super) type Reg = u32;

/// One operation. Its operands are registers (of the bank that it works on) or indexes of constants that
/// the program keeps; its result goes to a register of [`Op::bank`]. Every operation answers for every
/// input, so all of them are always run and none jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    // → boolean
    Not(Reg),
    And(Reg, Reg),
    Or(Reg, Reg),
    IsTrue(Reg),
    IsFalse(Reg),
    IsNull(Bank, Reg),
    Compare(Comparison, Bank, Reg, Reg),
    /// A text equals a constant: by code where the text is one.
    TextIs(Reg, u32),
    /// Is among the constants of a set.
    In(Bank, Reg, u32),
    Like(Reg, u32),
    Test(TextTest, Reg, Reg),
    ParseBoolean(Reg),
    // → float
    Arithmetic(Arithmetic, Reg, Reg),
    Negate(Reg),
    Float(FloatFn, Reg),
    Float2(Float2Fn, Reg, Reg),
    Widen(Reg),
    ParseFloat(Reg),
    // → int
    Int(IntFn, Reg),
    Between(Between, Reg, Reg),
    BooleanToInt(Reg),
    FloatToInt(Reg),
    Length(Reg),
    ParseInt(Reg),
    ParseDate(Reg),
    ParseTimestamp(Reg),
    /// A text's key among some names that the program keeps.
    TextKey(Reg, u32),
    // → text
    Text(TextFn, Reg),
    Concat(Reg, Reg),
    Substr(Reg, Reg, Reg),
    /// A value of a type (not utf8) as text.
    Write(Type, Reg),
    // → the bank named
    Choose(Choice, Bank, Reg, Reg),
    /// The second if the first (a boolean) is TRUE, else the third.
    Select(Bank, Reg, Reg, Reg),
}

impl Op {
    /// The bank of its result.
    pub fn bank(self) -> Bank {
        match self {
            Op::Not(_)
            | Op::And(..)
            | Op::Or(..)
            | Op::IsTrue(_)
            | Op::IsFalse(_)
            | Op::IsNull(..)
            | Op::Compare(..)
            | Op::TextIs(..)
            | Op::In(..)
            | Op::Like(..)
            | Op::Test(..)
            | Op::ParseBoolean(_) => Bank::Boolean,
            Op::Arithmetic(..)
            | Op::Negate(_)
            | Op::Float(..)
            | Op::Float2(..)
            | Op::Widen(_)
            | Op::ParseFloat(_) => Bank::Float,
            Op::Int(..)
            | Op::Between(..)
            | Op::BooleanToInt(_)
            | Op::FloatToInt(_)
            | Op::Length(_)
            | Op::ParseInt(_)
            | Op::ParseDate(_)
            | Op::ParseTimestamp(_)
            | Op::TextKey(..) => Bank::Int,
            Op::Text(..) | Op::Concat(..) | Op::Substr(..) | Op::Write(..) => Bank::Text,
            Op::Choose(_, bank, ..) | Op::Select(bank, ..) => bank,
        }
    }

    /// The same operation on other registers: `f` is given each operand with its bank.
    pub fn map(self, mut f: impl FnMut(Bank, Reg) -> Reg) -> Self {
        use Bank::{Boolean, Float, Int, Text};
        match self {
            Op::Not(a) => Op::Not(f(Boolean, a)),
            Op::And(a, b) => Op::And(f(Boolean, a), f(Boolean, b)),
            Op::Or(a, b) => Op::Or(f(Boolean, a), f(Boolean, b)),
            Op::IsTrue(a) => Op::IsTrue(f(Boolean, a)),
            Op::IsFalse(a) => Op::IsFalse(f(Boolean, a)),
            Op::IsNull(bank, a) => Op::IsNull(bank, f(bank, a)),
            Op::Compare(c, bank, a, b) => Op::Compare(c, bank, f(bank, a), f(bank, b)),
            Op::TextIs(a, constant) => Op::TextIs(f(Text, a), constant),
            Op::In(bank, a, set) => Op::In(bank, f(bank, a), set),
            Op::Like(a, pattern) => Op::Like(f(Text, a), pattern),
            Op::Test(t, a, b) => Op::Test(t, f(Text, a), f(Text, b)),
            Op::ParseBoolean(a) => Op::ParseBoolean(f(Text, a)),
            Op::Arithmetic(x, a, b) => Op::Arithmetic(x, f(Float, a), f(Float, b)),
            Op::Negate(a) => Op::Negate(f(Float, a)),
            Op::Float(x, a) => Op::Float(x, f(Float, a)),
            Op::Float2(x, a, b) => Op::Float2(x, f(Float, a), f(Float, b)),
            Op::Widen(a) => Op::Widen(f(Int, a)),
            Op::ParseFloat(a) => Op::ParseFloat(f(Text, a)),
            Op::Int(x, a) => Op::Int(x, f(Int, a)),
            Op::Between(x, a, b) => Op::Between(x, f(Int, a), f(Int, b)),
            Op::BooleanToInt(a) => Op::BooleanToInt(f(Boolean, a)),
            Op::FloatToInt(a) => Op::FloatToInt(f(Float, a)),
            Op::Length(a) => Op::Length(f(Text, a)),
            Op::ParseInt(a) => Op::ParseInt(f(Text, a)),
            Op::ParseDate(a) => Op::ParseDate(f(Text, a)),
            Op::ParseTimestamp(a) => Op::ParseTimestamp(f(Text, a)),
            Op::TextKey(a, names) => Op::TextKey(f(Text, a), names),
            Op::Text(x, a) => Op::Text(x, f(Text, a)),
            Op::Concat(a, b) => Op::Concat(f(Text, a), f(Text, b)),
            Op::Substr(a, start, count) => Op::Substr(f(Text, a), f(Int, start), f(Int, count)),
            Op::Write(ty, a) => Op::Write(ty, f(Bank::of(ty), a)),
            Op::Choose(choice, bank, a, b) => Op::Choose(choice, bank, f(bank, a), f(bank, b)),
            Op::Select(bank, when, a, b) => Op::Select(bank, f(Boolean, when), f(bank, a), f(bank, b)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    pub fn of(op: Operator) -> Option<Self> {
        Some(match op {
            Operator::Plus => Arithmetic::Add,
            Operator::Minus => Arithmetic::Subtract,
            Operator::Multiply => Arithmetic::Multiply,
            Operator::Divide => Arithmetic::Divide,
            Operator::Modulo => Arithmetic::Remainder,
            _ => return None,
        })
    }

    #[inline]
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Arithmetic::Add => a + b,
            Arithmetic::Subtract => a - b,
            Arithmetic::Multiply => a * b,
            Arithmetic::Divide => a / b,
            Arithmetic::Remainder => a % b,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Comparison {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    /// As NotEq and Eq, but NULL is a value like any other.
    Distinct,
    NotDistinct,
}

impl Comparison {
    pub fn of(op: Operator) -> Option<Self> {
        Some(match op {
            Operator::Eq => Comparison::Eq,
            Operator::NotEq => Comparison::NotEq,
            Operator::Lt => Comparison::Lt,
            Operator::LtEq => Comparison::LtEq,
            Operator::Gt => Comparison::Gt,
            Operator::GtEq => Comparison::GtEq,
            Operator::IsDistinctFrom => Comparison::Distinct,
            Operator::IsNotDistinctFrom => Comparison::NotDistinct,
            _ => return None,
        })
    }

    /// The comparison of the same two the other way round.
    pub fn mirrored(self) -> Self {
        match self {
            Comparison::Lt => Comparison::Gt,
            Comparison::LtEq => Comparison::GtEq,
            Comparison::Gt => Comparison::Lt,
            Comparison::GtEq => Comparison::LtEq,
            same => same,
        }
    }

    #[inline]
    pub fn apply<T: PartialOrd>(self, a: Option<T>, b: Option<T>) -> Option<bool> {
        match (self, a, b) {
            (_, Some(a), Some(b)) => a.partial_cmp(&b).map(|o| self.holds(o)),
            (Comparison::Distinct, a, b) => Some(a.is_some() || b.is_some()),
            (Comparison::NotDistinct, a, b) => Some(a.is_none() && b.is_none()),
            _ => None,
        }
    }

    /// Floats, where NaN is NULL.
    #[inline]
    pub fn floats(self, a: f64, b: f64) -> Option<bool> {
        match a.partial_cmp(&b) {
            Some(o) => Some(self.holds(o)),
            None => match self {
                Comparison::Distinct => Some(!(a.is_nan() && b.is_nan())),
                Comparison::NotDistinct => Some(a.is_nan() && b.is_nan()),
                _ => None,
            },
        }
    }

    /// Of two known values in this order.
    #[inline]
    pub fn holds(self, o: Ordering) -> bool {
        match self {
            Comparison::Eq | Comparison::NotDistinct => o.is_eq(),
            Comparison::NotEq | Comparison::Distinct => o.is_ne(),
            Comparison::Lt => o.is_lt(),
            Comparison::LtEq => o.is_le(),
            Comparison::Gt => o.is_gt(),
            Comparison::GtEq => o.is_ge(),
        }
    }
}
