//! Operands brought to the types that a construct needs.

use datafusion::{
    common::ScalarValue,
    logical_expr::Expr,
    sql::sqlparser::ast::{self, CastKind},
};
use tarim_datamart::{Problem, Type};

use super::{
    build::{constant, null, observe, text_of, widen},
    function::{Cast, Function},
    kernel::{self, IntFn},
    names::quote,
    plan::{Planner, Typed},
};

impl Planner<'_> {
    pub(super) fn sql_cast(
        &self,
        kind: &CastKind,
        x: Typed,
        to: &ast::DataType,
        whole: &ast::Expr,
    ) -> Result<Typed, Problem> {
        let target = sql_type(to).ok_or_else(|| {
            self.place.problem(
                format!("{} casts to {to}, which is not one of the six types", quote(whole)),
                "cast to BOOLEAN, BIGINT, DOUBLE, VARCHAR, DATE or TIMESTAMP",
            )
        })?;
        // A constant that cannot be cast is a slip of the pen, unless TRY_CAST says otherwise.
        if matches!(kind, CastKind::Cast | CastKind::DoubleColon)
            && let Some(constant) = text_of(&x.expr)
            && !reads_as(constant, target)
        {
            return Err(self.place.problem(
                format!("'{constant}' is not {}", a(target)),
                format!("correct it{}", example(target)),
            ));
        }
        Ok(Typed { expr: self.cast(x, target, whole)?, ty: Some(target) })
    }

    pub(super) fn cast(&self, x: Typed, to: Type, whole: &ast::Expr) -> Result<Expr, Problem> {
        let Some(from) = x.ty else { return Ok(null(to)) };
        let call = |f, x| self.apply(f, vec![x]).expr;
        Ok(match (from, to) {
            (a, b) if a == b => x.expr,
            (Type::Int64, Type::Float64) => widen(x.expr),
            (Type::Float64, Type::Int64) => call(Function::Cast(Cast::FloatToInt), x.expr),
            (Type::Boolean, Type::Int64) => call(Function::Cast(Cast::BooleanToInt), x.expr),
            (Type::Boolean, Type::Float64) => widen(call(Function::Cast(Cast::BooleanToInt), x.expr)),
            (Type::Date32, Type::Timestamp) => call(Function::Int(IntFn::DateToTimestamp), x.expr),
            (Type::Timestamp, Type::Date32) => call(Function::Int(IntFn::TimestampToDate), x.expr),
            (from, Type::Utf8) => call(Function::Cast(Cast::ToText(from)), observe(x.expr, from)),
            (Type::Utf8, to) => call(Function::Cast(Cast::FromText(to)), x.expr),
            (from, to) => {
                let fix = match to {
                    Type::Boolean => "compare it: x <> 0",
                    Type::Int64 | Type::Float64 => "use days_between, seconds_between or date_part",
                    _ => "use a date or a timestamp",
                };
                return Err(self.place.problem(format!("{} casts {from} to {to}", quote(whole)), fix));
            }
        })
    }

    /// A boolean operand.
    pub(super) fn truth(&self, e: &ast::Expr, depth: usize) -> Result<Expr, Problem> {
        self.of_type(self.plan(e, depth)?, Type::Boolean, e)
    }

    /// An operand of any type, NaN and −0 made NULL and +0.
    pub(super) fn observed(&self, e: &ast::Expr, depth: usize) -> Result<Expr, Problem> {
        let x = self.plan(e, depth)?;
        Ok(match x.ty {
            Some(ty) => observe(x.expr, ty),
            None => null(Type::Boolean),
        })
    }

    /// A number as Float64, not observed.
    pub(super) fn number(&self, x: Typed, whole: &ast::Expr) -> Result<Expr, Problem> {
        match x.ty {
            Some(Type::Float64) => Ok(x.expr),
            Some(Type::Int64) => Ok(widen(x.expr)),
            None => Ok(null(Type::Float64)),
            Some(ty) => Err(self.place.problem(
                format!("{} calculates with {}: {}", quote(whole), a(ty), quote(&x.expr)),
                "give it a number, or CAST it AS DOUBLE",
            )),
        }
    }

    /// An operand that must be of one type (or NULL), observed.
    pub(super) fn of_type(
        &self,
        x: Typed,
        ty: Type,
        whole: &impl std::fmt::Display,
    ) -> Result<Expr, Problem> {
        match x.ty {
            Some(given) if given == ty => Ok(observe(x.expr, ty)),
            None => Ok(null(ty)),
            Some(Type::Int64) if ty == Type::Float64 => Ok(widen(x.expr)),
            Some(Type::Utf8) if text_of(&x.expr).is_some() && ty != Type::Boolean => {
                self.constant_as(&x.expr, ty)
            }
            Some(given) => Err(self.place.problem(
                format!("{} is {} where {} is needed, in {}", quote(&x.expr), a(given), a(ty), quote(whole)),
                match ty {
                    Type::Boolean => "write a condition, for instance x > 0",
                    _ => "CAST it, or use another operand",
                },
            )),
        }
    }

    /// Brings operands to one type, observed: NULL takes any, int64 widens to float64, a date to a timestamp,
    /// and a constant text is read as the date or timestamp it stands beside.
    pub(super) fn unify(&self, parts: Vec<Typed>, whole: &ast::Expr) -> Result<(Vec<Expr>, Type), Problem> {
        let mut common: Option<Type> = None;
        for part in &parts {
            let Some(ty) = part.ty else { continue };
            let constant = text_of(&part.expr).is_some();
            common = Some(match (common, ty) {
                (None, ty) => ty,
                (Some(a), b) if a == b => a,
                (Some(Type::Int64 | Type::Float64), Type::Int64 | Type::Float64) => Type::Float64,
                (Some(Type::Date32 | Type::Timestamp), Type::Date32 | Type::Timestamp) => Type::Timestamp,
                (Some(a @ (Type::Date32 | Type::Timestamp)), Type::Utf8) if constant => a,
                (Some(Type::Utf8), b @ (Type::Date32 | Type::Timestamp))
                    if parts.iter().all(|p| p.ty != Some(Type::Utf8) || text_of(&p.expr).is_some()) =>
                {
                    b
                }
                (Some(one), other) => {
                    return Err(self.place.problem(
                        format!("{} puts {} and {} together", quote(whole), a(one), a(other)),
                        "CAST one of them to the type of the other",
                    ));
                }
            });
        }
        let ty = common.unwrap_or(Type::Boolean);
        let parts = parts
            .into_iter()
            .map(|part| match part.ty {
                Some(Type::Utf8) if ty != Type::Utf8 => self.constant_as(&part.expr, ty),
                Some(from) if from == ty => Ok(observe(part.expr, ty)),
                _ => self.cast(part, ty, whole),
            })
            .collect::<Result<_, _>>()?;
        Ok((parts, ty))
    }

    /// A constant text, read as another type.
    fn constant_as(&self, expr: &Expr, ty: Type) -> Result<Expr, Problem> {
        let text = text_of(expr).unwrap_or_default();
        let value = match ty {
            Type::Date32 => kernel::parse_date(text)
                .and_then(|d| i32::try_from(d).ok())
                .map(|d| ScalarValue::Date32(Some(d))),
            Type::Timestamp => {
                kernel::parse_timestamp(text).map(|us| ScalarValue::TimestampMicrosecond(Some(us), None))
            }
            _ => None,
        };
        value.map(constant).ok_or_else(|| {
            self.place.problem(
                format!("'{text}' stands where {} is needed", a(ty)),
                format!("write {}{}", a(ty), example(ty)),
            )
        })
    }
}

/// A type with its article.
pub(super) fn a(ty: Type) -> String {
    match ty {
        Type::Int64 => format!("an {ty}"),
        _ => format!("a {ty}"),
    }
}

fn example(ty: Type) -> &'static str {
    match ty {
        Type::Date32 => ": '2026-01-31'",
        Type::Timestamp => ": '2026-01-31 10:30:00'",
        Type::Boolean => ": TRUE or FALSE",
        Type::Int64 | Type::Float64 => ", without quotes",
        Type::Utf8 => "",
    }
}

fn sql_type(ty: &ast::DataType) -> Option<Type> {
    use ast::DataType as T;
    Some(match ty {
        T::Boolean | T::Bool => Type::Boolean,
        T::TinyInt(_) | T::SmallInt(_) | T::Int(_) | T::Integer(_) | T::BigInt(_) | T::Int64 => Type::Int64,
        T::Float(_) | T::Real | T::Double(_) | T::DoublePrecision | T::Float64 => Type::Float64,
        T::Varchar(None) | T::Text | T::String(None) | T::Char(None) => Type::Utf8,
        T::Date => Type::Date32,
        T::Timestamp(None, ast::TimezoneInfo::None | ast::TimezoneInfo::WithoutTimeZone) => Type::Timestamp,
        _ => return None,
    })
}

fn reads_as(text: &str, ty: Type) -> bool {
    match ty {
        Type::Boolean => kernel::parse_boolean(text).is_some(),
        Type::Int64 => kernel::parse_int(text).is_some(),
        Type::Float64 => !kernel::parse_float(text).is_nan(),
        Type::Utf8 => true,
        Type::Date32 => kernel::parse_date(text).is_some(),
        Type::Timestamp => kernel::parse_timestamp(text).is_some(),
    }
}
