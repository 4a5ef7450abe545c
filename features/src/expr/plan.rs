//! SQL to a typed expression: the one place where the meaning of Tarim's SQL is decided.
//!
//! DataFusion's parser makes the syntax tree; this turns it into DataFusion's `Expr`, in which every type is
//! one of the six, every conversion is written out, and everything that Tarim understands in its own way
//! (see the table in [`super`]) stands as one of our own functions. Both engines start from that `Expr`.
//!
//! Beside it: [`super::call`] (functions), [`super::types`] (operands brought to types), [`super::time`] (dates
//! and intervals), [`super::build`] (pieces of `Expr`).

use datafusion::{
    common::{Column, ScalarValue},
    logical_expr::{Case, Expr, Like, Operator},
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
    build::{balanced, boolean, call_of, constant, float, in_list, int, nonzero, operator, text},
    call,
    function::Function,
    kernel::Between,
    names::quote,
    scope::{Named, Scope},
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

fn unnest(mut e: &ast::Expr) -> &ast::Expr {
    while let ast::Expr::Nested(inner) = e {
        e = inner;
    }
    e
}
