//! SQL expressions over rows: checks of a table, mappings of a source.

use std::{
    ops::ControlFlow,
    sync::{Arc, LazyLock},
};

use arrow::datatypes::{DataType, Schema};
use datafusion::{
    common::{
        DFSchema, DataFusionError,
        tree_node::{Transformed, TransformedResult, TreeNode},
    },
    physical_expr::{PhysicalExpr, expressions::BinaryExpr},
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
        let expr = checked(FUNCTIONS.create_physical_expr(expr, &names)?)?;
        let ty = expr.data_type(schema)?;
        Ok(Compiled { expr, ty })
    };
    compile().map_err(|e: DataFusionError| explain(&e))
}

/// The same, but `+`, `-` and `*` of integers whose result no integer holds fail. DataFusion's wrap around: an amount of fen
/// would be another one, and nobody would know.
fn checked(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let checked = expr.transform_up(|expr| {
        Ok(match expr.downcast_ref::<BinaryExpr>() {
            Some(binary) => Transformed::yes(Arc::new(binary.clone().with_fail_on_overflow(true))),
            None => Transformed::no(expr),
        })
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
