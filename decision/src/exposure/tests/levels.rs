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
