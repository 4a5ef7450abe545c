//! Which texts a name can be: so that a table over them can be known to have a row for each.

use std::collections::{BTreeMap, BTreeSet};

use tarim_datamart::{Standards, Value};
use tarim_models::{domain::Domain, scorecard::ScorecardText};

use super::{
    definitions::Expression,
    member::Member,
    product::{Federation, Product},
};

/// The texts that names can be, where that is known.
#[derive(Debug, Default)]
pub struct Domains {
    by_name: BTreeMap<String, Domain>,
}

impl Domains {
    /// Codes of an application's fields, grades of scorecards, and the values that parameters have.
    pub fn new(
        standards: &Standards,
        federation: &Federation,
        products: &[Product],
        members: &[Member],
        cards: &[ScorecardText],
    ) -> Self {
        let mut by_name = BTreeMap::new();
        for field in standards.table("applications").iter().flat_map(|t| &t.fields) {
            if let Some(codes) = &field.codes {
                let codes = codes.codes().iter().map(|c| c.code.clone()).collect();
                by_name.insert(format!("application.{}", field.name), Domain::of_texts(codes));
            }
        }
        for card in cards {
            let grades = card.grades().map(str::to_owned).collect();
            by_name.insert(format!("{}.grade", card.id()), Domain::of_texts(grades));
        }
        for (name, values) in parameters(federation, products, members) {
            let values = Domain::of_texts_now(values.into_iter().collect());
            by_name.insert(format!("param.{name}"), values);
        }
        Self { by_name }
    }

    /// What an input can be.
    pub fn of(&self, input: &Expression) -> Domain {
        self.by_name.get(&input.text).cloned().unwrap_or_else(|| Domain::new(input.parsed.ty()))
    }
}

/// Values that the parameters of type utf8 have, over all members.
fn parameters<'a>(
    federation: &'a Federation,
    products: &'a [Product],
    members: &'a [Member],
) -> BTreeMap<&'a str, BTreeSet<String>> {
    let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut add = |name, value: Value| {
        if let Value::Utf8(text) = value {
            values.entry(name).or_default().insert(text);
        }
    };
    for product in products {
        add("product", Value::Utf8(product.id.clone()));
    }
    for member in members {
        add("member", Value::Utf8(member.code.clone()));
        add("member_region", Value::Utf8(member.region.clone()));
        for p in &federation.parameters {
            add(&p.name, member.federation_value(p));
        }
        for product in products.iter().filter(|p| member.products.contains(&p.id)) {
            for p in &product.parameters {
                add(&p.name, member.product_value(product, p));
            }
        }
    }
    values
}
