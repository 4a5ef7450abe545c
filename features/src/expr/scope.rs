//! The names that an expression may use.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
};

use arrow::datatypes::Field;
use datafusion::{
    common::{DFSchema, DFSchemaRef, TableReference},
    logical_expr::Expr,
    sql::sqlparser::ast::{self, Visit, Visitor},
};
use tarim_datamart::{Place, Problem, Type};

use super::{
    build::observe,
    names::suggestion,
    parsed::Parsed,
    plan::{Planner, parse},
};
use crate::row::Layout;

/// What an expression may name: relations (each is one row at run time), constants that are given later
/// (parameters), and expressions by name (variables).
///
/// ```text
/// customer.age          a column of a relation: Scope::new
/// param.amount_max_fen  a parameter: Scope::declare_parameter
/// let.debt_to_income    a variable, inlined: Scope::define
/// ```
#[derive(Clone, Debug)]
pub struct Scope {
    relations: Relations,
    /// Parameters and variables, by relation and name.
    others: BTreeMap<String, BTreeMap<String, Other>>,
    /// The columns of all relations, qualified by relation.
    schema: DFSchemaRef,
}

/// Names and layouts of relations.
pub(super) type Relations = Arc<[(String, Arc<Layout>)]>;

#[derive(Clone, Debug)]
enum Other {
    Parameter(Type),
    Variable(Expr, Type),
}

/// What a name stands for.
pub(super) enum Named<'a> {
    Column(Type),
    Parameter(Type),
    Defined(&'a Expr, Type),
}

/// A column that an expression reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnRef {
    /// Index in the relations of the scope.
    pub relation: usize,
    /// Index in the relation's layout.
    pub column: usize,
    /// `relation.column`
    pub name: String,
}

impl Scope {
    /// Names of relations: the index in `relations` is the index of the row at run time.
    ///
    /// # Panics
    /// If two relations have the same name.
    pub fn new(relations: Vec<(String, Arc<Layout>)>) -> Self {
        let names: BTreeSet<&str> = relations.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), relations.len(), "two relations of a scope have the same name");
        let fields = relations.iter().flat_map(|(relation, layout)| {
            layout.columns().iter().map(move |c| {
                (
                    Some(TableReference::bare(relation.as_str())),
                    Arc::new(Field::new(&c.name, c.ty.arrow(), true)),
                )
            })
        });
        let schema = DFSchema::new_with_metadata(fields.collect(), Default::default())
            .expect("names are unique: relations by the assertion above, columns by their layout");
        Self { relations: relations.into(), others: BTreeMap::new(), schema: Arc::new(schema) }
    }

    /// The relations, in the order of the rows that programs read.
    pub fn relations(&self) -> &[(String, Arc<Layout>)] {
        &self.relations
    }

    /// Names an expression: whoever writes `relation.name` means `sql`.
    pub fn define(&mut self, relation: &str, name: &str, sql: &str, place: &Place) -> Result<(), Problem> {
        let (expr, ty) = self.plan(sql, place)?;
        self.add(relation, name, Other::Variable(expr, ty), place)
    }

    /// Declares a constant that [`Parsed::with`] will be given.
    pub fn declare_parameter(
        &mut self,
        relation: &str,
        name: &str,
        ty: Type,
        place: &Place,
    ) -> Result<(), Problem> {
        self.add(relation, name, Other::Parameter(ty), place)
    }

    fn add(&mut self, relation: &str, name: &str, other: Other, place: &Place) -> Result<(), Problem> {
        if self.find(relation, name).is_some() {
            return Err(place.problem(format!("{relation}.{name} is defined twice"), "rename one of them"));
        }
        self.others.entry(relation.to_owned()).or_default().insert(name.to_owned(), other);
        Ok(())
    }

    /// Reads an expression: parsed, its names resolved, typed.
    pub fn parse(&self, sql: &str, place: &Place) -> Result<Parsed, Problem> {
        let (expr, ty) = self.plan(sql, place)?;
        Ok(Parsed::new(self, observe(expr, ty), ty, place.clone()))
    }

    fn plan(&self, sql: &str, place: &Place) -> Result<(Expr, Type), Problem> {
        let typed = Planner { scope: self, place }.plan(&parse(sql, place)?, 0)?;
        let Some(ty) = typed.ty else {
            return Err(place.problem("the expression is always NULL", "write a value or a condition"));
        };
        super::parsed::check_size(&typed.expr, place)?;
        Ok((typed.expr, ty))
    }

    pub(super) fn find(&self, relation: &str, name: &str) -> Option<Named<'_>> {
        match self.others.get(relation).and_then(|names| names.get(name)) {
            Some(Other::Parameter(ty)) => return Some(Named::Parameter(*ty)),
            Some(Other::Variable(expr, ty)) => return Some(Named::Defined(expr, *ty)),
            None => {}
        }
        let (_, layout) = self.relations.iter().find(|(r, _)| r == relation)?;
        Some(Named::Column(layout.columns()[layout.index(name)?].ty))
    }

    pub(super) fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    pub(super) fn shared_relations(&self) -> &Relations {
        &self.relations
    }

    /// What is wrong with `relation.name`, and what was likely meant.
    pub(super) fn unknown(&self, relation: &str, name: &str, place: &Place) -> Problem {
        let relations: Vec<&str> = self
            .relations
            .iter()
            .map(|(r, _)| r.as_str())
            .chain(self.others.keys().map(String::as_str))
            .collect();
        if !relations.contains(&relation) {
            let list = format!("there are {}", relations.join(", "));
            let fix = suggestion(relation, relations.iter().copied())
                .map_or(list.clone(), |hint| format!("{hint} ({list})"));
            return place.problem(format!("nothing here is named {relation} (in {relation}.{name})"), fix);
        }
        let known: Vec<&str> = self.names_in(relation).collect();
        let fix = suggestion(name, known.iter().copied()).unwrap_or_else(|| match known.as_slice() {
            [] => format!("{relation} has no names"),
            names if names.len() <= 12 => format!("{relation} has {}", names.join(", ")),
            names => format!("{relation} has {}, … ({} names)", names[..12].join(", "), names.len()),
        });
        place.problem(format!("{relation} has no {name}"), fix)
    }

    fn names_in<'s>(&'s self, relation: &'s str) -> impl Iterator<Item = &'s str> {
        let columns = self
            .relations
            .iter()
            .filter(move |(r, _)| r == relation)
            .flat_map(|(_, layout)| layout.columns().iter().map(|c| c.name.as_str()));
        columns
            .chain(self.others.get(relation).into_iter().flat_map(|names| names.keys().map(String::as_str)))
    }

    /// Every `relation.name` with that name.
    pub(super) fn full_names_of(&self, name: &str) -> Vec<String> {
        let columns =
            self.relations.iter().filter(|(_, layout)| layout.index(name).is_some()).map(|(r, _)| r);
        let others = self.others.iter().filter(|(_, names)| names.contains_key(name)).map(|(r, _)| r);
        columns.chain(others).map(|relation| format!("{relation}.{name}")).collect()
    }
}

/// Every `relation.name` that the SQL uses, known or not: to work out in which order to define variables.
pub fn names_used(sql: &str, place: &Place) -> Result<BTreeSet<(String, String)>, Problem> {
    struct Names(BTreeSet<(String, String)>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            if let ast::Expr::CompoundIdentifier(parts) = expr
                && let [relation, name] = parts.as_slice()
            {
                self.0.insert((relation.value.to_lowercase(), name.value.to_lowercase()));
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(BTreeSet::new());
    let _ = parse(sql, place)?.visit(&mut names);
    Ok(names.0)
}
