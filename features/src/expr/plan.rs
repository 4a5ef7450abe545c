//! SQL to a typed expression: the one place where the meaning of Tarim's SQL is decided.
//!
//! DataFusion's parser makes the syntax tree; this turns it into DataFusion's `Expr`, in which every type is
//! one of the six, every conversion is written out, and everything that Tarim understands in its own way
//! (see the table in [`super`]) stands as one of our own functions. Both engines start from that `Expr`.

use arrow::compute::kernels::cast_utils::{
    IntervalParseConfig, IntervalUnit, parse_interval_month_day_nano_config,
};
use datafusion::{
    common::{Column, ScalarValue},
    logical_expr::{
        BinaryExpr, Case, Expr, Like, Operator,
        expr::{InList, ScalarFunction},
    },
    sql::sqlparser::{
        ast::{
            self, BinaryOperator, CastKind, CeilFloorKind, DateTimeField, FunctionArg, FunctionArgExpr,
            FunctionArguments, Ident, UnaryOperator,
        },
        dialect::GenericDialect,
        parser::{Parser, ParserError},
        tokenizer::Token,
    },
};
use tarim_datamart::{Place, Problem, Type};

use super::{
    call,
    function::{Cast, Function},
    kernel::{self, Between, FloatFn, IntFn},
    names::nearest,
    scope::{Named, Scope},
    udf::Udf,
};

/// Deepest nesting of an expression; deeper ones would overflow somebody's stack.
const MAX_DEPTH: usize = 100;

/// A planned expression and its type; a bare NULL has none.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub expr: Expr,
    pub ty: Option<Type>,
}

/// Parses one SQL expression, all of it.
pub(super) fn parse(sql: &str, place: &Place) -> Result<ast::Expr, Problem> {
    let syntax = |e: ParserError| match e {
        ParserError::RecursionLimitExceeded => too_deep(place),
        ParserError::TokenizerError(m) | ParserError::ParserError(m) => {
            place.problem(format!("not an SQL expression: {m}: {}", quote(sql)), "mend the SQL")
        }
    };
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(sql).map_err(syntax)?;
    let expr = parser.parse_expr().map_err(syntax)?;
    match parser.peek_token().token {
        Token::EOF => Ok(expr),
        token => Err(place.problem(
            format!("the expression goes on after its end, at `{token}`: {}", quote(sql)),
            "write one SQL expression, without a semicolon",
        )),
    }
}

/// Plans against the names of a scope.
pub(super) struct Planner<'a> {
    pub scope: &'a Scope,
    pub place: &'a Place,
}

impl Planner<'_> {
    pub fn plan(&self, e: &ast::Expr, depth: usize) -> Result<Typed, Problem> {
        if depth > MAX_DEPTH {
            return Err(too_deep(self.place));
        }
        let depth = depth + 1;
        match e {
            ast::Expr::Nested(inner) => self.plan(inner, depth),
            ast::Expr::Value(value) => self.value(&value.value, false),
            ast::Expr::Identifier(name) => Err(self.unqualified(name)),
            ast::Expr::CompoundIdentifier(parts) => self.name(parts),
            ast::Expr::UnaryOp { op, expr } => self.unary(*op, expr, e, depth),
            ast::Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } => {
                self.junction(op, e, depth)
            }
            ast::Expr::BinaryOp { left, op, right } => self.binary(left, op, right, e, depth),
            ast::Expr::IsDistinctFrom(a, b) => self.comparison(a, Operator::IsDistinctFrom, b, e, depth),
            ast::Expr::IsNotDistinctFrom(a, b) => {
                self.comparison(a, Operator::IsNotDistinctFrom, b, e, depth)
            }
            ast::Expr::IsNull(x) => Ok(boolean(Expr::IsNull(Box::new(self.observed(x, depth)?)))),
            ast::Expr::IsNotNull(x) => Ok(boolean(Expr::IsNotNull(Box::new(self.observed(x, depth)?)))),
            ast::Expr::IsTrue(x) => Ok(boolean(Expr::IsTrue(Box::new(self.truth(x, depth)?)))),
            ast::Expr::IsNotTrue(x) => Ok(boolean(Expr::IsNotTrue(Box::new(self.truth(x, depth)?)))),
            ast::Expr::IsFalse(x) => Ok(boolean(Expr::IsFalse(Box::new(self.truth(x, depth)?)))),
            ast::Expr::IsNotFalse(x) => Ok(boolean(Expr::IsNotFalse(Box::new(self.truth(x, depth)?)))),
            ast::Expr::IsUnknown(x) => Ok(boolean(Expr::IsUnknown(Box::new(self.truth(x, depth)?)))),
            ast::Expr::IsNotUnknown(x) => Ok(boolean(Expr::IsNotUnknown(Box::new(self.truth(x, depth)?)))),
            ast::Expr::Between { expr, negated, low, high } => {
                let parts = vec![self.plan(expr, depth)?, self.plan(low, depth)?, self.plan(high, depth)?];
                let (mut parts, _) = self.unify(parts, e)?;
                let high = parts.pop().expect("three parts in, three out");
                let low = parts.pop().expect("three parts in, three out");
                let x = parts.pop().expect("three parts in, three out");
                let inside = operator(
                    operator(x.clone(), Operator::GtEq, low),
                    Operator::And,
                    operator(x, Operator::LtEq, high),
                );
                Ok(boolean(if *negated { Expr::Not(Box::new(inside)) } else { inside }))
            }
            ast::Expr::InList { expr, list, negated } => {
                let mut parts = vec![self.plan(expr, depth)?];
                for item in list {
                    parts.push(self.plan(item, depth)?);
                }
                let (mut parts, _) = self.unify(parts, e)?;
                let list = parts.split_off(1);
                let x = parts.pop().expect("the first of at least one part");
                Ok(boolean(in_list(x, list, *negated)))
            }
            ast::Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                let x = self.of_type(self.plan(expr, depth)?, Type::Utf8, expr)?;
                let pattern = self.of_type(self.plan(pattern, depth)?, Type::Utf8, pattern)?;
                let like = Like::new(*negated, Box::new(x), Box::new(pattern), None, false);
                Ok(boolean(Expr::Like(like)))
            }
            ast::Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), e, depth)
            }
            ast::Expr::Cast { kind, expr, data_type, format: None, array: false } => {
                self.sql_cast(kind, self.plan(expr, depth)?, data_type, e)
            }
            ast::Expr::TypedString(typed) => {
                let text = self.value(&typed.value.value, false)?;
                self.sql_cast(&CastKind::Cast, text, &typed.data_type, e)
            }
            ast::Expr::Extract { field, expr, .. } => {
                self.date_part(&field.to_string(), self.plan(expr, depth)?, e)
            }
            ast::Expr::Substring { expr, substring_from, substring_for, .. } => {
                let mut args = vec![self.plan(expr, depth)?];
                args.push(match substring_from {
                    Some(start) => self.plan(start, depth)?,
                    None => int(1),
                });
                if let Some(count) = substring_for {
                    args.push(self.plan(count, depth)?);
                }
                self.call("substr", args, e)
            }
            ast::Expr::Trim { trim_where: None, trim_what: None, expr, trim_characters: None } => {
                self.call("trim", vec![self.plan(expr, depth)?], e)
            }
            ast::Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.call("ceil", vec![self.plan(expr, depth)?], e)
            }
            ast::Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.call("floor", vec![self.plan(expr, depth)?], e)
            }
            ast::Expr::Function(function) => self.function(function, e, depth),
            ast::Expr::Interval(_) => Err(self.place.problem(
                format!("an interval stands alone in {}", quote(e)),
                "add it to, or take it from, a date or a timestamp: customer.opened_on + INTERVAL '3' MONTH",
            )),
            ast::Expr::Like { .. } => {
                Err(self.unsupported(e, "write LIKE with a pattern in which \\ escapes"))
            }
            ast::Expr::ILike { expr, pattern, .. } => {
                Err(self.unsupported(e, &format!("write lower({expr}) LIKE {pattern}, in lower case")))
            }
            ast::Expr::SimilarTo { .. } | ast::Expr::RLike { .. } => {
                Err(self.unsupported(e, "use LIKE, starts_with, ends_with, contains or substr"))
            }
            ast::Expr::Exists { .. } | ast::Expr::Subquery(_) | ast::Expr::InSubquery { .. } => Err(self
                .unsupported(e, "an expression sees one row of each relation; compute it in a feature view")),
            _ => Err(self.unsupported(e, "rewrite it with the constructs that RULEBOOK.md lists")),
        }
    }

    fn value(&self, value: &ast::Value, negative: bool) -> Result<Typed, Problem> {
        match value {
            ast::Value::Number(digits, _) => {
                let text = format!("{}{}", if negative { "-" } else { "" }, digits);
                if let Ok(n) = text.parse::<i64>() {
                    return Ok(int(n));
                }
                match text.parse::<f64>() {
                    Ok(x) if x.is_finite() => Ok(float(x + 0.0)),
                    _ => Err(self.place.problem(
                        format!("{text} is not a number that a float64 can hold"),
                        "write a number between -1.7e308 and 1.7e308",
                    )),
                }
            }
            ast::Value::SingleQuotedString(s) => Ok(Typed { expr: text(s.as_str()), ty: Some(Type::Utf8) }),
            ast::Value::Boolean(b) => Ok(boolean(constant(ScalarValue::Boolean(Some(*b))))),
            ast::Value::Null => Ok(Typed { expr: constant(ScalarValue::Null), ty: None }),
            other => {
                Err(self.unsupported(other, "write a number, a text in single quotes, TRUE, FALSE or NULL"))
            }
        }
    }

    fn unqualified(&self, name: &Ident) -> Problem {
        let full = self.scope.full_names_of(&name.value.to_lowercase());
        let fix = match (name.quote_style, full.as_slice()) {
            (Some(_), []) => format!("if it is a text, write it in single quotes: '{}'", name.value),
            (_, []) => "write relation.column, for instance application.amount_fen".into(),
            (_, full) => format!("write {}", full.join(" or ")),
        };
        self.place.problem(format!("{name} does not say of which relation it is"), fix)
    }

    fn name(&self, parts: &[Ident]) -> Result<Typed, Problem> {
        let full = parts.iter().map(|p| p.value.to_lowercase()).collect::<Vec<_>>().join(".");
        let [relation, name] = parts else {
            return Err(self.place.problem(format!("{full} is not a name"), "write relation.column"));
        };
        let (relation, name) = (relation.value.to_lowercase(), name.value.to_lowercase());
        let column = || Expr::Column(Column::new(Some(relation.as_str()), name.as_str()));
        match self.scope.find(&relation, &name) {
            Some(Named::Column(ty) | Named::Parameter(ty)) => Ok(Typed { expr: column(), ty: Some(ty) }),
            Some(Named::Defined(expr, ty)) => Ok(Typed { expr: expr.clone(), ty: Some(ty) }),
            None => Err(self.scope.unknown(&relation, &name, self.place)),
        }
    }

    fn unary(
        &self,
        op: UnaryOperator,
        x: &ast::Expr,
        whole: &ast::Expr,
        depth: usize,
    ) -> Result<Typed, Problem> {
        match (op, x) {
            (UnaryOperator::Not, _) => Ok(boolean(Expr::Not(Box::new(self.truth(x, depth)?)))),
            (UnaryOperator::Minus, ast::Expr::Value(v)) if matches!(v.value, ast::Value::Number(..)) => {
                self.value(&v.value, true)
            }
            (UnaryOperator::Minus, _) => {
                let x = self.number(self.plan(x, depth)?, whole)?;
                Ok(Typed { expr: Expr::Negative(Box::new(x)), ty: Some(Type::Float64) })
            }
            (UnaryOperator::Plus, _) => {
                let x = self.plan(x, depth)?;
                self.number(x.clone(), whole)?;
                Ok(x)
            }
            _ => Err(self.unsupported(whole, "use + - and NOT before an operand")),
        }
    }

    /// AND and OR: a chain of them becomes a balanced tree, so that a thousand terms are not a thousand deep.
    fn junction(&self, op: &BinaryOperator, e: &ast::Expr, depth: usize) -> Result<Typed, Problem> {
        let mut terms = Vec::new();
        let mut rest = e;
        while let ast::Expr::BinaryOp { left, op: o, right } = rest
            && o == op
        {
            terms.push(right.as_ref());
            rest = left;
        }
        terms.push(rest);
        let terms = terms.into_iter().rev().map(|t| self.truth(t, depth)).collect::<Result<Vec<_>, _>>()?;
        let op = if *op == BinaryOperator::And { Operator::And } else { Operator::Or };
        Ok(boolean(balanced(op, terms)))
    }

    fn binary(
        &self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        whole: &ast::Expr,
        depth: usize,
    ) -> Result<Typed, Problem> {
        let comparison = |op| self.comparison(left, op, right, whole, depth);
        match op {
            BinaryOperator::Eq => comparison(Operator::Eq),
            BinaryOperator::NotEq => comparison(Operator::NotEq),
            BinaryOperator::Lt => comparison(Operator::Lt),
            BinaryOperator::LtEq => comparison(Operator::LtEq),
            BinaryOperator::Gt => comparison(Operator::Gt),
            BinaryOperator::GtEq => comparison(Operator::GtEq),
            BinaryOperator::StringConcat => {
                let a = self.of_type(self.plan(left, depth)?, Type::Utf8, whole)?;
                let b = self.of_type(self.plan(right, depth)?, Type::Utf8, whole)?;
                Ok(self.apply(Function::Concat, vec![a, b]))
            }
            BinaryOperator::Plus | BinaryOperator::Minus => {
                let minus = *op == BinaryOperator::Minus;
                if let ast::Expr::Interval(interval) = unnest(right) {
                    return self.shift(self.plan(left, depth)?, interval, minus, whole);
                }
                if let (ast::Expr::Interval(interval), false) = (unnest(left), minus) {
                    return self.shift(self.plan(right, depth)?, interval, false, whole);
                }
                let (a, b) = (self.plan(left, depth)?, self.plan(right, depth)?);
                match (a.ty, b.ty) {
                    (Some(Type::Date32), Some(Type::Date32)) if minus => {
                        Ok(self.apply(Function::Between(Between::Days), vec![a.expr, b.expr]))
                    }
                    (Some(Type::Date32 | Type::Timestamp), Some(Type::Date32 | Type::Timestamp)) if minus => {
                        Err(self.place.problem(
                            format!("{} takes a timestamp from a timestamp", quote(whole)),
                            "write seconds_between(later, earlier), or CAST both AS DATE",
                        ))
                    }
                    (Some(Type::Date32 | Type::Timestamp), _) => Err(self.place.problem(
                        format!("{} adds a number to a date", quote(whole)),
                        "write how many of what: x + INTERVAL '7' DAY",
                    )),
                    _ => {
                        let op = if minus { Operator::Minus } else { Operator::Plus };
                        let (a, b) = (self.number(a, whole)?, self.number(b, whole)?);
                        Ok(Typed { expr: operator(a, op, b), ty: Some(Type::Float64) })
                    }
                }
            }
            BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo => {
                let a = self.number(self.plan(left, depth)?, whole)?;
                let b = self.number(self.plan(right, depth)?, whole)?;
                let expr = match op {
                    BinaryOperator::Multiply => operator(a, Operator::Multiply, b),
                    BinaryOperator::Divide => operator(a, Operator::Divide, nonzero(b)),
                    _ => operator(a, Operator::Modulo, nonzero(b)),
                };
                Ok(Typed { expr, ty: Some(Type::Float64) })
            }
            _ => Err(self.unsupported(whole, "use + - * / % || = <> < <= > >= AND OR")),
        }
    }

    fn comparison(
        &self,
        left: &ast::Expr,
        op: Operator,
        right: &ast::Expr,
        whole: &ast::Expr,
        depth: usize,
    ) -> Result<Typed, Problem> {
        let (mut sides, _) = self.unify(vec![self.plan(left, depth)?, self.plan(right, depth)?], whole)?;
        let b = sides.pop().expect("two sides in, two out");
        let a = sides.pop().expect("two sides in, two out");
        Ok(boolean(operator(a, op, b)))
    }

    fn case(
        &self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
        whole: &ast::Expr,
        depth: usize,
    ) -> Result<Typed, Problem> {
        let (base, whens) = match operand {
            None => {
                let whens = conditions
                    .iter()
                    .map(|c| self.truth(&c.condition, depth))
                    .collect::<Result<Vec<_>, _>>()?;
                (None, whens)
            }
            Some(operand) => {
                let mut parts = vec![self.plan(operand, depth)?];
                for c in conditions {
                    parts.push(self.plan(&c.condition, depth)?);
                }
                let (mut parts, _) = self.unify(parts, whole)?;
                let whens = parts.split_off(1);
                (parts.pop(), whens)
            }
        };
        let mut results =
            conditions.iter().map(|c| self.plan(&c.result, depth)).collect::<Result<Vec<_>, _>>()?;
        results.push(match otherwise {
            Some(e) => self.plan(e, depth)?,
            None => Typed { expr: constant(ScalarValue::Null), ty: None },
        });
        let (mut results, ty) = self.unify(results, whole)?;
        let otherwise = results.pop();
        let pairs =
            std::iter::zip(whens, results).map(|(w, t)| (Box::new(w), Box::new(t))).collect::<Vec<_>>();
        let case = Case::new(base.map(Box::new), pairs, otherwise.map(Box::new));
        Ok(Typed { expr: Expr::Case(case), ty: Some(ty) })
    }

    fn function(&self, f: &ast::Function, whole: &ast::Expr, depth: usize) -> Result<Typed, Problem> {
        let name = f.name.to_string().to_lowercase();
        call::known(&name, self.place)?;
        let FunctionArguments::List(list) = &f.args else {
            return Err(self.unsupported(whole, "write the arguments in parentheses"));
        };
        let plain = f.filter.is_none()
            && f.over.is_none()
            && f.within_group.is_empty()
            && f.null_treatment.is_none()
            && list.duplicate_treatment.is_none()
            && list.clauses.is_empty();
        if !plain {
            return Err(self.unsupported(whole, "call it with plain arguments"));
        }
        let mut args = Vec::new();
        for arg in &list.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) = arg else {
                return Err(self.unsupported(whole, "call it with plain arguments"));
            };
            args.push(self.plan(arg, depth)?);
        }
        self.call(&name, args, whole)
    }

    /// A date or timestamp plus (or minus) a constant interval.
    fn shift(
        &self,
        x: Typed,
        interval: &ast::Interval,
        minus: bool,
        whole: &ast::Expr,
    ) -> Result<Typed, Problem> {
        let wrong = |what: String| {
            self.place.problem(
                what,
                "write for instance INTERVAL '3' MONTH, INTERVAL '7 days' or INTERVAL '90' MINUTE",
            )
        };
        let value = match interval.value.as_ref() {
            ast::Expr::Value(v) => match &v.value {
                ast::Value::SingleQuotedString(s) => s.clone(),
                ast::Value::Number(n, _) => n.clone(),
                _ => return Err(wrong(format!("{} is not a constant interval", quote(interval)))),
            },
            _ => return Err(wrong(format!("{} is not a constant interval", quote(interval)))),
        };
        let value = match &interval.leading_field {
            Some(unit) => format!("{value} {unit}"),
            None => value,
        };
        let config = IntervalParseConfig::new(IntervalUnit::Second);
        let parsed = parse_interval_month_day_nano_config(&value, config)
            .map_err(|e| wrong(format!("{} is not an interval: {e}", quote(interval))))?;
        let sign = if minus { -1 } else { 1 };
        let too_long = || wrong(format!("{} is too long", quote(interval)));
        let months = parsed.months.checked_mul(sign).ok_or_else(too_long)?;
        let days = parsed.days.checked_mul(sign).ok_or_else(too_long)?;
        let us = (parsed.nanoseconds / 1000).checked_mul(i64::from(sign)).ok_or_else(too_long)?;
        if parsed.nanoseconds % 1000 != 0 {
            return Err(wrong(format!("{} is finer than a microsecond", quote(interval))));
        }
        match x.ty {
            Some(Type::Timestamp) => {
                Ok(self.apply(Function::Int(IntFn::ShiftTimestamp { months, days, us }), vec![x.expr]))
            }
            Some(Type::Date32) if us != 0 => Err(self.place.problem(
                format!("{} adds a time of day to a date", quote(whole)),
                "CAST the date AS TIMESTAMP first, or use whole days",
            )),
            Some(Type::Date32) => {
                Ok(self.apply(Function::Int(IntFn::ShiftDate { months, days }), vec![x.expr]))
            }
            other => Err(wrong(format!(
                "{} adds an interval to {}",
                quote(whole),
                other.map_or("NULL".into(), |t| t.to_string())
            ))),
        }
    }

    fn sql_cast(
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

    pub(super) fn date_part(&self, part: &str, x: Typed, whole: &ast::Expr) -> Result<Typed, Problem> {
        let part = part.to_lowercase();
        let found = kernel::Part::ALL.iter().find(|(name, _)| *name == part.trim_end_matches('s'));
        let Some((_, found)) = found.or_else(|| kernel::Part::ALL.iter().find(|(name, _)| *name == part))
        else {
            let names = kernel::Part::ALL.map(|(name, _)| name);
            return Err(self.place.problem(
                format!("{part} is not a part of a date"),
                format!("use one of {}", names.join(", ")),
            ));
        };
        match x.ty {
            Some(Type::Date32) => Ok(self.apply(Function::Int(IntFn::DatePart(*found)), vec![x.expr])),
            Some(Type::Timestamp) => {
                Ok(self.apply(Function::Int(IntFn::TimestampPart(*found)), vec![x.expr]))
            }
            other => Err(self.place.problem(
                format!("{} takes a part of {}", quote(whole), other.map_or("NULL".into(), a)),
                "give it a date or a timestamp",
            )),
        }
    }

    /// A boolean operand.
    fn truth(&self, e: &ast::Expr, depth: usize) -> Result<Expr, Problem> {
        self.of_type(self.plan(e, depth)?, Type::Boolean, e)
    }

    /// An operand of any type, NaN and −0 made NULL and +0.
    fn observed(&self, e: &ast::Expr, depth: usize) -> Result<Expr, Problem> {
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

    pub(super) fn apply(&self, function: Function, args: Vec<Expr>) -> Typed {
        Typed { expr: call_of(function, args), ty: Some(function.result()) }
    }

    fn unsupported(&self, what: &impl std::fmt::Display, fix: &str) -> Problem {
        self.place.problem(format!("{} is not supported", quote(what)), fix)
    }
}

fn too_deep(place: &Place) -> Problem {
    place.problem(
        format!("the expression is nested more than {MAX_DEPTH} deep"),
        "name parts of it as variables (let.x), or use a decision table",
    )
}

/// SQL text for a message, cut to a readable length.
pub(super) fn quote(sql: &(impl std::fmt::Display + ?Sized)) -> String {
    const LONGEST: usize = 90;
    let sql = sql.to_string();
    match sql.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("`{}…`", &sql[..at]),
        None => format!("`{sql}`"),
    }
}

/// A type with its article.
fn a(ty: Type) -> String {
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

fn unnest(mut e: &ast::Expr) -> &ast::Expr {
    while let ast::Expr::Nested(inner) = e {
        e = inner;
    }
    e
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

fn float(x: f64) -> Typed {
    Typed { expr: constant(ScalarValue::Float64(Some(x))), ty: Some(Type::Float64) }
}

pub(super) fn text(s: &str) -> Expr {
    constant(ScalarValue::Utf8(Some(s.to_owned())))
}

fn boolean(expr: Expr) -> Typed {
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
        expr => Expr::Cast(datafusion::logical_expr::Cast::new(
            Box::new(expr),
            arrow::datatypes::DataType::Float64,
        )),
    }
}

/// `x IN (…)`. What is not a constant is compared one by one: DataFusion 55 evaluates an IN list over no rows
/// to find out whether it is constant, and takes a CASE, which then answers a scalar, for one.
fn in_list(x: Expr, list: Vec<Expr>, negated: bool) -> Expr {
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
fn balanced(op: Operator, mut terms: Vec<Expr>) -> Expr {
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

fn nonzero(expr: Expr) -> Expr {
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

/// A suggestion for an unknown word, as the end of a fix.
pub(super) fn suggestion<'c>(word: &str, known: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest(word, known).map(|n| format!("did you mean {n}?"))
}
