//! Reading test cases.

use std::{collections::BTreeMap, path::Path};

use tarim_datamart::{At, Document, Item, Place, Problems, Section, SourceText, Type, Value, nearest};
use tarim_models::keys::one_of;

use super::{exposed, warned};
use crate::{
    outcome::{Clearance, Outcome, Stage},
    rulebook::{APPLICATION, Folder, Relation, Rulebook, Source},
};

/// A case, complete: what its `like` is given, it is given too. What is expected is its own.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub place: Place,
    pub member: String,
    pub product: String,
    /// The control point that is asked; None: a decision.
    pub point: Option<Stage>,
    /// When it is decided, microseconds since 1970-01-01T00:00:00Z.
    pub at_us: i64,
    /// Values of the relations that are given, by relation and column.
    pub values: BTreeMap<(usize, usize), Value>,
    /// Entities that are known, by relation.
    pub known: Vec<usize>,
    /// Feature views that are stale, by relation and group.
    pub stale: Vec<(usize, usize)>,
    pub expected: Expected,
}

/// What must come of a case; what is absent may be anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    pub outcome: Option<Outcome>,
    /// Of a control point.
    pub verdict: Option<Clearance>,
    pub reasons: Vec<String>,
    pub no_reasons: Vec<String>,
    pub limit_fen: Option<i64>,
    pub rate_ppm: Option<i64>,
    pub grade: Option<String>,
    pub points: Option<f64>,
}

/// What one `[[case]]` itself says.
#[derive(Clone, Debug)]
struct Draft {
    name: At<String>,
    like: Option<At<String>>,
    member: Option<At<String>>,
    product: Option<At<String>>,
    point: Option<At<Stage>>,
    at_us: Option<i64>,
    values: BTreeMap<(usize, usize), Value>,
    known: Vec<usize>,
    /// Columns that are NULL, and relations of which nothing is known, whatever `like` says.
    missing: Vec<(usize, usize)>,
    unknown: Vec<usize>,
    lists: Option<Vec<usize>>,
    stale: Option<Vec<(usize, usize)>>,
    expected: Expected,
}

/// Reads all cases of a rulebook, in order of file name and, within one, as they stand.
pub fn read(rulebook: &Rulebook, folder: &Path) -> Result<Vec<Case>, Problems> {
    let files = Folder::open(folder)?;
    let mut problems = Problems::default();
    let mut drafts: Vec<Draft> = Vec::new();
    for path in files.list("tests", "toml") {
        let Some(source) = problems.take(SourceText::read(folder, path)) else { continue };
        match Document::parse(&source) {
            Ok(document) => {
                let root = document.root();
                for section in root.sections("case", &mut problems) {
                    drafts.extend(Reader { rulebook, problems: &mut problems }.draft(&section));
                }
                root.finish(&mut problems);
            }
            Err(e) => problems.extend(e),
        }
    }
    for (i, draft) in drafts.iter().enumerate() {
        if let Some(first) = drafts[..i].iter().find(|d| d.name.value == draft.name.value) {
            problems.push(draft.name.place.problem(
                format!("the case \"{}\" stands twice; the first at {}", draft.name.value, first.name.place),
                "rename one of them",
            ));
        }
    }
    // With a problem, what could not be read may have been the expectation.
    if problems.is_empty() {
        for draft in drafts.iter().filter(|d| d.expected == Expected::default()) {
            problems.push(draft.name.place.problem(
                format!("the case \"{}\" expects nothing: it would pass whatever is decided", draft.name.value),
                "add [case.expect] with an outcome (at a control point, a verdict), reasons, no_reasons, limit_fen, rate_ppm, grade or points",
            ));
        }
    }
    let cases = drafts.iter().filter_map(|d| complete(d, &drafts, rulebook, &mut problems)).collect();
    problems.or(cases)
}

struct Reader<'a> {
    rulebook: &'a Rulebook,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn draft(&mut self, section: &Section<'_>) -> Option<Draft> {
        let name = section.need_text("name", self.problems)?;
        let mut draft = Draft {
            name,
            like: None,
            member: None,
            product: None,
            point: None,
            at_us: None,
            values: BTreeMap::new(),
            known: Vec::new(),
            missing: Vec::new(),
            unknown: Vec::new(),
            lists: None,
            stale: None,
            expected: Expected::default(),
        };
        for (key, item) in section.entries() {
            self.key(&key, item, &mut draft);
        }
        Some(draft)
    }

    fn key(&mut self, key: &At<&str>, item: Item<'_>, draft: &mut Draft) {
        match key.value {
            "name" => {}
            "like" => draft.like = item.text(self.problems),
            "member" => draft.member = item.text(self.problems),
            "product" => draft.product = item.text(self.problems),
            "point" => draft.point = self.point(&item),
            "at" => {
                if let Some(At { value: Value::Timestamp(us), .. }) =
                    item.value(Type::Timestamp, self.problems)
                {
                    draft.at_us = Some(us);
                }
            }
            "missing" => {
                for name in item.texts(self.problems) {
                    match self.whole(&name.value) {
                        Some(relation) => draft.unknown.push(relation),
                        None => draft.missing.extend(self.column(&name)),
                    }
                }
            }
            "stale" => {
                let names = item.texts(self.problems);
                draft.stale = Some(names.iter().filter_map(|n| self.view(n)).collect());
            }
            "lists" => {
                let names = item.texts(self.problems);
                draft.lists = Some(names.iter().filter_map(|n| self.list(n)).collect());
            }
            "expect" => {
                if let Some(section) = item.section(self.problems) {
                    draft.expected = self.expected(&section);
                    section.finish(self.problems);
                }
            }
            name => self.relation(name, key, item, draft),
        }
    }

    fn point(&mut self, item: &Item<'_>) -> Option<At<Stage>> {
        let words = Stage::POINTS.map(|point| (point.to_string(), point));
        let words: Vec<(&str, Stage)> = words.iter().map(|(word, point)| (word.as_str(), *point)).collect();
        let text = item.text(self.problems)?;
        Some(At { value: one_of(&text, &words, self.problems)?, place: text.place })
    }

    /// Values of the application, of what stands against the applicant, or of an entity, which is known then.
    fn relation(&mut self, name: &str, key: &At<&str>, item: Item<'_>, draft: &mut Draft) {
        let mut relations = self.rulebook.relations().iter().enumerate();
        let Some((index, relation)) = relations.find(|(_, r)| can_be_given(r) && r.name == name) else {
            let mut keys = vec![
                "name", "like", "member", "product", "point", "at", "lists", "missing", "stale", "expect",
            ];
            let given = self.rulebook.relations().iter().filter(|r| can_be_given(r));
            keys.extend(given.map(|r| r.name.as_str()));
            let fix = match nearest(name, &keys) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("remove it; a case has {}", keys.join(", ")),
            };
            self.problems.push(key.place.problem(format!("unknown key `{name}` in [[case]]"), fix));
            return;
        };
        if matches!(relation.source, Source::Entity(_)) {
            draft.known.push(index);
        }
        let Some(section) = item.section(self.problems) else { return };
        for (column, item) in section.entries() {
            let Some(i) = self.index(relation, &column) else { continue };
            let Some(value) = item.value(relation.layout.columns()[i].ty, self.problems) else { continue };
            self.check_field(index, column.value, &value);
            draft.values.insert((index, i), value.value);
        }
    }

    /// A value that the gate would refuse is a slip of the case. Personal fields may be made up.
    fn check_field(&mut self, relation: usize, name: &str, value: &At<Value>) {
        let table = self.rulebook.standards().table("applications").filter(|_| relation == APPLICATION);
        let field = table.and_then(|t| t.field(name)).filter(|f| !f.personal);
        for broken in field.map(|f| f.check(value.value.as_ref())).unwrap_or_default() {
            self.problems.push(value.place.problem(
                format!("`{name}` breaks the standard's rule {}: {}", broken.rule, broken.message),
                "write a value that an application could have",
            ));
        }
    }

    fn index(&mut self, relation: &Relation, name: &At<&str>) -> Option<usize> {
        let found = relation.layout.index(name.value);
        if found.is_none() {
            let columns: Vec<&str> = relation.layout.columns().iter().map(|c| c.name.as_str()).collect();
            let fix = match nearest(name.value, &columns) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    format!("`{}` has {} names; correct this one or remove it", relation.name, columns.len())
                }
            };
            let what = format!("`{}` has no `{}`", relation.name, name.value);
            self.problems.push(name.place.problem(what, fix));
        }
        found
    }

    /// A relation that can be unknown as a whole: an entity, what stands against the applicant, or how counters stand.
    fn whole(&self, name: &str) -> Option<usize> {
        let mut all = self.rulebook.relations().iter();
        all.position(|r| {
            let whole = matches!(r.source, Source::Entity(_) | Source::Warnings | Source::Exposure);
            r.name == name && whole
        })
    }

    /// `relation.column`, of what is given.
    fn column(&mut self, name: &At<String>) -> Option<(usize, usize)> {
        let split = name.value.split_once('.');
        let relations = self.rulebook.relations();
        let found = split.and_then(|(relation, column)| {
            let index = relations.iter().position(|r| r.source.is_input() && r.name == relation)?;
            Some((index, column))
        });
        let Some((index, column)) = found else {
            let fix =
                "write a field or feature with its owner, such as customer.age or application.amount_fen";
            self.problems
                .push(name.place.problem(format!("`{}` is not given to a decision", name.value), fix));
            return None;
        };
        let column = At { value: column, place: name.place.clone() };
        Some((index, self.index(&relations[index], &column)?))
    }

    /// `entity.view`, as relation and group.
    fn view(&mut self, name: &At<String>) -> Option<(usize, usize)> {
        let found = name.value.split_once('.').and_then(|(entity, view)| {
            let index = self.rulebook.relations().iter().position(|r| r.name == entity)?;
            let groups = self.rulebook.relations()[index].layout.groups();
            let group = groups.iter().skip(1).position(|g| g.name == view && g.freshness_us.is_some())?;
            Some((index, group + 1))
        });
        if found.is_none() {
            self.problems.push(name.place.problem(
                format!("`{}` is no feature view that can be stale", name.value),
                "write entity.view, such as customer.customer_activity, of a view that has a freshness",
            ));
        }
        found
    }

    /// Column of a list.
    fn list(&mut self, name: &At<String>) -> Option<usize> {
        let lists: Vec<&str> = self.rulebook.features().lists().iter().map(|l| l.name.as_str()).collect();
        let found = lists.iter().position(|l| *l == name.value);
        if found.is_none() {
            let fix = match nearest(&name.value, &lists) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of {}", lists.join(", ")),
            };
            self.problems.push(name.place.problem(format!("there is no list `{}`", name.value), fix));
        }
        found
    }

    fn expected(&mut self, section: &Section<'_>) -> Expected {
        let problems = &mut *self.problems;
        let words = [("APPROVE", Outcome::Approve), ("REFER", Outcome::Refer), ("DECLINE", Outcome::Decline)];
        let outcome = section.text("outcome", problems).and_then(|o| one_of(&o, &words, problems));
        let words = [("PASS", Clearance::Pass), ("WARN", Clearance::Warn), ("BLOCK", Clearance::Block)];
        let verdict = section.text("verdict", problems).and_then(|v| one_of(&v, &words, problems));
        let mut texts = |key| section.texts(key, problems).into_iter().map(|t| t.value).collect();
        let (reasons, no_reasons) = (texts("reasons"), texts("no_reasons"));
        let points = section.item("points").and_then(|p| p.value(Type::Float64, problems));
        Expected {
            outcome,
            verdict,
            reasons,
            no_reasons,
            limit_fen: section.integer("limit_fen", problems).map(|i| i.value),
            rate_ppm: section.integer("rate_ppm", problems).map(|i| i.value),
            grade: section.text("grade", problems).map(|t| t.value),
            points: points.and_then(|p| if let Value::Float64(x) = p.value { Some(x) } else { None }),
        }
    }
}

/// What is expected of a decision at a control point, or the other way round.
fn misplaced(point: Option<Stage>, expected: &Expected) -> Option<&'static str> {
    let Expected { outcome, verdict, limit_fen, rate_ppm, grade, points, .. } = expected;
    let of_decision = [
        ("an outcome", outcome.is_some()),
        ("limit_fen", limit_fen.is_some()),
        ("rate_ppm", rate_ppm.is_some()),
        ("a grade", grade.is_some()),
        ("points", points.is_some()),
    ];
    match point {
        None => verdict.map(|_| "a verdict"),
        Some(_) => of_decision.into_iter().find(|(_, is)| *is).map(|(what, _)| what),
    }
}

/// Has a case a table of its values? Of lists it names those that hit.
fn can_be_given(relation: &Relation) -> bool {
    matches!(relation.source, Source::Application | Source::Entity(_) | Source::Warnings | Source::Exposure)
}

/// Puts a case together from itself and the cases that it is like.
fn complete(draft: &Draft, all: &[Draft], rulebook: &Rulebook, problems: &mut Problems) -> Option<Case> {
    let mut line: Vec<&Draft> = vec![draft];
    while let Some(like) = &line[line.len() - 1].like {
        let Some(next) = all.iter().find(|d| d.name.value == like.value) else {
            let what = format!("there is no case \"{}\" to be like", like.value);
            problems.push(like.place.problem(what, "write the name of another case"));
            return None;
        };
        if line.iter().any(|d| std::ptr::eq(*d, next)) {
            let what = format!("case \"{}\" is like itself in the end", draft.name.value);
            problems.push(like.place.problem(what, "let one case of the circle stand for itself"));
            return None;
        }
        line.push(next);
    }
    let nearest = |name: &str, of: &dyn Fn(&Draft) -> Option<At<String>>, problems: &mut Problems| {
        let found = line.iter().find_map(|d| of(d));
        if found.is_none() {
            problems.push(draft.name.place.problem(
                format!("the case \"{}\" has no {name}", draft.name.value),
                format!("add {name} = \"…\", or like = \"…\""),
            ));
        }
        found
    };
    let member = nearest("member", &|d| d.member.clone(), problems)?;
    let product = nearest("product", &|d| d.product.clone(), problems)?;
    if let Err(e) = rulebook.plan(&member.value, &product.value) {
        let place = draft.product.as_ref().or(draft.member.as_ref()).map_or(&draft.name.place, |t| &t.place);
        problems.push(place.problem(e.to_string(), "write a product that the member offers"));
        return None;
    }
    let point = line.iter().find_map(|d| d.point.clone()).map(|point| point.value);
    if let Some(what) = misplaced(point, &draft.expected) {
        let fix = match point {
            Some(_) => "a control point gives a verdict and reasons",
            None => "name the control point, point = \"contract\", or expect an outcome",
        };
        let what = format!("the case \"{}\" expects {what}, which it cannot have", draft.name.value);
        problems.push(draft.name.place.problem(what, fix));
        return None;
    }
    let Some(at_us) = line.iter().find_map(|d| d.at_us) else {
        problems.push(draft.name.place.problem(
            format!("the case \"{}\" has no time", draft.name.value),
            "add at = \"2026-06-30T10:00:00Z\"",
        ));
        return None;
    };
    let mut case = Case {
        name: draft.name.value.clone(),
        place: draft.name.place.clone(),
        member: member.value,
        product: product.value,
        point,
        at_us,
        values: BTreeMap::new(),
        known: Vec::new(),
        stale: line.iter().find_map(|d| d.stale.clone()).unwrap_or_default(),
        expected: draft.expected.clone(),
    };
    for d in line.iter().rev() {
        case.known.extend(&d.known);
        case.values.extend(d.values.iter().map(|(k, v)| (*k, v.clone())));
        case.known.retain(|entity| !d.unknown.contains(entity));
        case.values.retain(|k, _| !d.missing.contains(k) && !d.unknown.contains(&k.0));
    }
    let hits = line.iter().find_map(|d| d.lists.clone()).unwrap_or_default();
    let lists = rulebook.relations().iter().position(|r| r.source == Source::Lists)?;
    for i in 0..rulebook.features().lists().len() {
        if !line.iter().any(|d| d.missing.contains(&(lists, i))) {
            case.values.insert((lists, i), Value::Boolean(hits.contains(&i)));
        }
    }
    let known = |source: Source| {
        let relation = rulebook.relations().iter().position(|r| r.source == source)?;
        let given = |d: &Draft| d.values.keys().any(|(of, _)| *of == relation);
        let still = |unknown, d: &&Draft| d.unknown.contains(&relation) || (unknown && !given(d));
        (!line.iter().rev().fold(false, still)).then_some(relation)
    };
    let missing = |cell: (usize, usize)| line.iter().any(|d| d.missing.contains(&cell));
    if let Some(warnings) = known(Source::Warnings) {
        warned::complete(&mut case.values, warnings, |column| missing((warnings, column)));
    }
    if let (Some(exposure), Some(mapping)) = (known(Source::Exposure), rulebook.exposure()) {
        exposed::complete(&mut case.values, exposure, mapping, |column| missing((exposure, column)));
    }
    Some(case)
}
