//! One exposure counts along every hierarchy at once: an industry class to its group, division and section, a sub-branch to its
//! branch, its entity and the federation.

use std::collections::BTreeMap;

use super::world::MINUTE;
use crate::exposure::{
    Adopt, Attribute, Core, Filter, Operation, Prepared, Reserve,
    scheme::{Code, Dimension, Kind, Lines, Per, Scheme, SchemeSet, Scope},
};

const INDUSTRY: u32 = 2;
const INSTITUTION: u32 = 3;

fn schemes() -> SchemeSet {
    let dimension = |name: &str, kind: Kind, codes: &[(&str, &str)]| Dimension {
        name: name.into(),
        kind: kind.into(),
        codes: codes
            .iter()
            .map(|(code, parent)| Code { code: (*code).into(), parent: (*parent).into() })
            .collect(),
    };
    let limit = |id: &str, scope: Scope, per: &[(u32, u32)]| Scheme {
        id: id.into(),
        zh: "限额".into(),
        en: "limit".into(),
        scope: scope.into(),
        per: per.iter().map(|(dimension, level)| Per { dimension: *dimension, level: *level }).collect(),
        conditions: Vec::new(),
        from_us: i64::MIN,
        to_us: i64::MAX,
        lines: vec![Lines { warning_fen: 250, hard_fen: 250 }; if scope == Scope::Member { 2 } else { 1 }],
    };
    let (member, all) = (Scope::Member, Scope::Federation);
    SchemeSet {
        version: "v1".into(),
        members: ["001", "002"].map(String::from).to_vec(),
        dimensions: vec![
            dimension("customer", Kind::Customer, &[]),
            dimension("group", Kind::Group, &[]),
            dimension("industry", Kind::Industry, &[]),
            dimension("institution", Kind::Codes, &[("branch1", ""), ("branch2", ""), ("sub1", "branch1")]),
        ],
        schemes: vec![
            limit("class", all, &[(INDUSTRY, 4)]),
            limit("group", all, &[(INDUSTRY, 3)]),
            limit("division", all, &[(INDUSTRY, 2)]),
            limit("section", all, &[(INDUSTRY, 1)]),
            limit("own_branch", member, &[(INSTITUTION, 0)]),
            limit("branch", member, &[(INSTITUTION, 1)]),
            limit("entity", member, &[]),
            limit("federation", all, &[]),
            limit("branch_and_section", member, &[(INSTITUTION, 1), (INDUSTRY, 1)]),
        ],
        ..SchemeSet::default()
    }
}

fn reserve(core: &mut Core, member: &str, exposure: &str, of: [&str; 2], fen: i64) -> Result<(), String> {
    let reserve = Reserve {
        member: member.into(),
        exposure: exposure.into(),
        customer: exposure.into(),
        attributes: vec![Attribute::new("industry", of[0]), Attribute::new("institution", of[1])],
        fen,
        expires_us: 0,
    };
    core.apply(&Prepared::new(Operation::Reserve(reserve)), MINUTE).map(drop).map_err(|e| e.to_string())
}

#[test]
fn an_exposure_counts_at_every_level() {
    let mut core = Core::new();
    let adopt = Operation::Adopt(Adopt { schemes: Some(schemes()) });
    core.apply(&Prepared::new(adopt), MINUTE).unwrap();
    reserve(&mut core, "001", "e1", ["6621", "sub1"], 100).unwrap();
    reserve(&mut core, "001", "e2", ["6629", "branch1"], 20).unwrap();
    reserve(&mut core, "002", "e3", ["6710", "branch2"], 3).unwrap();
    let told = |limit: &str| -> BTreeMap<String, i64> {
        let filter = Filter { limit: Some(limit), ..Filter::default() };
        let name = |c: &crate::exposure::CounterUse| {
            let values = c.per.iter().map(|a| a.value.as_str());
            std::iter::once(c.member.as_str()).chain(values).collect::<Vec<_>>().join(" ").trim().to_owned()
        };
        core.utilisation(filter).map(|c| (name(&c), c.used_fen)).collect()
    };
    let expected = |all: &[(&str, i64)]| all.iter().map(|(name, fen)| ((*name).to_owned(), *fen)).collect();
    for (limit, counters) in [
        ("class", &[("6621", 100), ("6629", 20), ("6710", 3)][..]),
        ("group", &[("662", 120), ("671", 3)]),
        ("division", &[("66", 120), ("67", 3)]),
        ("section", &[("J", 123)]),
        ("own_branch", &[("001 sub1", 100), ("001 branch1", 20), ("002 branch2", 3)]),
        ("branch", &[("001 branch1", 120), ("002 branch2", 3)]),
        ("entity", &[("001", 120), ("002", 3)]),
        ("federation", &[("", 123)]),
        ("branch_and_section", &[("001 branch1 J", 120), ("002 branch2 J", 3)]),
    ] {
        assert_eq!(told(limit), expected(counters), "{limit}");
    }
    // The widest that has no room refuses what all others have room for.
    let refused = reserve(&mut core, "002", "e4", ["6710", "branch2"], 128).unwrap_err();
    assert!(refused.contains("section") && refused.contains("federation"), "{refused}");
    reserve(&mut core, "002", "e4", ["6710", "branch2"], 127).unwrap();
}

/// What attributes an exposure must have is a matter of the limits in force, also of attributes that were seen before.
#[test]
fn attributes_that_earlier_limits_accepted_are_looked_at_anew() {
    let mut core = Core::new();
    let adopt = |core: &mut Core, schemes: SchemeSet| {
        core.apply(&Prepared::new(Operation::Adopt(Adopt { schemes: Some(schemes) })), MINUTE).unwrap();
    };
    let of = |exposure: &str| {
        let attributes = vec![Attribute::new("industry", "6621"), Attribute::new("institution", "sub1")];
        let (member, exposure, customer) = ("001".into(), exposure.into(), "c1".into());
        Prepared::new(Operation::Reserve(Reserve {
            member,
            exposure,
            customer,
            attributes,
            fen: 10,
            expires_us: 0,
        }))
    };
    adopt(&mut core, schemes());
    core.apply(&of("e1"), MINUTE).unwrap();
    let closed = {
        let mut schemes = schemes();
        schemes.dimensions[3].codes.pop();
        schemes
    };
    let more = {
        let mut schemes = schemes();
        let dimension = Dimension { name: "channel".into(), kind: Kind::Codes.into(), codes: Vec::new() };
        schemes.dimensions.push(dimension);
        schemes
    };
    for (n, (schemes, refusal)) in
        [(closed, "institution"), (more, "limits speak of channel")].into_iter().enumerate()
    {
        adopt(&mut core, schemes);
        let refused = core.apply(&of("e2"), MINUTE).unwrap_err();
        assert!(refused.to_string().contains(refusal), "{refused}");
        assert_eq!(
            core.outlook(&of("e2"), MINUTE).unwrap_err(),
            refused,
            "it is not known how it would stand"
        );
        // What was reserved before stays, and is counted; what an earlier release accepted is done again.
        assert_eq!(core.apply(&of("e1"), MINUTE).map(|applied| applied.fresh), Ok(false));
        assert!(core.apply_again(&of(&format!("earlier{n}")), MINUTE).unwrap().fresh);
        core.verify().unwrap();
    }
    adopt(&mut core, schemes());
    core.apply(&of("e2"), MINUTE).unwrap();
}

/// An answer is kept as it was given, so there is a bound to it, however many counters with however long names are near their lines.
#[test]
fn an_answer_has_a_bound() {
    let long = |n: usize| format!("{n}{}", "x".repeat(1000));
    let mut schemes = schemes();
    schemes.dimensions.truncate(2);
    let of = schemes.schemes.last().unwrap().clone();
    let lines = vec![Lines { warning_fen: 1, hard_fen: 1000 }; 2];
    let limit = |n: usize| Scheme { id: long(n), per: Vec::new(), lines: lines.clone(), ..of.clone() };
    schemes.schemes = (0..200).map(limit).collect();
    let mut core = Core::new();
    core.apply(&Prepared::new(Operation::Adopt(Adopt { schemes: Some(schemes) })), MINUTE).unwrap();
    let reserve = Reserve {
        member: "001".into(),
        exposure: "e1".into(),
        customer: "c1".into(),
        attributes: Vec::new(),
        fen: 10,
        expires_us: 0,
    };
    let reserve = Prepared::new(Operation::Reserve(reserve));
    let answer = core.apply(&reserve, MINUTE).unwrap().answer;
    assert!((10..200).contains(&answer.warnings.len()), "{} warnings", answer.warnings.len());
    let again = core.apply(&reserve, MINUTE).unwrap();
    assert_eq!((again.answer, again.fresh), (answer, false));
}
