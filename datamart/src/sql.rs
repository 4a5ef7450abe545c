//! SQL expressions over rows: checks of a table, mappings of a source.

use std::{
    ops::ControlFlow,
    sync::{Arc, LazyLock},
};

use arrow::datatypes::{DataType, Schema};
use datafusion::{
    common::{
        DFSchema, DataFusionError, ScalarValue,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, NegativeExpr, lit},
    },
    prelude::SessionContext,
    sql::{
        parser::DFParser,
        sqlparser::ast::{self, visit_expressions},
    },
};

use crate::{functions, times};

/// A compiled expression, to be evaluated over batches of the schema that it was compiled for.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub expr: Arc<dyn PhysicalExpr>,
    pub ty: DataType,
}

/// Holds the functions that an expression may call; it has no tables.
static FUNCTIONS: LazyLock<SessionContext> = LazyLock::new(|| {
    let session = SessionContext::new();
    functions::register(&session);
    times::register(&session);
    session
});

/// Parses, resolves and compiles an expression over columns of `schema`; else says what is wrong.
pub(crate) fn expression(sql: &str, schema: &Schema) -> Result<Compiled, String> {
    let compile = || {
        let names = DFSchema::try_from(schema.clone())?;
        let expr = times::coerce(FUNCTIONS.parse_sql_expr(sql, &names)?, &names)?;
        let expr = checked(FUNCTIONS.create_physical_expr(expr, &names)?, schema)?;
        let ty = expr.data_type(schema)?;
        Ok(Compiled { expr, ty })
    };
    compile().map_err(|e: DataFusionError| explain(&e))
}

/// The same, but `+`, `-` (also with nothing before it) and `*` of integers whose result no integer holds fail. DataFusion's
/// wrap around: an amount of fen would be another one, and nobody would know.
fn checked(expr: Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let checked = expr.transform_up(|expr| {
        let ty = expr.data_type(schema)?;
        let binary = match (expr.downcast_ref::<BinaryExpr>(), expr.downcast_ref::<NegativeExpr>()) {
            (Some(binary), _) => binary.clone(),
            // (Of a float, −x is not 0 − x, and it never fails.)
            (_, Some(negative)) if ty.is_signed_integer() => {
                BinaryExpr::new(lit(ScalarValue::new_zero(&ty)?), Operator::Minus, negative.arg().clone())
            }
            _ => return Ok(Transformed::no(expr)),
        };
        Ok(Transformed::yes(Arc::new(binary.with_fail_on_overflow(true))))
    });
    checked.data()
}

/// Whether a text is one SQL expression, whatever its names mean; else says what is wrong.
pub(crate) fn parse_syntax(sql: &str) -> Result<(), String> {
    DFParser::parse_sql_into_expr(sql).map(|_| ()).map_err(|e| explain(&e))
}

/// The columns that an expression reads, in order of their first use, if it can be parsed: names in double
/// quotes as they stand, others in lower case.
pub(crate) fn columns_of(sql: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let Ok(parsed) = DFParser::parse_sql_into_expr(sql) else { return names };
    let _: ControlFlow<()> = visit_expressions(&parsed.expr, |expr| {
        if let ast::Expr::Identifier(name) = expr {
            let name = match name.quote_style {
                Some(_) => name.value.clone(),
                None => name.value.to_lowercase(),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        ControlFlow::Continue(())
    });
    names
}

/// The first line of an error, without what DataFusion says about itself.
pub(crate) fn explain(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.lines().next().unwrap_or_default();
    let prefixes = ["Error during planning: ", "Schema error: ", "SQL error: ", "ParserError"];
    let mut rest = text;
    for prefix in prefixes {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    rest.trim_matches(['(', ')', '"']).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch},
        datatypes::{Float64Type, Int64Type},
    };
    use datafusion::logical_expr::ColumnarValue;

    use super::*;

    /// What an expression makes of a row of the greatest integer, the smallest, and zero as a float.
    fn computed(sql: &str) -> Result<ArrayRef, String> {
        let columns = [
            ("most", Arc::new(Int64Array::from(vec![i64::MAX])) as ArrayRef),
            ("least", Arc::new(Int64Array::from(vec![i64::MIN]))),
            ("x", Arc::new(Float64Array::from(vec![0.0]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("three columns of one row");
        let compiled = expression(sql, &batch.schema())?;
        let array = |value: ColumnarValue| value.into_array(1);
        compiled.expr.evaluate(&batch).and_then(array).map_err(|e| explain(&e))
    }

    #[test]
    fn what_no_integer_holds_fails() {
        for sql in [
            "most + 1",
            "least - 1",
            "most * 2",
            "-least",
            "-(least + 0)",
            "abs(least)",
            "0 - least",
            // Nothing of it is worked out before.
            "9223372036854775807 + 1",
            "-(-9223372036854775807 - 1)",
            "most > 0 AND most + 1 > 0",
        ] {
            let error = computed(sql).expect_err(sql);
            assert!(error.to_lowercase().contains("overflow"), "{sql}: {error}");
        }
    }

    #[test]
    fn what_an_integer_holds_is_computed() {
        for (sql, expected) in
            [("-most", -i64::MAX), ("least + most", -1), ("-9223372036854775808", i64::MIN), ("-(-3)", 3)]
        {
            let integers = computed(sql).expect(sql);
            assert_eq!(integers.as_primitive::<Int64Type>().value(0), expected, "{sql}");
        }
        let zero = computed("-x").expect("no float overflows").as_primitive::<Float64Type>().value(0);
        assert!(zero == 0.0 && zero.is_sign_negative(), "−0, as floats have it");
    }

    #[test]
    fn columns_are_told_once_in_the_order_of_their_use() {
        assert_eq!(columns_of(r#"B + a * "B" - b"#), ["b", "a", "B"]);
    }
}
