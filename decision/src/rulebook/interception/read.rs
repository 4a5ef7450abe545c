//! `interception/*.toml`, and a member's `[interception.*]`, as they are written.

use std::path::Path;

use tarim_datamart::{At, Document, Item, Place, Problems, Section, SourceText};
use tarim_models::keys::{one_of, texts};

use super::{EFFECTS, Manner, PointRule, Role, Texts, Tighter};
use crate::{
    outcome::Stage,
    rulebook::{
        Folder,
        policies::{For, Named},
        text::{check_name, check_rule_id},
    },
};

const FOLDER: &str = "interception";
const ROLES: &str = "roles";

/// Reads `interception/`; a rulebook without it intercepts nothing.
pub fn read(folder: &Folder) -> Result<Texts, Problems> {
    let mut problems = Problems::default();
    let mut all = Texts::default();
    for path in folder.files().iter().filter(|f| f.starts_with(FOLDER)) {
        if path.extension().is_some_and(|e| e == "md") {
            continue;
        }
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        let point = Stage::POINTS.into_iter().find(|point| point.to_string() == stem);
        let known = path.parent() == Some(Path::new(FOLDER)) && path.extension().is_some_and(|e| e == "toml");
        if !known || (point.is_none() && stem != ROLES) {
            problems.push(Place::file(path).problem(
                "this is neither of a control point nor of roles",
                "interception/ has application.toml, contract.toml, disbursement.toml and roles.toml; move it there, or \
                 remove it",
            ));
            continue;
        }
        let Some(source) = problems.take(SourceText::read(folder.root(), path)) else { continue };
        match Document::parse(&source) {
            Ok(document) => file(&document.root(), point, &mut all, &mut problems),
            Err(e) => problems.extend(e),
        }
    }
    problems.or(all)
}

fn file(root: &Section<'_>, point: Option<Stage>, all: &mut Texts, problems: &mut Problems) {
    for (key, item) in root.entries() {
        match (key.value, point) {
            ("rule", Some(point)) => {
                let sections = root.sections("rule", problems);
                all.rules.extend(sections.into_iter().filter_map(|section| rule(section, point, problems)));
            }
            ("role", None) => {
                let roles = item.section(problems);
                let roles = roles.iter().flat_map(Section::entries);
                all.roles.extend(roles.filter_map(|(name, item)| role(name, &item, problems)));
            }
            (name, point) => problems.push(key.place.problem(
                format!("unknown key `{name}`"),
                match point {
                    Some(_) => "the file of a control point has [[rule]] only",
                    None => "the file of roles has [role.<name>] only",
                },
            )),
        }
    }
}

fn role(name: At<&str>, item: &Item<'_>, problems: &mut Problems) -> Option<Role> {
    let section = item.section(problems)?;
    let name = name.map(str::to_owned);
    check_name(&name, problems);
    let texts = texts(&section, &format!("role `{}`", name.value), problems);
    section.finish(problems);
    let (zh, en) = texts?;
    Some(Role { name: name.value, zh, en, place: name.place })
}

fn rule(section: Section<'_>, point: Stage, problems: &mut Problems) -> Option<PointRule> {
    let id = section.need_text("id", problems);
    let what = id.as_ref().map_or("the rule".into(), |id| format!("rule `{}`", id.value));
    let texts = texts(&section, &what, problems);
    let when = section.need_text("when", problems);
    let manner = manner(&section, &what, problems);
    let products = For(section.texts("products", problems));
    let members = section.texts("members", problems);
    let show = section.item("show").map(|s| s.texts(problems).into_iter().map(Named::itself).collect());
    section.finish(problems);
    let (id, (zh, en)) = (id?, texts?);
    check_rule_id(&id, problems);
    Some(PointRule { id, zh, en, point, when: when?, manner: manner?, products, members, show })
}

/// `then`, `if_unknown` and `override` of a rule or a term. What it means that a condition is unknown is what the rule does
/// when it is true: whatever blocks is not passed by leaving something out.
pub fn manner(section: &Section<'_>, what: &str, problems: &mut Problems) -> Option<Manner> {
    let then = section.need_text("then", problems).and_then(|t| one_of(&t, &EFFECTS, problems));
    let unknown = section.text("if_unknown", problems);
    let if_unknown = match unknown {
        None => then,
        Some(text) => one_of(&text, &EFFECTS, problems),
    };
    let roles = section.item("override").map(|item| (item.place(), roles(&item, problems)));
    let manner = Manner { then: then?, if_unknown: if_unknown?, roles: Vec::new() };
    let Some((place, roles)) = roles else { return Some(manner) };
    if !manner.blocks() && !roles.is_empty() {
        problems.push(place.problem(
            format!("{what} never blocks, so there is nothing to override"),
            "remove `override`, or let it block",
        ));
    }
    Some(Manner { roles, ..manner })
}

/// Names of roles; `"none"` is nobody.
fn roles(item: &Item<'_>, problems: &mut Problems) -> Vec<At<String>> {
    if !item.is_text() {
        return item.texts(problems);
    }
    if let Some(text) = item.text(problems).filter(|text| text.value != "none") {
        problems.push(text.place.problem(
            format!("`{}` is neither a list of roles nor none", text.value),
            format!("write override = [\"{}\"], or override = \"none\"", text.value),
        ));
    }
    Vec::new()
}

/// Reads the `[interception.*]` of a member's file.
pub fn read_tighter(root: &Section<'_>, problems: &mut Problems) -> Vec<Tighter> {
    let Some(all) = root.section(FOLDER, problems) else { return Vec::new() };
    let mut tighter = Vec::new();
    for (id, item) in all.entries() {
        let Some(section) = item.section(problems) else { continue };
        let mut effect = |key| {
            let text = section.text(key, problems)?;
            Some(At { value: one_of(&text, &EFFECTS, problems)?, place: text.place })
        };
        let (then, if_unknown) = (effect("then"), effect("if_unknown"));
        let roles =
            section.item("override").map(|item| At { value: roles(&item, problems), place: item.place() });
        if !["then", "if_unknown", "override"].iter().any(|key| section.has(key)) {
            problems.push(id.place.problem(
                format!("this says nothing of rule `{}`", id.value),
                "write then = \"block\", if_unknown = \"block\" or override = \"none\", or remove it",
            ));
        }
        section.finish(problems);
        tighter.push(Tighter { id: id.map(str::to_owned), then, if_unknown, roles });
    }
    tighter
}
