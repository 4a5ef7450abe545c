//! Where the columns of a plan come from.
//!
//! A table may stand in a plan more than once, and each time its row is another one: a transaction, and one before it. So what a
//! column is traced to is a [`Scan`], by its place among those of the plan, not a table by its name.

use std::collections::BTreeSet;

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::DFSchema,
    logical_expr::{Expr, ExprSchemable, LogicalPlan},
};

/// A table, where it stands in a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'p> {
    pub table: &'p str,
    /// What the SQL calls it there.
    pub name: &'p str,
}

/// A column of a scan: the scan's place in [`scans_of`] the plan, and the column's name.
pub(crate) type Origin = (usize, String);

/// The scans of a plan, from left to right.
pub(crate) fn scans_of(plan: &LogicalPlan) -> Vec<Scan<'_>> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = scan.table_name.table();
            vec![Scan { table, name: table }]
        }
        LogicalPlan::SubqueryAlias(a) => match &*a.input {
            LogicalPlan::TableScan(scan) => {
                vec![Scan { table: scan.table_name.table(), name: a.alias.table() }]
            }
            input => scans_of(input),
        },
        other => other.inputs().into_iter().flat_map(scans_of).collect(),
    }
}

/// Origins in one of several inputs of a plan, as those of the plan: so many scans stand before them.
pub(crate) fn behind(before: usize, origins: BTreeSet<Origin>) -> impl Iterator<Item = Origin> {
    origins.into_iter().map(move |(scan, column)| (before + scan, column))
}

/// The columns of scans that a column of a plan is made of: in any way, or, if a function is named, only such that it is one of
/// them as it is, or that function of several ([`parts`]). Where rows are appended (UNION ALL), those of all branches.
pub(crate) fn origins(plan: &LogicalPlan, index: usize, function: Option<&str>) -> BTreeSet<Origin> {
    match plan {
        LogicalPlan::TableScan(_) => BTreeSet::from([(0, plan.schema().field(index).name().clone())]),
        LogicalPlan::Projection(p) => {
            let (expr, schema) = (&p.expr[index], p.input.schema());
            let columns: Vec<_> = match function {
                Some(function) => {
                    parts(expr, function, schema).into_iter().filter_map(Expr::try_as_col).collect()
                }
                None => expr.column_refs().into_iter().collect(),
            };
            let indexes = columns.into_iter().filter_map(|column| schema.maybe_index_of_column(column));
            indexes.flat_map(|i| origins(&p.input, i, function)).collect()
        }
        LogicalPlan::SubqueryAlias(a) => origins(&a.input, index, function),
        LogicalPlan::Filter(f) => origins(&f.input, index, function),
        LogicalPlan::Union(u) => {
            let mut before = 0;
            let branches = u.inputs.iter().flat_map(|input| {
                let own = behind(before, origins(input, index, function));
                before += scans_of(input).len();
                own
            });
            branches.collect()
        }
        LogicalPlan::Join(j) => match index.checked_sub(j.left.schema().fields().len()) {
            None => origins(&j.left, index, function),
            Some(index) => behind(scans_of(&j.left).len(), origins(&j.right, index, function)).collect(),
        },
        _ => BTreeSet::new(),
    }
}

/// What an expression is a function of, if it is that function, or else itself. It is looked behind names, and behind casts that
/// lose nothing of a time: to cut it off would make it earlier than it was.
pub(super) fn parts<'e>(expr: &'e Expr, function: &str, schema: &DFSchema) -> Vec<&'e Expr> {
    let is_exact =
        |ty: &DataType| matches!(ty, DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, None));
    // Of dates alone it is a date. What else it may be, its arguments are cast to.
    let is_time = || expr.get_type(schema).is_ok_and(|ty| ty == DataType::Date32 || is_exact(&ty));
    match expr {
        Expr::Alias(a) => parts(&a.expr, function, schema),
        Expr::Cast(c) if is_exact(c.field.data_type()) => parts(&c.expr, function, schema),
        Expr::ScalarFunction(f) if f.name() == function && is_time() => {
            f.args.iter().flat_map(|argument| parts(argument, function, schema)).collect()
        }
        other => vec![other],
    }
}

/// Whether a column of a plan is the member of the rows read, as it is; of all branches, where rows are appended.
pub(crate) fn is_member(plan: &LogicalPlan, index: usize) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => plan.schema().field(index).name() == "member",
        LogicalPlan::Projection(p) => {
            let mut expr = &p.expr[index];
            while let Expr::Alias(a) = expr {
                expr = &a.expr;
            }
            let index = expr.try_as_col().and_then(|column| p.input.schema().maybe_index_of_column(column));
            index.is_some_and(|i| is_member(&p.input, i))
        }
        LogicalPlan::SubqueryAlias(a) => is_member(&a.input, index),
        LogicalPlan::Filter(f) => is_member(&f.input, index),
        LogicalPlan::Union(u) => u.inputs.iter().all(|input| is_member(input, index)),
        LogicalPlan::Join(j) => match index.checked_sub(j.left.schema().fields().len()) {
            None => is_member(&j.left, index),
            Some(index) => is_member(&j.right, index),
        },
        _ => false,
    }
}
