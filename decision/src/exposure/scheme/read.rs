//! `limits/*.toml` and a member's `[limit.*]`, as they are written.

use tarim_datamart::{At, Document, Item, Place, Problem, Problems, Section, SourceText, Type, Value};
use tarim_models::keys::{one_of, texts};

use super::{
    Scope,
    mapping::{self, MappingText},
};
use crate::rulebook::{Folder, check_name};

/// A `[[limit]]`.
#[derive(Clone, Debug)]
pub struct LimitText {
    pub id: At<String>,
    pub zh: String,
    pub en: String,
    pub scope: Scope,
    pub per: Vec<At<String>>,
    pub conditions: Vec<(At<String>, Vec<At<String>>)>,
    pub hard: At<Amount>,
    pub warning: Option<At<Amount>>,
    pub from: Option<At<i64>>,
    pub to: Option<At<i64>>,
}

/// Where a line lies.
#[derive(Clone, Debug)]
pub enum Amount {
    Fen(i64),
    /// So much of a parameter.
    Ratio(f64, At<String>),
    /// So much of the hard line.
    Share(f64),
}

/// `[large_exposure]`: names of parameters.
#[derive(Clone, Debug)]
pub struct LargeText {
    pub ratio: At<String>,
    pub of: At<String>,
    pub fen: At<String>,
    pub place: Place,
}

/// Everything of `limits/`.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    pub limits: Vec<LimitText>,
    pub large: Option<LargeText>,
    /// Of `[groups]`: names of edges.
    pub groups: Option<At<Vec<At<String>>>>,
    /// Of `[exposure]`.
    pub mapping: Option<MappingText>,
}

impl Texts {
    /// Limits that no decision looks at: whoever reads the rulebook would think that they hold credit limits down.
    pub fn unmapped(&self) -> Option<Problem> {
        let first = self.limits.first().filter(|_| self.mapping.is_none())?;
        let what = "there are exposure limits, and nothing says what the exposure of an application is: no decision looks at \
                    them, so credit limits may come to more than the room, and requests cannot reserve; the ledger alone \
                    holds to them";
        let fix = "write in limits/ an [exposure] with amount, reserve_for and customer, such as amount = \
                   \"application.amount_fen\", and under [exposure.attributes] a line for each dimension that limits speak of";
        Some(first.id.place.problem(what, fix))
    }
}

/// A member's `[limit.<id>]`: its own lines.
#[derive(Clone, Debug)]
pub struct Override {
    pub id: At<String>,
    pub hard: Option<At<Amount>>,
    pub warning: Option<At<Amount>>,
}

/// Reads `limits/*.toml`; a rulebook without them has no limits.
pub fn read(folder: &Folder) -> Result<Texts, Problems> {
    let mut problems = Problems::default();
    let mut all = Texts::default();
    for path in folder.list("limits", "toml") {
        let Some(source) = problems.take(SourceText::read(folder.root(), path)) else { continue };
        let document = match Document::parse(&source) {
            Ok(document) => document,
            Err(e) => {
                problems.extend(e);
                continue;
            }
        };
        let root = document.root();
        for section in root.sections("limit", &mut problems) {
            all.limits.extend(limit(section, &mut problems));
        }
        if let Some(section) = root.section("large_exposure", &mut problems) {
            let large = large(section, &mut problems);
            if let (Some(first), Some(second)) = (&all.large, &large) {
                let what = format!("large exposures are defined twice; first at {}", first.place);
                problems.push(second.place.problem(what, "keep one of them"));
            }
            all.large = all.large.or(large);
        }
        if let Some(section) = root.section("groups", &mut problems) {
            let place = section.place();
            let value = section.texts("along", &mut problems);
            section.finish(&mut problems);
            if let Some(first) = &all.groups {
                let what = format!("groups are defined twice; first at {}", first.place);
                problems.push(place.problem(what, "keep one of them"));
            }
            all.groups.get_or_insert(At { value, place });
        }
        if let Some(section) = root.section("exposure", &mut problems) {
            let mapping = mapping::read(section, &mut problems);
            if let (Some(first), Some(second)) = (&all.mapping, &mapping) {
                let what = format!("the exposure of an application is told twice; first at {}", first.place);
                problems.push(second.place.problem(what, "keep one of them"));
            }
            all.mapping = all.mapping.or(mapping);
        }
        root.finish(&mut problems);
    }
    problems.or(all)
}

/// Reads the `[limit.*]` of a member's file.
pub fn read_overrides(root: &Section<'_>, problems: &mut Problems) -> Vec<Override> {
    let Some(all) = root.section("limit", problems) else { return Vec::new() };
    let mut overrides = Vec::new();
    for (id, item) in all.entries() {
        let Some(section) = item.section(problems) else { continue };
        let hard = section.item("hard").and_then(|item| amount(&item, false, problems));
        let warning = section.item("warning").and_then(|item| amount(&item, true, problems));
        section.finish(problems);
        overrides.push(Override { id: id.map(str::to_owned), hard, warning });
    }
    overrides
}

fn limit(section: Section<'_>, problems: &mut Problems) -> Option<LimitText> {
    let id = section.need_text("id", problems);
    if let Some(id) = &id {
        check_name(id, problems);
    }
    let texts = texts(&section, "the limit", problems);
    let scope = section.need_text("scope", problems);
    let words = [("member", Scope::Member), ("federation", Scope::Federation)];
    let scope = scope.and_then(|scope| one_of(&scope, &words, problems));
    let per = section.texts("per", problems);
    let mut conditions = Vec::new();
    if let Some(wanted) = section.section("where", problems) {
        for (name, item) in wanted.entries() {
            let values = item.texts(problems);
            if values.is_empty() {
                let what = format!("`{}` is one of no values, so the limit is of nothing", name.value);
                problems.push(name.place.problem(what, "name a value, or remove the condition"));
            }
            conditions.push((name.map(str::to_owned), values));
        }
    }
    let hard = section.need("hard", problems).and_then(|item| amount(&item, false, problems));
    let warning = section.item("warning").and_then(|item| amount(&item, true, problems));
    let from = section.item("from").and_then(|item| midnight(&item, problems));
    let to = section.item("to").and_then(|item| midnight(&item, problems));
    section.finish(problems);
    let ((zh, en), id, scope, hard) = (texts?, id?, scope?, hard?);
    Some(LimitText { id, zh, en, scope, per, conditions, hard, warning, from, to })
}

fn large(section: Section<'_>, problems: &mut Problems) -> Option<LargeText> {
    let ratio = section.need_text("ratio", problems);
    let of = section.need_text("of", problems);
    let fen = section.need_text("fen", problems);
    let place = section.place();
    section.finish(problems);
    Some(LargeText { ratio: ratio?, of: of?, fen: fen?, place })
}

/// `{ fen = 1 }`, `{ ratio = 0.1, of = "parameter" }`, or of a warning line `{ share = 0.8 }`.
fn amount(item: &Item<'_>, may_share: bool, problems: &mut Problems) -> Option<At<Amount>> {
    let place = item.place();
    let section = item.section(problems)?;
    let fen = section.integer("fen", problems);
    let ratio = number(&section, "ratio", problems);
    let of = section.text("of", problems);
    let share = if may_share { number(&section, "share", problems) } else { None };
    section.finish(problems);
    let value = match (fen, ratio, of, share) {
        (Some(fen), None, None, None) if fen.value > 0 => Amount::Fen(fen.value),
        (Some(fen), None, None, None) => {
            let what = format!("a line at {} fen lets nothing through", fen.value);
            problems.push(fen.place.problem(what, "write a positive number of fen"));
            return None;
        }
        (None, Some(ratio), Some(of), None) => Amount::Ratio(in_one(&ratio, problems)?, of),
        (None, None, None, Some(share)) => Amount::Share(in_one(&share, problems)?),
        _ => {
            let share = if may_share { ", or { share = 0.8 } of the hard line" } else { "" };
            problems.push(place.problem(
                "this is no amount",
                format!(
                    "write {{ fen = 100000000 }} or {{ ratio = 0.1, of = \"tier1_net_capital_fen\" }}{share}"
                ),
            ));
            return None;
        }
    };
    Some(At { value, place })
}

fn number(section: &Section<'_>, key: &'static str, problems: &mut Problems) -> Option<At<f64>> {
    let At { value: Value::Float64(x), place } = section.item(key)?.value(Type::Float64, problems)? else {
        return None;
    };
    Some(At { value: x, place })
}

/// A share of something: above 0, and not more than all of it.
fn in_one(x: &At<f64>, problems: &mut Problems) -> Option<f64> {
    if x.value > 0.0 && x.value <= 1.0 {
        return Some(x.value);
    }
    let what = format!("{} is not above 0 and at most 1; above 1 the line could never be reached", x.value);
    problems.push(x.place.problem(what, "write a share such as 0.1"));
    None
}

/// The beginning of a day, in UTC as all times are, in microseconds.
fn midnight(item: &Item<'_>, problems: &mut Problems) -> Option<At<i64>> {
    let At { value: Value::Date32(day), place } = item.value(Type::Date32, problems)? else { return None };
    Some(At { value: i64::from(day) * 86_400_000_000, place })
}
