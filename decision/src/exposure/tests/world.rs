//! A small world: schemes of many shapes, and random operations in it.

use std::sync::Arc;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::exposure::{
    operation::{Attribute, Commit, FileLarge, Operation, Regroup, Release, Repay, Reserve, Tick},
    scheme::{CUSTOMER, Code, Condition, Dimension, GROUP, Kind, Lines, Per, Scheme, SchemeSet, Scope},
};

pub const MINUTE: i64 = 60_000_000;

const MEMBERS: [&str; 2] = ["001", "002"];
const INDUSTRIES: [&str; 6] = ["6621", "6622", "66", "J", "7010", "none"];
const PRODUCTS: [&str; 3] = ["farm_loan", "salary_loan", "none"];
const PURPOSES: [&str; 4] = ["travel", "consumption", "business", "none"];

fn dimension(name: &str, kind: Kind, codes: &[(&str, &str)]) -> Dimension {
    let codes = codes.iter().map(|(code, parent)| Code { code: (*code).into(), parent: (*parent).into() });
    Dimension { name: name.into(), kind: kind.into(), codes: codes.collect() }
}

/// Random schemes over the dimensions of this world.
pub fn schemes(version: u32, rng: &mut ChaCha8Rng) -> Arc<SchemeSet> {
    let dimensions = vec![
        dimension("customer", Kind::Customer, &[]),
        dimension("group", Kind::Group, &[]),
        dimension("industry", Kind::Industry, &[]),
        dimension("product", Kind::Codes, &[("farm_loan", ""), ("salary_loan", "")]),
        dimension(
            "purpose",
            Kind::Codes,
            &[("business", ""), ("consumption", ""), ("travel", "consumption")],
        ),
    ];
    let mut schemes = Vec::new();
    for number in 0..rng.random_range(1..9) {
        let scope = if rng.random_range(0..4) == 0 { Scope::Federation } else { Scope::Member };
        let mut per = Vec::new();
        if scope == Scope::Member {
            match rng.random_range(0..4) {
                0 => per.push(Per { dimension: CUSTOMER, level: 0 }),
                1 => per.push(Per { dimension: GROUP, level: 0 }),
                _ => {}
            }
        }
        if rng.random_range(0..3) == 0 {
            per.push(Per { dimension: 2, level: rng.random_range(0..=4) });
        }
        if rng.random_range(0..4) == 0 {
            per.push(Per { dimension: 4, level: rng.random_range(0..=1) });
        }
        let mut conditions = Vec::new();
        if rng.random_range(0..3) == 0 {
            let any_of = vec![["6621", "66", "K"][rng.random_range(0..3)].to_owned()];
            conditions.push(Condition { dimension: 2, any_of });
        }
        if rng.random_range(0..4) == 0 {
            conditions.push(Condition { dimension: 3, any_of: vec!["farm_loan".into()] });
        }
        let lines = if scope == Scope::Member { MEMBERS.len() } else { 1 };
        let lines = (0..lines).map(|_| {
            let hard_fen = rng.random_range(200..4000);
            Lines { warning_fen: rng.random_range(1..=hard_fen), hard_fen }
        });
        let lines = lines.collect();
        let (from_us, to_us) =
            if rng.random_range(0..5) == 0 { (50 * MINUTE, 150 * MINUTE) } else { (i64::MIN, i64::MAX) };
        schemes.push(Scheme {
            id: format!("limit_{number}"),
            zh: "限额".into(),
            en: "limit".into(),
            scope: scope.into(),
            per,
            conditions,
            from_us,
            to_us,
            lines,
        });
    }
    let large_fen = vec![rng.random_range(300..1500), rng.random_range(300..1500)];
    // What was good for the schemes before may not be for these.
    let speak_of = |dimension: u32| {
        let speaks = |s: &Scheme| {
            s.per.iter().any(|p| p.dimension == dimension)
                || s.conditions.iter().any(|c| c.dimension == dimension)
        };
        schemes.iter().any(speaks)
    };
    let mut dimensions = dimensions;
    if rng.random() && !speak_of(4) {
        dimensions.pop();
    }
    if rng.random() {
        dimensions[3].codes.pop();
    }
    Arc::new(SchemeSet {
        version: format!("v{version}"),
        members: MEMBERS.map(String::from).to_vec(),
        dimensions,
        schemes,
        large_fen,
        group_edges: Vec::new(),
    })
}

/// Some operation, on few enough names that they meet. `used` are operations that were made before.
pub fn operation(now_us: i64, used: &[Operation], rng: &mut ChaCha8Rng) -> Operation {
    // Whoever got no answer asks again.
    if !used.is_empty() && rng.random_range(0..10) == 0 {
        return used[rng.random_range(0..used.len())].clone();
    }
    let pick = |from: &[&str], rng: &mut ChaCha8Rng| from[rng.random_range(0..from.len())].to_owned();
    let member = if rng.random_range(0..60) == 0 { "009".into() } else { pick(&MEMBERS, rng) };
    let exposure = format!("e{}", rng.random_range(0..30));
    let key = format!("k{}", rng.random_range(0..12));
    let fen = if rng.random_range(0..50) == 0 { -1 } else { rng.random_range(1..400) };
    match rng.random_range(0..13) {
        0..=3 => {
            let mut attributes = vec![
                Attribute::new("industry", pick(&INDUSTRIES, rng)),
                Attribute::new("product", pick(&PRODUCTS, rng)),
                Attribute::new("purpose", pick(&PURPOSES, rng)),
            ];
            match rng.random_range(0..40) {
                at @ 0..3 => drop(attributes.remove(at)),
                // Without a purpose, of which not all schemes speak.
                3..12 => drop(attributes.pop()),
                _ => {}
            }
            if rng.random_range(0..40) == 0 {
                attributes[0].value = "Z9".into();
            }
            let expires_us = if rng.random() { 0 } else { now_us + rng.random_range(-MINUTE..40 * MINUTE) };
            let customer = format!("c{}", rng.random_range(0..6));
            Operation::Reserve(Reserve { member, exposure, customer, attributes, fen, expires_us })
        }
        4..=6 => Operation::Commit(Commit { member, exposure, key, fen, grow: rng.random_range(0..3) == 0 }),
        7 | 8 => Operation::Repay(Repay { member, exposure, key, fen }),
        9 => Operation::Release(Release { member, exposure, key, fen: if rng.random() { 0 } else { fen } }),
        10 => Operation::Regroup(Regroup {
            member,
            customer: format!("c{}", rng.random_range(0..6)),
            group: pick(&["", "g1", "g2"], rng),
        }),
        11 => Operation::FileLarge(FileLarge {
            member,
            large: rng.random_range(0..6),
            reference: pick(&["r1", "r2"], rng),
            officer: "o1".into(),
        }),
        _ => Operation::Tick(Tick {}),
    }
}
