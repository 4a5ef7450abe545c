//! Expressions between text and program: with open parameters, then checked.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchemaRef, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, ExprSchemable, Operator},
};
use tarim_datamart::{Place, Problem, Type, Value};

use super::{
    build::{balanced, constant, null},
    compile,
    names::quote,
    scope::{ColumnRef, Named, Relations, Scope},
    simplify::simplify,
};

/// Most nodes of an expression, its variables written out.
const MAX_NODES: usize = 20_000;
/// Deepest nesting of an expression, its variables written out.
const MAX_DEPTH: usize = 200;

/// A typed expression with parameters still open.
#[derive(Clone, Debug)]
pub struct Parsed {
    expr: Expr,
    ty: Type,
    columns: Vec<ColumnRef>,
    /// By full name (`param.x`): the name alone, and the type.
    parameters: BTreeMap<String, (String, Type)>,
    relations: Relations,
    schema: DFSchemaRef,
    place: Place,
}

/// An expression that both engines can run: constants folded, simplified, every construct supported.
#[derive(Clone, Debug)]
pub struct Checked {
    pub(super) expr: Expr,
    ty: Type,
    columns: Vec<ColumnRef>,
    place: Place,
}

impl Parsed {
    pub(super) fn new(scope: &Scope, expr: Expr, ty: Type, place: Place) -> Self {
        let mut parameters = BTreeMap::new();
        visit(&expr, |node| {
            if let Expr::Column(c) = node
                && let Some(relation) = c.relation.as_ref().map(|r| r.table())
                && let Some(Named::Parameter(ty)) = scope.find(relation, &c.name)
            {
                parameters.insert(format!("{relation}.{}", c.name), (c.name.clone(), ty));
            }
        });
        let relations = scope.shared_relations().clone();
        let columns = columns_of(&relations, &expr);
        Self { expr, ty, columns, parameters, relations, schema: scope.schema().clone(), place }
    }

    pub fn ty(&self) -> Type {
        self.ty
    }

    /// The columns it reads, each once, in order of relation and column. Parameters are not among them.
    pub fn columns(&self) -> &[ColumnRef] {
        &self.columns
    }

    /// The names (without relation) and types of the parameters it uses.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Type)> {
        self.parameters.values().map(|(name, ty)| (name.as_str(), *ty))
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Puts values in the place of parameters (by name, without their relation), folds constants, simplifies,
    /// and checks that the row program can run what remains. An int64 may stand for a float64.
    pub fn with(&self, params: &BTreeMap<String, Value>) -> Result<Checked, Problem> {
        let expr = simplify(self.put(params)?, &self.schema).map_err(|e| self.failed("simplify", &e))?;
        self.check(expr)
    }

    /// As [`Parsed::with`], but nothing is folded or simplified. It means the same, which tests assert.
    pub fn with_unsimplified(&self, params: &BTreeMap<String, Value>) -> Result<Checked, Problem> {
        self.check(self.put(params)?)
    }

    /// Puts values in the place of parameters.
    fn put(&self, params: &BTreeMap<String, Value>) -> Result<Expr, Problem> {
        let mut values = BTreeMap::new();
        for (full, (name, ty)) in &self.parameters {
            let value = params.get(name).ok_or_else(|| {
                self.place.problem(format!("parameter {name} has no value"), "give it one, or do not use it")
            })?;
            values.insert(full.as_str(), self.literal(name, value, *ty)?);
        }
        let put = |node: Expr| {
            Ok(match full_name(&node).and_then(|name| values.get(name.as_str())) {
                Some(value) => Transformed::yes(value.clone()),
                None => Transformed::no(node),
            })
        };
        Ok(match values.is_empty() {
            true => self.expr.clone(),
            false => {
                self.expr.clone().transform(put).map_err(|e| self.failed("put parameters into", &e))?.data
            }
        })
    }

    fn check(&self, expr: Expr) -> Result<Checked, Problem> {
        self.verify(&expr)?;
        let columns = columns_of(&self.relations, &expr);
        Ok(Checked { expr, ty: self.ty, columns, place: self.place.clone() })
    }

    fn literal(&self, name: &str, value: &Value, ty: Type) -> Result<Expr, Problem> {
        Ok(match (value, ty) {
            (Value::Null, ty) => null(ty),
            (Value::Boolean(b), Type::Boolean) => constant(ScalarValue::Boolean(Some(*b))),
            (Value::Int64(n), Type::Int64) => constant(ScalarValue::Int64(Some(*n))),
            (Value::Int64(n), Type::Float64) => constant(ScalarValue::Float64(Some(*n as f64))),
            (Value::Float64(x), Type::Float64) if x.is_nan() => null(ty),
            (Value::Float64(x), Type::Float64) => constant(ScalarValue::Float64(Some(x + 0.0))),
            (Value::Utf8(s), Type::Utf8) => constant(ScalarValue::Utf8(Some(s.clone()))),
            (Value::Date32(d), Type::Date32) => constant(ScalarValue::Date32(Some(*d))),
            (Value::Timestamp(us), Type::Timestamp) => {
                constant(ScalarValue::TimestampMicrosecond(Some(*us), None))
            }
            (value, ty) => {
                return Err(self.place.problem(
                    format!("parameter {name} is {ty}, but its value is {value}"),
                    format!("give it a {ty}"),
                ));
            }
        })
    }

    /// That the simplified expression still has its type, and runs as a row program.
    fn verify(&self, expr: &Expr) -> Result<(), Problem> {
        let ty = expr.get_type(self.schema.as_ref()).map_err(|e| self.failed("type", &e))?;
        if Type::from_arrow(&ty) != Some(self.ty) && ty != DataType::Null {
            return Err(self.place.problem(
                format!("{} became {ty} when it was simplified; it was {}", quote(expr), self.ty),
                "report this: it is a fault of Tarim; writing the expression differently avoids it",
            ));
        }
        compile::verify(&self.relations, expr, &self.place)
    }

    /// DataFusion could not do something with an expression that we typed: our fault, but said with its place.
    fn failed(&self, what: &str, error: &datafusion::error::DataFusionError) -> Problem {
        self.place.problem(
            format!("cannot {what} {}: {}", quote(&self.expr), error.strip_backtrace()),
            "report this: it is a fault of Tarim; writing the expression differently avoids it",
        )
    }
}

impl Checked {
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// The columns it still reads once constants are folded.
    pub fn columns(&self) -> &[ColumnRef] {
        &self.columns
    }

    /// Its value, if it is the same for every row.
    pub fn constant(&self) -> Option<Value> {
        let Expr::Literal(scalar, _) = &self.expr else { return None };
        Some(match scalar {
            ScalarValue::Boolean(Some(b)) => Value::Boolean(*b),
            ScalarValue::Int64(Some(n)) => Value::Int64(*n),
            ScalarValue::Float64(Some(x)) => Value::Float64(*x),
            ScalarValue::Utf8(Some(s)) => Value::Utf8(s.clone()),
            ScalarValue::Date32(Some(d)) => Value::Date32(*d),
            ScalarValue::TimestampMicrosecond(Some(us), None) => Value::Timestamp(*us),
            _ => Value::Null,
        })
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Takes a condition apart: what of it reads no other relation than this, and the rest. It is the first AND the rest; where
    /// the first is FALSE, so is all of it. None: nothing reads this one alone.
    pub fn guarded(&self, relation: &str) -> Option<(Checked, Option<Checked>)> {
        let mut terms = Vec::new();
        let mut open = vec![&self.expr];
        while let Some(expr) = open.pop() {
            match expr {
                Expr::BinaryExpr(and) if and.op == Operator::And => open.extend([&*and.right, &*and.left]),
                term => terms.push(term),
            }
        }
        let own = |term: &&Expr| {
            let (mut any, mut all) = (false, true);
            visit(term, |node| {
                if let Expr::Column(c) = node {
                    any = true;
                    all &= c.relation.as_ref().is_some_and(|r| r.table() == relation);
                }
            });
            any && all
        };
        let (guard, rest): (Vec<&Expr>, Vec<&Expr>) = terms.into_iter().partition(own);
        Some((self.all_of(guard)?, self.all_of(rest)))
    }

    /// Some of a condition's terms.
    fn all_of(&self, terms: Vec<&Expr>) -> Option<Checked> {
        if terms.is_empty() {
            return None;
        }
        let expr = balanced(Operator::And, terms.into_iter().cloned().collect());
        let mut read = BTreeSet::new();
        visit(&expr, |node| read.extend(full_name(node)));
        let columns = self.columns.iter().filter(|c| read.contains(&c.name)).cloned().collect();
        Some(Checked { expr, ty: Type::Boolean, columns, place: self.place.clone() })
    }

    /// The expression as both engines run it, for people.
    pub fn sql(&self) -> String {
        self.expr.to_string()
    }
}

/// Refuses what would overflow a stack or take ages to simplify.
pub(super) fn check_size(expr: &Expr, place: &Place) -> Result<(), Problem> {
    let mut nodes = 0;
    let mut deepest = 0;
    let mut open = vec![(expr, 1)];
    while let Some((node, depth)) = open.pop() {
        nodes += 1;
        deepest = deepest.max(depth);
        if nodes > MAX_NODES || deepest > MAX_DEPTH {
            return Err(place.problem(
                "with its variables written out, the expression is too large \
                 (over 20,000 parts, or nested over 200 deep)",
                "use a decision table or a feature view for a part of it",
            ));
        }
        let _ = node.apply_children(|child| {
            open.push((child, depth + 1));
            Ok(TreeNodeRecursion::Continue)
        });
    }
    Ok(())
}

fn visit<'e>(expr: &'e Expr, mut f: impl FnMut(&'e Expr)) {
    let _ = expr.apply(|node| {
        f(node);
        Ok(TreeNodeRecursion::Continue)
    });
}

/// `relation.name` of a column.
fn full_name(expr: &Expr) -> Option<String> {
    let Expr::Column(c) = expr else { return None };
    Some(format!("{}.{}", c.relation.as_ref()?.table(), c.name))
}

fn columns_of(relations: &Relations, expr: &Expr) -> Vec<ColumnRef> {
    let mut columns = BTreeSet::new();
    visit(expr, |node| columns.extend(column_ref(relations, node)));
    columns.into_iter().collect()
}

/// The column of a relation that an expression is.
pub(super) fn column_ref(relations: &Relations, expr: &Expr) -> Option<ColumnRef> {
    let Expr::Column(c) = expr else { return None };
    let name = c.relation.as_ref()?.table();
    let relation = relations.iter().position(|(r, _)| r == name)?;
    let column = relations[relation].1.index(&c.name)?;
    Some(ColumnRef { relation, column, name: format!("{name}.{}", c.name) })
}
