//! `policies/*.toml` as written: rules, tables, variables, limit and rate formulas.
//!
//! Every file may hold any of them; how they are spread over files is the author's.

use std::{collections::BTreeMap, path::Path};

use tarim_datamart::{At, Document, Place, Problems, Section, SourceText};
use tarim_models::{
    keys::{choice, one_of, texts},
    scorecard::ScorecardText,
};

use super::{
    Folder,
    text::{check_name, check_rule_id},
};
use crate::{
    outcome::{Effect, Stage},
    policy::table::{self, TableText},
};

/// All policies of a rulebook, in order of file name and, within one, as written.
#[derive(Debug, Default)]
pub struct Policies {
    pub rules: Vec<RuleText>,
    pub tables: Vec<TableText>,
    /// By id of the table.
    pub effects: BTreeMap<String, TableEffects>,
    pub variables: Vec<Variable>,
    pub limits: Vec<LimitText>,
    pub rates: Vec<RateText>,
}

impl Policies {
    /// Every expression that is written, those of scorecards too.
    pub fn expressions<'a>(
        &'a self,
        cards: &'a [ScorecardText],
    ) -> impl Iterator<Item = &'a At<String>> + 'a {
        let rules = self
            .rules
            .iter()
            .flat_map(|r| std::iter::once(&r.when).chain(r.show.iter().flatten().map(|s| &s.sql)));
        let variables = self.variables.iter().map(|v| &v.sql);
        let limits = self.limits.iter().flat_map(|l| [&l.fen, &l.min, &l.max]);
        let rates = self.rates.iter().flat_map(|r| [&r.base, &r.floor, &r.cap].into_iter().chain(&r.margins));
        let tables = self.tables.iter().flat_map(TableText::inputs);
        let cards = cards.iter().flat_map(ScorecardText::inputs);
        rules.chain(variables).chain(limits).chain(rates).chain(tables).chain(cards)
    }
}

/// What a `[[table]]` says that it means for a decision if no row applies, or if that is unknown: keys and words, but for `ignore`.
pub type TableEffects = Vec<(&'static str, At<String>)>;

/// Products that something is for, each with its place; empty means all.
#[derive(Clone, Debug, Default)]
pub struct For(pub Vec<At<String>>);

impl For {
    pub fn includes(&self, product: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|p| p.value == product)
    }
}

/// `[[rule]]`.
#[derive(Clone, Debug)]
pub struct RuleText {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub place: Place,
    pub stage: Stage,
    pub when: At<String>,
    pub then: Effect,
    pub if_unknown: Option<Effect>,
    pub products: For,
    /// None: the columns that `when` reads.
    pub show: Option<Vec<Named>>,
    /// Members whose plans have it; empty: all. At control points only, as what follows.
    pub members: Vec<String>,
    /// Officers of these roles may override it.
    pub override_roles: Vec<String>,
}

/// An expression to show, and what it is called.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: String,
    pub sql: At<String>,
}

impl Named {
    /// Called as it is written.
    pub fn itself(sql: At<String>) -> Self {
        Self { name: sql.value.clone(), sql }
    }
}

/// One line of `[let]`.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: At<String>,
    pub sql: At<String>,
}

/// `[limit]`.
#[derive(Clone, Debug)]
pub struct LimitText {
    pub place: Place,
    pub fen: At<String>,
    pub min: At<String>,
    pub max: At<String>,
    pub step_fen: i64,
    pub if_below_min: Effect,
    pub if_unknown: Effect,
    pub products: For,
}

/// `[rate]`.
#[derive(Clone, Debug)]
pub struct RateText {
    pub place: Place,
    pub base: At<String>,
    pub floor: At<String>,
    pub cap: At<String>,
    pub margins: Vec<At<String>>,
    pub if_unknown: Effect,
    pub products: For,
}

const STAGES: [(&str, Stage); 5] = [
    ("admission", Stage::Admission),
    ("fraud", Stage::Fraud),
    ("score", Stage::Score),
    ("limit", Stage::Limit),
    ("rate", Stage::Rate),
];

/// What cannot be ignored.
const CAUTIOUS: [(&str, Effect); 2] = [("refer", Effect::Refer), ("decline", Effect::Decline)];

/// Reads `policies/*.toml`. Names that stand twice are told; whether names exist is for the compiler.
pub fn read(folder: &Folder) -> Result<Policies, Problems> {
    let mut problems = Problems::default();
    let mut policies = Policies::default();
    for path in folder.list("policies", "toml") {
        let Some(source) = problems.take(SourceText::read(folder.root(), path)) else { continue };
        match Document::parse(&source) {
            Ok(document) => file(folder, document.root(), &mut policies, &mut problems),
            Err(e) => problems.extend(e),
        }
    }
    // With a problem in some file, the table that a CSV belongs to may not have been read.
    if problems.is_empty() {
        strays(folder, &policies, &mut problems);
    }
    problems.or(policies)
}

/// Files that nothing refers to.
fn strays(folder: &Folder, policies: &Policies, problems: &mut Problems) {
    for file in folder.files().iter().filter(|f| f.starts_with("policies")) {
        let csv_of_table = file.parent() == Some(Path::new("policies/tables"))
            && policies.tables.iter().any(|t| *file == t.csv_path());
        let toml =
            file.parent() == Some(Path::new("policies")) && file.extension().is_some_and(|e| e == "toml");
        if !csv_of_table && !toml && file.extension().is_none_or(|e| e != "md") {
            problems.push(Place::file(file).problem(
                "nothing refers to this file",
                "policies/ has .toml files, policies/tables/ a CSV of each [[table]]; add the table or remove the file",
            ));
        }
    }
}

fn file(folder: &Folder, root: Section<'_>, policies: &mut Policies, problems: &mut Problems) {
    let stage = root.text("stage", problems);
    let stage = stage.and_then(|s| Some(At { value: one_of(&s, &STAGES, problems)?, place: s.place }));
    let named = root.has("stage");
    for (name, item) in root.section("let", problems).iter().flat_map(Section::entries) {
        let name = name.map(str::to_owned);
        check_name(&name, problems);
        if let Some(sql) = item.text(problems) {
            policies.variables.push(Variable { name, sql });
        }
    }
    let rules = root.sections("rule", problems);
    if let Some(first) = rules.first().filter(|_| !named) {
        problems.push(first.place().problem(
            "the rules of this file are of no stage",
            "write stage = \"admission\" (or fraud, score, limit, rate) at the top of the file",
        ));
    }
    for section in rules {
        let stage = stage.as_ref().map_or(Stage::Admission, |s| s.value);
        policies.rules.extend(rule(section, stage, problems));
    }
    for section in root.sections("table", problems) {
        let effects = table_effects(&section, problems);
        let Some(header) = table::Header::take(section, &STAGES, problems) else { continue };
        check_name(&header.id, problems);
        policies.effects.insert(header.id.value.clone(), effects);
        match TableText::read(folder.root(), header) {
            Ok(table) => policies.tables.push(table),
            Err(e) => problems.extend(e),
        }
    }
    for (what, must, section) in [
        ("limit", Stage::Limit, root.section("limit", problems)),
        ("rate", Stage::Rate, root.section("rate", problems)),
    ] {
        let Some(section) = section else { continue };
        // They may stand in a file of rules of their own stage, or of no stage.
        if let Some(stage) = stage.as_ref().filter(|s| s.value != must) {
            problems.push(stage.place.problem(
                format!("[{what}] stands in a file of another stage"),
                format!("write stage = \"{what}\", or move [{what}] to a file of its own"),
            ));
        }
        match must {
            Stage::Limit => policies.limits.extend(limit(section, problems)),
            _ => policies.rates.extend(rate(section, problems)),
        }
    }
    root.finish(problems);
}

fn table_effects(section: &Section<'_>, problems: &mut Problems) -> TableEffects {
    let said = ["if_no_match", "if_unknown"].map(|key| section.text(key, problems).map(|word| (key, word)));
    said.into_iter().flatten().filter(|(_, word)| word.value != "ignore").collect()
}

fn rule(section: Section<'_>, stage: Stage, problems: &mut Problems) -> Option<RuleText> {
    let id = section.need_text("id", problems);
    let what = id.as_ref().map_or("the rule".into(), |id| format!("rule `{}`", id.value));
    let texts = texts(&section, &what, problems);
    let when = section.need_text("when", problems);
    let words = [("decline", Effect::Decline), ("refer", Effect::Refer), ("warn", Effect::Warn)];
    let then = section.need_text("then", problems).and_then(|t| one_of(&t, &words, problems));
    let words = [
        ("refer", Some(Effect::Refer)),
        ("decline", Some(Effect::Decline)),
        ("warn", Some(Effect::Warn)),
        ("ignore", None),
    ];
    let if_unknown = choice(&section, "if_unknown", &words, problems).unwrap_or(Some(Effect::Refer));
    let products = For(section.texts("products", problems));
    let show = section.item("show").map(|s| s.texts(problems).into_iter().map(Named::itself).collect());
    section.finish(problems);
    let (id, (zh, en)) = (id?, texts?);
    check_rule_id(&id, problems);
    let (place, id) = (id.place, id.value);
    let (when, then, members, override_roles) = (when?, then?, Vec::new(), Vec::new());
    Some(RuleText {
        id,
        zh,
        en,
        place,
        stage,
        when,
        then,
        if_unknown,
        products,
        show,
        members,
        override_roles,
    })
}

fn limit(section: Section<'_>, problems: &mut Problems) -> Option<LimitText> {
    let fen = section.need_text("fen", problems);
    let min = section.need_text("min", problems);
    let max = section.need_text("max", problems);
    let step = section.integer("step_fen", problems);
    if let Some(step) = step.as_ref().filter(|s| s.value < 1) {
        problems.push(step.place.problem(
            format!("step_fen is {}", step.value),
            "write 1 or more: the limit is rounded down to a whole number of these",
        ));
    }
    let if_below_min = choice(&section, "if_below_min", &CAUTIOUS, problems).unwrap_or(Effect::Decline);
    let if_unknown = choice(&section, "if_unknown", &CAUTIOUS, problems).unwrap_or(Effect::Refer);
    let products = For(section.texts("products", problems));
    let place = section.place();
    section.finish(problems);
    let step_fen = step.map_or(1, |s| s.value.max(1));
    Some(LimitText { place, fen: fen?, min: min?, max: max?, step_fen, if_below_min, if_unknown, products })
}

fn rate(section: Section<'_>, problems: &mut Problems) -> Option<RateText> {
    let base = section.need_text("base", problems);
    let floor = section.need_text("floor", problems);
    let cap = section.need_text("cap", problems);
    let mut margins = Vec::new();
    let mut names: Vec<At<String>> = Vec::new();
    for item in section.item("margins").map(|m| m.items(problems)).unwrap_or_default() {
        let Some(margin) = item.section(problems) else { continue };
        let name = margin.need_text("name", problems);
        let what = name.as_ref().map_or("the margin".into(), |n| format!("margin `{}`", n.value));
        texts(&margin, &what, problems);
        margins.extend(margin.need_text("sql", problems));
        margin.finish(problems);
        let Some(name) = name else { continue };
        check_name(&name, problems);
        match names.iter().find(|before| before.value == name.value) {
            Some(first) => problems.push(name.place.problem(
                format!("margin `{}` stands twice; the first at {}", name.value, first.place),
                "rename one of them, or remove it if it was added twice",
            )),
            None => names.push(name),
        }
    }
    let if_unknown = choice(&section, "if_unknown", &CAUTIOUS, problems).unwrap_or(Effect::Refer);
    let products = For(section.texts("products", problems));
    let place = section.place();
    section.finish(problems);
    Some(RateText { place, base: base?, floor: floor?, cap: cap?, margins, if_unknown, products })
}
