//! Definitions of edges: `features/edges/*.toml`, read and checked.

use std::{collections::BTreeSet, path::Path};

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{JoinType, LogicalPlan},
    prelude::SessionContext,
};
use futures::executor::block_on;
use tarim_datamart::{At, Place, Problems, Section, SourceText, Standards, Type};

use crate::view::{
    Sql,
    origin::{Origin, behind, is_member, origins, scans_of},
    read::{Names, near_or, need_name, parse, toml_files},
    source::{
        FactTable, Refusal, SUPERSEDED_AT, Source, check_arithmetic, check_expr, check_types, first_line,
        is_within_members, plan, type_of, unplanned, with_empty_tables,
    },
};

/// Folder of the definitions, in a rulebook.
const FOLDER: &str = "features/edges";

/// A kind of edges.
#[derive(Clone, Debug)]
pub struct Edge {
    pub name: String,
    pub zh: String,
    pub en: String,
    /// A SELECT of `member`, `from_id` and `to_id`, and, where they end or begin, `since` and `until`.
    pub sql: Sql,
    /// Tables that it reads.
    pub(crate) tables: Vec<FactTable>,
    /// Whether it selects them.
    pub(crate) since: bool,
    pub(crate) until: bool,
}

impl Edge {
    /// Names of the tables that its SELECT reads.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|t| t.name.as_str())
    }
}

/// All kinds of edges of a rulebook.
#[derive(Clone, Debug, Default)]
pub struct EdgeSet {
    edges: Vec<Edge>,
}

impl EdgeSet {
    /// Reads `features/edges/` of a rulebook; one without it has no edges. Everything that is wrong is told, with its
    /// place: SQL is planned against the standards, so that what can be read can be run.
    pub fn read(rulebook: &Path, standards: &Standards) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let (mut names, mut raw) = (Names::default(), Vec::new());
        for path in toml_files(rulebook, Path::new(FOLDER), &mut problems) {
            let Some(text) = problems.take(SourceText::read(rulebook, &path)) else { continue };
            let Some(document) = parse(&text, &mut problems) else { continue };
            let root = document.root();
            let sections = root.sections("edge", &mut problems);
            raw.extend(sections.into_iter().filter_map(|s| read(s, &mut names, &mut problems)));
            root.finish(&mut problems);
        }
        if raw.is_empty() {
            return problems.or(Self::default());
        }
        let session = SessionContext::new();
        tarim_datamart::register_functions(&session);
        let session = with_empty_tables(&session, standards).map_err(|e| {
            Place::file(Path::new(FOLDER)).problem(first_line(&e), "this is a defect of Tarim: report it")
        });
        let Some(session) = problems.take(session) else { return Err(problems) };
        let mut edges = Vec::new();
        for raw in raw {
            match check(&session, &raw.sql, standards) {
                Ok(Checked { tables, since, until }) => {
                    let Raw { name, zh, en, sql } = raw;
                    let sql = Sql { text: sql.value, place: sql.place };
                    edges.push(Edge { name, zh, en, sql, tables, since, until });
                }
                Err(Refusal { what, fix }) => problems.push(raw.sql.place.problem(what, fix)),
            }
        }
        problems.or(Self { edges })
    }

    /// In order of file name, and in a file as they stand.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Index of a kind of edges.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.edges.iter().position(|e| e.name == name)
    }
}

/// An edge as it is written.
struct Raw {
    name: String,
    zh: String,
    en: String,
    sql: At<String>,
}

fn read(section: Section<'_>, names: &mut Names, problems: &mut Problems) -> Option<Raw> {
    let name = need_name(&section, "edge", names, problems);
    let (zh, en) = (section.need_text("zh", problems), section.need_text("en", problems));
    let sql = section.need_text("sql", problems);
    section.finish(problems);
    Some(Raw { name: name?.value, zh: zh?.value, en: en?.value, sql: sql? })
}

/// What a sound SELECT has.
struct Checked {
    tables: Vec<FactTable>,
    since: bool,
    until: bool,
}

fn check(session: &SessionContext, sql: &At<String>, standards: &Standards) -> Result<Checked, Refusal> {
    let source = Source::Select(sql.value.clone());
    let fix = "correct the SQL: it reads the tables of the standards";
    let plan = block_on(plan(session, &source)).map_err(|e| unplanned(&e, fix))?;
    check_nodes(&plan)?;
    let mut said = looked_at(&plan);
    if let Some(until) = plan.schema().index_of_column_by_name(None, "until") {
        said.extend(origins(&plan, until, None));
    }
    let scans = scans_of(&plan);
    for (i, scan) in scans.iter().enumerate() {
        let versioned = standards.table(scan.table).is_some_and(|t| t.versioned);
        if versioned && !said.contains(&(i, SUPERSEDED_AT.to_owned())) {
            return Err(Refusal::new(
                format!(
                    "the table `{}` is versioned, and the SELECT does not say which version counts",
                    scan.table
                ),
                format!("write WHERE {}.{SUPERSEDED_AT} IS NULL, or select it AS until", scan.name),
            ));
        }
    }
    let times = &[Type::Date32, Type::Timestamp][..];
    for name in ["member", "from_id", "to_id"] {
        column(&plan, name, &[Type::Utf8], true)?;
    }
    let since = column(&plan, "since", times, false)?;
    let until = column(&plan, "until", times, false)?;
    let known = ["member", "from_id", "to_id", "since", "until"];
    if let Some(other) = plan.schema().fields().iter().find(|f| !known.contains(&f.name().as_str())) {
        let fix = near_or(other.name(), &known, || "leave it out".to_owned());
        return Err(Refusal::new(format!("an edge has no column `{}`", other.name()), fix));
    }
    let index = plan.schema().index_of_column_by_name(None, "member");
    if index.is_none_or(|i| !is_member(&plan, i)) {
        return Err(Refusal::new(
            "`member` is not the member of the rows read",
            "select the column `member` of a table as it is",
        ));
    }
    check_types(session, &plan)?;
    let names: BTreeSet<&str> = scans.iter().map(|scan| scan.table).collect();
    let tables = names.into_iter().filter_map(|name| standards.table(name)).map(FactTable::new);
    Ok(Checked { tables: tables.collect(), since, until })
}

/// The columns of scans that conditions look at.
fn looked_at(plan: &LogicalPlan) -> BTreeSet<Origin> {
    let (mut all, mut before) = (BTreeSet::new(), 0);
    for input in plan.inputs() {
        all.extend(behind(before, looked_at(input)));
        before += scans_of(input).len();
    }
    if matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::Join(_)) {
        for expr in plan.expressions() {
            let indexes =
                expr.column_refs().into_iter().filter_map(|c| plan.schema().maybe_index_of_column(c));
            all.extend(indexes.flat_map(|i| origins(plan, i, None)));
        }
    }
    all
}

/// Whether a column is there; an error if it is of another type, or is not there and must be.
fn column(plan: &LogicalPlan, name: &str, types: &[Type], needed: bool) -> Result<bool, Refusal> {
    let wanted = types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    match type_of(plan.schema(), name) {
        Some(Some(ty)) if types.contains(&ty) => Ok(true),
        Some(_) => Err(Refusal::new(
            format!("the column `{name}` of the edge is not {wanted}"),
            format!("select a {wanted} column AS {name}"),
        )),
        None if needed => Err(Refusal::new(
            format!("the edge has no column `{name}`"),
            "SELECT member, … AS from_id, … AS to_id: risk flows from the one to the other",
        )),
        None => Ok(false),
    }
}

fn check_nodes(plan: &LogicalPlan) -> Result<(), Refusal> {
    let mut refusal = None;
    plan.apply(|node| {
        refusal = check_node(node).err();
        Ok(if refusal.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .map_err(|e| Refusal::new(first_line(&e), "correct the SQL"))?;
    refusal.map_or(Ok(()), Err)
}

/// As of a view's source: rows of tables, put together within a member. What an edge is then depends on its own rows alone.
fn check_node(node: &LogicalPlan) -> Result<(), Refusal> {
    match node {
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {}
        LogicalPlan::Union(_) | LogicalPlan::TableScan(_) => {}
        LogicalPlan::Join(join) if join.join_type != JoinType::Inner => {
            let what = format!("the edge has a {} join: half an edge is none", join.join_type);
            return Err(Refusal::new(what, "use JOIN"));
        }
        LogicalPlan::Join(join) if !is_within_members(join) => {
            return Err(Refusal::new(
                "a join of the edge goes across members",
                "write JOIN … ON a.member = b.member AND …, or USING (member, …)",
            ));
        }
        LogicalPlan::Join(_) => {}
        other => {
            let name = other.display().to_string();
            let name = name.split([' ', ':']).next().unwrap_or_default();
            return Err(Refusal::new(
                format!("the edge has a {name}: an edge is a row of its own"),
                "use SELECT with JOIN, WHERE and UNION ALL only; the same edge twice is one edge",
            ));
        }
    }
    node.expressions().iter().try_for_each(check_expr)?;
    check_arithmetic(node)
}
