//! From definitions to plans: parameters become constants, expressions become programs.
//!
//! A step depends on its definition and on the values of the few parameters that its expressions name.
//! Members that agree in those share the step, so 83 members × all products compile about as fast as the
//! handful of different steps among them. Those that do not, still share the shape of its program
//! ([`Program::sharing`](tarim_features::expr::Program::sharing)).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tarim_datamart::{Problems, Value};
use tarim_features::expr::{Checked, ExprId, ExprSet, Shapes};

use super::{
    course::{Course, Courses},
    definitions::{Definitions, Shown},
    member::Member,
    outline::{Outline, Part},
    plan::{Plan, PlanStep, StageSet, Step, runs},
    product::{Federation, Product},
    relation::Source,
};
use crate::{
    outcome::Call,
    policy::{
        Logic, Show, Source as ShowSource,
        limit::{self, Limit},
        rate::{self, Rate},
        rules,
    },
    wire::Heads,
};

/// What makes two steps the same: their part, and the parameters that they name with their values.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    part: Part,
    /// `Debug` of each value: exact for floats, and of the type.
    parameters: Vec<(String, String)>,
}

/// Compiles plans, sharing steps.
pub struct Compiler<'a> {
    definitions: &'a Definitions,
    federation: &'a Federation,
    logics: HashMap<Part, Arc<Logic>>,
    shared: HashMap<Key, Option<Arc<Step>>>,
    steps: Vec<Arc<Step>>,
    /// By the steps that they are of: index in the plan, and in `steps`.
    courses: HashMap<Vec<(usize, usize)>, Arc<Course>>,
    shapes: Shapes,
    /// What each rule's condition came to, by index of rule.
    pub conditions: BTreeMap<usize, Vec<Option<Value>>>,
}

impl<'a> Compiler<'a> {
    pub fn new(definitions: &'a Definitions, federation: &'a Federation) -> Self {
        let (logics, shared) = (HashMap::new(), HashMap::new());
        let (steps, courses, conditions) = (Vec::new(), HashMap::new(), BTreeMap::new());
        let shapes = Shapes::new();
        Self { definitions, federation, logics, shared, steps, courses, shapes, conditions }
    }

    /// All distinct steps and courses, by their index.
    pub fn finish(self) -> (Vec<Arc<Step>>, Vec<Arc<Course>>) {
        let mut courses: Vec<Arc<Course>> = self.courses.into_values().collect();
        courses.sort_unstable_by_key(|c| c.index);
        (self.steps, courses)
    }

    /// Compiles the plan of a member and a product.
    pub fn plan(&mut self, outline: &Outline, member: &Member, product: &Product) -> Result<Plan, Problems> {
        let outline = &outline.of_member(self.definitions, &member.code);
        let parameters = self.parameters(member, product);
        let mut problems = Problems::default();
        let mut steps = Vec::new();
        for (part, needed_by) in outline.parts.iter().zip(outline.needs(self.definitions)) {
            let Some(step) = self.step(part, &parameters, &mut problems) else { continue };
            let stage = part.stage(self.definitions);
            let relation = part.result().and_then(|r| self.relation(r));
            steps.push(PlanStep { step, stage, told: 0, relation, needed_by });
        }
        // A step that failed in an earlier plan is missing here without a problem of its own.
        if steps.len() < outline.parts.len() {
            return Err(problems);
        }
        let mut told: Vec<usize> = (0..steps.len()).collect();
        told.sort_by_key(|i| (steps[*i].stage, outline.parts[*i].rank()));
        told.iter().enumerate().for_each(|(place, step)| steps[*step].told = place);
        let result = |kind: fn(&Source) -> bool| {
            let source = outline.parts.iter().filter_map(Part::result).find(kind);
            source.and_then(|s| self.relation(s))
        };
        problems.or(())?;
        Ok(Plan {
            member: member.code.clone(),
            product: product.id.clone(),
            stopped: product.stopped,
            warnings: outline.parts.iter().any(|p| p.reads(self.definitions, Source::Warnings)),
            exposures: self.asking(outline, &steps),
            score: result(|s| matches!(s, Source::Scorecard(_))),
            limit: result(|s| *s == Source::Limit),
            rate: result(|s| *s == Source::Rate),
            courses: Courses::new(|call| self.course(&steps, call)),
            steps,
        })
    }

    fn course(&mut self, steps: &[PlanStep], call: Call) -> Arc<Course> {
        let steps: Vec<(usize, &PlanStep)> = runs(steps, call).collect();
        let key = steps.iter().map(|(i, s)| (*i, s.step.index)).collect();
        let index = self.courses.len();
        let Definitions { scope, relations, .. } = self.definitions;
        let compile = || Arc::new(Course::compile(scope, relations, index, &steps, &mut self.shapes));
        self.courses.entry(key).or_insert_with(compile).clone()
    }

    fn relation(&self, source: Source) -> Option<usize> {
        self.definitions.relations.iter().position(|r| r.source == source)
    }

    /// Values of `param.*` for a member and a product.
    fn parameters(&self, member: &Member, product: &Product) -> BTreeMap<String, Value> {
        let text = |s: &str| Value::Utf8(s.to_owned());
        let mut all = BTreeMap::from([
            ("member".to_owned(), text(&member.code)),
            ("member_region".to_owned(), text(&member.region)),
            ("product".to_owned(), text(&product.id)),
        ]);
        all.extend(self.federation.parameters.iter().map(|p| (p.name.clone(), member.federation_value(p))));
        all.extend(product.parameters.iter().map(|p| (p.name.clone(), member.product_value(product, p))));
        all
    }

    /// Stages of which some step reads how counters stand.
    fn asking(&self, outline: &Outline, steps: &[PlanStep]) -> StageSet {
        let asks = |part: &Part| part.reads(self.definitions, Source::Exposure);
        let steps = outline.parts.iter().zip(steps).filter(|(part, _)| asks(part));
        steps.fold(StageSet::default(), |all, (_, step)| all.with(step.needed_by))
    }

    fn step(
        &mut self,
        part: &Part,
        parameters: &BTreeMap<String, Value>,
        problems: &mut Problems,
    ) -> Option<Arc<Step>> {
        let expressions = part.expressions(self.definitions);
        let mut used: Vec<(String, String)> = expressions
            .iter()
            .flat_map(|e| e.parsed.parameters())
            .map(|(name, _)| (name.to_string(), format!("{:?}", parameters.get(name))))
            .collect();
        used.sort();
        used.dedup();
        let key = Key { part: part.clone(), parameters: used };
        if let Some(step) = self.shared.get(&key) {
            return step.clone();
        }
        let checked: Vec<Option<Checked>> =
            expressions.iter().map(|e| problems.take(e.parsed.with(parameters))).collect();
        self.note_conditions(part, &checked);
        self.check_bounds(part, &checked, parameters, problems);
        let checked: Option<Vec<Checked>> = checked.into_iter().collect();
        let names = part.names(self.definitions);
        let set = checked.and_then(|c| problems.take(ExprSet::with_keys(&self.definitions.scope, c, names)));
        let logic = self.logic(part);
        let index = self.steps.len();
        let heads = Heads::new(&logic, part.stage(self.definitions));
        let step = set.map(|exprs| Arc::new(Step { index, exprs, logic, heads }));
        self.steps.extend(step.clone());
        self.shared.insert(key, step.clone());
        step
    }

    /// Remembers what conditions came to when their parameters were filled in, for the checks.
    fn note_conditions(&mut self, part: &Part, checked: &[Option<Checked>]) {
        if let Part::Rules(_, rules) = part {
            for (rule, condition) in rules.iter().zip(checked) {
                let constant = condition.as_ref().and_then(Checked::constant);
                self.conditions.entry(*rule).or_default().push(constant);
            }
        }
    }

    /// A limit or rate whose bounds leave nothing between them would be unknown for everybody.
    fn check_bounds(
        &self,
        part: &Part,
        checked: &[Option<Checked>],
        parameters: &BTreeMap<String, Value>,
        problems: &mut Problems,
    ) {
        let (low, high, names) = match part {
            Part::Limit(_) => (limit::expr::MIN, limit::expr::MAX, ["min", "max"]),
            Part::Rate(_) => (rate::expr::FLOOR, rate::expr::CAP, ["floor", "cap"]),
            _ => return,
        };
        let constant = |id: ExprId| checked[id.0 as usize].as_ref().and_then(Checked::constant);
        let (Some(low_value), Some(high_value)) = (constant(low), constant(high)) else { return };
        let number = |value: &Value| match *value {
            Value::Int64(i) => Some(i as f64),
            Value::Float64(x) => Some(x),
            _ => None,
        };
        if number(&low_value).zip(number(&high_value)).is_some_and(|(low, high)| low > high) {
            let of = |name: &str| parameters.get(name).map(Value::to_string).unwrap_or_default();
            let place = part.expressions(self.definitions)[low.0 as usize].parsed.place();
            problems.push(place.problem(
                format!(
                    "`{}` ({low_value}) lies above `{}` ({high_value}) for product `{}` of member `{}`",
                    names[0],
                    names[1],
                    of("product"),
                    of("member"),
                ),
                format!("lower `{}` or raise `{}`, or the parameters that they name", names[0], names[1]),
            ));
        }
    }

    fn logic(&mut self, part: &Part) -> Arc<Logic> {
        if let Some(logic) = self.logics.get(part) {
            return logic.clone();
        }
        let definitions = self.definitions;
        let logic = Arc::new(match part {
            Part::Rules(_, rules) => rule_set(definitions, rules),
            Part::Table(i) => Logic::Table(definitions.tables[*i].table.clone()),
            Part::Card(i) => Logic::Score(definitions.cards[*i].score.clone()),
            Part::Limit(i) => {
                let limit = &definitions.limits[*i];
                let ty = |i: usize| limit.exprs[i].parsed.ty();
                Logic::Limit(Limit {
                    place: limit.text.place.clone(),
                    types: [ty(0), ty(1), ty(2)],
                    step_fen: limit.text.step_fen,
                    if_below_min: limit.text.if_below_min,
                    if_unknown: limit.text.if_unknown,
                    show: limit.show.clone(),
                    room: limit.room.clone(),
                })
            }
            Part::Rate(i) => {
                let rate = &definitions.rates[*i];
                Logic::Rate(Rate {
                    place: rate.text.place.clone(),
                    types: rate.exprs.iter().map(|e| e.parsed.ty()).collect(),
                    if_unknown: rate.text.if_unknown,
                    show: rate.show.clone(),
                })
            }
        });
        self.logics.insert(part.clone(), logic.clone());
        logic
    }
}

/// Rules with the ids that [`Part::expressions`] gives: conditions first, then what is shown.
fn rule_set(definitions: &Definitions, rules: &[usize]) -> Logic {
    let is_exposure = |relation: usize| definitions.relations[relation].source == Source::Exposure;
    let mut next = rules.len() as u32;
    let rules = rules
        .iter()
        .map(|rule| {
            let rule = &definitions.rules[*rule];
            let show = rule.show.iter().map(|s| match s {
                Shown::Column(show, _) => show.clone(),
                Shown::Expr { name, .. } => {
                    next += 1;
                    Show { name: name.clone(), source: ShowSource::Expr(ExprId(next - 1)) }
                }
            });
            rules::Rule {
                id: rule.text.id.clone(),
                zh: rule.text.zh.clone(),
                en: rule.text.en.clone(),
                place: rule.text.place.clone(),
                then: rule.text.then,
                if_unknown: rule.text.if_unknown,
                show: show.collect(),
                of_exposure: rule.when.parsed.columns().iter().any(|c| is_exposure(c.relation)),
                override_roles: rule.text.override_roles.clone(),
            }
        })
        .collect();
    Logic::Rules(rules::RuleSet::new(rules))
}
