//! What steps leave behind: results for later steps, and findings for the decision.

use tarim_datamart::{Type, ValueRef};
use tarim_features::{
    expr::{Answers, ExprId, Given},
    row::Dictionary,
};

use super::table::Pick;
use crate::outcome::Effect;

/// One value of a step's result. Texts are codes in the rulebook's own dictionary.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Out {
    #[default]
    Null,
    Boolean(bool),
    Int64(i64),
    Float64(f64),
    Text(u32),
    Date32(i32),
    Timestamp(i64),
}

impl Out {
    /// For the register that a later step reads it from.
    pub fn given(self) -> Given {
        match self {
            Out::Null => Given::Null,
            Out::Boolean(b) => Given::Boolean(b),
            Out::Int64(i) => Given::Int64(i),
            Out::Float64(x) => Given::Float64(x),
            Out::Text(code) => Given::Text(code),
            Out::Date32(d) => Given::Date32(d),
            Out::Timestamp(t) => Given::Timestamp(t),
        }
    }

    /// The value, with its text looked up.
    pub fn value(self, texts: &Dictionary) -> ValueRef<'_> {
        match self {
            Out::Null => ValueRef::Null,
            Out::Boolean(b) => ValueRef::Boolean(b),
            Out::Int64(i) => ValueRef::Int64(i),
            Out::Float64(x) => ValueRef::Float64(x),
            Out::Text(code) => texts.get(code).map_or(ValueRef::Null, ValueRef::Utf8),
            Out::Date32(d) => ValueRef::Date32(d),
            Out::Timestamp(t) => ValueRef::Timestamp(t),
        }
    }
}

/// What a step found that a decision must tell. No words: those are put to it when it is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// Index of the step in its plan.
    pub step: usize,
    pub what: What,
    pub effect: Effect,
}

/// What a finding is about; indices are into the step's own logic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    RuleFired(usize),
    RuleUnknown(usize),
    /// A table of which no row applies.
    NoRow,
    /// A table, limit or rate that could not be worked out.
    Unknown,
    /// A characteristic without a bin for its value.
    NoBin(usize),
    Lost {
        characteristic: usize,
        bin: usize,
        points: f64,
    },
    BelowMin,
    /// Of a limit: exposure limits leave less, nothing that could be granted, or nobody knows how much.
    Capped,
    NoRoom,
    RoomUnknown,
}

impl What {
    /// Of a characteristic that lost some.
    pub fn points_lost(self) -> Option<f64> {
        match self {
            What::Lost { points, .. } => Some(points),
            _ => None,
        }
    }
}

/// Reused from step to step: what a step writes its result and findings to.
#[derive(Debug, Default)]
pub struct Work {
    /// Results of all steps so far, one behind the other; of each one value for each column of its relation.
    pub out: Vec<Out>,
    /// Where the result of the step that runs now, or ran last, begins.
    pub began: usize,
    pub findings: Vec<Finding>,
    /// Index of the step that runs now.
    pub step: usize,
    /// A decision of an earlier release is made again, which did not round the points of a scorecard.
    pub unrounded_points: bool,
    pub(super) keys: Vec<Option<i64>>,
    pub(super) picks: Vec<Pick>,
    pub(super) bins: Vec<Option<usize>>,
}

impl Work {
    /// Forgets the application before.
    pub fn clear(&mut self) {
        self.findings.clear();
        self.out.clear();
        self.began = 0;
    }

    /// The result of the step that ran last.
    #[inline]
    pub fn left(&self) -> &[Out] {
        &self.out[self.began..]
    }

    #[inline]
    pub(super) fn find(&mut self, what: What, effect: Effect) {
        self.findings.push(Finding { step: self.step, what, effect });
    }
}

/// A number for arithmetic, whatever its type; None when unknown.
pub(super) fn number(answers: &impl Answers, id: ExprId, ty: Type) -> Option<f64> {
    match ty {
        Type::Int64 => answers.int(id).map(|i| i as f64),
        _ => answers.float(id).filter(|x| !x.is_nan()),
    }
}
