//! Members: what each legal entity offers, and what it overrides within the federation's bounds.

use std::{collections::BTreeMap, path::PathBuf};

use tarim_datamart::{At, Document, Item, Place, Problem, Problems, Section, SourceText, Value};
use tarim_models::keys::texts;

use super::{
    Folder,
    interception::{Tighter, read_tighter},
    parameter::{Bounds, Parameter},
    product::{Federation, Product},
    text::offer,
};
use crate::exposure::scheme::{Override, read_overrides};

/// `members/<code>/member.toml`.
#[derive(Clone, Debug)]
pub struct Member {
    pub code: String,
    pub zh: String,
    pub en: String,
    pub region: String,
    /// Ids of the products that it offers, in its own order.
    pub products: Vec<String>,
    /// Of federation parameters, by name.
    overrides: BTreeMap<String, Value>,
    /// Of product parameters, by product and name.
    product_overrides: BTreeMap<(String, String), Value>,
    /// Its own lines of exposure limits.
    pub(crate) limits: Vec<Override>,
    /// How it is stricter at control points.
    pub(super) interception: Vec<Tighter>,
    pub place: Place,
}

impl Member {
    /// This member's value of a federation parameter.
    pub fn federation_value(&self, parameter: &Parameter) -> Value {
        self.overrides.get(&parameter.name).unwrap_or(&parameter.value).clone()
    }

    /// This member's value of a product's parameter.
    pub fn product_value(&self, product: &Product, parameter: &Parameter) -> Value {
        let key = (product.id.clone(), parameter.name.clone());
        self.product_overrides.get(&key).unwrap_or(&parameter.value).clone()
    }
}

/// Reads all members, in order of their codes.
pub fn read_members(
    folder: &Folder,
    federation: &Federation,
    products: &[Product],
) -> Result<Vec<Member>, Problems> {
    let mut problems = Problems::default();
    let mut members = Vec::new();
    for file in folder.files().iter().filter(|f| f.starts_with("members")) {
        let parts = file.components().count();
        if parts != 3 || file.file_name().is_none_or(|n| n != "member.toml") {
            problems.push(Place::file(file).problem(
                "a member's folder has one file, member.toml",
                "move it to members/<code>/member.toml, or remove it",
            ));
        }
    }
    for code in folder.folders("members") {
        match read_member(folder, &code, federation, products) {
            Ok(member) => members.push(member),
            Err(e) => problems.extend(e),
        }
    }
    if members.is_empty() && problems.is_empty() {
        let place = Place::file(std::path::Path::new("members"));
        problems.push(place.problem("there is no member", "write members/<code>/member.toml"));
    }
    problems.or(members)
}

fn read_member(
    folder: &Folder,
    code: &str,
    federation: &Federation,
    products: &[Product],
) -> Result<Member, Problems> {
    let path: PathBuf = ["members", code, "member.toml"].iter().collect();
    let source = SourceText::read(folder.root(), &path)?;
    let document = Document::parse(&source)?;
    let mut problems = Problems::default();
    let root = document.root();
    let head = root.need_section("member", &mut problems);
    let overrides = root.section("override", &mut problems);
    let limits = read_overrides(&root, &mut problems);
    let interception = read_tighter(&root, &mut problems);
    root.finish(&mut problems);
    let Some(head) = head else { return Err(problems) };
    let texts = texts(&head, "the member", &mut problems);
    let region = head.need_text("region", &mut problems);
    let offered = head.need("products", &mut problems).map(|p| p.texts(&mut problems)).unwrap_or_default();
    let place = head.place();
    head.finish(&mut problems);
    let (Some((zh, en)), Some(region)) = (texts, region) else { return Err(problems) };
    let mut member = Member {
        code: code.to_owned(),
        zh,
        en,
        region: region.value,
        products: Vec::new(),
        overrides: BTreeMap::new(),
        product_overrides: BTreeMap::new(),
        limits,
        interception,
        place,
    };
    for id in offered {
        if !products.iter().any(|p| p.id == id.value) {
            problems.push(unknown_product(&id.value, products, &id.place));
        } else if member.products.contains(&id.value) {
            let what = format!("product `{}` is offered twice", id.value);
            problems.push(id.place.problem(what, "name it once"));
        } else {
            member.products.push(id.value);
        }
    }
    for (name, item) in overrides.iter().flat_map(Section::entries) {
        if item.is_section() {
            override_product(&mut member, name, item, products, &mut problems);
        } else if let Some(value) =
            overriding(&name, &item, &federation.parameters, "the federation", &mut problems)
        {
            member.overrides.insert(name.value.to_owned(), value);
        }
    }
    problems.or(member)
}

/// `[override.<product>]`.
fn override_product(
    member: &mut Member,
    name: At<&str>,
    item: Item<'_>,
    products: &[Product],
    problems: &mut Problems,
) {
    let Some(product) = products.iter().find(|p| p.id == name.value) else {
        problems.push(unknown_product(name.value, products, &name.place));
        return;
    };
    if !member.products.contains(&product.id) {
        problems.push(name.place.problem(
            format!("the member overrides `{}`, which it does not offer", product.id),
            "add the product to `products`, or remove the override",
        ));
    }
    let whose = format!("product `{}`", product.id);
    for (parameter, item) in item.section(problems).iter().flat_map(Section::entries) {
        if let Some(value) = overriding(&parameter, &item, &product.parameters, &whose, problems) {
            member.product_overrides.insert((product.id.clone(), parameter.value.to_owned()), value);
        }
    }
}

fn unknown_product(id: &str, products: &[Product], place: &Place) -> Problem {
    place.problem(
        format!("`{id}` is not a product of the federation"),
        format!("write one of {}", offer(products.iter().map(|p| p.id.as_str()))),
    )
}

/// The value of an override, if the federation allows it.
fn overriding(
    name: &At<&str>,
    item: &Item<'_>,
    parameters: &[Parameter],
    whose: &str,
    problems: &mut Problems,
) -> Option<Value> {
    let Some(parameter) = parameters.iter().find(|p| p.name == name.value) else {
        let opened = parameters.iter().filter(|p| p.bounds != Bounds::Closed).map(|p| p.name.as_str());
        problems.push(name.place.problem(
            format!("`{}` is not a parameter of {whose}", name.value),
            format!("members may override {}", offer(opened)),
        ));
        return None;
    };
    let value = item.value(parameter.ty, problems)?;
    if let Err(why) = parameter.admits(&value.value) {
        problems.push(value.place.problem(
            format!("`{}` is {why}", parameter.name),
            format!("keep within what {} allows, or remove the override", parameter.place),
        ));
        return None;
    }
    Some(value.value)
}
