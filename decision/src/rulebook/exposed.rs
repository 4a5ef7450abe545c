//! What the exposure of an application is: `[exposure]` of `limits/`, looked up and checked.
//!
//! ```text
//!  limits/*.toml [exposure] ──► MappingText ─► Mapping: columns of what is given
//!                                                  │
//!  Inputs (application, entities) ─────────────────┴─► customer, attributes ─► a prepared Reserve   (engine/exposed)
//! ```

use tarim_datamart::{At, Place, Problems, Standards, Type};

use super::{
    relation::{APPLICATION, Relation, Source},
    text::offer,
};
use crate::exposure::scheme::{MappingText, NONE, SchemeSet};

/// Where the exposure of an application comes from. Columns are of the relations that are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Column of the application: how much is asked for, in fen.
    pub amount: usize,
    /// How long a reservation holds room, in microseconds.
    pub reserve_us: i64,
    /// Who owes it: the first that is known.
    pub customer: Vec<Origin>,
    /// Of each dimension but the product, which is the request's; in order of name.
    pub attributes: Vec<(String, Vec<Origin>)>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A column of a relation.
    Column { relation: usize, column: usize },
    /// It has none.
    None,
}

/// Dimensions that nobody maps: the ledger knows a customer's group, and a request its product.
const OWN: [(&str, &str); 3] = [
    ("customer", "write it in [exposure] itself: customer = \"application.customer_id\""),
    ("group", "remove it: the ledger knows which group a customer belongs to"),
    ("product", "remove it: it is the product that is applied for"),
];

/// Looks up what stands in `[exposure]`.
pub fn compile(
    text: &MappingText,
    limits: &SchemeSet,
    standards: &Standards,
    relations: &[Relation],
) -> Result<Mapping, Problems> {
    let mut problems = Problems::default();
    if limits.schemes.is_empty() {
        let what = "there are no exposure limits that the exposure of an application could count to";
        problems.push(text.place.problem(what, "write a [[limit]], or remove [exposure]"));
    }
    let mut compiler = Compiler { relations, problems: &mut problems };
    let amount = compiler.amount(&text.amount);
    let customer = compiler.sources("customer", &text.customer);
    if let Some(none) = text.customer.iter().find(|source| source.value == NONE) {
        let what = "an exposure is always to somebody";
        compiler.problems.push(none.place.problem(what, "name a column that is never NULL"));
    }
    let mut attributes = Vec::new();
    for (name, sources) in &text.attributes {
        compiler.dimension(name, standards);
        attributes.push((name.value.clone(), compiler.sources(&name.value, sources)));
    }
    attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
    compiler.all_told(text, limits);
    let mapping = amount.map(|amount| Mapping { amount, reserve_us: text.reserve_us, customer, attributes });
    match mapping {
        Some(mapping) => problems.or(mapping),
        None => Err(problems),
    }
}

struct Compiler<'a> {
    relations: &'a [Relation],
    problems: &'a mut Problems,
}

impl Compiler<'_> {
    fn amount(&mut self, name: &At<String>) -> Option<usize> {
        let Origin::Column { relation, column } = self.column(name)? else { return None };
        let ty = self.relations[relation].layout.columns()[column].ty;
        if relation != APPLICATION || ty != Type::Int64 {
            let what = format!("`{}` is not what an application asks for, in fen", name.value);
            let fix =
                "name a field of standards/applications.toml of type int64, such as application.amount_fen";
            self.problems.push(name.place.problem(what, fix));
            return None;
        }
        Some(column)
    }

    fn sources(&mut self, of: &str, names: &[At<String>]) -> Vec<Origin> {
        let mut origins = Vec::new();
        for (i, name) in names.iter().enumerate() {
            if name.value == NONE {
                if i + 1 < names.len() {
                    let what = format!("what stands behind `{NONE}` never counts");
                    self.problems.push(name.place.problem(what, format!("write `{NONE}` last")));
                }
                origins.push(Origin::None);
                continue;
            }
            let Some(origin) = self.column(name) else { continue };
            if let Origin::Column { relation, column } = origin {
                let ty = self.relations[relation].layout.columns()[column].ty;
                if ty != Type::Utf8 {
                    let what = format!("`{}` is a {ty}, and `{of}` a text", name.value);
                    self.problems.push(name.place.problem(what, "name a column of type utf8"));
                }
            }
            origins.push(origin);
        }
        origins
    }

    fn column(&mut self, name: &At<String>) -> Option<Origin> {
        let (owner, wanted) = name.value.split_once('.').unwrap_or((&name.value, ""));
        let mut relations = self.relations.iter().enumerate();
        let mapped = |r: &Relation| matches!(r.source, Source::Application | Source::Entity(_));
        let Some((relation, found)) = relations.find(|(_, r)| mapped(r) && r.name == owner) else {
            let known = self.relations.iter().filter(|r| mapped(r)).map(|r| r.name.as_str());
            let what = format!("`{}` is neither of the application nor of an entity", name.value);
            let fix = format!("write a column of {}, such as application.customer_id", offer(known));
            self.problems.push(name.place.problem(what, fix));
            return None;
        };
        match found.layout.index(wanted) {
            Some(column) => Some(Origin::Column { relation, column }),
            None => {
                let known = found.layout.columns().iter().map(|c| c.name.as_str());
                let what = format!("`{owner}` has no `{wanted}`");
                self.problems.push(name.place.problem(what, format!("write one of {}", offer(known))));
                None
            }
        }
    }

    /// A name that no limit speaks of is kept with the exposure, for a limit to come; but it must be one that could.
    fn dimension(&mut self, name: &At<String>, standards: &Standards) {
        if let Some((own, fix)) = OWN.iter().find(|(own, _)| *own == name.value) {
            self.problems.push(name.place.problem(format!("`{own}` is not mapped here"), *fix));
        } else if !["industry", "region"].contains(&name.value.as_str())
            && standards.code_list(&name.value).is_none()
        {
            let what = format!("`{}` is nothing that exposures are told apart by", name.value);
            let fix = "write region, industry, or the name of a code list of standards/codes";
            self.problems.push(name.place.problem(what, fix));
        }
    }

    /// A reservation says something of each dimension that a limit speaks of.
    fn all_told(&mut self, text: &MappingText, limits: &SchemeSet) {
        let own = |name: &str| OWN.iter().any(|(own, _)| *own == name);
        for dimension in limits.dimensions.iter().filter(|d| !own(&d.name)) {
            if !text.attributes.iter().any(|(name, _)| name.value == dimension.name) {
                self.problems.push(missing(&text.place, &dimension.name));
            }
        }
    }
}

fn missing(place: &Place, dimension: &str) -> tarim_datamart::Problem {
    place.problem(
        format!("limits speak of `{dimension}`, and nothing says which one an application has"),
        format!(
            "write under [exposure.attributes] {dimension} = \"application.…\", or = [\"application.…\", \"{NONE}\"] where it may have none"
        ),
    )
}
