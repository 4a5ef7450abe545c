//! Pieces of a shared `Expr`.

use arrow::datatypes::DataType;
use datafusion::{
    common::ScalarValue,
    logical_expr::{
        BinaryExpr, Cast, Expr, Operator,
        expr::{InList, ScalarFunction},
    },
};
use tarim_datamart::Type;

use super::{function::Function, kernel::FloatFn, plan::Typed, udf::Udf};

pub(super) fn constant(value: ScalarValue) -> Expr {
    Expr::Literal(value, None)
}

pub(super) fn null(ty: Type) -> Expr {
    constant(match ty {
        Type::Boolean => ScalarValue::Boolean(None),
        Type::Int64 => ScalarValue::Int64(None),
        Type::Float64 => ScalarValue::Float64(None),
        Type::Utf8 => ScalarValue::Utf8(None),
        Type::Date32 => ScalarValue::Date32(None),
        Type::Timestamp => ScalarValue::TimestampMicrosecond(None, None),
    })
}

pub(super) fn int(n: i64) -> Typed {
    Typed { expr: constant(ScalarValue::Int64(Some(n))), ty: Some(Type::Int64) }
}

pub(super) fn float(x: f64) -> Typed {
    Typed { expr: constant(ScalarValue::Float64(Some(x))), ty: Some(Type::Float64) }
}

pub(super) fn text(s: &str) -> Expr {
    constant(ScalarValue::Utf8(Some(s.to_owned())))
}

pub(super) fn boolean(expr: Expr) -> Typed {
    Typed { expr, ty: Some(Type::Boolean) }
}

pub(super) fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(s)), _) => Some(s),
        _ => None,
    }
}

pub(super) fn operator(a: Expr, op: Operator, b: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(a), op, Box::new(b)))
}

pub(super) fn call_of(function: Function, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Udf::of(function), args))
}

/// The function of a call that [`call_of`] made.
pub(super) fn function_of(call: &ScalarFunction) -> Option<Function> {
    call.func.inner().downcast_ref::<Udf>().map(Udf::function)
}

/// Int64 to Float64.
pub(super) fn widen(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(ScalarValue::Int64(n), m) => {
            Expr::Literal(ScalarValue::Float64(n.map(|n| n as f64)), m)
        }
        expr => Expr::Cast(Cast::new(Box::new(expr), DataType::Float64)),
    }
}

pub(super) fn nonzero(expr: Expr) -> Expr {
    match &expr {
        Expr::Literal(ScalarValue::Float64(Some(x)), _) if *x != 0.0 => expr,
        _ => call_of(Function::Float(FloatFn::NonZero), vec![expr]),
    }
}

/// Makes a Float64 fit to be looked at: NaN becomes NULL, −0 becomes +0. Whatever is so already stays.
pub(super) fn observe(expr: Expr, ty: Type) -> Expr {
    if ty != Type::Float64 || is_canonical(&expr) {
        return expr;
    }
    call_of(Function::Float(FloatFn::Canon), vec![expr])
}

fn is_canonical(expr: &Expr) -> bool {
    match expr {
        // Number literals are made canonical, and a cast from int64 gives neither NaN nor −0. A branch
        // of CASE is observed.
        Expr::Literal(..) | Expr::Cast(_) | Expr::Case(_) => true,
        Expr::ScalarFunction(call) => matches!(
            function_of(call),
            Some(
                Function::Choice(..)
                    | Function::Float(
                        FloatFn::Canon
                            | FloatFn::Abs
                            | FloatFn::Exp
                            | FloatFn::Sqrt
                            | FloatFn::Ln
                            | FloatFn::Log10
                    )
            )
        ),
        _ => false,
    }
}

/// `x IN (…)`. What is not a constant is compared one by one: DataFusion 55 evaluates an IN list over no rows
/// to find out whether it is constant, and takes a CASE, which then answers a scalar, for one.
pub(super) fn in_list(x: Expr, list: Vec<Expr>, negated: bool) -> Expr {
    let (constants, others): (Vec<Expr>, Vec<Expr>) =
        list.into_iter().partition(|e| matches!(e, Expr::Literal(..)));
    if others.is_empty() {
        return Expr::InList(InList::new(Box::new(x), constants, negated));
    }
    let mut terms: Vec<Expr> = others.into_iter().map(|e| operator(x.clone(), Operator::Eq, e)).collect();
    if !constants.is_empty() {
        terms.push(Expr::InList(InList::new(Box::new(x), constants, false)));
    }
    let found = balanced(Operator::Or, terms);
    if negated { Expr::Not(Box::new(found)) } else { found }
}

/// Terms joined by AND or OR, as a tree that is as flat as can be.
pub(super) fn balanced(op: Operator, mut terms: Vec<Expr>) -> Expr {
    while terms.len() > 1 {
        let mut pairs = terms.into_iter();
        terms = Vec::new();
        while let Some(a) = pairs.next() {
            terms.push(match pairs.next() {
                Some(b) => operator(a, op, b),
                None => a,
            });
        }
    }
    terms.pop().expect("there is a term")
}
