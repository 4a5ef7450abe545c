//! `[exposure]` of `limits/*.toml`, as it is written: what the exposure of an application is.

use tarim_datamart::{At, Item, Place, Problems, Section};
use tarim_features::view::parse_span;

/// What an application's exposure is made of.
#[derive(Clone, Debug)]
pub struct MappingText {
    pub place: Place,
    /// Field of the application that says how much is asked for.
    pub amount: At<String>,
    /// How long a reservation holds room, in microseconds.
    pub reserve_us: i64,
    /// Who owes it.
    pub customer: Sources,
    /// Of each dimension, where its value comes from.
    pub attributes: Vec<(At<String>, Sources)>,
}

/// Names of columns, of which the first that is known counts.
pub type Sources = Vec<At<String>>;

/// Reads the section.
pub fn read(section: Section<'_>, problems: &mut Problems) -> Option<MappingText> {
    let place = section.place();
    let amount = section.need_text("amount", problems);
    let reserve = section.need_text("reserve_for", problems).and_then(|span| parse_span(&span, problems));
    let customer = section.need("customer", problems).map(|item| sources("customer", &item, problems));
    let mut attributes = Vec::new();
    if let Some(all) = section.section("attributes", problems) {
        for (name, item) in all.entries() {
            let sources = sources(name.value, &item, problems);
            attributes.push((name.map(str::to_owned), sources));
        }
    }
    section.finish(problems);
    Some(MappingText { place, amount: amount?, reserve_us: reserve?, customer: customer?, attributes })
}

/// One name, or a list of them.
fn sources(of: &str, item: &Item<'_>, problems: &mut Problems) -> Sources {
    if item.is_text() {
        return item.text(problems).into_iter().collect();
    }
    let all = item.texts(problems);
    if item.is_empty_list() {
        let what = format!("`{of}` comes from nowhere");
        problems.push(item.place().problem(what, "name a column, such as \"application.customer_id\""));
    }
    all
}
