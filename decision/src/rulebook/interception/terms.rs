//! Product terms (产品要素): what a loan of a product may be, `[terms.<name>]` in `products/*.toml`.
//!
//! Each gives rules to the control points that it is looked at: below `min`, above `max`, none of `one_of`. They are told as
//! `<product>.<term>.min` and so on, with the value and the bound.

use tarim_datamart::{At, Item, Problems, Section};
use tarim_models::keys::texts;

use super::{Manner, PointRule, read::manner};
use crate::{
    outcome::Stage,
    rulebook::{
        policies::{For, Named},
        text::check_name,
    },
};

/// A term of a product.
#[derive(Clone, Debug)]
pub struct Term {
    name: At<String>,
    zh: String,
    en: String,
    /// What is looked at, at each point where it is.
    at: Vec<(Stage, At<String>)>,
    min: Option<Named>,
    max: Option<Named>,
    one_of: Vec<At<String>>,
    manner: Manner,
}

/// Reads the `[terms.*]` of a product's file.
pub fn read_terms(root: &Section<'_>, problems: &mut Problems) -> Vec<Term> {
    let Some(all) = root.section("terms", problems) else { return Vec::new() };
    all.entries().filter_map(|(name, item)| term(name, item.section(problems)?, problems)).collect()
}

fn term(name: At<&str>, section: Section<'_>, problems: &mut Problems) -> Option<Term> {
    let name = name.map(str::to_owned);
    check_name(&name, problems);
    let what = format!("term `{}`", name.value);
    let texts = texts(&section, &what, problems);
    let at = section.need("at", problems).map(|item| at(&item, problems));
    let mut bound = |key: &'static str| bound(key, &section.item(key)?, problems);
    let (min, max) = (bound("min"), bound("max"));
    let one_of = section.texts("one_of", problems);
    if !["min", "max", "one_of"].iter().any(|key| section.has(key)) {
        let fix = "write min, max or one_of, or remove the term";
        problems.push(name.place.problem(format!("{what} bounds nothing"), fix));
    } else if section.has("one_of") && one_of.is_empty() {
        let fix = "name the values that are allowed, or remove one_of";
        problems.push(name.place.problem(format!("{what} allows no value at all"), fix));
    }
    let manner = manner(&section, &what, problems);
    section.finish(problems);
    let (zh, en) = texts?;
    Some(Term { name, zh, en, at: at?, min, max, one_of, manner: manner? })
}

/// One expression for all points, or one for each that it is looked at.
fn at(item: &Item<'_>, problems: &mut Problems) -> Vec<(Stage, At<String>)> {
    if item.is_text() {
        let sql = item.text(problems);
        return sql.iter().flat_map(|sql| Stage::POINTS.map(|point| (point, sql.clone()))).collect();
    }
    let Some(section) = item.section(problems) else { return Vec::new() };
    let mut at = Vec::new();
    for (point, key) in Stage::POINTS.into_iter().zip(["application", "contract", "disbursement"]) {
        at.extend(section.text(key, problems).map(|sql| (point, sql)));
    }
    if section.entries().next().is_none() {
        let fix = "write an expression, or { application = \"…\", contract = \"…\", disbursement = \"…\" }";
        problems.push(item.place().problem("the term is looked at nowhere", fix));
    }
    section.finish(problems);
    at
}

/// A number, or an expression.
fn bound(key: &'static str, item: &Item<'_>, problems: &mut Problems) -> Option<Named> {
    if item.is_text() {
        return item.text(problems).map(Named::itself);
    }
    let value = item.value(tarim_datamart::Type::Float64, problems)?;
    Some(Named { name: key.into(), sql: value.map(|number| number.to_string()) })
}

impl Term {
    /// The rules that it gives to the control points, for a product.
    pub fn rules(&self, product: &str) -> Vec<PointRule> {
        let mut rules = Vec::new();
        for (point, of) in &self.at {
            let mut add = |which: &str, when: String, bound: Named, zh: &str, en: &str| {
                let place = &self.name.place;
                rules.push(PointRule {
                    id: At { value: format!("{product}.{}.{which}", self.name.value), place: place.clone() },
                    zh: format!("{}{zh}", self.zh),
                    en: format!("{}: {en}", self.en),
                    point: *point,
                    when: At { value: when, place: of.place.clone() },
                    manner: self.manner.clone(),
                    products: For(vec![At { value: product.to_owned(), place: place.clone() }]),
                    members: Vec::new(),
                    show: Some(vec![Named::itself(of.clone()), bound]),
                });
            };
            let sql = &of.value;
            if let Some(min) = &self.min {
                let when = format!("({sql}) < ({})", min.sql.value);
                add("min", when, min.clone(), "低于产品下限", "less than the product's least");
            }
            if let Some(max) = &self.max {
                let when = format!("({sql}) > ({})", max.sql.value);
                add("max", when, max.clone(), "超过产品上限", "more than the product's most");
            }
            if !self.one_of.is_empty() {
                let quoted: Vec<String> = self.one_of.iter().map(|v| quote(&v.value)).collect();
                let all: Vec<&str> = self.one_of.iter().map(|v| v.value.as_str()).collect();
                let place = self.one_of[0].place.clone();
                let bound = Named { name: "one_of".into(), sql: At { value: quote(&all.join(", ")), place } };
                let when = format!("NOT (({sql}) IN ({}))", quoted.join(", "));
                add("one_of", when, bound, "不在产品允许范围内", "not among what the product allows");
            }
        }
        rules
    }

    /// The values that are allowed, and what is looked at: for whoever knows which values there are.
    pub fn allowed(&self) -> impl Iterator<Item = (&At<String>, &At<String>)> {
        self.one_of.iter().flat_map(|value| self.at.iter().map(move |(_, of)| (of, value)))
    }
}

/// A text in SQL.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
