//! Many expressions, compiled together for both engines.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{Field, Schema, SchemaRef},
};
use datafusion::{
    common::{
        Column, DFSchema,
        tree_node::{Transformed, TreeNode},
    },
    error::DataFusionError,
    logical_expr::{
        Expr, execution_props::ExecutionProps, physical_planning_context::PhysicalPlanningContext,
    },
    physical_expr::{PhysicalExpr, create_physical_expr},
};
use tarim_datamart::{Problem, Type};

use super::{
    answers::BatchAnswers,
    compile::Builder,
    parsed::{Checked, column_ref},
    program::Program,
    scope::{ColumnRef, Relations, Scope},
};

/// Index of an expression in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExprId(pub u32);

/// Many expressions that are asked together: for batches a column each, for a row a part of a [`Program`].
#[derive(Debug)]
pub struct ExprSet {
    exprs: Vec<Checked>,
    physical: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    columns: Vec<ColumnRef>,
    /// Of each expression: the names of texts, if it is asked for their keys only.
    names: Vec<Option<Vec<String>>>,
}

/// Why a batch cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    #[error("the batch has no column {0:?}, which an expression reads")]
    Missing(String),
    #[error("column {name:?} of the batch is {given}, not {expected}")]
    Type { name: String, given: arrow::datatypes::DataType, expected: arrow::datatypes::DataType },
    #[error("DataFusion cannot evaluate an expression")]
    DataFusion(#[from] DataFusionError),
}

impl ExprSet {
    /// Compiles expressions of a scope; [`ExprId`] counts in the order of `exprs`.
    pub fn compile(scope: &Scope, exprs: Vec<Checked>) -> Result<Self, Problem> {
        let names = vec![None; exprs.len()];
        Self::with_keys(scope, exprs, names)
    }

    /// As [`ExprSet::compile`]; texts whose `names` are given are only asked for their keys
    /// ([`super::Answers::text_key`]), which are the indexes of their names.
    pub fn with_keys(
        scope: &Scope,
        exprs: Vec<Checked>,
        names: Vec<Option<Vec<String>>>,
    ) -> Result<Self, Problem> {
        let relations = scope.shared_relations();
        let columns: BTreeSet<ColumnRef> = exprs.iter().flat_map(|e| e.columns().iter().cloned()).collect();
        let columns: Vec<ColumnRef> = columns.into_iter().collect();
        let field =
            |c: &ColumnRef| Field::new(&c.name, relations[c.relation].1.columns()[c.column].ty.arrow(), true);
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let physical = exprs
            .iter()
            .map(|e| {
                physical(relations, &e.expr, &schema).map_err(|error| {
                    e.place().problem(
                        format!("cannot plan {} for batches: {}", e.sql(), error.strip_backtrace()),
                        "report this: it is a fault of Tarim; writing the expression differently avoids it",
                    )
                })
            })
            .collect::<Result<_, _>>()?;
        let set = Self { exprs, physical, schema, columns, names };
        set.lower(&mut Builder::new(relations, usize::MAX), None)?;
        Ok(set)
    }

    pub fn len(&self) -> usize {
        self.exprs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.exprs.is_empty()
    }

    pub fn ids(&self) -> impl Iterator<Item = ExprId> + use<> {
        (0..self.exprs.len() as u32).map(ExprId)
    }

    /// # Panics
    /// If the set has no such expression (so does whatever takes an [`ExprId`]).
    pub fn ty(&self, id: ExprId) -> Type {
        self.exprs[id.0 as usize].ty()
    }

    /// The expressions as a program of their own.
    pub fn program(&self, scope: &Scope) -> Program {
        fuse(scope, usize::MAX, [(self, None)])
    }

    /// Adds the expressions to a program, as its next part, after which a relation may be put.
    fn lower(&self, builder: &mut Builder<'_>, puts: Option<usize>) -> Result<(), Problem> {
        for (e, names) in self.exprs.iter().zip(&self.names) {
            let output = builder.output(&e.expr, e.ty(), names.as_deref());
            output.map_err(|unsupported| unsupported.at(e.place()))?;
        }
        builder.end_part(puts);
        Ok(())
    }

    /// What DataFusion runs, over batches of [`ExprSet::schema`].
    pub fn physical(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.physical
    }

    /// The columns that the expressions read, as flat fields `relation.column`.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The same, each with its relation.
    pub fn columns(&self) -> &[ColumnRef] {
        &self.columns
    }

    /// Evaluates all expressions over a batch that has (at least) the columns of [`ExprSet::schema`], by name
    /// and in any order.
    pub fn evaluate_batch(&self, batch: &RecordBatch) -> Result<BatchAnswers, BatchError> {
        let column = |field: &Arc<Field>| {
            let found = batch
                .column_by_name(field.name())
                .ok_or_else(|| BatchError::Missing(field.name().clone()))?;
            if found.data_type() != field.data_type() {
                return Err(BatchError::Type {
                    name: field.name().clone(),
                    given: found.data_type().clone(),
                    expected: field.data_type().clone(),
                });
            }
            Ok(found.clone())
        };
        let columns = self.schema.fields().iter().map(column).collect::<Result<Vec<ArrayRef>, _>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let narrowed = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(DataFusionError::from)?;
        let answers = self
            .physical
            .iter()
            .map(|e| e.evaluate(&narrowed)?.into_array(batch.num_rows()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(BatchAnswers::new(answers, batch.num_rows()))
    }
}

/// Compiles sets of one scope to one program, each a part of it, in order: what they share is computed once.
/// The first `given` relations of the scope are given as rows. Of the others, each set says which is computed from
/// its answers and put ([`super::Evaluation::put`]) when its part has run, before the parts that read it.
pub fn fuse<'s>(
    scope: &Scope,
    given: usize,
    sets: impl IntoIterator<Item = (&'s ExprSet, Option<usize>)>,
) -> Program {
    let mut builder = Builder::new(scope.shared_relations(), given);
    for (set, puts) in sets {
        set.lower(&mut builder, puts).expect("a set was lowered when it was compiled");
    }
    builder.finish()
}

/// Plans an expression over flat fields `relation.column`.
pub(super) fn physical(
    relations: &Relations,
    expr: &Expr,
    schema: &SchemaRef,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let flat = expr.clone().transform(|node| {
        Ok(match column_ref(relations, &node) {
            Some(c) => Transformed::yes(Expr::Column(Column::new_unqualified(c.name))),
            None => Transformed::no(node),
        })
    })?;
    let df_schema = DFSchema::try_from(schema.clone())?;
    create_physical_expr(&flat.data, &df_schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())
}
