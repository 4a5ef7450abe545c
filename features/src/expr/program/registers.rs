//! What a program works in: registers, a bank for each kind of value.

use super::dictionary;
use crate::{
    expr::op::{Bank, Reg},
    row::{Dictionary, Row},
};

/// FALSE, unknown or TRUE, ordered so that Kleene's AND is the least of two, OR the greatest, and NOT the
/// mirror image: no branch in any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Truth(u8);

impl Truth {
    pub const UNKNOWN: Self = Self(1);
    pub const TRUE: Self = Self(2);

    /// Unknown unless `known`. Where it is not, `holds` must be false.
    #[inline]
    pub fn of(known: bool, holds: bool) -> Self {
        debug_assert!(known || !holds);
        Self(u8::from(holds) << 1 | u8::from(!known))
    }

    #[inline]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    #[inline]
    pub fn or(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// Of up to eight a byte each, the first the lowest, that is 0 where it is FALSE.
    #[inline]
    pub fn not_false(truths: &[Self]) -> u64 {
        match <[Self; 8]>::try_from(truths) {
            Ok(eight) => u64::from_le_bytes(eight.map(|truth| truth.0)),
            Err(_) => truths.iter().rev().fold(0, |bytes, truth| bytes << 8 | u64::from(truth.0)),
        }
    }

    /// The same that is not 0 where it is TRUE.
    #[inline]
    pub fn are_true(truths: &[Self]) -> u64 {
        Self::not_false(truths) & u64::from_le_bytes([Self::TRUE.0; 8])
    }

    #[inline]
    pub fn get(self) -> Option<bool> {
        match self {
            Self::UNKNOWN => None,
            known => Some(known == Self::TRUE),
        }
    }
}

impl std::ops::Not for Truth {
    type Output = Self;

    #[inline]
    fn not(self) -> Self {
        Self(2 - self.0)
    }
}

impl From<bool> for Truth {
    #[inline]
    fn from(b: bool) -> Self {
        Self(u8::from(b) << 1)
    }
}

impl From<Option<bool>> for Truth {
    #[inline]
    fn from(b: Option<bool>) -> Self {
        b.map_or(Self::UNKNOWN, Self::from)
    }
}

/// An integer, a date or a timestamp. Two fields instead of an `Option`, so that the value can be worked
/// with before it is looked at whether it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Int {
    pub value: i64,
    pub known: bool,
}

impl Int {
    #[inline]
    pub fn get(self) -> Option<i64> {
        self.known.then_some(self.value)
    }
}

impl From<Option<i64>> for Int {
    #[inline]
    fn from(i: Option<i64>) -> Self {
        Self { value: i.unwrap_or(0), known: i.is_some() }
    }
}

/// A float by its bits, or NaN, without a branch: whether a value is known cannot be predicted.
#[inline]
pub fn known_or_nan(bits: u64, known: bool) -> f64 {
    f64::from_bits(bits | u64::from(known).wrapping_sub(1))
}

/// A text: never copied out of a dictionary before it must be.
#[derive(Clone, Copy, Debug)]
pub enum Text {
    /// By code in the dictionary of a relation's row.
    Code { relation: u32, code: u32 },
    /// By range in the buffer.
    Buffer { start: u32, end: u32 },
}

/// All registers of a program. A NULL float is NaN: arithmetic then needs no test for NULL, and NaN *is* NULL
/// in our meaning.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    pub booleans: Vec<Truth>,
    pub floats: Vec<f64>,
    pub ints: Vec<Int>,
    pub texts: Vec<Option<Text>>,
    /// What texts of the second kind point into: constants, texts of the rows' own tails, computed texts.
    pub buffer: String,
}

/// What the registers of a program are before anything is read: its constants, which are the first of each bank.
#[derive(Debug, Default)]
pub struct Start {
    pub booleans: Box<[Truth]>,
    pub floats: Box<[f64]>,
    pub ints: Box<[Int]>,
    pub texts: Box<[Option<Text>]>,
    /// What the texts point into.
    pub buffer: String,
}

impl Registers {
    /// They become those of a program, so many of each bank. Only constants are written: a program computes every other
    /// register, or has it put, before it reads it. (A thread that works for a hundred programs in turn would else copy more
    /// than it computes.)
    pub fn begin(&mut self, start: &Start, lens: [u32; 4]) {
        // One by one: they are few, and to copy them as a block is a call.
        fn begin<T: Copy>(bank: &mut Vec<T>, constants: &[T], len: u32, null: T) {
            if bank.len() < len as usize {
                bank.resize(len as usize, null);
            }
            for (to, constant) in bank.iter_mut().zip(constants) {
                *to = *constant;
            }
        }
        let [booleans, floats, ints, texts] = lens;
        begin(&mut self.booleans, &start.booleans, booleans, Truth::UNKNOWN);
        begin(&mut self.floats, &start.floats, floats, f64::NAN);
        begin(&mut self.ints, &start.ints, ints, Int::default());
        begin(&mut self.texts, &start.texts, texts, None);
        self.buffer.clear();
        self.buffer.push_str(&start.buffer);
    }

    /// Adds a register that holds NULL.
    pub fn add(&mut self, bank: Bank) -> Reg {
        let len = match bank {
            Bank::Boolean => {
                self.booleans.push(Truth::UNKNOWN);
                self.booleans.len()
            }
            Bank::Float => {
                self.floats.push(f64::NAN);
                self.floats.len()
            }
            Bank::Int => {
                self.ints.push(Int::default());
                self.ints.len()
            }
            Bank::Text => {
                self.texts.push(None);
                self.texts.len()
            }
        };
        (len - 1) as Reg
    }

    /// Adds a register that holds the same as another.
    pub fn copy(&mut self, bank: Bank, register: Reg) -> Reg {
        let (at, copy) = (register as usize, self.add(bank));
        let to = copy as usize;
        match bank {
            Bank::Boolean => self.booleans[to] = self.booleans[at],
            Bank::Float => self.floats[to] = self.floats[at],
            Bank::Int => self.ints[to] = self.ints[at],
            Bank::Text => self.texts[to] = self.texts[at],
        }
        copy
    }

    pub fn set_null(&mut self, bank: Bank, register: Reg) {
        let at = register as usize;
        match bank {
            Bank::Boolean => self.booleans[at] = Truth::UNKNOWN,
            Bank::Float => self.floats[at] = f64::NAN,
            Bank::Int => self.ints[at] = Int::default(),
            Bank::Text => self.texts[at] = None,
        }
    }

    /// Registers of each bank become NULL.
    pub fn set_nulls(&mut self, [booleans, floats, ints, texts]: &[Box<[Reg]>; 4]) {
        fn set<T: Copy>(bank: &mut [T], registers: &[Reg], null: T) {
            for register in registers {
                bank[*register as usize] = null;
            }
        }
        set(&mut self.booleans, booleans, Truth::UNKNOWN);
        set(&mut self.floats, floats, f64::NAN);
        set(&mut self.ints, ints, Int::default());
        set(&mut self.texts, texts, None);
    }

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

    /// Moves the text of a register into the buffer, where it outlives the rows.
    pub fn keep(&mut self, register: Reg, rows: &[Row<'_>], texts: &Dictionary) {
        if let Some(Text::Code { relation, code }) = self.texts[register as usize] {
            let text = dictionary(rows, texts, relation).get(code).unwrap_or_default();
            self.texts[register as usize] = Some(self.push(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Truth;

    #[test]
    fn kleene() {
        let all = [Some(false), None, Some(true)];
        for a in all {
            assert_eq!((!Truth::from(a)).get(), a.map(|a| !a));
            for b in all {
                let and = if a == Some(false) || b == Some(false) { Some(false) } else { a.and(b) };
                let or =
                    if a == Some(true) || b == Some(true) { Some(true) } else { a.and(b).and(Some(false)) };
                assert_eq!(Truth::from(a).and(b.into()).get(), and, "{a:?} AND {b:?}");
                assert_eq!(Truth::from(a).or(b.into()).get(), or, "{a:?} OR {b:?}");
            }
        }
    }
}
