//! `+`, `-` and `*` of integers: a result that no int64 holds is told.
//!
//! DataFusion's wrap around. Where they can, they are computed in decimals of 38 digits, which hold whatever two int64 make, and
//! the result is an int64 again, NULL if it is none. That NULL is not enough: an aggregate passes it over, and so do coalesce and
//! CASE. So there is an expression beside that says whether it came to that.
//!
//! Most arithmetic cannot overflow (`12 * date_part('year', as_of) + 1`), and stays as it is.

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, ScalarValue, plan_err, tree_node::TreeNode},
    error::Result,
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, Operator, cast, lit, try_cast,
        type_coercion::binary::BinaryTypeCoercer,
    },
};

/// Every int64 is one.
const DECIMAL: DataType = DataType::Decimal128(20, 0);

/// How far from zero an int64 can be.
const INT64: u128 = 1 << 63;

/// The operation at the top of an expression, such that it does not wrap around; if it can overflow, whether it does is pushed.
/// Its operands have been treated so.
pub(super) fn checked(expr: Expr, scope: &DFSchema, overflows: &mut Vec<Expr>) -> Result<Expr> {
    let Some(ty) = type_of_operands(&expr, scope)? else { return Ok(expr) };
    let all_fit = reach(&expr, scope) < INT64;
    if all_fit && ty == DataType::Int64 {
        return Ok(expr);
    }
    let is_constant =
        expr.column_refs().is_empty() && !expr.exists(|e| Ok(matches!(e, Expr::AggregateFunction(_))))?;
    if !all_fit && is_constant {
        return plan_err!("`{expr}` is beyond the integers (int64)");
    }
    let to = if all_fit { DataType::Int64 } else { DECIMAL };
    let operand = |e: Expr| -> Result<Expr> {
        let e = if e.get_type(scope)? == ty { e } else { cast(e, ty.clone()) };
        Ok(if ty == to { e } else { cast(e, to.clone()) })
    };
    let exact = match expr {
        Expr::BinaryExpr(b) => {
            let (left, right) = (operand(*b.left)?, operand(*b.right)?);
            Expr::BinaryExpr(BinaryExpr::new(Box::new(left), b.op, Box::new(right)))
        }
        Expr::Negative(e) => Expr::Negative(Box::new(operand(*e)?)),
        other => other,
    };
    if all_fit {
        return Ok(exact);
    }
    overflows.push(is_no_int64(exact.clone()));
    Ok(try_cast(exact, DataType::Int64))
}

/// Whether an operation in an expression can overflow.
pub(crate) fn can_overflow(expr: &Expr, scope: &DFSchema) -> bool {
    // What is computed without a sign can as well.
    expr.exists(|e| Ok(type_of_operands(e, scope)?.is_some() && reach(e, scope) >= INT64)).unwrap_or(true)
}

/// Whether an integer, as a decimal, is beyond int64.
pub(super) fn is_no_int64(decimal: Expr) -> Expr {
    let end = |n: i64| lit(ScalarValue::Decimal128(Some(n.into()), 20, 0));
    decimal.clone().lt(end(i64::MIN)).or(decimal.gt(end(i64::MAX)))
}

/// The integers that an operation takes; None if it is none of ours, or takes something else.
fn type_of_operands(expr: &Expr, scope: &DFSchema) -> Result<Option<DataType>> {
    let ty = match expr {
        Expr::BinaryExpr(b) if matches!(b.op, Operator::Plus | Operator::Minus | Operator::Multiply) => {
            match (b.left.get_type(scope), b.right.get_type(scope)) {
                (Ok(left), Ok(right)) => BinaryTypeCoercer::new(&left, &b.op, &right).get_input_types(),
                _ => return Ok(None),
            }
        }
        Expr::Negative(e) => e.get_type(scope).map(|ty| (ty.clone(), ty)),
        _ => return Ok(None),
    };
    match ty {
        // What is wrong with types is told when all of it is planned.
        Err(_) => Ok(None),
        Ok((left, right)) if left != right => Ok(None),
        Ok((DataType::UInt64, _)) => {
            plan_err!("`{expr}` is computed without a sign: write CAST(… AS BIGINT)")
        }
        Ok((ty, _)) => Ok(ty.is_integer().then_some(ty)),
    }
}

/// How far from zero an expression can be.
fn reach(expr: &Expr, scope: &DFSchema) -> u128 {
    let of = |e: &Expr| reach(e, scope);
    match expr {
        Expr::Literal(ScalarValue::Int64(Some(n)), _) => n.unsigned_abs().into(),
        Expr::BinaryExpr(b) if matches!(b.op, Operator::Plus | Operator::Minus) => {
            of(&b.left).saturating_add(of(&b.right))
        }
        Expr::BinaryExpr(b) if b.op == Operator::Multiply => of(&b.left).saturating_mul(of(&b.right)),
        Expr::Negative(e) => of(e),
        Expr::Cast(c) if *c.field.data_type() == DataType::Int64 => of(&c.expr).min(INT64),
        Expr::Case(c) => {
            let values = c.when_then_expr.iter().map(|(_, then)| then).chain(&c.else_expr);
            values.map(|value| of(value)).max().unwrap_or(0)
        }
        other => match other.get_type(scope) {
            Ok(DataType::Null) => 0,
            Ok(DataType::Int8) => 1 << 7,
            Ok(DataType::UInt8) => 1 << 8,
            Ok(DataType::Int16) => 1 << 15,
            Ok(DataType::UInt16) => 1 << 16,
            Ok(DataType::Int32) => 1 << 31,
            Ok(DataType::UInt32) => 1 << 32,
            Ok(DataType::Int64) => INT64,
            _ => u128::MAX,
        },
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::datatypes::{Field, Schema, TimeUnit},
        common::tree_node::Transformed,
        prelude::SessionContext,
    };

    use super::*;

    /// What an expression becomes, and how many operations in it can overflow.
    fn treated(sql: &str) -> Result<(Expr, Expr, usize)> {
        let columns = [
            ("a", DataType::Int64),
            ("b", DataType::Int64),
            ("i", DataType::Int32),
            ("x", DataType::Float64),
            ("t", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ];
        let columns = columns.map(|(name, ty)| Field::new(name, ty, true));
        let scope = DFSchema::try_from(Schema::new(columns.to_vec()))?;
        let expr = SessionContext::new().parse_sql_expr(sql, &scope)?;
        let mut overflows = Vec::new();
        let new =
            expr.clone().transform_up(|e| checked(e, &scope, &mut overflows).map(Transformed::yes))?.data;
        assert_eq!(can_overflow(&expr, &scope), !overflows.is_empty(), "{sql}");
        Ok((expr, new, overflows.len()))
    }

    #[test]
    fn what_cannot_overflow_stays_as_it_is() {
        for sql in [
            "a > 5 AND b IS NULL",
            "x + a * 2.5 - 1",
            "a / b",
            "t - INTERVAL '90' DAY",
            "t - t",
            "100 * 10000 < a",
            "12 * CAST(i AS BIGINT) + 1",
            "CAST(i AS BIGINT) * CAST(i AS BIGINT) - 1",
            "CAST(i AS BIGINT) - CASE WHEN a < b THEN 1 ELSE 0 END",
            "-CAST(i AS BIGINT)",
            "-9223372036854775808 < a",
            "CAST(a AS DOUBLE) * b",
        ] {
            let (old, new, overflows) = treated(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
            assert_eq!((new, overflows), (old, 0), "{sql}");
        }
    }

    #[test]
    fn what_can_overflow_is_told() {
        for (sql, n) in [
            ("a + b", 1),
            ("a - 1", 1),
            ("a * 12", 1),
            ("-a", 1),
            ("i + a", 1),
            ("(a + b) * a", 2),
            ("CASE WHEN a + 1 > 5 THEN -a ELSE b END", 2),
            ("CAST(i AS BIGINT) * i * i", 1),
            ("x + a * b", 1),
            ("coalesce(a * 2, 0) BETWEEN a - b AND 5", 2),
        ] {
            let (old, new, overflows) = treated(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
            assert_eq!(overflows, n, "{sql}: {new}");
            assert_ne!(new, old, "{sql}");
        }
        let (_, new, overflows) = treated("i * i").unwrap();
        assert_eq!((new.to_string().as_str(), overflows), ("CAST(i AS Int64) * CAST(i AS Int64)", 0));
    }

    #[test]
    fn what_is_beyond_the_integers_is_refused() {
        for (sql, says) in [
            ("a > 9223372036854775807 + 1", "beyond the integers"),
            ("CAST(a AS BIGINT UNSIGNED) + CAST(b AS BIGINT UNSIGNED)", "without a sign"),
        ] {
            let error = treated(sql).expect_err(sql).strip_backtrace();
            assert!(error.contains(says), "{sql}: {error}");
        }
    }
}
