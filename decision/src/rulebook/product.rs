//! The federation and its products.

use std::path::Path;

use tarim_datamart::{Document, Place, Problems, SourceText};
use tarim_models::keys::{one_of, texts};

use super::{
    Folder,
    interception::{Term, read_terms},
    parameter::{self, Parameter},
    text::check_name,
};

/// `federation.toml`: who we are, and the parameters that all products share.
#[derive(Clone, Debug)]
pub struct Federation {
    pub id: String,
    pub zh: String,
    pub en: String,
    /// ISO 4217.
    pub currency: String,
    pub parameters: Vec<Parameter>,
}

/// `products/<id>.toml`.
#[derive(Clone, Debug)]
pub struct Product {
    pub id: String,
    pub zh: String,
    pub en: String,
    /// Every application is declined.
    pub stopped: bool,
    pub parameters: Vec<Parameter>,
    /// What control points see to.
    pub terms: Vec<Term>,
    pub place: Place,
}

/// Reads `federation.toml`.
pub fn read_federation(folder: &Folder) -> Result<Federation, Problems> {
    let source = SourceText::read(folder.root(), Path::new("federation.toml"))?;
    let document = Document::parse(&source)?;
    let mut problems = Problems::default();
    let root = document.root();
    let parameters = parameter::read(&root, &mut problems);
    let head = root.need_section("federation", &mut problems);
    root.finish(&mut problems);
    let Some(head) = head else { return Err(problems) };
    let id = head.need_text("id", &mut problems);
    let texts = texts(&head, "the federation", &mut problems);
    let currency = head.need_text("currency", &mut problems);
    head.finish(&mut problems);
    let (Some(id), Some((zh, en)), Some(currency)) = (id, texts, currency) else { return Err(problems) };
    check_name(&id, &mut problems);
    if currency.value.len() != 3 || !currency.value.bytes().all(|b| b.is_ascii_uppercase()) {
        let what = format!("`{}` is not a currency", currency.value);
        problems.push(currency.place.problem(what, "write its ISO 4217 code, such as CNY"));
    }
    problems.or(Federation { id: id.value, zh, en, currency: currency.value, parameters })
}

/// Reads `products/*.toml`, in order of file name.
pub fn read_products(folder: &Folder) -> Result<Vec<Product>, Problems> {
    let mut problems = Problems::default();
    let mut products = Vec::new();
    for path in folder.list("products", "toml") {
        match read_product(folder, path) {
            Ok(product) => products.push(product),
            Err(e) => problems.extend(e),
        }
    }
    if products.is_empty() && problems.is_empty() {
        let place = Place::file(Path::new("products"));
        problems.push(place.problem("there is no product", "write products/<id>.toml"));
    }
    problems.or(products)
}

fn read_product(folder: &Folder, path: &Path) -> Result<Product, Problems> {
    let source = SourceText::read(folder.root(), path)?;
    let document = Document::parse(&source)?;
    let mut problems = Problems::default();
    let root = document.root();
    let parameters = parameter::read(&root, &mut problems);
    let terms = read_terms(&root, &mut problems);
    let head = root.need_section("product", &mut problems);
    root.finish(&mut problems);
    let Some(head) = head else { return Err(problems) };
    let id = head.need_text("id", &mut problems);
    let texts = texts(&head, "the product", &mut problems);
    let status = head.need_text("status", &mut problems);
    let status = status.and_then(|s| one_of(&s, &[("open", false), ("stopped", true)], &mut problems));
    head.finish(&mut problems);
    let (Some(id), Some((zh, en)), Some(stopped)) = (id, texts, status) else { return Err(problems) };
    check_name(&id, &mut problems);
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if id.value != stem {
        problems.push(id.place.problem(
            format!("product `{}` stands in the file `{stem}.toml`", id.value),
            format!("write id = \"{stem}\", or rename the file"),
        ));
    }
    problems.or(Product { id: id.value, zh, en, stopped, parameters, terms, place: id.place })
}
