//! From point rules to rules of stages: ids and roles are checked, members that are stricter get variants of their own.

use std::collections::BTreeMap;

use tarim_datamart::{At, Place, Problem, Problems, Standards, nearest};

use super::{Manner, PointRule, Role, Texts, Tighter};
use crate::{
    outcome::Effect,
    rulebook::{member::Member, policies::RuleText, product::Product, text::offer},
};

/// The rules of all control points, in order of points and, within one, as written; what product terms give comes first.
pub fn expand(
    texts: &Texts,
    policies: &[RuleText],
    standards: &Standards,
    products: &[Product],
    members: &[Member],
) -> Result<Vec<RuleText>, Problems> {
    let mut problems = Problems::default();
    let terms = products.iter().flat_map(|p| p.terms.iter().map(move |t| (p, t)));
    for (_, term) in terms.clone() {
        for (of, value) in term.allowed() {
            problems.take(value_exists(standards, of, value));
        }
    }
    let mut rules: Vec<PointRule> = terms.flat_map(|(product, term)| term.rules(&product.id)).collect();
    rules.extend(texts.rules.iter().cloned());
    rules.sort_by_key(|rule| rule.point);
    unique(&rules, policies, &mut problems);
    let mut known = Known { roles: &texts.roles, members, problems: &mut problems };
    for rule in &rules {
        rule.manner.roles.iter().for_each(|role| known.role(role));
        rule.members.iter().for_each(|member| known.member(member));
    }
    for (member, tighter) in members.iter().flat_map(|m| m.interception.iter().map(move |t| (m, t))) {
        known.tighter(member, tighter, &rules);
    }
    problems.or(())?;
    Ok(rules.iter().flat_map(|rule| variants(rule, members)).collect())
}

/// A term that allows what does not exist has a slip in it.
fn value_exists(standards: &Standards, of: &At<String>, value: &At<String>) -> Result<(), Problem> {
    let field = of.value.trim().strip_prefix("application.");
    let field = field.and_then(|name| standards.table("applications")?.field(name));
    let Some(codes) = field.and_then(|field| field.codes.as_ref()) else { return Ok(()) };
    let codes: Vec<&str> = codes.codes().iter().map(|code| code.code.as_str()).collect();
    if codes.contains(&value.value.as_str()) {
        return Ok(());
    }
    let fix = match nearest(&value.value, &codes) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of {}", offer(codes.into_iter())),
    };
    Err(value.place.problem(format!("`{}` can never be `{}`", of.value.trim(), value.value), fix))
}

/// Reasons are told by id. A term has the same one at all points: a point tells it once.
fn unique(rules: &[PointRule], policies: &[RuleText], problems: &mut Problems) {
    let mut seen: BTreeMap<&str, (&Place, bool)> =
        policies.iter().map(|rule| (rule.id.as_str(), (&rule.place, false))).collect();
    for rule in rules {
        let place = &rule.id.place;
        match seen.insert(&rule.id.value, (place, true)) {
            Some((first, point)) if !(point && first == place) => problems.push(place.problem(
                format!("rule `{}` is defined twice; the first stands at {first}", rule.id.value),
                "give each rule an id of its own: reasons are told by it",
            )),
            _ => {}
        }
    }
}

struct Known<'a> {
    roles: &'a [Role],
    members: &'a [Member],
    problems: &'a mut Problems,
}

impl Known<'_> {
    fn role(&mut self, role: &At<String>) {
        let names: Vec<&str> = self.roles.iter().map(|r| r.name.as_str()).collect();
        if !names.contains(&role.value.as_str()) {
            let fix = match nearest(&role.value, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "write one of {}, or add [role.{}] to interception/roles.toml",
                    offer(names.into_iter()),
                    role.value
                ),
            };
            self.problems.push(role.place.problem(format!("there is no role `{}`", role.value), fix));
        }
    }

    fn member(&mut self, member: &At<String>) {
        if !self.members.iter().any(|m| m.code == member.value) {
            let codes = offer(self.members.iter().map(|m| m.code.as_str()));
            let what = format!("`{}` is not a member of the federation", member.value);
            self.problems.push(member.place.problem(what, format!("write one of {codes}")));
        }
    }

    /// A member may be stricter, never looser.
    fn tighter(&mut self, member: &Member, tighter: &Tighter, rules: &[PointRule]) {
        let id = &tighter.id;
        let named = |rule: &&PointRule| rule.id.value == id.value;
        let Some(rule) = rules.iter().find(named).filter(|rule| applies(rule, member)) else {
            let ids: Vec<&str> = rules.iter().map(|rule| rule.id.value.as_str()).collect();
            let fix = match nearest(&id.value, &ids) {
                Some(near) if near != id.value => format!("did you mean `{near}`?"),
                _ => "name a rule of interception/ that is for this member".into(),
            };
            let what = format!("no control point has a rule `{}` for this member", id.value);
            self.problems.push(id.place.problem(what, fix));
            return;
        };
        for (what, own, whole) in [
            ("then", &tighter.then, rule.manner.then),
            ("if_unknown", &tighter.if_unknown, rule.manner.if_unknown),
        ] {
            if let Some(own) = own.as_ref().filter(|own| own.value < whole) {
                self.problems.push(own.place.problem(
                    format!("`{what}` of rule `{}` is {whole} for all, and looser here", id.value),
                    format!("write {what} = \"{whole}\", or remove it: a member may only be stricter"),
                ));
            }
        }
        for role in tighter.roles.iter().flat_map(|roles| &roles.value) {
            self.role(role);
            let for_all = rule.manner.roles.iter().any(|r| r.value == role.value);
            // Where the rule blocks nobody but here, whoever may override is stricter still.
            if rule.manner.blocks() && !for_all {
                self.problems.push(role.place.problem(
                    format!(
                        "`{}` may not override rule `{}` elsewhere, and so not here",
                        role.value, id.value
                    ),
                    "remove the role: a member may only be stricter",
                ));
            }
        }
    }
}

fn applies(rule: &PointRule, member: &Member) -> bool {
    rule.members.is_empty() || rule.members.iter().any(|m| m.value == member.code)
}

/// The rule for each group of members that have it alike.
fn variants(rule: &PointRule, members: &[Member]) -> Vec<RuleText> {
    let mut groups: Vec<(Manner, Vec<String>)> = Vec::new();
    for member in members.iter().filter(|member| applies(rule, member)) {
        let manner = of_member(rule, member);
        match groups.iter_mut().find(|(other, _)| same(other, &manner)) {
            Some((_, codes)) => codes.push(member.code.clone()),
            None => groups.push((manner, vec![member.code.clone()])),
        }
    }
    let all = groups.len() == 1 && rule.members.is_empty();
    let variant = |(manner, codes): (Manner, Vec<String>)| RuleText {
        id: rule.id.value.clone(),
        zh: rule.zh.clone(),
        en: rule.en.clone(),
        place: rule.id.place.clone(),
        stage: rule.point,
        when: rule.when.clone(),
        then: manner.then,
        if_unknown: Some(manner.if_unknown),
        products: rule.products.clone(),
        show: rule.show.clone(),
        members: if all { Vec::new() } else { codes },
        override_roles: manner.roles.into_iter().map(|role| role.value).collect(),
    };
    groups.into_iter().map(variant).collect()
}

fn of_member(rule: &PointRule, member: &Member) -> Manner {
    let mut manner = rule.manner.clone();
    for tighter in member.interception.iter().filter(|t| t.id.value == rule.id.value) {
        let set = |own: &Option<At<Effect>>, effect: &mut Effect| {
            if let Some(own) = own {
                *effect = own.value;
            }
        };
        set(&tighter.then, &mut manner.then);
        set(&tighter.if_unknown, &mut manner.if_unknown);
        if let Some(roles) = &tighter.roles {
            manner.roles.clone_from(&roles.value);
        }
    }
    manner
}

fn same(a: &Manner, b: &Manner) -> bool {
    let roles = |manner: &Manner| manner.roles.iter().map(|r| r.value.clone()).collect::<Vec<_>>();
    (a.then, a.if_unknown, roles(a)) == (b.then, b.if_unknown, roles(b))
}
