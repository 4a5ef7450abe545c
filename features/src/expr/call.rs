//! What an analyst may call, and what each call means.

use datafusion::sql::sqlparser::ast;
use tarim_datamart::{Place, Problem, Type};

use super::{
    build::{int, observe, text, text_of},
    function::{Choice, Function},
    kernel::{Between, Float2Fn, FloatFn, TextFn, TextTest},
    names::{quote, suggestion},
    plan::{Planner, Typed},
};

/// Every function, with its usage.
pub(super) const FUNCTIONS: [(&str, &str); 32] = [
    ("abs", "abs(number)"),
    ("ceil", "ceil(number)"),
    ("ceiling", "ceiling(number)"),
    ("char_length", "char_length(text)"),
    ("character_length", "character_length(text)"),
    ("coalesce", "coalesce(value, value, …)"),
    ("concat", "concat(text, text, …)"),
    ("contains", "contains(text, part)"),
    ("date_part", "date_part('year', date)"),
    ("days_between", "days_between(later, earlier)"),
    ("ends_with", "ends_with(text, part)"),
    ("exp", "exp(number)"),
    ("extract", "extract(year FROM date)"),
    ("floor", "floor(number)"),
    ("greatest", "greatest(value, value, …)"),
    ("least", "least(value, value, …)"),
    ("length", "length(text)"),
    ("ln", "ln(number)"),
    ("log10", "log10(number)"),
    ("lower", "lower(text)"),
    ("months_between", "months_between(later, earlier)"),
    ("nullif", "nullif(value, value)"),
    ("pow", "pow(number, exponent)"),
    ("power", "power(number, exponent)"),
    ("round", "round(number) or round(number, decimals)"),
    ("seconds_between", "seconds_between(later, earlier)"),
    ("sqrt", "sqrt(number)"),
    ("starts_with", "starts_with(text, part)"),
    ("substr", "substr(text, start) or substr(text, start, count)"),
    ("substring", "substring(text, start, count)"),
    ("trim", "trim(text)"),
    ("upper", "upper(text)"),
];

/// Refuses a function that does not exist, before its arguments are looked at.
pub(super) fn known(name: &str, place: &Place) -> Result<(), Problem> {
    if FUNCTIONS.iter().any(|(n, _)| *n == name) {
        return Ok(());
    }
    let names: Vec<&str> = FUNCTIONS.iter().map(|(n, _)| *n).collect();
    let hint = match name {
        "now" | "current_date" | "current_timestamp" | "random" | "uuid" => {
            Some("a decision must replay: take the time from a field of the application".into())
        }
        "sum" | "count" | "avg" | "min" | "max" | "stddev" => Some(
            "an expression sees one row: aggregate in a feature view (greatest, least compare values)".into(),
        ),
        "if" | "iif" | "ifnull" | "nvl" | "isnull" => {
            Some("write CASE WHEN … THEN … ELSE … END, or coalesce".into())
        }
        _ => suggestion(name, names.iter().copied()),
    };
    let list = format!("the functions are {}", names.join(", "));
    Err(place.problem(
        format!("there is no function {name}"),
        hint.map_or(list.clone(), |hint| format!("{hint} ({list})")),
    ))
}

impl Planner<'_> {
    pub(super) fn call(&self, name: &str, args: Vec<Typed>, whole: &ast::Expr) -> Result<Typed, Problem> {
        let count = args.len();
        let wrong_count = || {
            let usage = FUNCTIONS.iter().find(|(n, _)| *n == name).map_or(name, |(_, usage)| usage);
            self.place.problem(
                format!("{} has {count} argument{}", quote(whole), if count == 1 { "" } else { "s" }),
                format!("write {usage}"),
            )
        };
        let mut rest = args.into_iter();
        let mut next = || rest.next().ok_or_else(wrong_count);
        let number = |x: Typed| Ok(observe(self.number(x, whole)?, Type::Float64));
        let float = |f: FloatFn, x: Typed| Ok(self.apply(Function::Float(f), vec![number(x)?]));
        let texts = |f: Function, x: Typed| Ok(self.apply(f, vec![self.of_type(x, Type::Utf8, whole)?]));
        let out: Result<Typed, Problem> = match name {
            "abs" => float(FloatFn::Abs, next()?),
            "ceil" | "ceiling" => float(FloatFn::Ceil, next()?),
            "exp" => float(FloatFn::Exp, next()?),
            "floor" => float(FloatFn::Floor, next()?),
            "ln" => float(FloatFn::Ln, next()?),
            "log10" => float(FloatFn::Log10, next()?),
            "sqrt" => float(FloatFn::Sqrt, next()?),
            "round" if count == 1 => float(FloatFn::Round, next()?),
            "round" => {
                let args = vec![number(next()?)?, number(next()?)?];
                Ok(self.apply(Function::Float2(Float2Fn::RoundTo), args))
            }
            "power" | "pow" => {
                let args = vec![number(next()?)?, number(next()?)?];
                Ok(self.apply(Function::Float2(Float2Fn::Power), args))
            }
            "lower" => texts(Function::Text(TextFn::Lower), next()?),
            "upper" => texts(Function::Text(TextFn::Upper), next()?),
            "trim" => texts(Function::Text(TextFn::Trim), next()?),
            "length" | "char_length" | "character_length" => texts(Function::Length, next()?),
            "starts_with" | "ends_with" | "contains" => {
                let test = match name {
                    "starts_with" => TextTest::StartsWith,
                    "ends_with" => TextTest::EndsWith,
                    _ => TextTest::Contains,
                };
                let args = vec![
                    self.of_type(next()?, Type::Utf8, whole)?,
                    self.of_type(next()?, Type::Utf8, whole)?,
                ];
                Ok(self.apply(Function::Test(test), args))
            }
            "substr" | "substring" => {
                let x = self.of_type(next()?, Type::Utf8, whole)?;
                let start = self.of_type(next()?, Type::Int64, whole)?;
                let count = if count == 2 { int(i64::MAX) } else { next()? };
                let count = self.of_type(count, Type::Int64, whole)?;
                Ok(self.apply(Function::Substr, vec![x, start, count]))
            }
            // Unlike `||`, concat takes NULL for the empty text.
            "concat" => {
                let mut piece = || {
                    let x = self.of_type(next()?, Type::Utf8, whole)?;
                    let or_empty = Function::Choice(Choice::Coalesce, Type::Utf8);
                    Ok::<_, Problem>(self.apply(or_empty, vec![x, text("")]))
                };
                let mut all = piece()?;
                for _ in 1..count {
                    all = self.apply(Function::Concat, vec![all.expr, piece()?.expr]);
                }
                Ok(all)
            }
            "coalesce" | "greatest" | "least" | "nullif" => {
                let choice = match name {
                    "coalesce" => Choice::Coalesce,
                    "greatest" => Choice::Greatest,
                    "least" => Choice::Least,
                    _ if count != 2 => return Err(wrong_count()),
                    _ => Choice::NullIf,
                };
                let mut parts = vec![next()?];
                while let Ok(part) = next() {
                    parts.push(part);
                }
                let (parts, ty) = self.unify(parts, whole)?;
                if ty == Type::Boolean && matches!(choice, Choice::Greatest | Choice::Least) {
                    return Err(self.place.problem(
                        format!("{} compares booleans", quote(whole)),
                        "write OR for the greatest and AND for the least",
                    ));
                }
                let mut parts = parts.into_iter();
                let first = parts.next().expect("at least one part");
                Ok(parts.fold(Typed { expr: first, ty: Some(ty) }, |all, part| {
                    self.apply(Function::Choice(choice, ty), vec![all.expr, part])
                }))
            }
            "date_part" | "extract" => {
                let part = next()?;
                let Some(part) = text_of(&part.expr).map(str::to_owned) else {
                    return Err(wrong_count());
                };
                self.date_part(&part, next()?, whole)
            }
            "days_between" | "months_between" | "seconds_between" => {
                let (f, ty) = match name {
                    "days_between" => (Between::Days, Type::Date32),
                    "months_between" => (Between::Months, Type::Date32),
                    _ => (Between::Seconds, Type::Timestamp),
                };
                let mut moment = || {
                    let x = next()?;
                    match x.ty {
                        Some(Type::Date32 | Type::Timestamp) => self.cast(x, ty, whole),
                        _ => self.of_type(x, ty, whole),
                    }
                };
                let args = vec![moment()?, moment()?];
                Ok(self.apply(Function::Between(f), args))
            }
            _ => unreachable!("{name} is listed but not planned"),
        };
        let out = out?;
        if rest.next().is_some() {
            return Err(wrong_count());
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::expr::Scope;

    #[test]
    fn every_function_is_planned_and_knows_its_usage() {
        let scope = Scope::new(vec![]);
        let place = Place::file(Path::new("rules.toml"));
        for (name, usage) in FUNCTIONS {
            assert!(usage.starts_with(name));
            let refused = scope.parse(&format!("{name}()"), &place).unwrap_err();
            // What has a syntax of its own does not even parse without arguments.
            let syntax = ["ceil", "extract", "floor", "substr", "substring", "trim"].contains(&name);
            assert!(syntax || refused.fix == format!("write {usage}"), "{refused}");
        }
        assert!(FUNCTIONS.is_sorted(), "keep the list in order: people read it");
    }
}
