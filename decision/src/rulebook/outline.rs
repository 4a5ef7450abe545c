//! The outline of a product: which steps it has, and in which order. The same for all members.

use std::collections::BTreeMap;

use tarim_datamart::{Place, Problem, Problems, Type};
use tarim_models::domain::Domain;

use super::{
    definitions::{BUILT_IN, Definitions, Expression, Shown},
    plan::StageSet,
    policies::For,
    product::Product,
    relation::Source,
};
use crate::{
    outcome::{Call, Stage},
    policy::{Show, Source as ShowSource},
};

/// What a step is made from: indices into [`Definitions`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Rules(Stage, Vec<usize>),
    Table(usize),
    Card(usize),
    Limit(usize),
    Rate(usize),
}

/// Steps of a product, each after those whose results it reads.
#[derive(Debug)]
pub struct Outline {
    pub parts: Vec<Part>,
}

impl Outline {
    /// As a member has it: rules of control points may be for some members alone.
    pub fn of_member(&self, definitions: &Definitions, member: &str) -> Self {
        let has = |rule: &usize| {
            let members = &definitions.rules[*rule].text.members;
            members.is_empty() || members.iter().any(|code| code == member)
        };
        let part = |part: &Part| match part {
            Part::Rules(stage, rules) => {
                let rules: Vec<usize> = rules.iter().copied().filter(has).collect();
                (!rules.is_empty()).then_some(Part::Rules(*stage, rules))
            }
            other => Some(other.clone()),
        };
        Self { parts: self.parts.iter().filter_map(part).collect() }
    }

    /// Of each part the stages that need it: its own, and those of the parts that read or show its result. A table is not needed
    /// by its own stage unless something of a decision needs it: one that control points alone read would else run in every
    /// decision, and refer whoever it has no row for.
    pub fn needs(&self, definitions: &Definitions) -> Vec<StageSet> {
        let own = |part: &Part| StageSet::of(part.stage(definitions));
        let of_itself = |part: &Part| match part {
            Part::Table(_) => StageSet::default(),
            _ => own(part),
        };
        let mut needs: Vec<StageSet> = self.parts.iter().map(of_itself).collect();
        // Parts stand after what they read, so one pass from the end does.
        for (i, part) in self.parts.iter().enumerate().rev() {
            if needs[i].meets(Call::All) {
                needs[i] = needs[i].with(own(part));
            }
            let need = needs[i];
            for (relation, _) in part.relations(definitions) {
                let read = Some(definitions.relations[relation].source);
                for (before, needs) in self.parts[..i].iter().zip(&mut needs) {
                    if before.result() == read {
                        *needs = needs.with(need);
                    }
                }
            }
        }
        needs
    }
}

impl Part {
    /// The expressions of its step, in the order of their ids. Values to show come last.
    pub fn expressions<'d>(&'d self, definitions: &'d Definitions) -> Vec<&'d Expression> {
        match self {
            Part::Rules(_, rules) => {
                let rules = || rules.iter().map(|r| &definitions.rules[*r]);
                let shown = rules().flat_map(|r| &r.show).filter_map(|s| match s {
                    Shown::Column(..) => None,
                    Shown::Expr { expression, .. } => Some(&**expression),
                });
                rules().map(|r| &r.when).chain(shown).collect()
            }
            Part::Table(i) => definitions.tables[*i].inputs.iter().collect(),
            Part::Card(i) => definitions.cards[*i].inputs.iter().collect(),
            Part::Limit(i) => definitions.limits[*i].exprs.iter().collect(),
            Part::Rate(i) => definitions.rates[*i].exprs.iter().collect(),
        }
    }

    /// The relations that its step reads or shows something of, each with the place that says so.
    pub fn relations<'d>(
        &'d self,
        definitions: &'d Definitions,
    ) -> impl Iterator<Item = (usize, &'d Place)> + 'd {
        let rules: &'d [usize] = match self {
            Part::Rules(_, rules) => rules,
            // They show what they read.
            _ => &[],
        };
        let shown = rules.iter().flat_map(move |rule| &definitions.rules[*rule].show);
        let shown = shown.filter_map(|show| match show {
            Shown::Column(Show { source: ShowSource::Column { relation, .. }, .. }, place) => {
                Some((*relation, place))
            }
            _ => None,
        });
        let read = self.expressions(definitions).into_iter();
        let read = read.flat_map(|e| e.parsed.columns().iter().map(move |c| (c.relation, e.parsed.place())));
        read.chain(shown)
    }

    /// Does its step read a given relation, or show something of it?
    pub fn reads(&self, definitions: &Definitions, source: Source) -> bool {
        self.relations(definitions).any(|(relation, _)| definitions.relations[relation].source == source)
    }

    /// Of each expression the names of texts, if the step asks for nothing but their keys.
    pub fn names(&self, definitions: &Definitions) -> Vec<Option<Vec<String>>> {
        let names = |domain: &Domain| (domain.ty() == Type::Utf8).then(|| domain.texts().to_vec());
        match self {
            Part::Table(i) => definitions.tables[*i].table.inputs.iter().map(|i| names(&i.domain)).collect(),
            Part::Card(i) => {
                let card = &definitions.cards[*i].score.card;
                card.characteristics().iter().map(|c| names(c.domain())).collect()
            }
            _ => vec![None; self.expressions(definitions).len()],
        }
    }

    /// The relation that its result fills.
    pub fn result(&self) -> Option<Source> {
        match self {
            Part::Rules(..) => None,
            Part::Table(i) => Some(Source::Table(*i)),
            Part::Card(i) => Some(Source::Scorecard(*i)),
            Part::Limit(_) => Some(Source::Limit),
            Part::Rate(_) => Some(Source::Rate),
        }
    }

    pub fn stage(&self, definitions: &Definitions) -> Stage {
        match self {
            Part::Rules(stage, _) => *stage,
            Part::Table(i) => definitions.tables[*i].stage,
            Part::Card(_) => Stage::Score,
            Part::Limit(_) => Stage::Limit,
            Part::Rate(_) => Stage::Rate,
        }
    }

    /// Orders reasons within a stage: tables, rules, scorecard, limit, rate.
    pub fn rank(&self) -> (u8, usize) {
        match self {
            Part::Table(i) => (0, *i),
            Part::Rules(..) => (1, 0),
            Part::Card(i) => (2, *i),
            Part::Limit(i) => (3, *i),
            Part::Rate(i) => (4, *i),
        }
    }
}

/// Works out the steps of a product.
pub fn outline(definitions: &Definitions, product: &Product) -> Result<Outline, Problems> {
    let mut problems = Problems::default();
    let applies = |products: &For| products.includes(&product.id);
    let mut producers: BTreeMap<Source, Part> = BTreeMap::new();
    let mut roots: Vec<Part> = Vec::new();
    let mut only = |parts: Vec<(Part, &Place)>, what: &str, needed: bool, problems: &mut Problems| {
        for (_, place) in parts.iter().skip(1) {
            problems.push(place.problem(
                format!("product `{}` has two {what}s: this one and the one at {}", product.id, parts[0].1),
                "let each name its products: products = [\"…\"]",
            ));
        }
        match parts.into_iter().next() {
            Some((part, _)) => {
                producers.extend(part.result().map(|source| (source, part.clone())));
                roots.push(part);
            }
            None if needed => problems.push(product.place.problem(
                format!("no {what} is for product `{}`, so nothing of it could be approved", product.id),
                format!("write policies/{what}.toml with [{what}], or add the product to its `products`"),
            )),
            None => {}
        }
    };
    let cards = definitions.cards.iter().enumerate().filter(|(_, c)| applies(&c.products));
    only(
        cards.map(|(i, c)| (Part::Card(i), &c.score.card.place)).collect(),
        "scorecard",
        false,
        &mut problems,
    );
    let limits = definitions.limits.iter().enumerate().filter(|(_, l)| applies(&l.text.products));
    only(limits.map(|(i, l)| (Part::Limit(i), &l.text.place)).collect(), "limit", true, &mut problems);
    let rates = definitions.rates.iter().enumerate().filter(|(_, r)| applies(&r.text.products));
    only(rates.map(|(i, r)| (Part::Rate(i), &r.text.place)).collect(), "rate", true, &mut problems);
    let tables = (0..definitions.tables.len()).filter(|i| applies(&definitions.tables[*i].products));
    producers.extend(tables.map(|i| (Source::Table(i), Part::Table(i))));
    for stage in Stage::every() {
        let rules: Vec<usize> = (0..definitions.rules.len())
            .filter(|i| {
                definitions.rules[*i].text.stage == stage && applies(&definitions.rules[*i].text.products)
            })
            .collect();
        if !rules.is_empty() {
            roots.push(Part::Rules(stage, rules));
        }
    }
    roots.sort_by_key(|part| (part.stage(definitions), part.rank()));
    let mut walk = Walk { definitions, product, producers, path: Vec::new(), parts: Vec::new(), problems };
    for root in roots {
        walk.visit(&root);
    }
    let Walk { parts, problems, .. } = walk;
    problems.or(Outline { parts })
}

/// Puts steps in order, those that are read first.
struct Walk<'a> {
    definitions: &'a Definitions,
    product: &'a Product,
    /// Which step of this product leaves which result.
    producers: BTreeMap<Source, Part>,
    path: Vec<Source>,
    parts: Vec<Part>,
    problems: Problems,
}

impl Walk<'_> {
    fn visit(&mut self, part: &Part) {
        if self.parts.contains(part) {
            return;
        }
        let definitions = self.definitions;
        self.path.extend(part.result());
        for e in part.expressions(definitions) {
            self.check_parameters(e);
        }
        for (relation, place) in part.relations(definitions) {
            let source = definitions.relations[relation].source;
            if source.is_input() {
                continue;
            }
            if let Some(start) = self.path.iter().position(|s| *s == source) {
                let circle: Vec<&str> =
                    self.path[start..].iter().chain([&source]).map(|s| self.name(*s)).collect();
                self.problems.push(place.problem(
                    format!("results go in a circle: {}", circle.join(" ← ")),
                    "let one of them stand without the others",
                ));
                continue;
            }
            match self.producers.get(&source).cloned() {
                Some(producer) => {
                    self.check_stages(part, &producer, place);
                    self.visit(&producer);
                }
                None => {
                    let problem = self.not_for_product(source, place);
                    self.problems.push(problem);
                }
            }
        }
        if part.result().is_some() {
            self.path.pop();
        }
        self.parts.push(part.clone());
    }

    /// Stages go one after the other, so nothing of a stage may hang on what a later one works out: the
    /// answer of `CheckAdmission` would depend on a rate that has not been asked for.
    fn check_stages(&mut self, part: &Part, producer: &Part, place: &Place) {
        let (stage, later) = (part.stage(self.definitions), producer.stage(self.definitions));
        if let Some(source) = producer.result()
            && stage < later
        {
            let name = self.name(source);
            self.problems.push(place.problem(
                format!("something of stage {stage} reads `{name}`, which is of the later stage {later}"),
                format!("move it to stage {later}, or do without `{name}`"),
            ));
        }
    }

    fn name(&self, source: Source) -> &str {
        let relation = self.definitions.relations.iter().find(|r| r.source == source);
        relation.map_or("", |r| r.name.as_str())
    }

    fn not_for_product(&self, source: Source, place: &Place) -> Problem {
        let (name, product) = (self.name(source), &self.product.id);
        place.problem(
            format!("this reads `{name}`, which is not for product `{product}`"),
            format!("give `{name}` to the product, or say products = [\"…\"] without it here"),
        )
    }

    fn check_parameters(&mut self, e: &Expression) {
        for (name, _) in e.parsed.parameters() {
            let known = BUILT_IN.contains(&name)
                || self.definitions.federation_parameters.contains(name)
                || self.product.parameters.iter().any(|p| p.name == *name);
            if !known {
                self.problems.push(e.parsed.place().problem(
                    format!("`param.{name}` is not a parameter of product `{}`", self.product.id),
                    format!(
                        "add [parameter.{name}] to products/{}.toml, or say products = [\"…\"] without it here",
                        self.product.id
                    ),
                ));
            }
        }
    }
}
