//! `[[spread]]`: which alerts spread, along which edges, and how far.

use std::collections::HashMap;

use tarim_datamart::{At, Place, Problems, Section, Standards, Type, nearest};
use tarim_features::{
    edges::EdgeSet,
    stream::{EventKind, StreamSet, TABLE_PREFIX},
};

use super::{
    Rule,
    read::{Texts, choice},
    words::Level,
};

/// Kind of the events that spread alerts.
pub const CONTAGION: &str = "contagion";

/// A way for alerts to spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Indexes of kinds of edges: the first one counts where several lead to the same customer.
    pub along: Vec<usize>,
    /// How many edges, one after the other.
    pub hops: u8,
    /// At most so many neighbours for an alert: the nearest.
    pub most: usize,
}

/// All ways for alerts to spread.
#[derive(Clone, Debug, Default)]
pub struct Spreads {
    all: Vec<Spread>,
    /// By the id of a rule whose alerts spread: which ways they go.
    by_rule: HashMap<String, Vec<usize>>,
    /// Kinds of edges that some way goes along.
    edges: Vec<usize>,
}

impl Spreads {
    /// Whether no alert ever spreads.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The ways that alerts of a rule spread, in the order of the rulebook.
    pub fn of(&self, rule_id: &str) -> impl Iterator<Item = &Spread> {
        self.by_rule.get(rule_id).into_iter().flatten().map(|i| &self.all[*i])
    }

    /// Indexes of the kinds of edges that are needed, in order.
    pub fn edges(&self) -> &[usize] {
        &self.edges
    }
}

/// `[[spread]]` as it is written.
#[derive(Debug)]
pub struct SpreadText {
    of: Vec<At<String>>,
    level_at_least: Option<Level>,
    along: Vec<At<String>>,
    hops: u8,
    most: usize,
    place: Place,
}

/// Neighbours of an alert, unless the rulebook says how many.
const MOST: usize = 100;
/// What nobody could look at any more.
const MOST_MAX: i64 = 10_000;

pub fn read(section: Section<'_>, problems: &mut Problems) -> Option<SpreadText> {
    let place = section.place();
    let of = section.texts("of", problems);
    let level = section.text("level_at_least", problems).map(|l| choice(&l, &Level::ALL, problems));
    let along = section.texts("along", problems);
    let hops = section.integer("hops", problems).map(|h| bounded(&h, "hops", 2, problems));
    let most = section.integer("neighbours_max", problems);
    let most = most.map(|m| bounded(&m, "neighbours_max", MOST_MAX, problems));
    let says = (section.has("of"), section.has("level_at_least"), section.has("along"));
    section.finish(problems);
    if says.0 == says.1 {
        problems.push(place.problem(
            "which alerts spread is said by `of`, or else by `level_at_least`",
            "write of = [\"R-003\"], or level_at_least = \"orange\"; for both, two [[spread]]",
        ));
        return None;
    }
    if along.is_empty() || (says.0 && of.is_empty()) {
        let key = if along.is_empty() { "along" } else { "of" };
        // A list with something else in it has been told of.
        if !says.2 || key == "of" {
            problems.push(place.problem(
                format!("the spread names nothing in `{key}`"),
                "write of = [\"R-003\"] and along = [\"guarantor\"]: names of rules, and of edges",
            ));
        }
        return None;
    }
    let level_at_least = match level {
        None => None,
        Some(level) => Some(level?),
    };
    let hops = hops.unwrap_or(Some(1))? as u8;
    let most = most.unwrap_or(Some(MOST as i64))? as usize;
    Some(SpreadText { of, level_at_least, along, hops, most, place })
}

fn bounded(value: &At<i64>, key: &str, max: i64, problems: &mut Problems) -> Option<i64> {
    if (1..=max).contains(&value.value) {
        return Some(value.value);
    }
    problems.push(value.place.problem(
        format!("`{key}` is {}; it may be 1 to {max}", value.value),
        "risk thins out on its way: name the nearest",
    ));
    None
}

/// Resolves names. `rules` are those of `texts`, in order.
pub fn compile(
    texts: &Texts,
    rules: &[Rule],
    set: &EdgeSet,
    streams: &StreamSet,
    standards: &Standards,
) -> Result<Spreads, Problems> {
    let mut problems = Problems::default();
    let Some(first) = texts.spreads.first() else { return Ok(Spreads::default()) };
    match streams.kind(CONTAGION) {
        Some(kind) => check_kind(&streams.kinds()[kind], standards, &mut problems),
        None => problems.push(first.place.problem(
            format!("alerts spread by events `{CONTAGION}`, and there are none"),
            format!("write standards/{TABLE_PREFIX}{CONTAGION}.toml, as the example rulebook has it"),
        )),
    }
    let by_contagion_alone = texts.only_listens_to(CONTAGION);
    let mut spreads = Spreads::default();
    for text in &texts.spreads {
        let along: Vec<usize> = text.along.iter().filter_map(|name| edge(name, set, &mut problems)).collect();
        let of = |i: &usize| match text.level_at_least {
            Some(level) => rules[*i].level >= level && !by_contagion_alone[*i],
            None => text.of.iter().any(|id| id.value == rules[*i].id),
        };
        let of: Vec<usize> = (0..rules.len()).filter(of).collect();
        for id in &text.of {
            match rules.iter().position(|r| r.id == id.value) {
                None => problems.push(unknown_rule(id, rules)),
                Some(i) if by_contagion_alone[i] => problems.push(id.place.problem(
                    format!("alerts of `{}` come of contagion, and spread no further", id.value),
                    "name the rules that warn of the customer itself, and more hops",
                )),
                Some(_) => {}
            }
        }
        if text.of.is_empty() && of.is_empty() {
            problems.push(text.place.problem("no rule has this level", "lower `level_at_least`"));
        }
        for rule in of {
            spreads.by_rule.entry(rules[rule].id.clone()).or_default().push(spreads.all.len());
        }
        spreads.edges.extend(&along);
        spreads.all.push(Spread { along, hops: text.hops, most: text.most });
    }
    spreads.edges.sort_unstable();
    spreads.edges.dedup();
    problems.or(spreads)
}

fn unknown_rule(id: &At<String>, rules: &[Rule]) -> tarim_datamart::Problem {
    let ids: Vec<&str> = rules.iter().map(|r| r.id.as_str()).collect();
    let fix = nearest(&id.value, &ids).map_or_else(
        || "name a warning rule of this rulebook".to_owned(),
        |near| format!("did you mean {near}?"),
    );
    id.place.problem(format!("there is no warning rule `{}`", id.value), fix)
}

fn edge(name: &At<String>, set: &EdgeSet, problems: &mut Problems) -> Option<usize> {
    let found = set.index(&name.value);
    if found.is_none() {
        let names: Vec<&str> = set.edges().iter().map(|e| e.name.as_str()).collect();
        let fix = nearest(&name.value, &names).map_or_else(
            || format!("write features/edges/{}.toml", name.value),
            |near| format!("did you mean `{near}`?"),
        );
        problems.push(name.place.problem(format!("there are no edges `{}`", name.value), fix));
    }
    found
}

/// What the pipeline writes, by field; `through` may be left out.
const FIELDS: [(&str, Type, bool); 7] = [
    ("source_customer", Type::Utf8, true),
    ("source_rule", Type::Utf8, true),
    ("source_alert", Type::Utf8, true),
    ("source_level", Type::Utf8, true),
    ("edge", Type::Utf8, true),
    ("hops", Type::Int64, true),
    ("through", Type::Utf8, false),
];

/// The standard must let through what the pipeline writes, or all of it would be dead letters.
fn check_kind(kind: &EventKind, standards: &Standards, problems: &mut Problems) {
    let table = standards.table(&format!("{TABLE_PREFIX}{CONTAGION}"));
    let table = table.expect("a kind is a table of the standards");
    for (name, ty, needed) in FIELDS {
        let what = match table.field(name) {
            Some(field) if field.ty == ty => continue,
            Some(field) => format!("the field `{name}` is {}; what spreads says it as {ty}", field.ty),
            None if needed => format!("the events `{CONTAGION}` have no field `{name}`"),
            None => continue,
        };
        problems.push(table.place.problem(what, "write it as the example rulebook has it"));
    }
    let layout = kind.layout.columns();
    let heads = [kind.id, kind.customer, kind.happened_at, kind.known_at].map(|i| layout[i].name.as_str());
    let ours = |name: &str| heads.contains(&name) || name == "member" || FIELDS.iter().any(|f| f.0 == name);
    for field in table.fields.iter().filter(|f| f.required && f.default.is_none() && !ours(&f.name)) {
        problems.push(table.place.problem(
            format!("the field `{}` is required, and what spreads does not say it", field.name),
            "make it optional, or give it a default",
        ));
    }
    if let Some(field) = table.field("through").filter(|f| f.required) {
        problems.push(table.place.problem(
            format!("the field `{}` is required, and a direct neighbour has nobody in between", field.name),
            "make it optional",
        ));
    }
}
