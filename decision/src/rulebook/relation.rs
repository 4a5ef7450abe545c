//! Relations: the rows that expressions read, each under a name.
//!
//! ```text
//!   0            application                  what the caller sent
//!   1 …          customer, company, …         entities, in the order of entities.toml
//!   n            list                         one boolean a list
//!   n + 1        warning                      what stands against the applicant, if a policy names it
//!   n + 2        exposure                 how the counters of its exposure stand, if `[exposure]` says what that is
//!   n + 3 …      scorecards, tables, limit, rate     results of steps
//! ```
//!
//! The same for every plan of a rulebook, so that expressions are parsed once.

use std::sync::Arc;

use tarim_datamart::{At, Place, Problems, Standards, Type};
use tarim_features::{
    row::{Column, Layout},
    view::FeatureSet,
    warnings,
};
use tarim_models::scorecard::ScorecardText;

use super::policies::Policies;
use crate::{
    exposure::{scheme::MappingText, standing},
    policy::{score, table::TableText},
};

/// Index of the application.
pub const APPLICATION: usize = 0;

/// Field of an application by which warnings are looked up: events, and so alerts, have it too.
pub const WARNED: &str = "customer_id";

/// Name of the relation of what stands against the applicant.
const WARNING: &str = "warning";

/// Name of the relation of how the counters stand that the applicant's exposure would touch.
pub const EXPOSURE: &str = "exposure";

/// A row that expressions read.
#[derive(Clone, Debug)]
pub struct Relation {
    pub name: String,
    pub layout: Arc<Layout>,
    pub source: Source,
    /// What a row is written down under: the beginning of BLAKE3 of its name and its layout's fingerprint.
    pub tag: [u8; 8],
}

impl Relation {
    fn new(name: &str, layout: Arc<Layout>, source: Source) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(&layout.fingerprint());
        hash.update(name.as_bytes());
        let tag = hash.finalize().as_bytes()[..8].try_into().expect("eight of 32");
        Self { name: name.to_owned(), layout, source, tag }
    }
}

/// Where the row comes from. Indices are into the feature set, or into the rulebook's lists of definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    Application,
    Entity(usize),
    Lists,
    Warnings,
    Exposure,
    Scorecard(usize),
    Table(usize),
    Limit,
    Rate,
}

impl Source {
    /// Is it given, rather than the result of a step?
    pub fn is_input(self) -> bool {
        use Source::{Application, Entity, Exposure, Lists, Warnings};
        matches!(self, Application | Entity(_) | Lists | Warnings | Exposure)
    }
}

/// All relations of a rulebook, in order.
pub fn relations(
    standards: &Standards,
    features: &FeatureSet,
    cards: &[ScorecardText],
    policies: &Policies,
    mapping: Option<&MappingText>,
) -> Result<Vec<Relation>, Problems> {
    let mut problems = Problems::default();
    let mut all = Relations { list: Vec::new(), places: Vec::new(), problems: &mut problems };
    match standards.table("applications") {
        Some(table) => {
            if table.versioned {
                all.problems.push(table.place.problem(
                    "`applications` is versioned: a backtest would decide each correction as another application",
                    "remove `versioned = true`: an application is decided as it came, and what became known later is for a \
                     table of its own",
                ));
            }
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
    if let Some(sql) = policies.expressions(cards).find(|sql| names(&sql.value, WARNING)) {
        all.add_layout(WARNING, Source::Warnings, warnings::layout(), &sql.place);
        all.needs_customer(standards, sql);
    }
    match (mapping, policies.expressions(cards).find(|sql| names(&sql.value, EXPOSURE))) {
        (Some(mapping), _) => all.add_layout(EXPOSURE, Source::Exposure, standing::layout(), &mapping.place),
        (None, Some(sql)) => all.needs_mapping(sql),
        (None, None) => {}
    }
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

/// Does it read a relation, such as `warning`? A rulebook of which no expression does has no such relation, and its journal no such
/// row.
///
/// Rather yes than no: what only looks like it costs a row.
fn names(sql: &str, relation: &str) -> bool {
    let sql = sql.to_lowercase();
    sql.match_indices(relation).any(|(at, _)| {
        let part_of_a_word = sql[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let behind = sql[at + relation.len()..].trim_start_matches(|c: char| c == '"' || c.is_whitespace());
        !part_of_a_word && behind.starts_with('.')
    })
}

impl Relations<'_> {
    /// What stands is looked up by a field of the application.
    fn needs_customer(&mut self, standards: &Standards, sql: &At<String>) {
        let field = standards.table("applications").and_then(|table| table.field(WARNED));
        if field.is_none_or(|field| field.ty != Type::Utf8) {
            self.problems.push(sql.place.problem(
                format!("`{WARNING}` is what stands against the applicant's `{WARNED}`, and an application has no such text"),
                format!("add the field `{WARNED}`, of type utf8, to standards/applications.toml"),
            ));
        } else if field.is_some_and(|field| field.personal) {
            self.problems.push(sql.place.problem(
                format!("`{WARNING}` is looked up by the applicant's `{WARNED}`, which is a token here and none in events: nothing would be found"),
                format!("remove `personal` of `{WARNED}` from the standards: it is the lender's own number of the customer"),
            ));
        }
    }

    fn needs_mapping(&mut self, sql: &At<String>) {
        self.problems.push(sql.place.problem(
            format!("`{EXPOSURE}` is how the limits of an application's exposure stand, and nothing says what that is"),
            "write [exposure] in limits/, with its amount, customer and attributes",
        ));
    }

    fn add(&mut self, name: &str, source: Source, columns: Vec<Column>, place: &Place) {
        match Layout::new(columns, Vec::new()) {
            Ok(layout) => self.add_layout(name, source, Arc::new(layout), place),
            Err(e) => self.problems.push(place.problem(e.to_string(), "rename or remove columns")),
        }
    }

    fn add_layout(&mut self, name: &str, source: Source, layout: Arc<Layout>, place: &Place) {
        const TAKEN: [&str; 8] = ["application", "list", WARNING, EXPOSURE, "limit", "rate", "param", "let"];
        let own = matches!(source, Source::Entity(_) | Source::Scorecard(_) | Source::Table(_));
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
            self.list.push(Relation::new(name, layout, source));
            self.places.push(place.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_told_from_other_words() {
        for (sql, names) in [
            ("warning.red > 0", true),
            ("a OR Warning . red > 0", true),
            ("\"warning\".red > 0", true),
            ("(warning\n.open) = 0", true),
            ("customer.warning = 1", false),
            ("early_warning.red > 0", false),
            ("application.purpose = 'warning'", false),
        ] {
            assert_eq!(super::names(sql, WARNING), names, "{sql}");
        }
    }
}
