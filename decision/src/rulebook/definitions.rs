//! What a rulebook defines, with every expression parsed and typed once for all plans.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use tarim_datamart::{At, Place, Problem, Problems, Type};
use tarim_features::{
    expr::{Parsed, Scope},
    row::Dictionary,
};
use tarim_models::scorecard::ScorecardText;

use super::{
    domains::Domains,
    parameter::Parameter,
    policies::{For, LimitText, Named, Policies, RateText, RuleText, TableEffects},
    product::{Federation, Product},
    relation::{EXPOSURE, Relation, Source},
    variables::in_order,
};
use crate::{
    outcome::Stage,
    policy::{
        Show, Source as ShowSource,
        score::Score,
        table::{Table, TableText},
    },
};

/// Parameters that every plan has without anybody's writing them.
pub const BUILT_IN: [&str; 3] = ["member", "member_region", "product"];

/// An expression.
#[derive(Clone, Debug)]
pub struct Expression {
    pub parsed: Parsed,
    /// Relation and column, if it is nothing but a column.
    pub column: Option<(usize, usize)>,
    /// Its SQL, in small letters.
    pub text: String,
}

/// A value to show: a plain column, with the place that asks for it, or an expression to evaluate.
#[derive(Clone, Debug)]
pub enum Shown {
    Column(Show, Place),
    Expr { name: String, expression: Box<Expression> },
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    pub text: RuleText,
    pub when: Expression,
    pub show: Vec<Shown>,
}

/// A table: its cells are read, its inputs are typed.
#[derive(Clone, Debug)]
pub struct TableDefinition {
    pub table: Arc<Table>,
    pub stage: Stage,
    pub products: For,
    pub inputs: Vec<Expression>,
    /// The author wants gaps to be errors.
    pub complete: bool,
    /// The author said what a gap means.
    pub expects_gaps: bool,
    pub effects: TableEffects,
}

/// A scorecard: its bins are read, its inputs are typed.
#[derive(Clone, Debug)]
pub struct CardDefinition {
    pub score: Arc<Score>,
    pub products: For,
    pub inputs: Vec<Expression>,
    /// Odd bins that are not wrong.
    pub warnings: Vec<Problem>,
}

/// A limit formula: fen, min, max; and where exposures are limited, whether it is known how much room they leave, and how
/// much.
#[derive(Clone, Debug)]
pub struct LimitDefinition {
    pub text: LimitText,
    pub exprs: Vec<Expression>,
    pub show: Vec<Show>,
    /// What is shown where the room decides; None: exposures are not limited.
    pub room: Option<Vec<Show>>,
}

/// A rate formula: base, floor, cap, margins.
#[derive(Clone, Debug)]
pub struct RateDefinition {
    pub text: RateText,
    pub exprs: Vec<Expression>,
    pub show: Vec<Show>,
}

/// Everything that plans are made of.
#[derive(Debug)]
pub struct Definitions {
    pub relations: Vec<Relation>,
    pub scope: Scope,
    pub rules: Vec<Rule>,
    pub tables: Vec<TableDefinition>,
    pub cards: Vec<CardDefinition>,
    pub limits: Vec<LimitDefinition>,
    pub rates: Vec<RateDefinition>,
    /// Texts that steps put out.
    pub texts: Dictionary,
    /// Names of the parameters that all products share.
    pub federation_parameters: BTreeSet<String>,
}

/// Parses and types everything; all problems are told.
pub fn define(
    relations: Vec<Relation>,
    federation: &Federation,
    products: &[Product],
    policies: Policies,
    cards: &[ScorecardText],
    domains: &Domains,
) -> Result<Definitions, Problems> {
    let mut problems = Problems::default();
    let mut scope = Scope::new(relations.iter().map(|r| (r.name.clone(), r.layout.clone())).collect());
    declare(&mut scope, federation, products, &mut problems);
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    for v in &policies.variables {
        if let Some(first) = seen.insert(&v.name.value, &v.name.place) {
            problems.push(v.name.place.problem(
                format!("variable `{}` is defined twice; the first stands at {first}", v.name.value),
                "rename or remove one of them",
            ));
        }
    }
    // Without its variables a rulebook would be full of unknown names: told once is enough.
    let variables = problems.or(()).and_then(|()| in_order(&policies.variables))?;
    let mut problems = Problems::default();
    for v in variables {
        problems.take(scope.define("let", &v.name.value, &v.sql.value, &v.sql.place));
    }
    problems.or(())?;
    let mut problems = Problems::default();
    let exposed = relations.iter().any(|r| r.source == Source::Exposure);
    let texts = Dictionary::new();
    let mut definer = Definer { scope: &scope, texts, domains, exposed, problems: &mut problems };
    definer.unique_rules(&policies.rules);
    let cards: Vec<_> = cards.iter().filter_map(|c| definer.card(c)).collect();
    let effects = |t: &TableText| policies.effects.get(t.id()).cloned().unwrap_or_default();
    let tables: Vec<_> = policies.tables.iter().filter_map(|t| definer.table(t, effects(t))).collect();
    let rules: Vec<_> = policies.rules.into_iter().filter_map(|r| definer.rule(r)).collect();
    let limits: Vec<_> = policies.limits.into_iter().filter_map(|l| definer.limit(l)).collect();
    let rates: Vec<_> = policies.rates.into_iter().filter_map(|r| definer.rate(r)).collect();
    let texts = definer.texts;
    let federation_parameters = federation.parameters.iter().map(|p| p.name.clone()).collect();
    problems.or(())?;
    Ok(Definitions { relations, scope, rules, tables, cards, limits, rates, texts, federation_parameters })
}

/// Declares `param.*`: one name has one type, in whichever products it occurs.
fn declare(scope: &mut Scope, federation: &Federation, products: &[Product], problems: &mut Problems) {
    let nowhere = Place::file(Path::new("members"));
    for name in BUILT_IN {
        problems.take(scope.declare_parameter("param", name, Type::Utf8, &nowhere));
    }
    let mut declared: BTreeMap<&str, (&Parameter, Option<&str>)> = BTreeMap::new();
    let of_federation = federation.parameters.iter().map(|p| (p, None));
    let of_products = products.iter().flat_map(|p| p.parameters.iter().map(|q| (q, Some(p.id.as_str()))));
    for (p, product) in of_federation.chain(of_products) {
        if BUILT_IN.contains(&p.name.as_str()) {
            let what = format!("`{}` is a parameter that every rulebook has already", p.name);
            problems.push(p.place.problem(what, "choose another name"));
            continue;
        }
        match declared.get(p.name.as_str()) {
            Some((first, None)) if product.is_some() => problems.push(p.place.problem(
                format!("`{}` is a parameter of the federation, at {}", p.name, first.place),
                "a product cannot have it too: rename one of them",
            )),
            Some((first, _)) if first.ty != p.ty => problems.push(p.place.problem(
                format!("`{}` is of type {} here and {} at {}", p.name, p.ty, first.ty, first.place),
                "give it one type in all products (305.0 is a float64, 305 an int64)",
            )),
            Some(_) => {}
            None => {
                problems.take(scope.declare_parameter("param", &p.name, p.ty, &p.place));
                declared.insert(&p.name, (p, product));
            }
        }
    }
}

struct Definer<'a> {
    scope: &'a Scope,
    texts: Dictionary,
    domains: &'a Domains,
    /// It is known what the exposure of an application is.
    exposed: bool,
    problems: &'a mut Problems,
}

impl Definer<'_> {
    fn unique_rules(&mut self, rules: &[RuleText]) {
        let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
        // Those of control points were looked at before members had variants of their own.
        for rule in rules.iter().filter(|rule| !rule.stage.is_point()) {
            if let Some(first) = seen.insert(&rule.id, &rule.place) {
                self.problems.push(rule.place.problem(
                    format!("rule `{}` is defined twice; the first stands at {first}", rule.id),
                    "give each rule an id of its own: reasons are told by it",
                ));
            }
        }
    }

    fn expression(&mut self, sql: &At<String>) -> Option<Expression> {
        let parsed = self.problems.take(self.scope.parse(&sql.value, &sql.place))?;
        let text = sql.value.trim().to_lowercase();
        let column = match parsed.columns() {
            [c] if c.name == text => Some((c.relation, c.column)),
            _ => None,
        };
        Some(Expression { parsed, column, text })
    }

    /// An expression that must be a number.
    fn number(&mut self, sql: &At<String>, what: &str) -> Option<Expression> {
        let expression = self.expression(sql)?;
        let ty = expression.parsed.ty();
        if !matches!(ty, Type::Int64 | Type::Float64) {
            self.problems
                .push(sql.place.problem(format!("{what} is a {ty}, not a number"), "make it a number"));
            return None;
        }
        Some(expression)
    }

    /// All of some numbers, or None.
    fn numbers<'s>(
        &mut self,
        all: impl Iterator<Item = (&'s At<String>, &'static str)>,
    ) -> Option<Vec<Expression>> {
        let parsed: Vec<_> = all.map(|(sql, what)| self.number(sql, what)).collect();
        parsed.into_iter().collect()
    }

    fn card(&mut self, text: &ScorecardText) -> Option<CardDefinition> {
        let inputs: Vec<_> = text.inputs().map(|sql| self.expression(sql)).collect();
        let inputs: Vec<Expression> = inputs.into_iter().collect::<Option<_>>()?;
        let domains = inputs.iter().map(|i| self.domains.of(i)).collect();
        let (card, check) = match text.compile(domains) {
            Ok(compiled) => compiled,
            Err(e) => {
                self.problems.extend(e);
                return None;
            }
        };
        let grade_codes = text.grades().map(|g| self.texts.intern(g)).collect();
        let show = inputs.iter().map(|i| columns_of([i])).collect();
        let products = For(text.products().to_vec());
        Some(CardDefinition {
            score: Arc::new(Score { card, grade_codes, show }),
            products,
            inputs,
            warnings: check.warnings,
        })
    }

    fn table(&mut self, text: &TableText, effects: TableEffects) -> Option<TableDefinition> {
        let inputs: Vec<_> = text.inputs().map(|sql| self.expression(sql)).collect();
        let inputs: Vec<Expression> = inputs.into_iter().collect::<Option<_>>()?;
        let domains = inputs.iter().map(|i| self.domains.of(i)).collect();
        let mut table = match text.compile(domains, &mut self.texts) {
            Ok(table) => table,
            Err(e) => {
                self.problems.extend(e);
                return None;
            }
        };
        table.show = columns_of(&inputs);
        Some(TableDefinition {
            table: Arc::new(table),
            stage: text.header.stage,
            products: text.header.products.clone(),
            inputs,
            complete: text.header.complete,
            expects_gaps: text.expects_gaps(),
            effects,
        })
    }

    fn rule(&mut self, text: RuleText) -> Option<Rule> {
        let when = self.expression(&text.when)?;
        if when.parsed.ty() != Type::Boolean {
            self.problems.push(text.when.place.problem(
                format!("`when` of rule `{}` is a {}, not true or false", text.id, when.parsed.ty()),
                "write a condition, such as customer.age < 18",
            ));
            return None;
        }
        let show = match &text.show {
            None => {
                let columns = columns_of([&when]).into_iter();
                columns.map(|show| Shown::Column(show, text.when.place.clone())).collect()
            }
            Some(show) => show.iter().filter_map(|s| self.shown(s)).collect(),
        };
        Some(Rule { text, when, show })
    }

    fn shown(&mut self, Named { name, sql }: &Named) -> Option<Shown> {
        let expression = self.expression(sql)?;
        let name = name.clone();
        Some(match expression.column {
            Some((relation, column)) => {
                let show = Show { name, source: ShowSource::Column { relation, column } };
                Shown::Column(show, sql.place.clone())
            }
            None => Shown::Expr { name, expression: Box::new(expression) },
        })
    }

    fn limit(&mut self, text: LimitText) -> Option<LimitDefinition> {
        let parts = [(&text.fen, "the limit"), (&text.min, "`min`"), (&text.max, "`max`")];
        let mut exprs = self.numbers(parts.into_iter())?;
        let show = columns_of(&exprs);
        let room = if self.exposed { Some(self.room(&text.place, &mut exprs)?) } else { None };
        Some(LimitDefinition { text, exprs, show, room })
    }

    /// Adds what a limit asks about room, whether its author did or not; gives what is shown of it.
    fn room(&mut self, place: &Place, exprs: &mut Vec<Expression>) -> Option<Vec<Show>> {
        let mut column = |name: &str| {
            let value = format!("{EXPOSURE}.{name}");
            self.expression(&At { value, place: place.clone() })
        };
        exprs.extend([column("known")?, column("headroom_fen")?]);
        const SHOWN: [&str; 6] = ["limit", "counter", "cap_fen", "used_fen", "headroom_fen", "shortfall_fen"];
        let shown = SHOWN.map(column);
        Some(columns_of(shown.iter().flatten()))
    }

    fn rate(&mut self, text: RateText) -> Option<RateDefinition> {
        let parts = [(&text.base, "the base"), (&text.floor, "`floor`"), (&text.cap, "`cap`")];
        let margins = text.margins.iter().map(|m| (m, "the margin"));
        let exprs = self.numbers(parts.into_iter().chain(margins))?;
        let show = columns_of(&exprs);
        Some(RateDefinition { text, exprs, show })
    }
}

/// The columns that some expressions read, each once, in order of first use.
fn columns_of<'e>(all: impl IntoIterator<Item = &'e Expression>) -> Vec<Show> {
    let mut seen = BTreeSet::new();
    let columns = all.into_iter().flat_map(|e| e.parsed.columns());
    columns
        .filter(|c| seen.insert((c.relation, c.column)))
        .map(|c| Show {
            name: c.name.clone(),
            source: ShowSource::Column { relation: c.relation, column: c.column },
        })
        .collect()
}
