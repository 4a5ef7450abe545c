//! From texts to a [`SchemeSet`]: names become indexes, ratios become fen.

use std::collections::BTreeMap;

use tarim_datamart::{At, Place, Problem, Problems, Standards, Value};

use super::{
    CUSTOMER, Code, Condition, Dimension, GROUP, Kind, Lines, NONE, Per, SCHEMES_MAX, Scheme, SchemeSet,
    Scope, check,
    read::{Amount, LargeText, LimitText, Override, Texts},
};
use crate::rulebook::{Federation, Member, Parameter, Product, offer};

/// What a scheme is compiled with.
pub struct Around<'a> {
    pub standards: &'a Standards,
    pub federation: &'a Federation,
    pub members: &'a [Member],
    pub products: &'a [Product],
    /// Names of the kinds of edges; empty if no scheme speaks of them.
    pub edges: &'a [String],
}

/// Compiles the limits of a rulebook. Everything that is wrong with them is told.
pub(crate) fn compile(texts: &Texts, around: &Around<'_>, version: &str) -> Result<SchemeSet, Problems> {
    let mut problems = Problems::default();
    let mut set = SchemeSet {
        version: version.to_owned(),
        members: around.members.iter().map(|m| m.code.clone()).collect(),
        dimensions: vec![plain("customer", Kind::Customer), plain("group", Kind::Group)],
        ..SchemeSet::default()
    };
    let mut places: BTreeMap<&str, &Place> = BTreeMap::new();
    let mut compiled = Vec::new();
    for text in &texts.limits {
        if let Some(first) = places.insert(&text.id.value, &text.id.place) {
            let what = format!("limit `{}` is defined twice; the first stands at {first}", text.id.value);
            problems.push(text.id.place.problem(what, "rename or remove one of them"));
            continue;
        }
        let mut compiler = Compiler { around, set: &mut set, problems: &mut problems };
        if let Some(scheme) = compiler.scheme(text) {
            compiled.push(text);
            set.schemes.push(scheme);
        }
    }
    if set.schemes.len() > SCHEMES_MAX {
        let what = format!("there are {} limits; at most {SCHEMES_MAX} fit", set.schemes.len());
        problems.push(texts.limits[SCHEMES_MAX].id.place.problem(what, "combine some of them"));
    }
    for member in around.members {
        for own in &member.limits {
            if !places.contains_key(own.id.value.as_str()) {
                let what = format!("`{}` is not a limit of the federation", own.id.value);
                let fix = format!("write one of {}", offer(places.keys().copied()));
                problems.push(own.id.place.problem(what, fix));
            }
        }
    }
    if let Some(large) = &texts.large {
        let mut compiler = Compiler { around, set: &mut set, problems: &mut problems };
        if let Some(fen) = compiler.large(large) {
            set.large_fen = fen;
        }
    }
    if let Some(groups) = &texts.groups {
        for name in &groups.value {
            if !around.edges.contains(&name.value) {
                let what = format!("`{}` is no kind of edges", name.value);
                let fix = format!("write one of {}", offer(around.edges.iter().map(String::as_str)));
                problems.push(name.place.problem(what, fix));
            }
            set.group_edges.push(name.value.clone());
        }
        if groups.value.is_empty() {
            let what = "groups are along no edges, so there is none";
            problems.push(groups.place.problem(what, "name a kind of edges, or remove [groups]"));
        }
    }
    check::run(&set, &compiled, &mut problems);
    problems.or(set)
}

fn plain(name: &str, kind: Kind) -> Dimension {
    Dimension { name: name.into(), kind: kind.into(), codes: Vec::new() }
}

struct Compiler<'a, 'r> {
    around: &'a Around<'r>,
    set: &'a mut SchemeSet,
    problems: &'a mut Problems,
}

impl Compiler<'_, '_> {
    fn scheme(&mut self, text: &LimitText) -> Option<Scheme> {
        let per: Vec<_> = text.per.iter().map(|name| self.per(text, name)).collect();
        let conditions: Vec<_> =
            text.conditions.iter().map(|(name, values)| self.condition(name, values)).collect();
        let per = per.into_iter().collect::<Option<Vec<_>>>()?;
        let conditions = conditions.into_iter().collect::<Option<Vec<_>>>()?;
        for (i, p) in per.iter().enumerate() {
            if per[..i].iter().any(|q| q.dimension == p.dimension) {
                let what = format!("`{}` names a dimension that stands here already", text.per[i].value);
                self.problems.push(text.per[i].place.problem(what, "name each dimension once, at one level"));
            }
        }
        let (from_us, to_us) = (text.from.as_ref(), text.to.as_ref());
        let (from, to) = (from_us.map_or(i64::MIN, |at| at.value), to_us.map_or(i64::MAX, |at| at.value));
        if let Some(at) = to_us.filter(|_| to <= from) {
            let what = format!("limit `{}` ends before it begins", text.id.value);
            self.problems.push(
                at.place.problem(what, "write a `to` after `from` (the day of `to` is not part of it)"),
            );
        }
        let lines = match text.scope {
            Scope::Federation => vec![self.federation_lines(text)?],
            Scope::Member => {
                let members = self.around.members;
                let lines: Vec<_> = members.iter().map(|member| self.member_lines(text, member)).collect();
                lines.into_iter().collect::<Option<_>>()?
            }
        };
        Some(Scheme {
            id: text.id.value.clone(),
            zh: text.zh.clone(),
            en: text.en.clone(),
            scope: text.scope.into(),
            per,
            conditions,
            from_us: from,
            to_us: to,
            lines,
        })
    }

    fn per(&mut self, text: &LimitText, name: &At<String>) -> Option<Per> {
        let (dimension, level) = match name.value.split_once('.') {
            Some((dimension, level)) => (dimension, Some(level)),
            None => (name.value.as_str(), None),
        };
        let dimension = self.dimension(dimension, &name.place)?;
        if text.scope == Scope::Federation && (dimension == CUSTOMER || dimension == GROUP) {
            self.problems.push(name.place.problem(
                "a customer, or a group, is of one member, so the federation cannot sum over it",
                "write scope = \"member\"",
            ));
            return None;
        }
        let levels = self.set.dimensions[dimension as usize].levels();
        let level = match level {
            None => 0,
            Some(level) => match levels.iter().position(|l| *l == level) {
                Some(at) => at as u32 + 1,
                None => {
                    let what = format!(
                        "`{level}` is no level of `{}`",
                        self.set.dimensions[dimension as usize].name
                    );
                    let fix = format!("write one of {}", offer(levels.iter().copied()));
                    self.problems.push(name.place.problem(what, fix));
                    return None;
                }
            },
        };
        Some(Per { dimension, level })
    }

    fn condition(&mut self, name: &At<String>, values: &[At<String>]) -> Option<Condition> {
        let dimension = self.dimension(&name.value, &name.place)?;
        if dimension == CUSTOMER || dimension == GROUP {
            let what = format!("a limit cannot be of one {}", name.value);
            self.problems
                .push(name.place.problem(what, "write per = [\"customer\"]: each has a counter of its own"));
            return None;
        }
        for value in values {
            if value.value == NONE {
                let what = format!("`{NONE}` says that an exposure has no {}", name.value);
                self.problems.push(value.place.problem(what, "a limit is of exposures that have one"));
            } else if let Err(unknown) = self.set.dimensions[dimension as usize].check(&value.value) {
                self.problems.push(value.place.problem(unknown.to_string(), self.remedy(dimension)));
            }
        }
        Some(Condition { dimension, any_of: values.iter().map(|v| v.value.clone()).collect() })
    }

    fn remedy(&self, dimension: u32) -> String {
        let dimension = &self.set.dimensions[dimension as usize];
        match dimension.kind() {
            Kind::Codes => format!("write one of {}", offer(dimension.codes.iter().map(|c| c.code.as_str()))),
            Kind::Region => "write a code of GB/T 2260".into(),
            _ => "write a code of GB/T 4754: K, 66, 662 or 6621".into(),
        }
    }

    /// The index of a dimension: one that is built in, or a code list of the standards.
    fn dimension(&mut self, name: &str, place: &Place) -> Option<u32> {
        if let Some(at) = self.set.dimensions.iter().position(|d| d.name == name) {
            return Some(at as u32);
        }
        let code = |code: &str, parent: Option<&str>| Code {
            code: code.into(),
            parent: parent.unwrap_or_default().into(),
        };
        let mut dimension = match name {
            "industry" => plain(name, Kind::Industry),
            "region" => plain(name, Kind::Region),
            "product" => Dimension {
                codes: self.around.products.iter().map(|p| code(&p.id, None)).collect(),
                ..plain(name, Kind::Codes)
            },
            _ => match self.around.standards.code_list(name) {
                Some(list) => Dimension {
                    codes: list.codes().iter().map(|c| code(&c.code, c.parent.as_deref())).collect(),
                    ..plain(name, Kind::Codes)
                },
                None => {
                    let what = format!("`{name}` is nothing that exposures are told apart by");
                    let fix = "write customer, group, region, product, industry, or the name of a code list of \
                               standards/codes, such as guarantee_type";
                    self.problems.push(place.problem(what, fix));
                    return None;
                }
            },
        };
        dimension.codes.sort_by(|a, b| a.code.cmp(&b.code));
        self.set.dimensions.push(dimension);
        Some(self.set.dimensions.len() as u32 - 1)
    }

    fn federation_lines(&mut self, text: &LimitText) -> Option<Lines> {
        for member in self.around.members {
            for own in member.limits.iter().filter(|own| own.id.value == text.id.value) {
                let what =
                    format!("limit `{}` is the federation's: its line is not a member's", text.id.value);
                self.problems.push(own.id.place.problem(what, "remove it"));
            }
        }
        let base = |name: &At<String>| -> Result<i64, Problem> {
            let values = self.around.members.iter().map(|m| base(self.around, m, name));
            let sum = values.sum::<Result<i128, _>>()?;
            i64::try_from(sum)
                .map_err(|_| name.place.problem("the sum over all members is too large", "lower it"))
        };
        let hard = self.problems.take(fen(&text.hard, 0, &base))?;
        let warning = text.warning.as_ref().map_or(Ok(hard), |w| fen(w, hard, &base));
        let warning = self.problems.take(warning)?;
        self.check_lines(text, &text.warning, Lines { warning_fen: warning, hard_fen: hard }, None)
    }

    fn member_lines(&mut self, text: &LimitText, member: &Member) -> Option<Lines> {
        let base = |name: &At<String>| -> Result<i64, Problem> {
            let value = base(self.around, member, name)?;
            i64::try_from(value).map_err(|_| name.place.problem("it is too large", "lower it"))
        };
        let hard = self.problems.take(fen(&text.hard, 0, &base))?;
        let warning = text.warning.as_ref().map_or(Ok(hard), |w| fen(w, hard, &base));
        let warning = self.problems.take(warning)?;
        let lines =
            self.check_lines(text, &text.warning, Lines { warning_fen: warning, hard_fen: hard }, None)?;
        let mut own = member.limits.iter().filter(|own| own.id.value == text.id.value);
        let Some(Override { hard: own_hard, warning: own_warning, id }) = own.next() else {
            return Some(lines);
        };
        let hard = own_hard.as_ref().map_or(Ok(lines.hard_fen), |h| fen(h, 0, &base));
        let hard = self.problems.take(hard)?;
        // A share stays a share of the line that it belongs to; nothing may warn later than the federation says.
        let warning = match (own_warning, &text.warning) {
            (Some(own), _) => fen(own, hard, &base),
            (None, Some(At { value: Amount::Share(_), .. })) => {
                text.warning.as_ref().map_or(Ok(hard), |w| fen(w, hard, &base))
            }
            (None, _) => Ok(lines.warning_fen.min(hard)),
        };
        let warning = self.problems.take(warning)?;
        let stricter =
            [("hard", own_hard, hard, lines.hard_fen), ("warning", own_warning, warning, lines.warning_fen)];
        for (name, own, fen, federation) in stricter {
            if let Some(own) = own.as_ref().filter(|_| fen > federation) {
                self.problems.push(own.place.problem(
                    format!(
                        "the {name} line of `{}` is {fen} fen here, above the federation's {federation}",
                        text.id.value
                    ),
                    format!("a member may only be stricter: keep to at most {federation} fen, or remove it"),
                ));
            }
        }
        let at = own_warning.as_ref().map_or(&id.place, |w| &w.place);
        self.check_lines(text, own_warning, Lines { warning_fen: warning, hard_fen: hard }, Some(at))
    }

    fn check_lines(
        &mut self,
        text: &LimitText,
        warning: &Option<At<Amount>>,
        lines: Lines,
        at: Option<&Place>,
    ) -> Option<Lines> {
        let Lines { warning_fen, hard_fen } = lines;
        let place = at.or(warning.as_ref().map(|w| &w.place)).unwrap_or(&text.hard.place);
        if warning_fen > hard_fen {
            self.problems.push(place.problem(
                format!(
                    "the warning line of `{}` ({warning_fen} fen) lies above its hard line ({hard_fen} fen)",
                    text.id.value
                ),
                "lower it: above the hard line nothing is taken that could warn",
            ));
            return None;
        }
        if hard_fen < 1 {
            let what = format!("the hard line of `{}` comes to {hard_fen} fen", text.id.value);
            self.problems
                .push(text.hard.place.problem(what, "raise the ratio, or the parameter that it is of"));
            return None;
        }
        Some(lines)
    }

    /// From how many fen on an exposure is large: whichever of the two is reached first.
    fn large(&mut self, text: &LargeText) -> Option<Vec<i64>> {
        let mut all = Vec::new();
        for member in self.around.members {
            let ratio = self.problems.take(ratio(self.around, member, &text.ratio));
            let capital = self.problems.take(base(self.around, member, &text.of));
            let fen = self.problems.take(base(self.around, member, &text.fen));
            let (ratio, capital, fen) = (ratio?, capital?, fen?);
            let of_capital = (ratio * capital as f64).floor();
            all.push((of_capital as i128).min(fen).clamp(1, i64::MAX.into()) as i64);
        }
        Some(all)
    }
}

/// An amount in fen, rounded down: a line is never wider than it was written.
fn fen(
    amount: &At<Amount>,
    hard: i64,
    base: &dyn Fn(&At<String>) -> Result<i64, Problem>,
) -> Result<i64, Problem> {
    Ok(match &amount.value {
        Amount::Fen(fen) => *fen,
        Amount::Ratio(ratio, of) => (base(of)? as f64 * ratio).floor() as i64,
        Amount::Share(share) => (hard as f64 * share).floor() as i64,
    })
}

fn parameter<'a>(around: &'a Around<'_>, name: &At<String>) -> Result<&'a Parameter, Problem> {
    let all = &around.federation.parameters;
    all.iter().find(|p| p.name == name.value).ok_or_else(|| {
        name.place.problem(
            format!("`{}` is not a parameter of the federation", name.value),
            format!(
                "add [parameter.{}] to federation.toml, or write one of {}",
                name.value,
                offer(all.iter().map(|p| p.name.as_str()))
            ),
        )
    })
}

/// A parameter in fen.
fn base(around: &Around<'_>, member: &Member, name: &At<String>) -> Result<i128, Problem> {
    let parameter = parameter(around, name)?;
    match member.federation_value(parameter) {
        Value::Int64(fen) if fen > 0 => Ok(fen.into()),
        value => Err(name.place.problem(
            format!("`{}` is {value} for member `{}`, not a positive number of fen", name.value, member.code),
            format!("write an integer above 0 at {}, or in the member's [override]", parameter.place),
        )),
    }
}

/// A parameter that is a share.
fn ratio(around: &Around<'_>, member: &Member, name: &At<String>) -> Result<f64, Problem> {
    let parameter = parameter(around, name)?;
    match member.federation_value(parameter) {
        Value::Float64(ratio) if ratio > 0.0 && ratio <= 1.0 => Ok(ratio),
        value => Err(name.place.problem(
            format!("`{}` is {value} for member `{}`, not above 0 and at most 1", name.value, member.code),
            format!("write a share such as 0.025 at {}", parameter.place),
        )),
    }
}
