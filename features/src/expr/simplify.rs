//! Simplifying an expression, so that what is unknown stays unknown.
//!
//! DataFusion makes one IN list of two over one operand, and a list of equalities, without asking whether the operand
//! can be NULL: `x IN ('a') AND x IN ('b')` is FALSE to it, also where x is unknown. So each comparison is simplified by itself, and a
//! placeholder stands for it in what it is a part of: something that is TRUE, FALSE or NULL, and no more is known of it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::{
    common::{
        DFSchemaRef,
        tree_node::{Transformed, TreeNode},
    },
    error::DataFusionError,
    logical_expr::{Expr, Operator, expr::Placeholder, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
};

/// Folds constants and simplifies.
pub(super) fn simplify(expr: Expr, schema: &DFSchemaRef) -> Result<Expr, DataFusionError> {
    let context = SimplifyContext::builder().with_schema(schema.clone()).build();
    let simplifier = ExprSimplifier::new(context);
    let mut aside = Aside::default();
    let rest = expr.transform_up(|node| {
        let alone = match node {
            Expr::Not(negated) => match aside.find(&negated) {
                Some(comparison) => Expr::Not(Box::new(comparison.clone())),
                None => return Ok(Transformed::no(Expr::Not(negated))),
            },
            node if compares(&node) => node,
            node => return Ok(Transformed::no(node)),
        };
        Ok(Transformed::yes(aside.put(simplifier.simplify(alone)?)))
    })?;
    let simplified = simplifier.simplify(rest.data)?;
    let whole = simplified.transform_down(|node| {
        Ok(match aside.find(&node) {
            Some(comparison) => Transformed::yes(comparison.clone()),
            None => Transformed::no(node),
        })
    })?;
    Ok(whole.data)
}

/// Whether it is something of which DataFusion may make an IN list.
fn compares(expr: &Expr) -> bool {
    match expr {
        Expr::InList(_) | Expr::Like(_) | Expr::Between(_) => true,
        Expr::BinaryExpr(binary) => matches!(
            binary.op,
            Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom
        ),
        _ => false,
    }
}

/// Comparisons that placeholders stand for. They may have placeholders of others in them.
#[derive(Default)]
struct Aside(Vec<Expr>);

impl Aside {
    /// What stands for a comparison: the same for the same. What turned out to be a constant stands for itself.
    fn put(&mut self, comparison: Expr) -> Expr {
        if matches!(comparison, Expr::Literal(..) | Expr::Placeholder(_)) {
            return comparison;
        }
        let at = self.0.iter().position(|known| *known == comparison).unwrap_or_else(|| {
            self.0.push(comparison);
            self.0.len() - 1
        });
        let field = Field::new("comparison", DataType::Boolean, true);
        Expr::Placeholder(Placeholder::new_with_field(at.to_string(), Some(Arc::new(field))))
    }

    /// The comparison that an expression stands for.
    fn find(&self, expr: &Expr) -> Option<&Expr> {
        let Expr::Placeholder(placeholder) = expr else { return None };
        self.0.get(placeholder.id.parse::<usize>().ok()?)
    }
}
