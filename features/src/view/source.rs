//! Sources of views: rows that are facts, with their two times.
//!
//! A fact is seen at `as_of` if its event time is before and its known-at time is not after. Of a
//! `versioned` table a row is also hidden from the known-at time of the next version of its key on: the
//! column [`SUPERSEDED_AT`] says when that is, and is NULL for the newest.
//!
//! ```text
//! known_at      superseded_at
//!    |--- v1 ------|--- v2 ------- …           as_of in here sees v2
//! ```
//!
//! A SELECT over several tables is held to what keeps this true: it may filter, project, join and append
//! rows, but not aggregate, rank, cut off or ask what is *not* there, since any of these can change with a
//! fact that came later. Its known-at time is the greatest of those of all its tables (of one that it reads
//! twice, both), [`SUPERSEDED_AT`] the least, which nothing else may look at; and its joins stay within a
//! member. All of this is checked on its plan, so nothing can be left out by mistake.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema},
    catalog::{
        CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
        MemorySchemaProvider, default_table_source::provider_as_source,
    },
    common::{
        DFSchema, SchemaError,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    datasource::empty::EmptyTable,
    error::DataFusionError,
    execution::{SessionState, SessionStateBuilder},
    functions_window::expr_fn::lead,
    logical_expr::{
        Expr, ExprFunctionExt, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Volatility, col,
        utils::{merge_schema, split_conjunction},
    },
    prelude::SessionContext,
};
use tarim_datamart::{Standards, Type, times::SPAN_REMEDY};

use super::{
    arithmetic::can_overflow,
    origin::{is_member, origins, parts, scans_of},
    read::near_or,
};

/// Column of versioned tables: when the next version of the row's key became known; NULL: the newest.
pub(crate) const SUPERSEDED_AT: &str = "superseded_at";

/// What puts several such columns together: a row of several tables is known when all of it is, and is hidden when any of it is.
const GREATEST: &str = "greatest";
const LEAST: &str = "least";

/// Relation name of the rows of a SELECT.
const SELECT: &str = "source";

/// Where the facts of a view come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Table(String),
    Select(String),
}

impl Source {
    /// A name is a table; anything else is a SELECT.
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            Source::Table(text.to_owned())
        } else {
            Source::Select(text.to_owned())
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Source::Table(text) | Source::Select(text) => text,
        }
    }
}

/// A source, and which of its columns say what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub source: Source,
    /// Tables that it reads.
    pub tables: Vec<FactTable>,
    pub key: String,
    pub event_time: String,
    pub known_at: String,
    /// Facts at as_of itself are seen too.
    pub inclusive: bool,
}

/// What of a table's standard decides which of its rows are seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FactTable {
    pub name: String,
    pub key: Vec<String>,
    pub known_at: String,
    pub versioned: bool,
}

impl FactTable {
    pub fn new(table: &tarim_datamart::Table) -> Self {
        let (name, key, known_at) = (table.name.clone(), table.key.clone(), table.known_at.clone());
        Self { name, key, known_at, versioned: table.versioned }
    }
}

impl Facts {
    /// Whether later versions of a row hide it.
    pub fn is_versioned(&self) -> bool {
        self.tables.iter().any(|t| t.versioned)
    }
}

/// A session whose tables are those of `tables` in `session`, the versioned ones with [`SUPERSEDED_AT`].
pub(crate) async fn with_versions(
    session: &SessionContext,
    tables: impl IntoIterator<Item = &FactTable>,
) -> Result<SessionContext, DataFusionError> {
    let own = detached(session.state())?;
    for table in tables {
        if own.table_exist(table.name.as_str())? {
            continue;
        }
        let rows = session.table(table.name.as_str()).await?;
        let rows = if table.versioned {
            let mut key = vec![col("member")];
            key.extend(table.key.iter().map(col));
            let next = lead(col(&table.known_at), Some(1), None)
                .partition_by(key)
                .order_by(vec![col(&table.known_at).sort(true, false)])
                .build()?;
            rows.window(vec![next.alias(SUPERSEDED_AT)])?
        } else {
            rows
        };
        own.register_table(table.name.as_str(), rows.into_view())?;
    }
    Ok(own)
}

/// A session with the functions of `state` but no tables. Its times are in microseconds.
fn detached(state: SessionState) -> Result<SessionContext, DataFusionError> {
    let options = state.config_options().catalog.clone();
    let catalogs = MemoryCatalogProviderList::new();
    let catalog = Arc::new(MemoryCatalogProvider::new());
    catalog.register_schema(&options.default_schema, Arc::new(MemorySchemaProvider::new()))?;
    catalogs.register_catalog(options.default_catalog, catalog);
    let state = SessionStateBuilder::new_from_existing(state).with_catalog_list(Arc::new(catalogs)).build();
    let session = SessionContext::new_with_state(state);
    tarim_datamart::times::register(&session);
    Ok(session)
}

/// Empty tables of the standards, to plan against.
pub(crate) fn with_empty_tables(
    session: &SessionContext,
    standards: &Standards,
) -> Result<SessionContext, DataFusionError> {
    let own = detached(session.state())?;
    for table in standards.tables() {
        let schema = table.schema();
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
        if let Some(known_at) = table.field(&table.known_at).filter(|_| table.versioned) {
            fields.push(Field::new(SUPERSEDED_AT, known_at.ty.arrow(), true).into());
        }
        let table_source = EmptyTable::new(Arc::new(Schema::new(fields)));
        own.register_table(table.name.as_str(), Arc::new(table_source))?;
    }
    Ok(own)
}

/// The rows of a source. `session` comes from [`with_versions`].
pub(crate) async fn plan(session: &SessionContext, source: &Source) -> Result<LogicalPlan, DataFusionError> {
    match source {
        Source::Table(name) => {
            let provider = session.table_provider(name.as_str()).await?;
            LogicalPlanBuilder::scan(name.as_str(), provider_as_source(provider), None)?.build()
        }
        Source::Select(sql) => {
            let plan = session.state().create_logical_plan(sql).await?;
            LogicalPlanBuilder::from(plan).alias(SELECT)?.build()
        }
    }
}

/// Checks that the types of all parts fit together: a plan of SQL has them not yet, and else would be refused only when it is run.
pub(crate) fn check_types(session: &SessionContext, plan: &LogicalPlan) -> Result<(), Refusal> {
    let state = session.state();
    let analyzed = state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {});
    analyzed.map(|_| ()).map_err(|e| unplanned(&e, "correct the SQL: it reads the tables of the standards"))
}

/// Why a source cannot be one.
pub(crate) struct Refusal {
    pub what: String,
    pub fix: String,
}

impl Refusal {
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// Checks that the plan of a SELECT gives facts, and returns the tables that it reads.
pub(super) fn check_select<'s>(
    plan: &LogicalPlan,
    known_at: &str,
    standards: &'s Standards,
) -> Result<Vec<&'s tarim_datamart::Table>, Refusal> {
    let scans = scans_of(plan).into_iter().enumerate();
    let scans: Vec<_> = scans.filter_map(|(i, scan)| Some((i, scan, standards.table(scan.table)?))).collect();
    let versioned: Vec<_> = scans.iter().filter(|(_, _, t)| t.versioned).collect();
    let mut refusal = None;
    plan.apply(|node| {
        refusal = check_node(node, !versioned.is_empty()).err();
        Ok(if refusal.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .map_err(|e| Refusal::new(first_line(&e), "correct the SQL"))?;
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let index = |column: &str| plan.schema().index_of_column_by_name(None, column);
    let made_of = |column: &str, function: &str| {
        index(column).map(|i| origins(plan, i, Some(function))).unwrap_or_default()
    };
    let found = made_of(known_at, GREATEST);
    if let Some((_, _, table)) = scans.iter().find(|(i, _, t)| !found.contains(&(*i, t.known_at.clone()))) {
        let all = scans.iter().map(|(_, scan, t)| format!("{}.{}", scan.name, t.known_at));
        return Err(Refusal::new(
            format!("`{known_at}` leaves out when the rows of `{}` became known", table.name),
            format!("select {} AS {known_at}", call(GREATEST, all)),
        ));
    }
    let found = made_of(SUPERSEDED_AT, LEAST);
    if let Some((_, _, table)) =
        versioned.iter().find(|(i, ..)| !found.contains(&(*i, SUPERSEDED_AT.to_owned())))
    {
        let all = versioned.iter().map(|(_, scan, _)| format!("{}.{SUPERSEDED_AT}", scan.name));
        return Err(Refusal::new(
            format!(
                "the table `{}` is versioned, and the SELECT does not say which version is seen",
                table.name
            ),
            format!("select {} AS {SUPERSEDED_AT}", call(LEAST, all)),
        ));
    }
    if index("member").is_none_or(|i| !is_member(plan, i)) {
        return Err(Refusal::new(
            "`member` is not the member of the rows read",
            "select the column `member` of a table as it is",
        ));
    }
    let names: BTreeSet<&str> = scans.iter().map(|(_, scan, _)| scan.table).collect();
    Ok(names.into_iter().filter_map(|name| standards.table(name)).collect())
}

/// A function of all arguments; of one it is that.
fn call(function: &str, arguments: impl Iterator<Item = String>) -> String {
    match &arguments.collect::<Vec<_>>()[..] {
        [one] => one.clone(),
        all => format!("{function}({})", all.join(", ")),
    }
}

fn check_node(node: &LogicalPlan, versioned: bool) -> Result<(), Refusal> {
    const ROWS: &str = "a source is rows, and what a row is must not depend on rows that came later";
    let refuse = |what: &str, fix: &str| Err(Refusal::new(format!("the source has {what}: {ROWS}"), fix));
    match node {
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {}
        LogicalPlan::Union(_) | LogicalPlan::TableScan(_) => {}
        LogicalPlan::Join(join) => {
            if join.join_type != JoinType::Inner {
                let what = format!("a {} join", join.join_type);
                return refuse(&what, "use JOIN, or two views with one source each");
            }
            if !is_within_members(join) {
                return Err(Refusal::new(
                    "a join of the source goes across members",
                    "write JOIN … ON a.member = b.member AND …, or USING (member, …)",
                ));
            }
        }
        LogicalPlan::Aggregate(_) => {
            return refuse("an aggregate", "aggregate in the `sql` of a feature");
        }
        LogicalPlan::Window(_) => return refuse("a window function", "aggregate in the `sql` of a feature"),
        LogicalPlan::Distinct(_) => {
            return refuse("DISTINCT or UNION", "use UNION ALL, or count(DISTINCT …)");
        }
        LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => {
            return refuse(
                "ORDER BY or LIMIT",
                "remove it; order inside an aggregate: last_value(x ORDER BY t)",
            );
        }
        other => {
            let name = other.display().to_string();
            let name = name.split([' ', ':']).next().unwrap_or_default();
            return refuse(&format!("a {name}"), "use SELECT with JOIN, WHERE and UNION ALL only");
        }
    }
    for expr in node.expressions() {
        check_expr(&expr)?;
    }
    check_arithmetic(node)?;
    if versioned && !carries_versions_on(node) {
        return Err(Refusal::new(
            format!("the source looks at `{SUPERSEDED_AT}`, which became known later than the row"),
            format!("only select it as it is, or {LEAST}(…) of several, AS {SUPERSEDED_AT}"),
        ));
    }
    Ok(())
}

/// Refuses what can overflow: in a feature the value is unknown then, but of a row nobody could tell.
pub(crate) fn check_arithmetic(node: &LogicalPlan) -> Result<(), Refusal> {
    let scope = merge_schema(&node.inputs());
    match node.expressions().iter().any(|expr| can_overflow(expr, &scope)) {
        true => Err(Refusal::new(
            "`+`, `-` or `*` of integers in a SELECT: where the result is beyond int64, it would be another number",
            "select the columns as they are and compute in the `sql` of a feature, or compute in floats: CAST(a AS DOUBLE) + b",
        )),
        false => Ok(()),
    }
}

/// Whether an expression looks at [`SUPERSEDED_AT`].
pub(super) fn reads_version(expr: &Expr) -> bool {
    expr.column_refs().iter().any(|c| c.name == SUPERSEDED_AT)
}

/// Whether a node leaves [`SUPERSEDED_AT`] alone, or selects it as it is, or the least of several, under this name: what has
/// another name is then never made of it.
fn carries_versions_on(node: &LogicalPlan) -> bool {
    match node {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Projection(p) => p.expr.iter().zip(p.schema.fields().iter()).all(|(expr, field)| {
            let mut all = parts(expr, LEAST, p.input.schema()).into_iter();
            let is_carried = all.all(|part| part.try_as_col().is_some() || !reads_version(part));
            !reads_version(expr) || (field.name() == SUPERSEDED_AT && is_carried)
        }),
        // The names are those of the first branch.
        LogicalPlan::Union(u) => u.inputs.iter().all(|input| {
            let mut fields = input.schema().fields().iter().zip(u.schema.fields().iter());
            fields.all(|(of, field)| of.name() != SUPERSEDED_AT || field.name() == SUPERSEDED_AT)
        }),
        other => !other.expressions().iter().any(reads_version),
    }
}

/// Whether a join brings rows of one member together only: the member of the one side is that of the other.
pub(crate) fn is_within_members(join: &Join) -> bool {
    let pairs = join.on.iter().map(|(l, r)| (l, r));
    let equal = join.filter.iter().flat_map(|f| split_conjunction(f)).filter_map(|e| match e {
        Expr::BinaryExpr(b) if b.op == Operator::Eq => Some((&*b.left, &*b.right)),
        _ => None,
    });
    let is_of = |e: &Expr, side: &LogicalPlan, other: &LogicalPlan| {
        e.try_as_col().is_some_and(|column| {
            let index = side.schema().maybe_index_of_column(column);
            !other.schema().is_column_from_schema(column) && index.is_some_and(|i| is_member(side, i))
        })
    };
    let (left, right) = (&*join.left, &*join.right);
    let both = |a: &Expr, b: &Expr| is_of(a, left, right) && is_of(b, right, left);
    pairs.chain(equal).any(|(a, b)| both(a, b) || both(b, a))
}

/// Refuses what gives another answer tomorrow, or looks at other rows.
pub(crate) fn check_expr(expr: &Expr) -> Result<(), Refusal> {
    let mut refusal = None;
    let walk = expr.apply(|e| {
        refusal = match e {
            Expr::ScalarFunction(f) if f.func.signature().volatility != Volatility::Immutable => {
                Some(Refusal::new(
                    format!("{}() gives another answer each time", f.func.name()),
                    "use `as_of` in a feature's `sql` for the time",
                ))
            }
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_) => {
                Some(Refusal::new(
                    "a query stands inside an expression",
                    "JOIN the other table, or make it a view of its own",
                ))
            }
            _ => None,
        };
        Ok(if refusal.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (walk, refusal) {
        (_, Some(refusal)) => Err(refusal),
        (Err(e), None) => Err(Refusal::new(first_line(&e), "correct the SQL")),
        (Ok(_), None) => Ok(()),
    }
}

/// The type of a column of a source, if it is one of the six.
pub(crate) fn type_of(schema: &DFSchema, column: &str) -> Option<Option<Type>> {
    let field = schema.field(schema.index_of_column_by_name(None, column)?);
    let ty = match field.data_type() {
        DataType::Utf8View | DataType::LargeUtf8 => Some(Type::Utf8),
        DataType::Timestamp(_, None) => Some(Type::Timestamp),
        other => Type::from_arrow(other),
    };
    Some(ty)
}

/// Why SQL cannot be planned, and what to do: write the column that was meant, if one is near, or `otherwise`.
pub(crate) fn unplanned(error: &DataFusionError, otherwise: &str) -> Refusal {
    if let DataFusionError::SchemaError(e, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, valid_fields } = &**e
    {
        let known: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
        let fix = near_or(&field.name, &known, || otherwise.to_owned());
        return Refusal::new(format!("there is no column `{}`", field.name), fix);
    }
    let what = first_line(error);
    match what.strip_suffix(SPAN_REMEDY) {
        Some(what) => Refusal::new(what.trim_end_matches(": "), SPAN_REMEDY),
        None => Refusal::new(what, otherwise),
    }
}

/// The first line of an error, without DataFusion's prefixes, catalogue names and back-trace.
pub(crate) fn first_line(error: &DataFusionError) -> String {
    let text = match error.find_root() {
        DataFusionError::SQL(e, _) => e.to_string(),
        root => root.strip_backtrace(),
    };
    let text = text.lines().next().unwrap_or_default();
    let prefixes = ["Error during planning: ", "Schema error: "];
    let text = prefixes.iter().fold(text, |t, p| t.strip_prefix(p).unwrap_or(t));
    text.trim_end_matches('.').replace("datafusion.public.", "")
}
