//! Relations: the rows that expressions read, each under a name.
//!
//! ```text
//!   0            application                  what the caller sent
//!   1 …          customer, company, …         entities, in the order of entities.toml
//!   n            list                         one boolean a list
//!   n + 1 …      scorecards, tables, limit, rate     results of steps
//! ```
//!
//! The same for every plan of a rulebook, so that expressions are parsed once.

use std::sync::Arc;

use tarim_datamart::{Place, Problems, Standards, Type};
use tarim_features::{
    row::{Column, Layout},
    view::FeatureSet,
};
use tarim_models::scorecard::ScorecardText;

use super::policies::Policies;
use crate::policy::{score, table::TableText};

/// Index of the application.
pub const APPLICATION: usize = 0;

/// A row that expressions read.
#[derive(Clone, Debug)]
pub struct Relation {
    pub name: String,
    pub layout: Arc<Layout>,
    pub source: Source,
}

/// Where the row comes from. Indices are into the feature set, or into the rulebook's lists of definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    Application,
    Entity(usize),
    Lists,
    Scorecard(usize),
    Table(usize),
    Limit,
    Rate,
}

impl Source {
    /// Is it given, rather than the result of a step?
    pub fn is_input(self) -> bool {
        matches!(self, Source::Application | Source::Entity(_) | Source::Lists)
    }
}

/// All relations of a rulebook, in order.
pub fn relations(
    standards: &Standards,
    features: &FeatureSet,
    cards: &[ScorecardText],
    policies: &Policies,
) -> Result<Vec<Relation>, Problems> {
    let mut problems = Problems::default();
    let mut all = Relations { list: Vec::new(), places: Vec::new(), problems: &mut problems };
    match standards.table("applications") {
        Some(table) => {
            // The member is a constant of each plan: `param.member`.
            let fields = table.fields.iter().filter(|f| f.name != "member");
            let columns = fields.map(|f| Column::new(f.name.clone(), f.ty)).collect();
            all.add("application", Source::Application, columns, &table.place);
        }
        None => all.problems.push(Place::file(std::path::Path::new("standards")).problem(
            "the table `applications` is missing: it says what a decision is asked with",
            "write standards/applications.toml",
        )),
    }
    for (i, entity) in features.entities().iter().enumerate() {
        all.add_layout(&entity.name, Source::Entity(i), entity.layout.clone(), &entity.place);
    }
    let lists = Place::file(std::path::Path::new("lists"));
    all.add_layout("list", Source::Lists, features.list_layout().clone(), &lists);
    for (i, card) in cards.iter().enumerate() {
        let types = [Type::Float64, Type::Float64, Type::Utf8];
        let columns = score::COLUMNS.iter().zip(types).map(|(name, ty)| Column::new(*name, ty)).collect();
        all.add(card.id(), Source::Scorecard(i), columns, card.place());
    }
    for (i, table) in policies.tables.iter().enumerate() {
        let columns = TableText::outputs(table).iter().map(|o| Column::new(o.name.clone(), o.ty)).collect();
        all.add(table.id(), Source::Table(i), columns, table.place());
    }
    let policies = Place::file(std::path::Path::new("policies"));
    all.add("limit", Source::Limit, vec![Column::new("fen", Type::Int64)], &policies);
    all.add("rate", Source::Rate, vec![Column::new("bp", Type::Float64)], &policies);
    let list = all.list;
    problems.or(list)
}

struct Relations<'a> {
    list: Vec<Relation>,
    places: Vec<Place>,
    problems: &'a mut Problems,
}

impl Relations<'_> {
    fn add(&mut self, name: &str, source: Source, columns: Vec<Column>, place: &Place) {
        match Layout::new(columns, Vec::new()) {
            Ok(layout) => self.add_layout(name, source, Arc::new(layout), place),
            Err(e) => self.problems.push(place.problem(e.to_string(), "rename or remove columns")),
        }
    }

    fn add_layout(&mut self, name: &str, source: Source, layout: Arc<Layout>, place: &Place) {
        const TAKEN: [&str; 6] = ["application", "list", "limit", "rate", "param", "let"];
        let own = !matches!(source, Source::Application | Source::Lists | Source::Limit | Source::Rate);
        if own && TAKEN.contains(&name) {
            self.problems.push(place.problem(
                format!("`{name}` is a name that every rulebook has already"),
                "choose another name",
            ));
        } else if let Some(i) = self.list.iter().position(|r| r.name == name) {
            self.problems.push(place.problem(
                format!(
                    "`{name}` is also what {} is called: expressions could not tell them apart",
                    self.places[i]
                ),
                "rename one of them",
            ));
        } else {
            self.list.push(Relation { name: name.to_owned(), layout, source });
            self.places.push(place.clone());
        }
    }
}
